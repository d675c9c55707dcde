// One synthetic picture from end to end.

#include <algorithm>
#include <cmath>

#include "data/synthetic.h"
#include "data/synthetic/backdrop.h"
#include "data/synthetic/figures.h"
#include "kernels/error.h"

namespace concord {
namespace {

using namespace synthetic;

// Keeps pictures apart from the other uses of a seed.
constexpr std::uint64_t kPictureStream = std::uint64_t{0x53594E54} << 32;
constexpr float kPi = 3.14159265F;

Lighting random_lighting(random::Stream& stream) {
  Lighting lighting;
  const float around = uniform(stream, -0.85F * kPi, -0.15F * kPi);  // from above, left or right
  const float height = uniform(stream, 0.5F, 1.0F);
  const float x = std::cos(around), y = std::sin(around);
  const float norm = 1.0F / std::sqrt(1.0F + height * height);
  lighting.direction = {x * norm, y * norm, height * norm};
  const float warm = uniform(stream, -0.12F, 0.12F);
  const float power = uniform(stream, 0.8F, 1.15F), ambient = uniform(stream, 0.22F, 0.42F);
  lighting.light = Color{1.0F + warm, 1.0F, 1.0F - warm} * power;
  lighting.ambient = Color{1.0F - warm, 1.0F, 1.0F + warm} * ambient;
  return lighting;
}

struct Extent {
  Vec low, high;
};

Extent extent(const Figure& figure) {
  Extent e{{1e9F, 1e9F}, {-1e9F, -1e9F}};
  for (const Part& part : figure.parts)
    for (const Shape& shape : part.shapes) {
      e.low = {std::min(e.low.x, shape.low.x), std::min(e.low.y, shape.low.y)};
      e.high = {std::max(e.high.x, shape.high.x), std::max(e.high.y, shape.high.y)};
    }
  return e;
}

// Puts the middle of the figure at `center` with its longer side `span` canvas pixels long.
Pose pose_for(const Figure& figure, Vec center, float span, float angle, float squeeze,
              bool mirrored) {
  const Extent e = extent(figure);
  const Vec size = e.high - e.low;
  Pose pose;
  pose.scale = span / std::max(size.x, size.y);
  pose.angle = angle;
  pose.squeeze = squeeze;
  pose.mirrored = mirrored;
  pose.center = center - pose.to_canvas((e.low + e.high) * 0.5F);
  return pose;
}

void add_clutter(random::Stream& stream, Backdrop& backdrop, const Lighting& lighting, int count,
                 float unit) {
  const auto width = static_cast<float>(backdrop.canvas.width);
  const auto height = static_cast<float>(backdrop.canvas.height);
  for (int i = 0; i < count; ++i) {
    const Figure figure = make_clutter(stream);
    const float low = backdrop.standing ? backdrop.horizon : 0.0F;
    const float x = uniform(stream, 0.0F, width), y = uniform(stream, low, height);
    const float span = unit * uniform(stream, 0.1F, 0.32F);
    const float angle = uniform(stream, -kPi, kPi);
    const Pose pose = pose_for(figure, {x, y}, span, angle, 1.0F, false);
    Mask mask(backdrop.canvas.pixels.size(), 0.0F);
    draw(figure, pose, lighting, backdrop.canvas, mask);
    cast_shadow(backdrop, mask, lighting, 0.45F);
  }
}

}  // namespace

const std::vector<std::string>& synthetic_classes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const FigureKind& kind : figure_kinds()) list.emplace_back(kind.name);
    return list;
  }();
  return names;
}

SyntheticImage draw_synthetic(int label, std::uint64_t seed, std::uint64_t index, int width,
                              int height, float fill) {
  const auto& kinds = figure_kinds();
  check(label >= 0 && static_cast<std::size_t>(label) < kinds.size(),
        "synthetic: class {} is not in 0..{}", label, kinds.size() - 1);
  check(width >= 16 && height >= 16 && width <= 4096 && height <= 4096,
        "synthetic: {}x{} is not within 16..4096", width, height);
  const FigureKind& kind = kinds[static_cast<std::size_t>(label)];
  random::Stream stream(seed, kPictureStream + (static_cast<std::uint64_t>(label) << 24) + index);
  const int factor = std::min(width, height) >= 160 ? 2 : 3;
  const int w = width * factor, h = height * factor;
  const auto fw = static_cast<float>(w), fh = static_cast<float>(h);
  const float unit = std::min(fw, fh);

  const Lighting lighting = random_lighting(stream);
  Backdrop backdrop = make_backdrop(stream, w, h, factor, lighting);
  add_clutter(stream, backdrop, lighting, 1 + static_cast<int>(stream.below(4)), unit);

  const Palette palette = random_palette(stream);
  const Figure figure = kind.build(stream, palette);
  const float span = unit * fill * uniform(stream, 0.8F, 1.12F);
  const float tilt = kind.any_rotation ? uniform(stream, -kPi, kPi) : uniform(stream, -0.3F, 0.3F);
  const float squeeze = uniform(stream, 0.82F, 1.0F);
  const bool mirrored = stream.below(2) == 0;
  const float play_x = std::max(0.04F * fw, 0.45F * (fw - span));
  const float play_y = std::max(0.04F * fh, 0.45F * (fh - span));
  const Vec center{0.5F * fw + play_x * uniform(stream, -1.0F, 1.0F),
                   0.5F * fh + play_y * uniform(stream, -1.0F, 1.0F)};
  Pose pose = pose_for(figure, center, span, tilt, squeeze, mirrored);
  if (backdrop.standing) {
    // Feet on the floor, not in the sky; as far as the picture reaches.
    const Extent e = extent(figure);
    const float below = 0.5F * (e.high.y - e.low.y) * pose.scale;
    const float wanted = std::max(center.y, backdrop.horizon + 0.06F * fh - below);
    pose.center.y += std::max(0.0F, std::min(wanted, 0.97F * fh - below) - center.y);
  }
  Mask mask(backdrop.canvas.pixels.size(), 0.0F);
  draw(figure, pose, lighting, backdrop.canvas, mask);
  cast_shadow(backdrop, mask, lighting, 0.55F);
  int left = w, top = h, right = 0, bottom = 0;
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const std::size_t p = backdrop.canvas.index(x, y);
      if (mask[p] == 0.0F) continue;
      left = std::min(left, x);
      right = std::max(right, x + 1);
      top = std::min(top, y);
      bottom = std::max(bottom, y + 1);
    }

  // Now and then something lies in front, near the edge of the picture.
  if (stream.below(3) == 0) {
    const Figure front = make_clutter(stream);
    const float side = stream.below(2) == 0 ? 0.06F : 0.94F;
    const Vec at{fw * side, fh * uniform(stream, 0.75F, 1.0F)};
    const float size = unit * uniform(stream, 0.2F, 0.34F), angle = uniform(stream, -kPi, kPi);
    Mask ignored(mask.size(), 0.0F);
    draw(front, pose_for(front, at, size, angle, 1.0F, false), lighting, backdrop.canvas, ignored);
  }

  const float grain = uniform(stream, 2.0F, 9.0F);
  SyntheticImage out;
  out.image = to_image(backdrop.canvas, factor, grain, stream.next());
  const auto scale = static_cast<float>(factor);
  out.x = static_cast<float>(left) / scale;
  out.y = static_cast<float>(top) / scale;
  out.width = static_cast<float>(right - left) / scale;
  out.height = static_cast<float>(bottom - top) / scale;
  return out;
}

}  // namespace concord
