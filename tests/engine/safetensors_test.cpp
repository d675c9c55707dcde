#include "engine/safetensors.h"

#include <sys/resource.h>

#include <bit>
#include <csignal>
#include <cstring>
#include <limits>

#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

// A file of the given header and data.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// --- reading ---

TEST(SafetensorsReader, AFileWrittenByHand) {
  const TemporaryFolder folder;
  const std::string data = raw<float>({1, -2, 3}) + raw<std::int64_t>({-5}) + raw<double>({0.1}) +
                           std::string("\x07", 1);
  write_bytes(folder / "a",
              file_of(R"({"u":{"dtype":"U8","shape":[1,1],"data_offsets":[28,29]},)"
                      R"("f":{"shape":[3],"data_offsets":[0,12],"dtype":"F32"},)"
                      R"("__metadata__":{"k":"v","":"x\ny"},)"
                      R"("i":{"dtype":"I64","shape":[],"data_offsets":[12,20]},)"
                      R"("d":{"dtype":"F64","shape":[1],"data_offsets":[20,28]},)"
                      R"("e":{"dtype":"F32","shape":[4,0],"data_offsets":[28,28]}}  )",
                      data));
  const SafetensorsFile file(folder / "a");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"k", "v"}, {"", "x\ny"}}));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"f", "i", "d", "e", "u"}));
  EXPECT_TRUE(file.contains("f"));
  EXPECT_FALSE(file.contains("g"));
  EXPECT_EQ(file.tensor("f").to_vector<float>(), (std::vector<float>{1, -2, 3}));
  EXPECT_EQ(file.tensor("i").shape(), Shape());
  EXPECT_EQ(file.tensor("i").to_vector<std::int64_t>(), std::vector<std::int64_t>{-5});
  EXPECT_EQ(file.tensor("d").item(), 0.1);
  EXPECT_EQ(file.tensor("u").item(), 7);
  EXPECT_EQ(file.shape("e"), Shape({4, 0}));
  EXPECT_EQ(file.tensor("e").numel(), 0);
}

TEST(SafetensorsReader, HalfPrecisionIsWidened) {
  const TemporaryFolder folder;
  // 1, -2, the largest, the smallest normal and subnormal, -0, infinity, NaN
  const std::vector<std::uint16_t> half = {0x3C00, 0xC000, 0x7BFF, 0x0400,
                                           0x0001, 0x8000, 0x7C00, 0x7E00};
  const std::vector<std::uint16_t> bfloat = {0x3F80, 0xC000, 0x7F7F, 0x0001, 0x8000, 0xFF80};
  write_bytes(folder / "a", file_of(R"({"b":{"dtype":"BF16","shape":[6],"data_offsets":[16,28]},)"
                                    R"("h":{"dtype":"F16","shape":[2,4],"data_offsets":[0,16]}})",
                                    raw(half) + raw(bfloat)));
  const SafetensorsFile file(folder / "a");
  const auto h = file.tensor("h").to_vector<float>();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(std::vector<float>(h.begin(), h.begin() + 7),
            (std::vector<float>{1, -2, 65504, 0x1p-14F, 0x1p-24F, 0, infinity}));
  EXPECT_TRUE(std::signbit(h[5]));
  EXPECT_TRUE(std::isnan(h[7]));
  EXPECT_EQ(file.tensor("b").to_vector<float>(),
            (std::vector<float>{1, -2, std::bit_cast<float>(0x7F7F0000U),
                                std::bit_cast<float>(0x00010000U), 0, -infinity}));
}

TEST(SafetensorsReader, SharesTheMappingWhereAlignedAndOutlivesTheFile) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {{"byte", Tensor::of<std::uint8_t>({1}, {9})},
                                   {"x", Tensor::of<float>({2}, {3, 4})}});
  write_safetensors(folder / "b", {{"x", Tensor::of<float>({2}, {5, 6})}});
  Tensor unaligned, aligned;
  {
    const SafetensorsFile a(folder / "a");
    const SafetensorsFile b(folder / "b");
    unaligned = a.tensor("x");
    aligned = b.tensor("x");
    EXPECT_FALSE(a.tensor("x").shares_storage(unaligned));
    EXPECT_EQ(b.tensor("x").view().data, aligned.view().data);
    EXPECT_FALSE(aligned.unique()) << "a mapping must never be written over";
  }
  std::filesystem::remove(folder / "b");
  EXPECT_EQ(unaligned.to_vector<float>(), (std::vector<float>{3, 4}));
  EXPECT_EQ(aligned.to_vector<float>(), (std::vector<float>{5, 6}));
}

TEST(SafetensorsReader, WholeNumbersOfEverySize) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& dtype, const std::string& bytes) {
    const std::string header = R"({"w":{"dtype":")" + dtype +
                               R"(","shape":[1],"data_offsets":[0,)" +
                               std::to_string(bytes.size()) + "]}}";
    write_bytes(folder / "w", file_of(header, bytes));
    const Tensor tensor = SafetensorsFile(folder / "w").tensor("w");
    EXPECT_EQ(tensor.dtype(), DType::kInt64) << dtype;
    return tensor.to_vector<std::int64_t>().at(0);
  };
  using namespace std::string_literals;
  EXPECT_EQ(read("I8", "\xFE"), -2);
  EXPECT_EQ(read("I16", "\xFE\xFF"), -2);
  EXPECT_EQ(read("U16", "\xFE\xFF"), 65534);
  EXPECT_EQ(read("I32", "\xFE\xFF\xFF\xFF"), -2);
  EXPECT_EQ(read("U32", "\xFE\xFF\xFF\xFF"), 4294967294);
  EXPECT_EQ(read("U64", "\x01\0\0\0\0\0\0\x7F"s), 0x7F00000000000001);
  EXPECT_EQ(read("BOOL", "\x01"), 1);
  expect_error([&] { read("U64", std::string(8, '\xFF')); }, {"18446744073709551615", "int64"});
}

TEST(SafetensorsReader, UnknownNamesAndDtypes) {
  const TemporaryFolder folder;
  write_bytes(folder / "a",
              file_of(R"({"layer1.weight":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]}})",
                      std::string(4, '\0')));
  const SafetensorsFile file(folder / "a");
  expect_error([&] { file.tensor("layer2.weight"); },
               {(folder / "a").string(), "layer2.weight", "near it are layer1.weight"});
  expect_error([&] { file.tensor("layer1.weight"); }, {"layer1.weight", "float8_e5m2"});
  expect_error([&] { SafetensorsFile(folder / "none"); },
               {(folder / "none").string(), "No such file"});
  expect_error([&] { SafetensorsFile(folder.path()); }, {"not a regular file"});
}

struct Hostile {
  std::string header;
  std::string expected;  // part of the message
  std::size_t data = 4;
};

TEST(SafetensorsReader, HostileHeaders) {
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const auto with = [](const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
    return R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
  };
  const std::string f32 = R"("F32")";
  const std::string deep(200000, '[');
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += R"({"a":)";
  const std::vector<Hostile> cases = {
      {"", "does not begin with '{'"},
      {" {}", "does not begin with '{'"},
      {"[]", "does not begin with '{'"},
      {"{", "not valid JSON"},
      {"{}x", "not valid JSON"},
      {"{}{}", "not valid JSON"},
      {"{\"t\":" + entry + ",}", "not valid JSON"},
      {std::string("{\"t\x80\":1}"), "not valid JSON"},
      {std::string("{}\0", 3), "not valid JSON"},
      {"{}", "describes 0 bytes of data, the file holds 4"},
      {R"({"t":1})", "\"t\": a number"},
      {R"({"t":null})", "\"t\": null"},
      {R"({"t":"x"})", "\"t\": a text"},
      {R"({"t":[]})", "\"t\": an array"},
      {R"({"t":{}})", "dtype is missing"},
      {"{\"t\":" + entry + ",\"t\":" + entry + "}", "\"t\": the name is given twice"},
      {R"({"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "\"dtype\" is given twice"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})", "\"more\""},
      {R"({"__metadata__":{"a":1}})", "a number"},
      {R"({"__metadata__":{"a":{}}})", "an object"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "given twice"},
      {R"({"__metadata__":[]})", "an array"},
      {with("1", "[1]", "[0,4]"), "a number"},
      {with(R"("F33")", "[1]", "[0,4]"), "\"F33\" is unknown"},
      {with(R"("")", "[1]", "[0,4]"), "is unknown"},
      {with(f32, "1", "[0,4]"), "a number"},
      {with(f32, "[[1]]", "[0,4]"), "an array"},
      {with(f32, "[{}]", "[0,4]"), "an object"},
      {with(f32, "[true]", "[0,4]"), "a boolean"},
      {with(f32, "[-1]", "[0,4]"), "-1 is negative"},
      {with(f32, "[1.0]", "[0,4]"), "1.0 is not a whole number"},
      {with(f32, "[1e3]", "[0,4]"), "1e3 is not a whole number"},
      {with(f32, "[99999999999999999999999]", "[0,4]"), "is not a whole number of 64 bits"},
      {with(f32, "[18446744073709551615]", "[0,4]"), "is too large"},
      {with(f32, "[9223372036854775807]", "[0,4]"), "too many elements"},
      {with(f32, "[4294967296,4294967296]", "[0,4]"), "too many elements"},
      {with(f32, "[1,1,1,1,1,1,1]", "[0,4]"), "more than 6 axes"},
      {with(f32, "[2]", "[0,4]"), "takes 8 bytes, data_offsets span 4"},
      {with(f32, "[1]", "[]"), "has 0 numbers"},
      {with(f32, "[1]", "[0]"), "has 1 numbers"},
      {with(f32, "[1]", "[0,4,8]"), "more than two"},
      {with(f32, "[1]", "[4,0]"), "before their beginning"},
      {with(f32, "[1]", "[-4,0]"), "-4 is negative"},
      {with(f32, "[1]", "[9223372036854775804,9223372036854775808]"), "too large"},
      {with(f32, "[1]", "[4,8]"), "a hole", 8},
      {with(f32, "[1]", "[0,4]"), "the file holds 5", 5},
      {with(f32, "[1]", "[0,4]"), "truncated", 3},
      {"{\"a\":" + entry + ",\"b\":" + entry + "}", "overlap"},
      {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       "overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       "a hole"},
      {"{\"t\":" + deep, "an array"},
      {R"({"t":{"shape":)" + deep, "an array"},
      {objects, "the key \"a\" is none of"},
      {"{\"" + std::string(100000, 'n') + "\":1}", "nnn...\""},
  };
  const TemporaryFolder folder;
  for (const Hostile& hostile : cases) {
    SCOPED_TRACE(hostile.header.substr(0, 200));
    write_bytes(folder / "a", file_of(hostile.header, std::string(hostile.data, 'd')));
    expect_error([&] { SafetensorsFile(folder / "a"); },
                 {(folder / "a").string(), hostile.expected});
  }
}

TEST(SafetensorsReader, AbsurdHeaderLengths) {
  const TemporaryFolder folder;
  for (std::uint64_t length :
       {std::uint64_t{100'000'001}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    write_bytes(folder / "a", raw<std::uint64_t>({length}) + "{}");
    expect_error([&] { SafetensorsFile(folder / "a"); }, {std::to_string(length), "100000000"});
  }
  write_bytes(folder / "a", raw<std::uint64_t>({3}) + "{}");
  expect_error([&] { SafetensorsFile(folder / "a"); }, {"truncated"});
}

// A sound file with every kind of thing in it.
std::string sample_bytes(const TemporaryFolder& folder) {
  write_safetensors(folder / "sample",
                    {{"w", test::random_tensor({2, 3}, 1)},
                     {"n", Tensor::of<std::int64_t>({}, {7})},
                     {"e", Tensor::zeros({0})},
                     {"u", Tensor::of<std::uint8_t>({3}, {1, 2, 3})}},
                    {{"epoch", "3"}, {"text", "\"quoted\" \\ \n"}});
  return read_bytes(folder / "sample");
}

TEST(SafetensorsReader, TruncationAtEveryByte) {
  const TemporaryFolder folder;
  const std::string bytes = sample_bytes(folder);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    write_bytes(folder / "cut", bytes.substr(0, length));
    EXPECT_THROW(SafetensorsFile(folder / "cut"), Error) << length << " bytes";
  }
}

// Whatever a byte turns into, the file is read or refused; nothing else happens.
TEST(SafetensorsReader, AnyByteMayBeWrong) {
  const TemporaryFolder folder;
  const std::string bytes = sample_bytes(folder);
  random::Stream numbers(test::kSeed, 1);
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string broken = bytes;
    for (std::uint64_t count = 1 + numbers.below(3); count > 0; --count)
      broken[numbers.below(broken.size())] = static_cast<char>(numbers.below(256));
    write_bytes(folder / "broken", broken);
    try {
      const SafetensorsFile file(folder / "broken");
      for (const std::string& name : file.names()) file.tensor(name).to_vector<double>();
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000) << "seed " << test::kSeed;
}

// --- writing ---

TEST(SafetensorsWriter, RoundTripOfEveryDtypeAndFormat) {
  const TemporaryFolder folder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor blocked =
      test::random_tensor({2, 16, 3, 2}, 2).to(DType::kFloat32).in_format(MemoryFormat::kBlocked16);
  write_safetensors(folder / "a",
                    {{"z.second", Tensor::of<double>({2}, {0.1, -0.2})},
                     {"a.first", blocked},
                     {"long", Tensor::of<std::int64_t>({1, 2}, {-1, 1LL << 60})},
                     {"nan", Tensor::of<float>({3}, {nan, -0.0F, 1e-45F})},
                     {"ü \"\\\n", Tensor::of<std::uint8_t>({2}, {0, 255})},
                     {"half", Tensor::of<float>({2}, {1.5F, -3.1F}).to(DType::kBFloat16)},
                     {"scalar", Tensor::full({}, 3)},
                     {"empty", Tensor::zeros({3, 0})}},
                    {{"key", "value"}});
  const SafetensorsFile file(folder / "a");
  EXPECT_EQ(file.metadata().at("key"), "value");
  EXPECT_EQ(file.tensor("z.second").to_vector<double>(), (std::vector<double>{0.1, -0.2}));
  EXPECT_EQ(file.tensor("a.first").to_vector<float>(), blocked.to_vector<float>());
  EXPECT_EQ(file.tensor("long").to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{-1, 1LL << 60}));
  EXPECT_TRUE(std::isnan(file.tensor("nan").to_vector<float>()[0]));
  EXPECT_EQ(file.tensor("nan").to_vector<float>()[2], 1e-45F);
  EXPECT_EQ(file.tensor("ü \"\\\n").to_vector<double>(), (std::vector<double>{0, 255}));
  EXPECT_EQ(file.dtype("half"), "BF16");
  EXPECT_EQ(file.tensor("half").to_vector<float>(),
            (std::vector<float>{1.5F, static_cast<float>(BFloat16(-3.1F))}));
  EXPECT_EQ(file.shape("scalar"), Shape());
  EXPECT_EQ(file.shape("empty"), Shape({3, 0}));
  EXPECT_EQ(folder.listing(), std::vector<std::string>{"a"}) << "no temporary file is left";

  // The data stand in the order given, from a multiple of 64 bytes on.
  const std::string bytes = read_bytes(folder / "a");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ((8 + header) % 64, 0U);
  EXPECT_EQ(bytes.substr(8 + header, 16), raw<double>({0.1, -0.2}));
}

TEST(SafetensorsWriter, BadNames) {
  const TemporaryFolder folder;
  const Tensor x = Tensor::zeros({1});
  expect_error(
      [&] {
        write_safetensors(folder / "a", {{"x", x}, {"x", x}});
      },
      {"two tensors are named x"});
  expect_error([&] { write_safetensors(folder / "a", {{"", x}}); }, {"cannot name"});
  expect_error([&] { write_safetensors(folder / "a", {{"__metadata__", x}}); }, {"cannot name"});
  expect_error([&] { write_safetensors(folder / "a", {{"\xff", x}}); }, {"JSON"});
  EXPECT_TRUE(folder.listing().empty());
}

TEST(SafetensorsWriter, UnwritableTargets) {
  const TemporaryFolder folder;
  const Tensor x = Tensor::zeros({1});
  expect_error(
      [&] {
        write_safetensors(folder / "none/a", {{"x", x}});
      },
      {(folder / "none/a").string(), "No such file"});
  std::filesystem::create_directory(folder / "taken");
  write_bytes(folder / "taken/inside", "1");
  expect_error(
      [&] {
        write_safetensors(folder / "taken", {{"x", x}});
      },
      {(folder / "taken").string(), "failed"});
  EXPECT_EQ(folder.listing(), std::vector<std::string>{"taken"});
}

// A limit on the size of files stands for a full disk.
TEST(SafetensorsWriter, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {{"x", Tensor::full({4}, 1)}});
  const std::string before = read_bytes(folder / "a");
  rlimit unlimited = {};
  getrlimit(RLIMIT_FSIZE, &unlimited);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited = {4096, unlimited.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limited);
  expect_error(
      [&] {
        write_safetensors(folder / "a", {{"x", Tensor::zeros({4096})}});
      },
      {(folder / "a").string(), "writing failed", "bytes are needed"});
  setrlimit(RLIMIT_FSIZE, &unlimited);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_bytes(folder / "a"), before);
  EXPECT_EQ(folder.listing(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace concord
