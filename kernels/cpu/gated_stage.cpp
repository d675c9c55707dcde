#include "kernels/gated_stage.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/channels.h"

namespace concord::kernels {
namespace {

void scale_from_variance_cpu(ConstView variance, std::int64_t count, View s) {
  const double* from = variance.as<double>();
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  with_float(s, "scale_from_variance", [&]<class T>(T) {
    T* to = s.as<T>();
    for (std::int64_t i = 0; i < s.numel(); ++i)
      to[i] = count == 1 ? T(1) : static_cast<T>(std::sqrt(from[i] * unbiased) + 1e-5);
  });
}

// factor / s for each row and channel of s [N,C] or [C].
template <class T>
ChannelTable<T, 1> factor_over(const ConstView& s, double factor) {
  const std::int64_t rows = s.shape.rank() == 2 ? s.shape[0] : 1;
  const std::int64_t channels = s.numel() / std::max<std::int64_t>(rows, 1);
  ChannelTable<T, 1> table(rows, channels);
  const T* scales = s.as<T>();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t c = 0; c < channels; ++c)
      table.at(0, row, c) =
          static_cast<T>(factor / static_cast<double>(scales[row * channels + c]));
  return table;
}

template <class T>
double gate(const ConstView& p) {
  return static_cast<double>(*p.as<T>());
}

void divide_by_scale_cpu(ConstView v, ConstView s, View y) {
  with_float(v, "divide_by_scale", [&]<class T>(T) {
    const T* from = v.as<T>();
    T* to = y.as<T>();
    map_channels(walk_layout(v), factor_over<T>(s, 1.0),
                 [=](std::int64_t i, T inverse) { to[i] = from[i] * inverse; });
  });
}

void gated_stage_forward_cpu(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_float(x, "gated_stage", [&]<class T>(T) {
    const T* base = x.as<T>();
    const T* gated = h.as<T>();
    T* to = y.as<T>();
    map_channels(walk_layout(x), factor_over<T>(s, gate<T>(p)), [=](std::int64_t i, T factor) {
      // Written so that the comparison with a NaN keeps it.
      const T rectified = gated[i] <= T(0) ? T(0) : gated[i];
      to[i] = base[i] + factor * rectified;
    });
  });
}

void gated_stage_backward_cpu(ConstView dy, ConstView h, ConstView s, ConstView p, View dh,
                              View dp) {
  with_float(dy, "gated_stage", [&]<class T>(T) {
    const T* from = dy.as<T>();
    const T* gated = h.as<T>();
    T* to = dh ? dh.as<T>() : nullptr;
    const ChannelLayout layout = walk_layout(dy);
    const ChannelTable<T, 1> factors = factor_over<T>(s, gate<T>(p));
    if (!dp) {
      map_channels(layout, factors, [=](std::int64_t i, T factor) {
        to[i] = where_positive(gated[i], from[i] * factor);
      });
      return;
    }
    // sum(dy relu(h)) of each map, to be divided by its scale.
    const auto with_sums = [&](auto body) { return sum_channels<1>(layout, factors, body)[0]; };
    const std::vector<double> sums =
        to == nullptr ? with_sums([=](std::int64_t i, T, double& sum) {
          const T product = from[i] * where_positive(gated[i], gated[i]);
          sum += static_cast<double>(product);
        })
                      : with_sums([=](std::int64_t i, T factor, double& sum) {
                          const T g = where_positive(gated[i], from[i]);
                          const T product = g * gated[i];
                          to[i] = g * factor;
                          sum += static_cast<double>(product);
                        });
    const ChannelTable<T, 1> inverses = factor_over<T>(s, 1.0);
    const std::int64_t channels = layout.channels();
    double total = 0;
    for (std::int64_t n = 0; n < layout.outer; ++n)
      for (std::int64_t c = 0; c < channels; ++c)
        total += sums[static_cast<std::size_t>(n * channels + c)] *
                 static_cast<double>(*inverses.from(0, n, c));
    *dp.as<T>() = static_cast<T>(total);
  });
}

// A word is written whole, by one thread.
template <class T>
void write_mask(const T* h, std::int64_t count, std::uint32_t* words) {
  parallel_for((count + 31) / 32, 1 << 9, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t w = begin; w < end; ++w) {
      const std::int64_t bits = std::min<std::int64_t>(32, count - 32 * w);
      std::uint32_t word = 0;
      for (std::int64_t b = 0; b < bits; ++b)
        word |= std::uint32_t{!(h[32 * w + b] <= T(0))} << static_cast<unsigned>(b);
      words[w] = word;
    }
  });
}

void masked_stage_cpu(ConstView x, ConstView h, ConstView s, ConstView p, View y, View mask) {
  check_mask("masked_stage", h, mask);
  gated_stage_forward_cpu(x, h, s, p, y);
  with_float(h, "masked_stage", [&]<class T>(T) {
    write_mask(h.as<T>(), h.numel(), reinterpret_cast<std::uint32_t*>(mask.as<std::uint8_t>()));
  });
}

// The factors of the elements of a buffer, one after the other.
template <class T>
class FactorsInOrder {
 public:
  FactorsInOrder(const ChannelLayout& layout, const ChannelTable<T, 1>& table, std::int64_t element)
      : layout_(layout), table_(table) {
    lane_ = element % layout.lanes;
    element /= layout.lanes;
    pixel_ = element % layout.spatial;
    element /= layout.spatial;
    group_ = element % layout.groups;
    sample_ = element / layout.groups;
  }
  // Those of the next `count` elements.
  void next(std::int64_t count, T* to) {
    while (count > 0) {
      const T* const factors = table_.from(0, sample_, group_ * layout_.lanes);
      std::int64_t run = 0;
      if (layout_.lanes == 1) {
        run = std::min(count, layout_.spatial - pixel_);
        std::fill_n(to, run, factors[0]);
        pixel_ += run;
      } else {
        run = std::min(count, layout_.lanes - lane_);
        std::copy_n(factors + lane_, run, to);
        lane_ += run;
        if (lane_ == layout_.lanes) {
          lane_ = 0;
          ++pixel_;
        }
      }
      if (pixel_ == layout_.spatial) {
        pixel_ = 0;
        if (++group_ == layout_.groups) {
          group_ = 0;
          ++sample_;
        }
      }
      to += run;
      count -= run;
    }
  }

 private:
  const ChannelLayout& layout_;
  const ChannelTable<T, 1>& table_;
  std::int64_t lane_;
  std::int64_t pixel_;
  std::int64_t group_;
  std::int64_t sample_;
};

// Word by word, each unpacked to as many lanes of ones or zeros, so that it is done in vectors.
template <class T>
void replay(const T* from, const std::uint32_t* words, const ChannelLayout& layout,
            const ChannelTable<T, 1>& table, std::int64_t count, T* to) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr std::int64_t kBits = 32;
  parallel_for((count + kBits - 1) / kBits, 1 << 9, [&](std::int64_t begin, std::int64_t end) {
    FactorsInOrder<T> factors(layout, table, begin * kBits);
    for (std::int64_t w = begin; w < end; ++w) {
      T factor[kBits] = {};
      T value[kBits] = {};
      const std::int64_t here = std::min(kBits, count - kBits * w);
      factors.next(here, factor);
      std::copy_n(from + kBits * w, here, value);
      const Bits word = words[w];
      for (unsigned b = 0; b < kBits; ++b) {
        const Bits kept = Bits{0} - (word >> b & 1U);
        value[b] = std::bit_cast<T>(std::bit_cast<Bits>(value[b] * factor[b]) & kept);
      }
      std::copy_n(value, here, to + kBits * w);
    }
  });
}

void frozen_stage_cpu(ConstView v, ConstView mask, ConstView s, ConstView p, View y) {
  check_mask("frozen_stage", v, mask);
  const auto* words = reinterpret_cast<const std::uint32_t*>(mask.as<std::uint8_t>());
  with_float(v, "frozen_stage", [&]<class T>(T) {
    replay(v.as<T>(), words, walk_layout(v), factor_over<T>(s, gate<T>(p)), v.numel(), y.as<T>());
  });
}

void gate_penalty_forward_cpu(ConstView p, const std::vector<double>& alpha, View value) {
  with_float(p, "gate_penalty", [&]<class T>(T) {
    const T* gates = p.as<T>();
    double total = 0;
    for (std::size_t i = 0; i < alpha.size(); ++i)
      total += alpha[i] * static_cast<double>(gates[i]) * static_cast<double>(gates[i]);
    *value.as<T>() = static_cast<T>(total);
  });
}

void gate_penalty_backward_cpu(ConstView p, const std::vector<double>& alpha, ConstView dy,
                               View dp) {
  with_float(p, "gate_penalty", [&]<class T>(T) {
    const double weight = 2 * static_cast<double>(*dy.as<T>());
    for (std::size_t i = 0; i < alpha.size(); ++i)
      dp.as<T>()[i] = static_cast<T>(weight * alpha[i] * static_cast<double>(p.as<T>()[i]));
  });
}

const Registration registrations[] = {
    {scale_from_variance, DeviceType::kCpu, scale_from_variance_cpu},
    {divide_by_scale, DeviceType::kCpu, divide_by_scale_cpu},
    {gated_stage_forward, DeviceType::kCpu, gated_stage_forward_cpu},
    {gated_stage_backward, DeviceType::kCpu, gated_stage_backward_cpu},
    {masked_stage, DeviceType::kCpu, masked_stage_cpu},
    {frozen_stage, DeviceType::kCpu, frozen_stage_cpu},
    {gate_penalty_forward, DeviceType::kCpu, gate_penalty_forward_cpu},
    {gate_penalty_backward, DeviceType::kCpu, gate_penalty_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
