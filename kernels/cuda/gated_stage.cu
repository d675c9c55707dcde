// The Trans-Net's stages as sweeps that read and write each element once (kernels/cuda/channels.h).
// A gate is read where it is used, in the kernels, so that the host never waits for it.

#include <algorithm>

#include "kernels/cuda/channels.h"
#include "kernels/gated_stage.h"

namespace concord::cuda {
namespace {

template <class T>
__global__ void scale_from_variance_kernel(std::int64_t entries, const double* variance,
                                           double unbiased, bool single, T* s) {
  for (std::int64_t i = first_item(); i < entries; i += item_stride())
    s[i] = single ? T(1) : static_cast<T>(sqrt(variance[i] * unbiased) + 1e-5);
}

void scale_from_variance_cuda(ConstView variance, std::int64_t count, View s) {
  if (s.numel() == 0) return;
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  kernels::with_float(s, "scale_from_variance", [&]<class T>(T) {
    launch(scale_from_variance_kernel<T>, strided_shape(s.numel()), s.numel(),
           variance.as<double>(), unbiased, count == 1, s.as<T>());
  });
}

// p / s of a channel; a gate that is null is 1.
template <class T>
struct GateOverScale {
  const T* p;
  const T* s;
  std::int64_t channels;
  __device__ T operator()(std::int64_t row, std::int64_t c) const {
    const double gate = p != nullptr ? static_cast<double>(*p) : 1.0;
    return static_cast<T>(gate / static_cast<double>(s[row * channels + c]));
  }
};

template <class T>
struct Divide {
  using Element = T;
  static constexpr int kSums = 0;
  const T* v;
  T* y;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(v);
    for (int k = 0; k < Pack<T>::kSize; ++k) values.v[k] *= channels.of(k);
    elements.store(y, values);
  }
};

template <class T>
struct StageForward {
  using Element = T;
  static constexpr int kSums = 0;
  const T* x;
  const T* h;
  T* y;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(x);
    const Values<T> gated = elements.load(h);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      // Written so that the comparison with a NaN keeps it.
      const Compute<T> rectified = gated.v[k] <= 0 ? 0 : gated.v[k];
      values.v[k] += channels.of(k) * rectified;
    }
    elements.store(y, values);
  }
};

// dh = dy p [h > 0] / s. A NaN lets through, so that it is not lost from the sum below.
template <class T>
struct GradientOfGated {
  using Element = T;
  static constexpr int kSums = 0;
  const T* v;
  const T* h;
  T* y;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(v);
    const Values<T> gated = elements.load(h);
    for (int k = 0; k < Pack<T>::kSize; ++k)
      values.v[k] = gated.v[k] <= 0 ? 0 : values.v[k] * channels.of(k);
    elements.store(y, values);
  }
};

// The same of dy, with the sum of dy relu(h), of products that are rounded as Compute<T>; dh may be
// null.
template <class T>
struct StageBackward {
  using Element = T;
  static constexpr int kSums = 1;
  const T* dy;
  const T* h;
  T* dh;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(dy);
    const Values<T> gated = elements.load(h);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      const bool is_closed = gated.v[k] <= 0;
      const Compute<T> g = is_closed ? 0 : values.v[k];
      // Behind a closed gate h may be infinite.
      if (!is_closed) channels.add(k, 0, static_cast<double>(g * gated.v[k]));
      values.v[k] = g * channels.of(k);
    }
    if (dh != nullptr) elements.store(dh, values);
  }
};

// Entry i of the sums of parts, over its scale.
template <class T>
struct SumOverScale {
  const double* sums;
  GateOverScale<T> inverse;
  std::int64_t parts_per_row;
  __device__ double operator()(std::int64_t i) const {
    const std::int64_t c = i % inverse.channels;
    const std::int64_t row = i / inverse.channels / parts_per_row;
    return sums[i] * static_cast<double>(inverse(row, c));
  }
};

bool is_per_sample(const ConstView& s) { return s.shape.rank() == 2; }

template <class Body, class... Pointers>
void sweep_stage(const ConstView& maps, const ConstView& s, const ConstView& p, const Body& body,
                 const Pointers*... pointers) {
  using T = typename Body::Element;
  using P = Compute<T>;
  const ChannelSweep sweep =
      plan_sweep(maps, is_per_sample(s), are_aligned(pointers...), false, Pack<T>::kSize);
  sweep_channels(sweep, GateOverScale<P>{p ? p.as<P>() : nullptr, s.as<P>(), sweep.channels}, body,
                 nullptr);
}

void divide_by_scale_cuda(ConstView v, ConstView s, View y) {
  if (y.numel() == 0) return;
  kernels::with_storage(v, "divide_by_scale", [&]<class T>(T) {
    const Divide<T> body{v.as<T>(), y.as<T>()};
    sweep_stage(v, s, ConstView(), body, body.v, body.y);
  });
}

void gated_stage_forward_cuda(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  if (y.numel() == 0) return;
  kernels::with_storage(x, "gated_stage", [&]<class T>(T) {
    const StageForward<T> body{x.as<T>(), h.as<T>(), y.as<T>()};
    sweep_stage(x, s, p, body, body.x, body.h, body.y);
  });
}

void gated_stage_backward_cuda(ConstView dy, ConstView h, ConstView s, ConstView p, View dh,
                               View dp) {
  if (!dp) {
    if (!dh || dh.numel() == 0) return;
    kernels::with_storage(dy, "gated_stage", [&]<class T>(T) {
      const GradientOfGated<T> body{dy.as<T>(), h.as<T>(), dh.as<T>()};
      sweep_stage(dy, s, p, body, body.v, body.h, body.y);
    });
    return;
  }
  kernels::with_storage(dy, "gated_stage", [&]<class T>(T) {
    using P = Compute<T>;
    if (dy.numel() == 0) {
      kernels::zero(dp.device, dp.data, sizeof(P));
      return;
    }
    const StageBackward<T> body{dy.as<T>(), h.as<T>(), dh ? dh.as<T>() : nullptr};
    const ChannelSweep sweep = plan_sweep(
        dy, is_per_sample(s), are_aligned(body.dy, body.h, body.dh), true, Pack<T>::kSize);
    const GateOverScale<P> factor{p.as<P>(), s.as<P>(), sweep.channels};
    const Scratch sums(sweep.bytes_of_sums(1));
    sweep_channels(sweep, factor, body, sums.as<double>());
    // With one row, all parts are of it.
    sum_elements(
        sweep.parts() * sweep.channels,
        SumOverScale<P>{
            sums.as<double>(), {nullptr, factor.s, factor.channels}, sweep.parts_per_row()},
        Identity{}, dp.as<P>());
  });
}

// Alphas travel as an argument of the kernel, this many with each launch.
struct Alphas {
  static constexpr int kMost = 256;
  double v[kMost];
};

// *total += sum alpha_i p_i^2, by one warp; the last launch gives *value what *total has become.
template <class T>
__global__ void penalty_kernel(const T* p, Alphas alpha, int count, bool first, double* total,
                               T* value) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(kWarp)) {
    const auto gate = static_cast<double>(p[i]);
    sum += alpha.v[i] * gate * gate;
  }
  sum = warp_sum(sum);
  if (threadIdx.x != 0) return;
  if (!first) sum += *total;
  *total = sum;
  *value = static_cast<T>(sum);
}
template <class T>
__global__ void penalty_backward_kernel(const T* p, Alphas alpha, int count, const T* dy, T* dp) {
  const double weight = 2 * static_cast<double>(*dy);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
    dp[i] = static_cast<T>(weight * alpha.v[i] * static_cast<double>(p[i]));
}

// visit(alphas, index of their first, how many they are)
template <class Visit>
void for_each_chunk(const std::vector<double>& alpha, Visit visit) {
  const std::size_t most = Alphas::kMost;
  for (std::size_t first = 0; first < alpha.size(); first += most) {
    const std::size_t count = std::min(most, alpha.size() - first);
    Alphas chunk = {};
    std::copy_n(alpha.data() + first, count, chunk.v);
    visit(chunk, first, static_cast<int>(count));
  }
}

void gate_penalty_forward_cuda(ConstView p, const std::vector<double>& alpha, View value) {
  kernels::with_float(p, "gate_penalty", [&]<class T>(T) {
    if (alpha.empty()) {
      kernels::zero(value.device, value.data, sizeof(T));
      return;
    }
    const Scratch total(sizeof(double));
    for_each_chunk(alpha, [&](const Alphas& chunk, std::size_t first, int count) {
      launch(penalty_kernel<T>, {dim3(1), dim3(kWarp)}, p.as<T>() + first, chunk, count, first == 0,
             total.as<double>(), value.as<T>());
    });
  });
}

void gate_penalty_backward_cuda(ConstView p, const std::vector<double>& alpha, ConstView dy,
                                View dp) {
  kernels::with_float(p, "gate_penalty", [&]<class T>(T) {
    for_each_chunk(alpha, [&](const Alphas& chunk, std::size_t first, int count) {
      launch(penalty_backward_kernel<T>, {dim3(1), dim3(Alphas::kMost)}, p.as<T>() + first, chunk,
             count, dy.as<T>(), dp.as<T>() + first);
    });
  });
}

const kernels::Registration registrations[] = {
    {kernels::scale_from_variance, DeviceType::kCuda, scale_from_variance_cuda},
    {kernels::divide_by_scale, DeviceType::kCuda, divide_by_scale_cuda},
    {kernels::gated_stage_forward, DeviceType::kCuda, gated_stage_forward_cuda},
    {kernels::gated_stage_backward, DeviceType::kCuda, gated_stage_backward_cuda},
    {kernels::gate_penalty_forward, DeviceType::kCuda, gate_penalty_forward_cuda},
    {kernels::gate_penalty_backward, DeviceType::kCuda, gate_penalty_backward_cuda},
};

}  // namespace
}  // namespace concord::cuda
