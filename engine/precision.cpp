#include "engine/precision.h"

#include "engine/ops/shape.h"
#include "kernels/precision.h"

namespace concord {

Tensor in_network_precision(const Tensor& x) {
  const bool wanted = kernels::precision() == kernels::Precision::kBFloat16 &&
                      x.dtype() == DType::kFloat32 && x.device().type == DeviceType::kCuda;
  return wanted ? convert_dtype(x, DType::kBFloat16) : x;
}

}  // namespace concord
