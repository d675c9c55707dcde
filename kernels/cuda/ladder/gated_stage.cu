// The ladder of the gated stage, y = x + p relu(h / s): two numbers read and one written for three
// or four operations on them, so that all there is to gain is in how memory is accessed and in what
// is computed besides.

#include "kernels/cuda/ladder/walk.h"
#include "kernels/gated_stage.h"
#include "kernels/ladder.h"

namespace concord::cuda::ladder {
namespace {

// What the kernels are given.
template <class T>
struct Stage {
  Maps maps;
  const T* x;
  const T* h;
  const T* s;
  const T* p;
  T* y;
  bool per_sample;  // s is [N,C], not [C]

  __device__ T scale(std::int64_t sample, std::int64_t channel) const {
    return s[(per_sample ? sample * maps.channels : 0) + channel];
  }
  // Rounded once, as the engine's.
  __device__ T gate_over(T of_channel) const {
    return static_cast<T>(static_cast<double>(*p) / static_cast<double>(of_channel));
  }
};

// Written so that the comparison with a NaN keeps it.
template <class T>
__device__ __forceinline__ T relu(T value) {
  return value <= T(0) ? T(0) : value;
}

// --- 1: a thread for each element of the formula ---

template <class T>
__global__ void plain_kernel(Stage<T> stage) {
  const Maps& maps = stage.maps;
  const std::int64_t element = first_item();
  if (element >= maps.count()) return;
  const std::int64_t pixel = element % maps.spatial;
  const std::int64_t channel = element / maps.spatial % maps.channels;
  const std::int64_t sample = element / maps.spatial / maps.channels;
  const std::int64_t i = maps.at(sample, channel, pixel);
  stage.y[i] = stage.x[i] + *stage.p * relu(stage.h[i] / stage.scale(sample, channel));
}

// --- 2: a thread for each element of the memory ---

template <class T>
__global__ void coalesced_kernel(Stage<T> stage) {
  const Maps& maps = stage.maps;
  const std::int64_t i = first_item();
  if (i >= maps.count()) return;
  const std::int64_t channel = (maps.last ? i : i / maps.spatial) % maps.channels;
  const std::int64_t sample = i / (maps.spatial * maps.channels);
  stage.y[i] = stage.x[i] + *stage.p * relu(stage.h[i] / stage.scale(sample, channel));
}

// --- 3: a thread keeps to a channel ---

template <class T>
__global__ void coefficients_kernel(Stage<T> stage) {
  for (std::int64_t task = blockIdx.x; task < stage.maps.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(stage.maps, task);
    if (!walk.is_mine) continue;
    const T factor = stage.gate_over(stage.scale(walk.sample, walk.channel));
    for (std::int64_t i = walk.begin; i < walk.end; i += walk.step)
      stage.y[i] = stage.x[i] + factor * relu(stage.h[i]);
  }
}

// --- 4: a thread asks for several elements before it uses the first ---

template <class T>
__global__ void in_flight_kernel(Stage<T> stage) {
  constexpr int kAtOnce = Pack<T>::kSize;
  for (std::int64_t task = blockIdx.x; task < stage.maps.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(stage.maps, task);
    if (!walk.is_mine) continue;
    const T factor = stage.gate_over(stage.scale(walk.sample, walk.channel));
    for (std::int64_t i = walk.begin; i < walk.end; i += kAtOnce * walk.step) {
      T values[kAtOnce] = {};
      T gated[kAtOnce] = {};
      for (int k = 0; k < kAtOnce; ++k) {
        if (i + k * walk.step >= walk.end) continue;
        values[k] = stage.x[i + k * walk.step];
        gated[k] = stage.h[i + k * walk.step];
      }
      for (int k = 0; k < kAtOnce; ++k)
        if (i + k * walk.step < walk.end)
          stage.y[i + k * walk.step] = values[k] + factor * relu(gated[k]);
    }
  }
}

// --- 5: 16 bytes at a time ---

// The maps are packs. Those of channels-last tensors have a channel for each element.
template <class T>
__global__ void wide_kernel(Stage<T> stage, Maps packs) {
  constexpr int kSize = Pack<T>::kSize;
  const auto* const x = reinterpret_cast<const Pack<T>*>(stage.x);
  const auto* const h = reinterpret_cast<const Pack<T>*>(stage.h);
  auto* const y = reinterpret_cast<Pack<T>*>(stage.y);
  for (std::int64_t task = blockIdx.x; task < packs.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(packs, task);
    if (!walk.is_mine) continue;
    T factor[kSize];
    for (int k = 0; k < kSize; ++k)
      factor[k] = stage.gate_over(
          stage.scale(walk.sample, packs.last ? walk.channel * kSize + k : walk.channel));
    for (std::int64_t i = walk.begin; i < walk.end; i += walk.step) {
      Pack<T> values = x[i];
      const Pack<T> gated = h[i];
      for (int k = 0; k < kSize; ++k) values.v[k] += factor[k] * relu(gated.v[k]);
      y[i] = values;
    }
  }
}

// --- the rungs ---

// Calls body(Stage<T>) for tensors that are not empty.
template <class Body>
void with_stage(const ConstView& x, const ConstView& h, const ConstView& s, const ConstView& p,
                const View& y, Body body) {
  const Maps maps(x, "gated_stage");
  if (y.numel() == 0) return;
  kernels::with_float(x, "gated_stage", [&]<class T>(T) {
    body(
        Stage<T>{maps, x.as<T>(), h.as<T>(), s.as<T>(), p.as<T>(), y.as<T>(), s.shape.rank() == 2});
  });
}

void plain(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_stage(x, h, s, p, y, []<class T>(const Stage<T>& stage) {
    launch(plain_kernel<T>, thread_for_each(stage.maps.count()), stage);
  });
}

void coalesced(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_stage(x, h, s, p, y, []<class T>(const Stage<T>& stage) {
    launch(coalesced_kernel<T>, thread_for_each(stage.maps.count()), stage);
  });
}

void coefficients(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_stage(x, h, s, p, y, []<class T>(const Stage<T>& stage) {
    launch(coefficients_kernel<T>, block_for_each(stage.maps.tasks()), stage);
  });
}

void in_flight(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_stage(x, h, s, p, y, []<class T>(const Stage<T>& stage) {
    launch(in_flight_kernel<T>, block_for_each(stage.maps.tasks()), stage);
  });
}

void wide(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  with_stage(x, h, s, p, y, [&]<class T>(const Stage<T>& stage) {
    constexpr int kSize = Pack<T>::kSize;
    if (!stage.maps.fits(kSize) || !are_aligned(stage.x, stage.h, stage.y))
      return in_flight(x, h, s, p, y);
    const Maps packs = stage.maps.packed(kSize);
    launch(wide_kernel<T>, block_for_each(packs.tasks()), stage, packs);
  });
}

void engine(ConstView x, ConstView h, ConstView s, ConstView p, View y) {
  kernels::gated_stage_forward(y.device, x, h, s, p, y);
}

using Signature = void(ConstView, ConstView, ConstView, ConstView, View);
constexpr kernels::Rung<Signature> kRungs[] = {
    {"1_plain", "A thread for each element, numbered as in the formula.", plain},
    {"2_coalesced", "Threads are numbered as the elements lie in memory.", coalesced},
    {"3_coefficients", "A thread keeps to one channel, with p / s in a register.", coefficients},
    {"4_in_flight", "A thread loads 16 bytes of each operand before it uses the first.", in_flight},
    {"5_wide", "These 16 bytes are side by side and come by one instruction.", wide},
    {"6_engine", "Maps share a block as they fit, and unaligned ones lose little.", engine},
};
std::span<const kernels::Rung<Signature>> rungs() { return kRungs; }

const kernels::Registration registration{kernels::gated_stage_ladder, DeviceType::kCuda, rungs};

}  // namespace
}  // namespace concord::cuda::ladder
