// No call of CUDA, cuDNN or cuBLAS in kernels/cuda goes unchecked: what it returns is given to a
// check, or to a variable that is, or the call is one of the few that have nothing to say.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace concord {
namespace {

namespace fs = std::filesystem;

// Ends of life, in destructors (of a capture, where its work threw): an exception there would end
// the program, and where the device has failed the next checked call says so. Only as
// static_cast<void>(call).
const std::set<std::string> kMayBeDropped = {"cudaEventDestroy",     "cudaEventSynchronize",
                                             "cudaFreeAsync",        "cudaFreeHost",
                                             "cudaStreamEndCapture", "cudaStreamSynchronize"};
// They are about an error that is being reported, or clear one.
const std::set<std::string> kAboutErrors = {
    "cudaGetErrorString",      "cudaGetErrorName",      "cudaGetLastError",   "cudnnGetErrorString",
    "cudnnGetLastErrorString", "cublasGetStatusString", "cublasGetStatusName"};

// Comments and the insides of literals as blanks, so that places stay.
std::string without_text(std::string source) {
  enum { kCode, kLine, kBlock, kString, kCharacter } in = kCode;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    const char next = i + 1 < source.size() ? source[i + 1] : '\0';
    // 1'000: not a literal's beginning.
    const bool digit_before = i > 0 && std::isalnum(static_cast<unsigned char>(source[i - 1])) != 0;
    if (in == kCode) {
      if (c == '/' && next == '/')
        in = kLine;
      else if (c == '/' && next == '*')
        in = kBlock;
      else if (c == '"')
        in = kString;
      else if (c == '\'' && !digit_before)
        in = kCharacter;
      if (in == kCode || in == kString || in == kCharacter) continue;
    }
    if ((in == kLine && c == '\n') || (in == kString && c == '"') ||
        (in == kCharacter && c == '\'')) {
      in = kCode;
      continue;
    }
    if (in == kBlock && c == '*' && next == '/') {
      source[i] = source[i + 1] = ' ';
      in = kCode;
      continue;
    }
    const bool escape = (in == kString || in == kCharacter) && c == '\\';
    if (c != '\n') source[i] = ' ';
    if (escape) source[++i] = ' ';
  }
  return source;
}

// The code before `at` up to the beginning of its statement, and, of that, the words in front of
// the parentheses that are still open, innermost last.
struct Before {
  std::string statement;
  std::vector<std::string> open;
};

Before before(const std::string& code, std::size_t at) {
  Before result;
  int depth = 0;  // of parentheses that close again before `at`
  std::size_t begin = at;
  while (begin > 0) {
    const char c = code[begin - 1];
    if (depth == 0 && (c == ';' || c == '{' || c == '}')) break;
    --begin;
    if (c == ')') ++depth;
    if (c != '(') continue;
    if (depth > 0) {
      --depth;
      continue;
    }
    std::size_t end = begin;
    while (end > 0 && std::isspace(static_cast<unsigned char>(code[end - 1])) != 0) --end;
    std::size_t start = end;
    while (start > 0 && (std::isalnum(static_cast<unsigned char>(code[start - 1])) != 0 ||
                         std::string("_<>").find(code[start - 1]) != std::string::npos))
      --start;
    result.open.insert(result.open.begin(), code.substr(start, end - start));
  }
  result.statement = code.substr(begin, at - begin);
  return result;
}

// Where the block that `from` stands in is closed; the end where it is in none.
std::size_t end_of_block(const std::string& code, std::size_t from) {
  int depth = 0;
  for (std::size_t i = from; i < code.size(); ++i) {
    depth += code[i] == '{' ? 1 : code[i] == '}' ? -1 : 0;
    if (depth < 0) return i;
  }
  return code.size();
}

// The calls that nobody checks, as "name in line N".
std::vector<std::string> unchecked_calls(const std::string& source) {
  const std::string code = without_text(source);
  const std::regex call(R"(\b((?:cuda|cudnn|cublas|cublasLt)[A-Z]\w*)\s*\()");
  const std::regex assignment(R"((\w+)\s*=\s*(?:::)?\s*$)");
  std::vector<std::string> problems;
  for (std::sregex_iterator match(code.begin(), code.end(), call), end; match != end; ++match) {
    const std::string name = (*match)[1];
    const auto at = static_cast<std::size_t>(match->position());
    if (kAboutErrors.contains(name) || name.ends_with("_t")) continue;  // or a type
    const Before context = before(code, at);
    const auto inside = [&](const char* word) {
      return std::ranges::find(context.open, word) != context.open.end();
    };
    if (inside("check_call") || inside("check_cudnn") || inside("check_cublas")) continue;
    if (inside("static_cast<void>") && kMayBeDropped.contains(name)) continue;
    const std::size_t close = [&] {
      int depth = 0;
      for (std::size_t i = code.find('(', at); i < code.size(); ++i) {
        depth += code[i] == '(' ? 1 : code[i] == ')' ? -1 : 0;
        if (depth == 0) return i;
      }
      return code.size();
    }();
    // if (call(...) != cudaSuccess)
    const std::regex compared(R"(^\)\s*[!=]=\s*(?:cudaSuccess|CUDNN_STATUS|CUBLAS_STATUS))");
    if (inside("if") && std::regex_search(code.substr(close, 60), compared)) continue;
    // error = call(...), and later a check of it
    std::smatch variable;
    if (std::regex_search(context.statement, variable, assignment)) {
      const std::regex check("(?:check_call|check_cudnn|check_cublas|fail_launch)\\s*\\(\\s*" +
                             variable[1].str() + "\\b");
      // A variable that is only set here may be looked at in the block around this one.
      std::size_t last = end_of_block(code, close);
      const bool is_set_only = std::regex_match(context.statement, std::regex(R"(\s*\w+\s*=\s*)"));
      if (is_set_only && last < code.size()) last = end_of_block(code, last + 1);
      if (std::regex_search(code.substr(close, last - close), check)) continue;
    }
    problems.push_back(
        name + " in line " +
        std::to_string(1 + std::count(code.begin(), match->position() + code.begin(), '\n')));
  }
  return problems;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(CheckedCalls, AllOfThem) {
  int files = 0;
  std::size_t calls = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(CONCORD_SOURCE_DIR) / "kernels/cuda")) {
    if (!entry.is_regular_file()) continue;
    const std::string source = text_of(entry.path());
    ++files;
    const std::regex check("check_call|check_cudnn|check_cublas");
    calls += static_cast<std::size_t>(std::distance(
        std::sregex_iterator(source.begin(), source.end(), check), std::sregex_iterator()));
    for (const std::string& problem : unchecked_calls(source))
      ADD_FAILURE() << entry.path().string() << ": " << problem
                    << " is not checked; give it to check_call(), check_cudnn() or check_cublas()";
  }
  EXPECT_GT(files, 30);
  EXPECT_GT(calls, 50U);
}

TEST(CheckedCalls, WhatIsFound) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(unchecked_calls("void f() {\n  cudaMalloc(&p, 3);\n}"), Lines{"cudaMalloc in line 2"});
  EXPECT_EQ(unchecked_calls("check_call(cudaMalloc(&p, size(3)), \"cudaMalloc\");"), Lines{});
  EXPECT_EQ(unchecked_calls("check_call(error, \"\"); cudnnCreate(&h);"),
            Lines{"cudnnCreate in line 1"});
  EXPECT_EQ(unchecked_calls("check(cublasLtCreate(&h) == 0);"), Lines{"cublasLtCreate in line 1"});
  EXPECT_EQ(unchecked_calls("return cudaMalloc(&p, 3);"), Lines{"cudaMalloc in line 1"});
  // A variable that is looked at later, and one that is not.
  EXPECT_EQ(unchecked_calls("cudaError_t e = cudaMalloc(&p, 3); check_call(e, \"\");"), Lines{});
  EXPECT_EQ(unchecked_calls("cudaError_t e = cudaMalloc(&p, 3); check_call(other, \"\");"),
            Lines{"cudaMalloc in line 1"});
  EXPECT_EQ(
      unchecked_calls("void f() { auto e = cudaMalloc(&p, 3); }\nvoid g() { check_call(e); }"),
      Lines{"cudaMalloc in line 1"});
  EXPECT_EQ(unchecked_calls("void f() { auto e = g(); if (b) { e = cudaMalloc(&p, 3); }\n"
                            "check_call(e); }"),
            Lines{});
  EXPECT_EQ(unchecked_calls("void f() { if (b) { auto e = cudaMalloc(&p, 3); }\ncheck_call(e); }"),
            Lines{"cudaMalloc in line 1"});
  EXPECT_EQ(unchecked_calls("void f() { auto e = cudaMalloc(&p, 3); if (b) { check_call(e); } }"),
            Lines{});
  EXPECT_EQ(unchecked_calls("if (cudaFuncGetName(&n, k) != cudaSuccess) n = 0;"), Lines{});
  EXPECT_EQ(unchecked_calls("if (ready) cudaFuncGetName(&n, k);"),
            Lines{"cudaFuncGetName in line 1"});
  EXPECT_EQ(unchecked_calls("~E() { static_cast<void>(cudaEventDestroy(e)); }"), Lines{});
  EXPECT_EQ(unchecked_calls("~E() { cudaEventDestroy(e); }"), Lines{"cudaEventDestroy in line 1"});
  EXPECT_EQ(unchecked_calls("static_cast<void>(cudaMalloc(&p, 3));"),
            Lines{"cudaMalloc in line 1"});
  EXPECT_EQ(unchecked_calls("template <cudaError_t (*kCreate)(int*)>"), Lines{});
  EXPECT_EQ(unchecked_calls("// cudaMalloc(&p, 3)\n/* cudnnCreate(&h) */ f(\"cudaFree(p)\", '(');"),
            Lines{});
}

}  // namespace
}  // namespace concord
