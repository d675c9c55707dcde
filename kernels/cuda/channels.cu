#include <algorithm>

#include "kernels/cuda/channels.h"

namespace concord::cuda {
namespace {

constexpr std::int64_t kMultiprocessors = 132;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The least power of two that is at least `size`, or `most`.
int power_of_two(std::int64_t size, int most) {
  int power = 1;
  while (power < size && power < most) power *= 2;
  return power;
}

// Channels that a block of a channels-last tensor takes side by side: a warp's worth, or less where
// that leaves fewer threads idle behind the last channel, but no less than 128 bytes.
int slots_beside(std::int64_t count, bool wide) {
  constexpr int kMost = static_cast<int>(kWarp);
  const int widest = power_of_two(count, kMost);
  if (!wide) return widest;
  for (int slots = widest; slots > 8; slots /= 2)
    if ((ceil_div(count, slots) * slots - count) * 8 <= count) return slots;
  return std::min(widest, 8);
}

}  // namespace

ChannelSweep plan_sweep(const ConstView& view, bool per_sample, bool aligned, bool sums, int pack) {
  check(view.format == MemoryFormat::kPlain || view.format == MemoryFormat::kChannelsLast,
        "a CUDA kernel works on plain or channels-last tensors; this one, of shape {}, is {}: "
        "convert it",
        view.shape.to_string(), name_of(view.format));
  const ChannelLayout layout = view.channels();
  ChannelSweep sweep;
  sweep.samples = layout.outer;
  sweep.channels = layout.channels();
  sweep.spatial = layout.spatial;
  sweep.per_sample = per_sample;
  // Maps of one pixel are channels-last in either format. With coefficients for each element there
  // is nothing to keep, and any order will do.
  sweep.last = sweep.channels > 1 &&
               (sweep.spatial == 1 ? !per_sample : view.format == MemoryFormat::kChannelsLast);
  // Samples that lie one behind the other and share all coefficients are one.
  if (!per_sample && (sweep.last || sweep.channels == 1)) {
    sweep.spatial *= sweep.samples;
    sweep.samples = 1;
  }
  sweep.wide = aligned && (sweep.last ? sweep.channels : sweep.spatial) % pack == 0;

  std::int64_t pixels_at_once = 0;  // of a team
  std::int64_t teams = 0;           // if each did one map
  if (sweep.last) {
    const std::int64_t beside = sweep.wide ? sweep.channels / pack : sweep.channels;
    sweep.slots = slots_beside(beside, sweep.wide);
    sweep.team = kSweepThreads / sweep.slots;
    pixels_at_once = sweep.wide ? sweep.team : std::int64_t{sweep.team} * pack;
    teams = sweep.samples * ceil_div(beside, sweep.slots) * sweep.slots;
  } else {
    sweep.team = power_of_two(ceil_div(sweep.spatial, pack), static_cast<int>(kWarp));
    sweep.slots = kSweepThreads / sweep.team;
    pixels_at_once = std::int64_t{sweep.team} * pack;
    teams = sweep.samples * sweep.channels;
  }

  // A thread takes at least two steps, since coefficients cost about as much as one, and as many as
  // still leave enough threads to keep the memory busy: some waves of them, so that the last one
  // costs little. Sums of channels-last tensors come from a single wave instead: every part is a
  // row of sums for finish_sums to read, whereas of plain ones only every 32nd thread writes any.
  const std::int64_t steps = ceil_div(sweep.spatial, pixels_at_once);
  const bool one_wave = sums && sweep.last;
  const std::int64_t threads =
      kMultiprocessors * kSweepThreads * blocks_at_once(pack, sums) * (one_wave ? 1 : 4);
  const std::int64_t wanted = std::clamp<std::int64_t>(
      ceil_div(teams * sweep.team * steps, threads), 2, sums ? std::int64_t{1} << 40 : 16);
  sweep.pixel_chunk = ceil_div(steps, ceil_div(steps, wanted)) * pixels_at_once;
  sweep.pixel_parts = ceil_div(sweep.spatial, sweep.pixel_chunk);
  sweep.sample_chunk =
      per_sample || sweep.last ? 1 : std::clamp<std::int64_t>(wanted / steps, 1, sweep.samples);
  sweep.sample_parts = ceil_div(sweep.samples, sweep.sample_chunk);
  return sweep;
}

}  // namespace concord::cuda
