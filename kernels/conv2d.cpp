#include "kernels/conv2d.h"

#include <atomic>

namespace concord::kernels {
namespace {

std::atomic<ConvolutionAlgorithm> chosen_algorithm{ConvolutionAlgorithm::kAuto};

}  // namespace

ConvolutionAlgorithm convolution_algorithm() { return chosen_algorithm; }
void set_convolution_algorithm(ConvolutionAlgorithm algorithm) { chosen_algorithm = algorithm; }

}  // namespace concord::kernels
