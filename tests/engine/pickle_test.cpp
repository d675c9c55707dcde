#include "engine/pickle.h"

#include <limits>

#include "tests/expect_error.h"

namespace concord {
namespace {

using test::expect_error;
using Kind = PickleValue::Kind;
using namespace std::string_literals;

Pickle read(const std::string& bytes) { return {bytes, "file.pt"}; }

void expect_refused(const std::string& bytes, std::vector<std::string> parts) {
  parts.push_back("file.pt");
  expect_error([&] { read(bytes); }, parts);
}

TEST(Pickle, WholeNumbers) {
  const std::vector<std::pair<std::string, std::int64_t>> cases = {
      {"K\xFF."s, 255},
      {"M\xFF\xFF."s, 65535},
      {"J\xFE\xFF\xFF\xFF."s, -2},
      {"I-7\n.", -7},
      {"L9223372036854775807L\n.", std::numeric_limits<std::int64_t>::max()},
      {"\x8a\x00."s, 0},
      {"\x8a\x01\x80."s, -128},
      {"\x8a\x02\x80\x00."s, 128},
      {"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."s, std::numeric_limits<std::int64_t>::min()},
      {"\x8b\x01\x00\x00\x00\x05."s, 5}};
  for (const auto& [bytes, expected] : cases) {
    const Pickle pickle = read(bytes);
    EXPECT_EQ(pickle.root().kind, Kind::kInteger);
    EXPECT_EQ(pickle.root().integer, expected);
    EXPECT_EQ(pickle.bytes_used(), bytes.size());
  }
  EXPECT_EQ(read("\x8a\x09"s + std::string(9, '\1') + ".").root().kind, Kind::kLong);
  EXPECT_EQ(read("I01\n.").root().kind, Kind::kBool);
  EXPECT_EQ(read("I01\n.").root().integer, 1);
  EXPECT_EQ(read("\x89.").root().integer, 0);
  expect_refused("I99999999999999999999\n.", {"99999999999999999999", "no number"});
  expect_refused("Iabc\n.", {"abc"});
}

TEST(Pickle, FloatsAreBigEndian) {
  EXPECT_EQ(read("G\x3F\xF8\x00\x00\x00\x00\x00\x00."s).root().number, 1.5);
  EXPECT_EQ(read("F-2.5e3\n.").root().number, -2500);
}

TEST(Pickle, TextsAndBytes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"X\x03\x00\x00\x00"
       "abc."s,
       "abc"},
      {"\x8c\x02hi."s, "hi"},
      {"\x8d\x01\x00\x00\x00\x00\x00\x00\x00x."s, "x"},
      {"U\x01y."s, "y"},
      {"T\x01\x00\x00\x00z."s, "z"},
      {"S'a\\'\\x41\\n'\n."s, "a'A\n"},
      {"V\\u00fc\\U0001F426\xfc\n."s, "\u00fc\U0001F426\u00fc"}};
  for (const auto& [bytes, expected] : cases) {
    EXPECT_EQ(read(bytes).root().kind, Kind::kString);
    EXPECT_EQ(read(bytes).root().text, expected);
  }
  EXPECT_EQ(read("C\x02\x00\xFF."s).root().kind, Kind::kBytes);
  EXPECT_EQ(read("C\x02\x00\xFF."s).root().text, "\0\xFF"s);
  expect_refused("S'abc\n.", {"quotes"});
  expect_refused("S'\\q'\n.", {"\\q"});
  expect_refused("V\\uZZZZ\n.", {"hexadecimal"});
  expect_refused("V\\U00110000\n.", {"no character"});
}

TEST(Pickle, ContainersAndTheMemo) {
  // {"a": [1, 2, (3,)], "b": <the same list>}
  const Pickle pickle =
      read("\x80\x04}(\x8c\x01\x61](K\x01K\x02K\x03\x85"s + "e\x94\x8c\x01\x62h\0u."s);
  const PickleValue* a = pickle.find(pickle.root(), "a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a, pickle.find(pickle.root(), "b"));
  EXPECT_EQ(pickle.find(pickle.root(), "c"), nullptr);
  ASSERT_EQ(a->items.size(), 3U);
  EXPECT_EQ(pickle.at(a->items[1]).integer, 2);
  EXPECT_EQ(pickle.at(a->items[2]).kind, Kind::kTuple);
  // A list in itself is no trouble.
  const Pickle circle = read("]\x94h\0a."s);
  EXPECT_EQ(circle.root().items, std::vector<Pickle::Index>{circle.root_index()});
  // OrderedDict([("k", 1)]), the set of 2, a mark that is dropped, state that is dropped
  const Pickle dict = read("ccollections\nOrderedDict\n](\x8c\x01kK\x01\x86"s + "e\x85R(0}b."s);
  ASSERT_NE(dict.find(dict.root(), "k"), nullptr);
  EXPECT_EQ(read("\x8f(K\2\x90."s).root().items.size(), 1U);
}

TEST(Pickle, WhatCouldRunCodeIsNamed) {
  for (const char* text :
       {"cos\nsystem\n(S'true'\ntR.", "(ios\nsystem\n.", "cbuiltins\neval\n)R.",
        "c__builtin__\nexec\n.", "cnt\nsystem\n.", "ctorch\nload\n.", "ctorch._utils\n_import\n.",
        "ctorch.cuda\nfloat32\n.", "ccollections\nOrderedDict.clear\n.",
        "cbuiltins\ngetattr\n(ccollections\nOrderedDict\nS'x'\ntR."}) {
    const std::string bytes = text;
    const std::size_t module = bytes.find('c') == 0 ? 1 : 2;
    std::string name = bytes.substr(module, bytes.find('\n', bytes.find('\n') + 1) - module);
    name[name.find('\n')] = '.';
    expect_refused(bytes, {name + ",", "could run code"});
  }
  expect_refused("\x80\x04\x8c\x05posix\x8c\x06system\x93."s, {"posix.system", "could run code"});
  expect_refused("\x82\x01."s, {"extension registry", "could run code"});
  // What is let through by name is not called.
  expect_refused("ctorch\nFloatStorage\n)R.", {"torch.FloatStorage", "could run code"});
  expect_refused("ctorch\nFloatStorage\n)\x81.", {"torch.FloatStorage"});
  expect_refused("S'os.system'\n)R.", {"a string stands where a Python name"});
  expect_refused("](K\1eN}b0]}b.", {"state is given to"});
  expect_refused("ctorch\nSize\n)R.", {"0 arguments"});
  expect_refused("ccollections\nOrderedDict\nK\1\x85R.", {"a list is expected"});
}

TEST(Pickle, DamageIsAnError) {
  expect_refused("", {"byte 0", "truncated"});
  expect_refused("N", {"byte 1", "truncated"});
  expect_refused(".", {"nothing is on the stack"});
  expect_refused("(N(.", {"nothing is on the stack"});
  expect_refused("e.", {"no mark"});
  expect_refused("h\x05."s, {"entry 5 of the memo"});
  expect_refused("g7\n.", {"entry 7 of the memo"});
  expect_refused("NK\1a.", {"None stands where a list"});
  expect_refused("}(K\1u.", {"odd number"});
  expect_refused("\x80\x06N."s, {"protocol is 6"});
  expect_refused("\xFF."s, {"0xff is no operation"});
  expect_refused("X\xFF\xFF\xFF\xFF"s + "abc.", {"4294967295 bytes are needed, 4 are left"});
  expect_refused("\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx."s, {"18446744073709551615 bytes"});
  expect_refused("\x8b\xFF\xFF\xFF\x7F."s, {"2147483647 bytes", "1024"});
  expect_refused("\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFN."s, {"frame"});
  expect_refused("\x97."s, {"buffers outside"});
}

TEST(Pickle, LimitsHold) {
  // Deep nesting costs no stack of ours.
  std::string deep = "]";
  for (int i = 0; i < 1000000; ++i) deep += "\x85";
  EXPECT_EQ(read(deep + ".").root().kind, Kind::kTuple);
  expect_refused(std::string(2000, '('), {"nest deeper than 1000"});
  expect_refused(std::string(Pickle::kMaxOperations + 1, 'N') + ".",
                 {"more than 4194304 operations"});
  // A list of a million pairs, copied by each of a thousand calls.
  std::string bomb = "K\1K\1\x86\x94](";
  for (int i = 0; i < 1000000; ++i) bomb += "h\0"s;
  bomb += "e\x94";
  for (int i = 0; i < 1000; ++i) bomb += "ccollections\nOrderedDict\nh\1\x85R";
  expect_refused(bomb + ".", {"more than 8388608 items"});
  // Each list holds the one before ten times: small here, as nothing is unfolded.
  std::string laughs = "]\x94";
  for (char i = 0; i < 100; ++i) {
    laughs += "](";
    for (int k = 0; k < 10; ++k) laughs += "h"s + i;
    laughs += "e\x94";
  }
  EXPECT_LT(read(laughs + ".").values().size(), 200U);
}

}  // namespace
}  // namespace concord
