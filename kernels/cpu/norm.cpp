#include "kernels/norm.h"

#include <cmath>
#include <type_traits>

#include "kernels/cpu/channels.h"

namespace concord::kernels {
namespace {

// Calls body(std::true_type) or body(std::false_type): for choices that a loop must not make.
template <class Body>
void with_flag(bool flag, Body&& body) {
  if (flag) {
    body(std::true_type{});
  } else {
    body(std::false_type{});
  }
}

// Where the backward pass sees which elements relu has let through.
enum class Mask { kNone, kFromY, kFromX };

template <class Body>
void with_mask(Mask mask, Body&& body) {
  switch (mask) {
    case Mask::kNone:
      return body(std::integral_constant<Mask, Mask::kNone>{});
    case Mask::kFromY:
      return body(std::integral_constant<Mask, Mask::kFromY>{});
    case Mask::kFromX:
      return body(std::integral_constant<Mask, Mask::kFromX>{});
  }
}

// The moments of each map come from one sweep of sums about its first pixel: the shift is a value
// of the map, so little cancels however large the mean. Maps are joined by the parallel algorithm
// of Chan, Golub and LeVeque (1979).
void mean_and_variance_cpu(ConstView x, View mean, View variance) {
  const ChannelLayout layout = walk_layout(x);
  const std::int64_t samples = layout.outer;
  const std::int64_t channels = layout.channels();
  const auto pixels = static_cast<double>(layout.spatial);
  check(x.numel() > 0, "mean_and_variance: tensor of shape {} is empty", x.shape.to_string());
  double* means = mean.as<double>();
  double* variances = variance.as<double>();

  with_float(x, "mean_and_variance", [&]<class T>(T) {
    const T* values = x.as<T>();
    ChannelTable<T, 1> shift(samples, channels);
    for (std::int64_t n = 0; n < samples; ++n)
      for (std::int64_t c = 0; c < channels; ++c)
        shift.at(0, n, c) =
            values[(n * layout.groups + c / layout.lanes) * layout.spatial * layout.lanes +
                   c % layout.lanes];
    auto [sum, square] = sum_channels<2>(
        layout, shift, [values](std::int64_t i, T about, double& total, double& total_square) {
          const double d = static_cast<double>(values[i]) - static_cast<double>(about);
          total += d;
          total_square += d * d;
        });
    for (std::int64_t n = 0; n < samples; ++n) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto k = static_cast<std::size_t>(n * channels + c);
        square[k] = std::max(square[k] - sum[k] * sum[k] / pixels, 0.0);
        sum[k] = static_cast<double>(shift.at(0, n, c)) + sum[k] / pixels;
      }
    }
    // From here on `sum` holds means and `square` sums of squared deviations.
    if (mean.shape.rank() == 2) {
      for (std::size_t k = 0; k < sum.size(); ++k) {
        means[k] = sum[k];
        variances[k] = square[k] / pixels;
      }
      return;
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto at = [&](std::int64_t n) { return static_cast<std::size_t>(n * channels + c); };
      const auto count = static_cast<double>(samples);
      double offset = 0;
      for (std::int64_t n = 0; n < samples; ++n) offset += sum[at(n)] - sum[at(0)];
      means[c] = sum[at(0)] + offset / count;
      double total = 0;
      for (std::int64_t n = 0; n < samples; ++n) {
        const double d = sum[at(n)] - means[c];
        total += square[at(n)] + pixels * d * d;
      }
      variances[c] = total / (pixels * count);
    }
  });
}

void update_running_moments_cpu(ConstView mean, ConstView variance, std::int64_t count,
                                double momentum, View running_mean, View running_var) {
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  const auto update = [&](const double* batch, double factor, const View& running) {
    with_float(running, "update_running_moments", [&]<class T>(T) {
      T* values = running.as<T>();
      for (std::int64_t c = 0; c < running.numel(); ++c)
        values[c] = static_cast<T>((1 - momentum) * static_cast<double>(values[c]) +
                                   momentum * factor * batch[c]);
    });
  };
  update(mean.as<double>(), 1.0, running_mean);
  update(variance.as<double>(), unbiased, running_var);
}

// The statistics of one row (all of them, or a sample's) and channel, as the loops want them:
// x' = (x - center + rest) * inverse, with center = mean as a T. The subtraction of nearly equal
// numbers is then exact, and what rounding took from the mean comes back in `rest`. Before residual
// and relu y is (x - center) * scale + shift.
struct ChannelStatistics {
  double center;
  double rest;
  double inverse;
  double scale;
  double shift;
};

template <class T>
ChannelStatistics statistics_of(const NormArguments& arguments, std::int64_t row, std::int64_t c,
                                std::int64_t channels) {
  const double mean = arguments.mean.as<double>()[row * channels + c];
  const double variance = arguments.variance.as<double>()[row * channels + c];
  const auto center = static_cast<double>(static_cast<T>(mean));
  const double rest = center - mean;
  const double inverse = 1.0 / std::sqrt(variance + arguments.eps);
  const double weight = arguments.weight ? static_cast<double>(arguments.weight.as<T>()[c]) : 1.0;
  const double bias = arguments.bias ? static_cast<double>(arguments.bias.as<T>()[c]) : 0.0;
  return {center, rest, inverse, weight * inverse, bias + rest * weight * inverse};
}

std::int64_t rows_of(const ConstView& mean) { return mean.shape.rank() == 2 ? mean.shape[0] : 1; }

void normalize_forward_cpu(const NormArguments& arguments, ConstView residual, View y) {
  with_float(y, "normalize", [&]<class T>(T) {
    const ChannelLayout layout = walk_layout(arguments.x);
    ChannelTable<T, 3> table(rows_of(arguments.mean), layout.channels());
    for (std::int64_t row = 0; row < table.rows(); ++row) {
      for (std::int64_t c = 0; c < table.channels(); ++c) {
        const auto s = statistics_of<T>(arguments, row, c, table.channels());
        table.at(0, row, c) = static_cast<T>(s.center);
        table.at(1, row, c) = static_cast<T>(s.scale);
        table.at(2, row, c) = static_cast<T>(s.shift);
      }
    }
    const T* from = arguments.x.as<T>();
    const T* plus = residual ? residual.as<T>() : nullptr;
    T* to = y.as<T>();
    with_flag(plus != nullptr, [&](auto adds) {
      with_flag(arguments.relu, [&](auto rectifies) {
        map_channels(layout, table, [=](std::int64_t i, T center, T scale, T shift) {
          T v = (from[i] - center) * scale + shift;
          if constexpr (adds) v += plus[i];
          // Written so that the comparison with a NaN keeps it.
          if constexpr (rectifies) v = v <= T(0) ? T(0) : v;
          to[i] = v;
        });
      });
    });
  });
}

// Sums of g and g (x - center) over samples, or rows of them, from those of each map.
std::vector<double> sum_rows(const std::vector<double>& maps, std::int64_t rows,
                             std::int64_t samples, std::int64_t channels) {
  if (rows == samples) return maps;
  std::vector<double> total(static_cast<std::size_t>(channels), 0.0);
  for (std::size_t k = 0; k < maps.size(); ++k) total[k % total.size()] += maps[k];
  return total;
}

template <class T>
class NormBackward {
 public:
  NormBackward(const NormArguments& arguments, const ConstView& y, const ConstView& dy,
               const NormGradients& gradients)
      : arguments_(arguments),
        gradients_(gradients),
        layout_(walk_layout(dy)),
        rows_(rows_of(arguments.mean)),
        x_(arguments.x ? arguments.x.as<T>() : nullptr),
        y_(y ? y.as<T>() : nullptr),
        dy_(dy.as<T>()),
        masked_(gradients.residual ? gradients.residual.as<T>() : nullptr),
        dx_(gradients.dx ? gradients.dx.as<T>() : nullptr),
        mask_(!arguments.relu ? Mask::kNone
              : y             ? Mask::kFromY
                              : Mask::kFromX) {
    check(mask_ != Mask::kFromX || x_ != nullptr,
          "normalize: the backward pass of a relu needs x or y");
  }

  // dx = weight / sqrt(variance + eps) g, all in one sweep.
  void run_constant() {
    ChannelTable<T, 3> table(rows_, layout_.channels());
    fill(table, [](const ChannelStatistics& s, std::size_t) {
      return std::array<double, 3>{s.center, s.scale, s.shift};
    });
    const bool sums_wanted = gradients_.weight || gradients_.bias;
    with_mask(mask_, [&](auto mask) {
      const auto step = [=, x = x_, y = y_, dy = dy_, masked = masked_, dx = dx_](
                            std::int64_t i, T center, T scale, T shift, auto stores, auto moves) {
        T g = dy[i];
        if constexpr (mask == Mask::kFromY) g = where_positive(y[i], g);
        if constexpr (mask == Mask::kFromX) g = where_positive((x[i] - center) * scale + shift, g);
        if constexpr (stores) masked[i] = g;
        if constexpr (moves) dx[i] = scale * g;
        return g;
      };
      with_flag(masked_ != nullptr, [&](auto stores) {
        with_flag(dx_ != nullptr, [&](auto moves) {
          if (sums_wanted) {
            reduce(sum_channels<2>(layout_, table,
                                   [=, x = x_](std::int64_t i, T center, T scale, T shift,
                                               double& sum, double& product) {
                                     const T deviation = x[i] - center;
                                     const T g = step(i, center, scale, shift, stores, moves);
                                     sum += static_cast<double>(g);
                                     product += static_cast<double>(g * deviation);
                                   }));
            write_affine();
          } else {
            map_channels(layout_, table, [=](std::int64_t i, T center, T scale, T shift) {
              step(i, center, scale, shift, stores, moves);
            });
          }
        });
      });
    });
  }

  // One sweep for the sums, which stores g where it is wanted, and one for dx.
  void run() {
    ChannelTable<T, 3> forward(rows_, layout_.channels());
    fill(forward, [](const ChannelStatistics& s, std::size_t) {
      return std::array<double, 3>{s.center, s.scale, s.shift};
    });
    with_mask(mask_, [&](auto mask) {
      with_flag(masked_ != nullptr, [&](auto stores) {
        reduce(sum_channels<2>(
            layout_, forward,
            [=, x = x_, y = y_, dy = dy_, masked = masked_](std::int64_t i, T center, T scale,
                                                            T shift, double& sum, double& product) {
              const T deviation = x[i] - center;
              T g = dy[i];
              if constexpr (mask == Mask::kFromY) g = where_positive(y[i], g);
              if constexpr (mask == Mask::kFromX) g = where_positive(deviation * scale + shift, g);
              if constexpr (stores) masked[i] = g;
              sum += static_cast<double>(g);
              product += static_cast<double>(g * deviation);
            }));
      });
    });
    write_affine();
    if (dx_ == nullptr) return;

    // dx = scale g + b (x - center) + c
    const double values = static_cast<double>(layout_.outer * layout_.spatial / rows_);
    ChannelTable<T, 5> table(rows_, layout_.channels());
    fill(table, [&](const ChannelStatistics& s, std::size_t k) {
      const double b = -s.scale * s.inverse * normalized_[k] / values;
      return std::array<double, 5>{s.center, s.scale, s.shift, b,
                                   b * s.rest - s.scale * sums_[k] / values};
    });
    const T* given = masked_ != nullptr ? masked_ : dy_;
    with_mask(masked_ != nullptr ? Mask::kNone : mask_, [&](auto mask) {
      map_channels(
          layout_, table,
          [=, x = x_, y = y_, dx = dx_](std::int64_t i, T center, T scale, T shift, T b, T c) {
            const T deviation = x[i] - center;
            T g = given[i];
            if constexpr (mask == Mask::kFromY) g = where_positive(y[i], g);
            if constexpr (mask == Mask::kFromX) g = where_positive(deviation * scale + shift, g);
            dx[i] = scale * g + (b * deviation + c);
          });
    });
  }

 private:
  // coefficients(statistics, row * C + c) gives the K numbers of a channel.
  template <std::size_t K, class Coefficients>
  void fill(ChannelTable<T, K>& table, Coefficients coefficients) const {
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t c = 0; c < table.channels(); ++c) {
        const std::array<double, K> numbers =
            coefficients(statistics_of<T>(arguments_, row, c, table.channels()),
                         static_cast<std::size_t>(row * table.channels() + c));
        for (std::size_t k = 0; k < K; ++k) table.at(k, row, c) = static_cast<T>(numbers[k]);
      }
    }
  }

  // From the sums of each map of g and g (x - center): sums_ of g and normalized_ of g x', per row.
  void reduce(const std::array<std::vector<double>, 2>& maps) {
    const std::int64_t channels = layout_.channels();
    sums_ = sum_rows(maps[0], rows_, layout_.outer, channels);
    normalized_ = sum_rows(maps[1], rows_, layout_.outer, channels);
    for (std::int64_t k = 0; k < rows_ * channels; ++k) {
      const auto s = statistics_of<T>(arguments_, k / channels, k % channels, channels);
      const auto at = static_cast<std::size_t>(k);
      normalized_[at] = s.inverse * (normalized_[at] + s.rest * sums_[at]);
    }
  }

  void write_affine() const {
    const auto write = [&](const View& gradient, const std::vector<double>& rows) {
      if (!gradient) return;
      const auto total = sum_rows(rows, 1, rows_ == 1 ? 1 : layout_.outer, layout_.channels());
      for (std::size_t c = 0; c < total.size(); ++c)
        gradient.template as<T>()[c] = static_cast<T>(total[c]);
    };
    write(gradients_.weight, normalized_);
    write(gradients_.bias, sums_);
  }

  const NormArguments& arguments_;
  const NormGradients& gradients_;
  ChannelLayout layout_;
  std::int64_t rows_;
  const T* x_;
  const T* y_;
  const T* dy_;
  T* masked_;
  T* dx_;
  Mask mask_;
  std::vector<double> sums_;
  std::vector<double> normalized_;
};

void normalize_backward_cpu(const NormArguments& arguments, ConstView y, ConstView dy,
                            bool constant_statistics, const NormGradients& gradients) {
  with_float(dy, "normalize", [&]<class T>(T) {
    NormBackward<T> backward(arguments, y, dy, gradients);
    if (constant_statistics) {
      backward.run_constant();
    } else {
      backward.run();
    }
  });
}

const Registration registrations[] = {
    {mean_and_variance, DeviceType::kCpu, mean_and_variance_cpu},
    {update_running_moments, DeviceType::kCpu, update_running_moments_cpu},
    {normalize_forward, DeviceType::kCpu, normalize_forward_cpu},
    {normalize_backward, DeviceType::kCpu, normalize_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
