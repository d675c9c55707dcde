// Runs inputs through a harness without a fuzzer: each file that is named, and each in the folders
// that are named. Fails where it finds none, for it would show nothing.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "data/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  std::vector<fs::path> inputs;
  for (int i = 1; i < count; ++i) {
    const fs::path path = arguments[i];
    if (!fs::is_directory(path))
      inputs.push_back(path);
    else
      for (const auto& entry : fs::directory_iterator(path)) inputs.push_back(entry.path());
  }
  std::sort(inputs.begin(), inputs.end());
  for (const fs::path& input : inputs) {
    // Said before: where the harness ends the process, the last line names the input.
    std::printf("%s\n", input.c_str());
    std::fflush(stdout);
    const std::vector<std::uint8_t> bytes = concord::read_file(input);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs\n", inputs.size());
  return inputs.empty() ? 1 : 0;
}
