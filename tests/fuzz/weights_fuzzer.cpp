// The files that --weights takes. The three harnesses differ in what they start from and how they
// change it; what they hold the readers to is the same.

#include "engine/weights_file.h"
#include "tests/fuzz/contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static concord::fuzz::MemoryFile file;
  file.fill(data, size);
  concord::fuzz::read_or_refuse(file.path(), [] {
    constexpr std::int64_t kMostElements = 1 << 20;  // an expanded tensor may have far more
    const concord::WeightsFile weights(file.path());
    for (const std::string& name : weights.names()) {
      if (weights.shape(name).numel() > kMostElements) continue;
      // One tensor that cannot be read must not hide the others.
      concord::fuzz::read_or_refuse(file.path(), [&] { weights.tensor(name).to_vector<double>(); });
      concord::fuzz::expect(!weights.dtype(name).empty(), "a tensor without a dtype");
    }
  });
  return 0;
}
