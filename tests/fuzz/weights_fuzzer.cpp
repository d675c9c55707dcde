// libFuzzer's entry to the files that --weights takes: zip and legacy form of torch.save, and
// safetensors. Whatever the bytes, a file is read or refused with an Error that names it.
//
//   build/bin/weights_fuzzer CORPUS tests/engine/pytorch

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "engine/weights_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = ::memfd_create("weights", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  constexpr std::int64_t kMostElements = 1 << 20;  // an expanded tensor may have far more
  try {
    const concord::WeightsFile weights(path);
    for (const std::string& name : weights.names())
      if (weights.shape(name).numel() <= kMostElements) weights.tensor(name).to_vector<double>();
  } catch (const concord::Error& error) {
    if (std::string(error.what()).find(path) == std::string::npos) std::abort();
  }
  return 0;
}
