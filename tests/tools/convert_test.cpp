#include <gtest/gtest.h>

#include "engine/weights_file.h"
#include "tests/tools/program_run.h"

namespace concord::test {
namespace {

std::string source(const char* name) {
  return std::string(CONCORD_SOURCE_DIR) + "/tests/engine/pytorch/" + name;
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
}

TEST(Convert, WritesWhatWasRead) {
  const TemporaryFolder folder;
  for (const char* name : {"tensors.zip.pt", "tensors.legacy.pt", "checkpoint.zip.pt"}) {
    const std::string out = (folder / (std::string(name) + ".safetensors")).string();
    const ProgramResult result = run_program("concord-convert", {source(name), out});
    ASSERT_EQ(result.code, 0) << result.err;
    const WeightsFile before(source(name)), after(out);
    ASSERT_EQ(before.names(), after.names());
    for (const std::string& tensor : before.names()) {
      if (tensor.ends_with("special")) continue;  // a NaN equals nothing
      EXPECT_EQ(before.tensor(tensor).to_vector<double>(), after.tensor(tensor).to_vector<double>())
          << tensor;
      EXPECT_EQ(before.shape(tensor), after.shape(tensor)) << tensor;
    }
    const ProgramResult again = run_program("concord-convert", {source(name), out});
    EXPECT_EQ(again.code, 1);
    expect_contains(again.err, "--force");
    EXPECT_EQ(run_program("concord-convert", {source(name), out, "--force"}).code, 0);
  }
}

TEST(Convert, Inspects) {
  const ProgramResult result =
      run_program("concord-convert", {"--inspect", source("tensors.zip.pt")});
  ASSERT_EQ(result.code, 0) << result.err;
  expect_contains(result.err, "3 of its tensors are float16 and were converted to float32");
  const auto row = [&](const std::string& name) {
    const std::size_t begin = result.out.find("\n" + name + " ") + 1;
    return result.out.substr(begin, result.out.find('\n', begin) - begin);
  };
  for (const char* part : {"4x3", "float32", " 11", " 5.5"})
    expect_contains(row("transposed"), part);
  for (const char* part : {" int8 ", " -5", " 100", " 31.6667"}) expect_contains(row("int8"), part);
  expect_contains(row("bfloat16"), " bfloat16 ");
  EXPECT_EQ(row("special").back(), '1') << "one NaN";
}

TEST(Convert, SaysWhatIsWrong) {
  EXPECT_EQ(run_program("concord-convert", {source("bare.zip.pt")}).code, 2);
  EXPECT_EQ(run_program("concord-convert", {source("bare.zip.pt"), "out.onnx"}).code, 2);
  const ProgramResult result =
      run_program("concord-convert", {"--inspect", source("whole_network.zip.pt")});
  EXPECT_EQ(result.code, 1);
  expect_contains(result.err, "torch.nn.modules.container.Sequential");
}

}  // namespace
}  // namespace concord::test
