#include "kernels/conv2d.h"

#include <atomic>
#include <mutex>

namespace concord::kernels {
namespace {

std::atomic<ConvolutionAlgorithm> chosen_algorithm{ConvolutionAlgorithm::kAuto};
std::mutex mutex;
CudnnSearch chosen_search;

}  // namespace

ConvolutionAlgorithm convolution_algorithm() { return chosen_algorithm; }
void set_convolution_algorithm(ConvolutionAlgorithm algorithm) { chosen_algorithm = algorithm; }

CudnnSearch cudnn_search() {
  const std::lock_guard lock(mutex);
  return chosen_search;
}
void set_cudnn_search(const CudnnSearch& search) {
  const std::lock_guard lock(mutex);
  chosen_search = search;
}

}  // namespace concord::kernels
