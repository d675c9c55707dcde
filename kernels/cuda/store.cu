// A few values as a kernel's arguments: of the host's memory nothing is needed after the launch,
// and nobody waits.

#include <cstring>

#include "kernels/cuda/device.h"
#include "kernels/graph.h"

namespace concord::cuda {
namespace {

constexpr unsigned kThreads = 256;

struct Words {
  std::uint64_t v[kThreads];
};

__global__ void __launch_bounds__(kThreads)
    store_kernel(Words words, std::uint64_t* to, unsigned count) {
  if (threadIdx.x < count) to[threadIdx.x] = words.v[threadIdx.x];
}

void store_cuda(std::span<const std::byte> values, void* to) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  check(values.size() % kWord == 0 && reinterpret_cast<std::uintptr_t>(to) % kWord == 0,
        "store: {} bytes to {}; whole multiples of 8 bytes at an address of 8 bytes are taken",
        values.size(), to);
  auto* target = static_cast<std::uint64_t*>(to);
  while (!values.empty()) {
    Words words = {};
    const std::size_t bytes = std::min(values.size(), sizeof(words));
    std::memcpy(words.v, values.data(), bytes);
    launch(store_kernel, {dim3(1), dim3(kThreads), 0}, words, target,
           static_cast<unsigned>(bytes / kWord));
    values = values.subspan(bytes);
    target += bytes / kWord;
  }
}

const kernels::Registration registration{kernels::store, DeviceType::kCuda, store_cuda};

}  // namespace
}  // namespace concord::cuda
