#include "engine/ops/dropout.h"

#include "engine/autograd.h"
#include "engine/device_graph.h"
#include "kernels/dropout.h"

namespace concord {

// dL/dx_i = dL/dy_i / (1 - p) where element i was kept, else 0
Tensor dropout(const Tensor& x, double p, bool training, random::Generator& generator) {
  check(p >= 0 && p < 1, "dropout: p is {}, it must be in [0, 1)", p);
  if (!training) return x;
  const std::uint64_t seed = generator.seed();
  const auto offset =
      value_of_step<std::uint64_t>([&generator] { return generator.next_offset(); });
  if (p == 0) return x;
  Tensor y = empty_like(x);
  kernels::dropout(x.device(), x.view(), p, seed, offset, y.view());
  return record("dropout", y, {x}, [p, seed, offset](Tensor dy) -> std::vector<Tensor> {
    const kernels::ConstView from = dy.view();
    Tensor dx = reuse_or_empty_like(dy);
    kernels::dropout(from.device, from, p, seed, offset, dx.view());
    return {dx};
  });
}

}  // namespace concord
