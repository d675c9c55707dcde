// The passes of the normalisations as sweeps (kernels/cuda/channels.h). The forward pass, and a
// backward pass through constant statistics, read and write each element once. A backward pass
// through the batch's own statistics needs the sums of all g before the first dx: a sweep for them,
// which stores g where it is wanted, and one for dx.

#include "kernels/cuda/channels.h"
#include "kernels/norm.h"

namespace concord::cuda {
namespace {

using kernels::NormArguments;
using kernels::NormGradients;

// The statistics of a channel as the sweeps want them: x' = (x - center + rest) * inverse, with
// center = mean as a T. The subtraction of nearly equal numbers is then exact, and what rounding
// took from the mean comes back in `rest`. Before residual and relu y is
// (x - center) * scale + shift.
struct ChannelStatistics {
  double center;
  double rest;
  double inverse;
  double scale;
  double shift;
};

// T is what the elements are computed in.
template <class T>
struct Statistics {
  const double* mean;
  const double* variance;
  const T* weight;
  const T* bias;
  double eps;
  std::int64_t channels;

  explicit Statistics(const NormArguments& arguments, std::int64_t channel_count)
      : mean(arguments.mean.as<double>()),
        variance(arguments.variance.as<double>()),
        weight(arguments.weight ? arguments.weight.as<T>() : nullptr),
        bias(arguments.bias ? arguments.bias.as<T>() : nullptr),
        eps(arguments.eps),
        channels(channel_count) {}

  __device__ ChannelStatistics of(std::int64_t row, std::int64_t c) const {
    const double average = mean[row * channels + c];
    const auto center = static_cast<double>(static_cast<T>(average));
    const double rest = center - average;
    const double inverse = 1.0 / sqrt(variance[row * channels + c] + eps);
    const double scale = weight != nullptr ? static_cast<double>(weight[c]) * inverse : inverse;
    const double shift = bias != nullptr ? static_cast<double>(bias[c]) : 0.0;
    return {center, rest, inverse, scale, shift + rest * scale};
  }
};

// One rounding, and the same in either pass: the backward pass must find the sign of y.
__device__ __forceinline__ float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double multiply_add(double a, double b, double c) {
  return fma(a, b, c);
}

template <class T>
struct Coefficients {
  struct Numbers {
    T center;
    T scale;
    T shift;
  };
  Statistics<T> statistics;
  __device__ Numbers operator()(std::int64_t row, std::int64_t c) const {
    const ChannelStatistics s = statistics.of(row, c);
    return {static_cast<T>(s.center), static_cast<T>(s.scale), static_cast<T>(s.shift)};
  }
};

// `residual` may be null.
template <class T>
struct Forward {
  using Element = T;
  static constexpr int kSums = 0;
  const T* x;
  const T* residual;
  bool relu;
  T* y;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(x);
    Values<T> plus = {};
    if (residual != nullptr) plus = elements.load(residual);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      const auto& channel = channels.of(k);
      auto v = multiply_add(values.v[k] - channel.center, channel.scale, channel.shift);
      if (residual != nullptr) v += plus.v[k];
      // Written so that the comparison with a NaN keeps it.
      if (relu) v = v <= 0 ? 0 : v;
      values.v[k] = v;
    }
    elements.store(y, values);
  }
};

bool is_per_sample(const NormArguments& arguments) { return arguments.mean.shape.rank() == 2; }

void normalize_forward_cuda(const NormArguments& arguments, ConstView residual, View y) {
  if (y.numel() == 0) return;
  kernels::with_storage(y, "normalize", [&]<class T>(T) {
    const Forward<T> body{arguments.x.as<T>(), residual ? residual.as<T>() : nullptr,
                          arguments.relu, y.as<T>()};
    const ChannelSweep sweep =
        plan_sweep(arguments.x, is_per_sample(arguments),
                   are_aligned(body.x, body.residual, body.y), false, Pack<T>::kSize);
    const Statistics<Compute<T>> statistics(arguments, sweep.channels);
    sweep_channels(sweep, Coefficients<Compute<T>>{statistics}, body, nullptr);
  });
}

// Where the backward pass sees which elements relu has let through.
enum class Mask { kNone, kFromY, kFromX };

// With sums of g and g x' (float64 [rows][2][C]): dx = scale g + slope (x - center) + offset.
template <class T>
struct GradientCoefficients {
  struct Numbers {
    T center;
    T scale;
    T shift;
    T slope;
    T offset;
  };
  Statistics<T> statistics;
  const double* sums;
  double values;  // behind each mean
  __device__ Numbers operator()(std::int64_t row, std::int64_t c) const {
    const ChannelStatistics s = statistics.of(row, c);
    const double* of_row = sums + row * 2 * statistics.channels + c;
    const double slope = -s.scale * s.inverse * of_row[statistics.channels] / values;
    return {static_cast<T>(s.center), static_cast<T>(s.scale), static_cast<T>(s.shift),
            static_cast<T>(slope), static_cast<T>(slope * s.rest - s.scale * of_row[0] / values)};
  }
};

// What a sweep of the backward pass does to each element; pointers that are null are left out. The
// sums are of g and g (x - center), this product being a Compute<T>: it is rounded as the gradients
// around it are, and the errors of many average out. kThrough: the gradient goes through the
// statistics too.
template <class T, int kSumCount, bool kThrough>
struct Backward {
  using Element = T;
  static constexpr int kSums = kSumCount;
  const T* x;
  const T* y;
  const T* dy;
  T* masked;
  T* dx;
  Mask mask;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> g = elements.load(dy);
    Values<T> deviation = {};
    Values<T> result = {};
    if (x != nullptr) deviation = elements.load(x);
    if (mask == Mask::kFromY) result = elements.load(y);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      const auto& channel = channels.of(k);
      deviation.v[k] -= channel.center;
      if (mask == Mask::kFromX)
        result.v[k] = multiply_add(deviation.v[k], channel.scale, channel.shift);
      if (mask != Mask::kNone) g.v[k] = result.v[k] > 0 ? g.v[k] : 0;
      if constexpr (kSumCount > 0) {
        if (elements.has(k)) {
          channels.add(k, 0, static_cast<double>(g.v[k]));
          channels.add(k, 1, static_cast<double>(g.v[k] * deviation.v[k]));
        }
      }
      result.v[k] = channel.scale * g.v[k];
      if constexpr (kThrough)
        result.v[k] += multiply_add(channel.slope, deviation.v[k], channel.offset);
    }
    if (masked != nullptr) elements.store(masked, g);
    if (dx != nullptr) elements.store(dx, result);
  }
};

// From the sums of g and g (x - center): those of g and g x', and with statistics per channel the
// gradients that these are.
template <class T>
struct WriteSums {
  Statistics<T> statistics;
  double* sums;
  T* weight;
  T* bias;
  __device__ void operator()(std::int64_t row, std::int64_t c, const double* values) const {
    const ChannelStatistics s = statistics.of(row, c);
    const double normalized = s.inverse * (values[1] + s.rest * values[0]);
    double* of_row = sums + row * 2 * statistics.channels + c;
    of_row[0] = values[0];
    of_row[statistics.channels] = normalized;
    if (weight != nullptr) weight[c] = static_cast<T>(normalized);
    if (bias != nullptr) bias[c] = static_cast<T>(values[0]);
  }
};
template <class T>
struct WriteAffine {
  T* weight;
  T* bias;
  __device__ void operator()(std::int64_t, std::int64_t c, const double* values) const {
    if (weight != nullptr) weight[c] = static_cast<T>(values[1]);
    if (bias != nullptr) bias[c] = static_cast<T>(values[0]);
  }
};

template <class T>
void run_backward(const NormArguments& arguments, const ConstView& y, const ConstView& dy,
                  bool constant_statistics, const NormGradients& gradients) {
  const bool per_sample = is_per_sample(arguments);
  using P = Compute<T>;
  const auto pointer = [](const View& view) { return view ? view.as<T>() : nullptr; };
  P* const d_weight = gradients.weight ? gradients.weight.as<P>() : nullptr;
  P* const d_bias = gradients.bias ? gradients.bias.as<P>() : nullptr;
  const bool sums_wanted = d_weight != nullptr || d_bias != nullptr || !constant_statistics;
  Backward<T, 0, false> each{arguments.x ? arguments.x.as<T>() : nullptr,
                             y ? y.as<T>() : nullptr,
                             dy.as<T>(),
                             pointer(gradients.residual),
                             pointer(gradients.dx),
                             !arguments.relu ? Mask::kNone
                             : y             ? Mask::kFromY
                                             : Mask::kFromX};
  check(each.x != nullptr || (each.mask != Mask::kFromX && !sums_wanted),
        "normalize: the backward pass of a relu needs x or y, and sums of the gradient need x");
  const auto plan = [&](bool sums) {
    return plan_sweep(dy, per_sample, are_aligned(each.x, each.y, each.dy, each.masked, each.dx),
                      sums, Pack<T>::kSize);
  };

  const ChannelSweep sweep = plan(sums_wanted);
  const std::int64_t rows = sweep.rows();
  const std::int64_t channels = sweep.channels;
  const Statistics<P> statistics(arguments, channels);
  if (!sums_wanted) {
    sweep_channels(sweep, Coefficients<P>{statistics}, each, nullptr);
    return;
  }

  const Scratch partial(sweep.bytes_of_sums(2));
  const Scratch sums(static_cast<std::size_t>(rows * 2 * channels) * sizeof(double));
  sweep_channels(sweep, Coefficients<P>{statistics},
                 Backward<T, 2, false>{each.x, each.y, each.dy, each.masked,
                                       constant_statistics ? each.dx : nullptr, each.mask},
                 partial.as<double>());
  finish_sums<2>(rows, sweep.parts_per_row(), channels, partial.as<double>(),
                 WriteSums<P>{statistics, sums.as<double>(), per_sample ? nullptr : d_weight,
                              per_sample ? nullptr : d_bias});
  if (per_sample && (d_weight != nullptr || d_bias != nullptr))
    finish_sums<2>(1, rows, channels, sums.as<double>(), WriteAffine<P>{d_weight, d_bias});
  if (constant_statistics || each.dx == nullptr) return;

  const bool is_masked = each.masked != nullptr;
  const auto values = static_cast<double>(dy.numel() / (rows * channels));
  sweep_channels(
      plan(false), GradientCoefficients<P>{statistics, sums.as<double>(), values},
      Backward<T, 0, true>{each.x, is_masked ? nullptr : each.y, is_masked ? each.masked : each.dy,
                           nullptr, each.dx, is_masked ? Mask::kNone : each.mask},
      nullptr);
}

void normalize_backward_cuda(const NormArguments& arguments, ConstView y, ConstView dy,
                             bool constant_statistics, const NormGradients& gradients) {
  if (dy.numel() == 0) {
    for (const View& sum : {gradients.weight, gradients.bias})
      if (sum && sum.numel() > 0)
        kernels::zero(sum.device, sum.data,
                      static_cast<std::size_t>(sum.numel()) * size_of(sum.dtype));
    return;
  }
  kernels::with_storage(dy, "normalize", [&]<class T>(T) {
    run_backward<T>(arguments, y, dy, constant_statistics, gradients);
  });
}

const kernels::Registration registrations[] = {
    {kernels::normalize_forward, DeviceType::kCuda, normalize_forward_cuda},
    {kernels::normalize_backward, DeviceType::kCuda, normalize_backward_cuda},
};

}  // namespace
}  // namespace concord::cuda
