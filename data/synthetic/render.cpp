#include "data/synthetic/render.h"

#include <algorithm>
#include <cmath>

namespace concord::synthetic {
namespace {

struct Box {
  int x0, y0, x1, y1;  // half open
  int width() const { return x1 - x0; }
  int height() const { return y1 - y0; }
  bool empty() const { return x0 >= x1 || y0 >= y1; }
};

// The canvas pixels a part may touch, `margin` figure units around its shapes included.
Box bounds(const Part& part, const Pose& pose, const Canvas& canvas, float margin) {
  Vec low{1e9F, 1e9F}, high{-1e9F, -1e9F};
  for (const Shape& shape : part.shapes)
    for (const float x : {shape.low.x - margin, shape.high.x + margin})
      for (const float y : {shape.low.y - margin, shape.high.y + margin}) {
        const Vec p = pose.to_canvas({x, y});
        low = {std::min(low.x, p.x), std::min(low.y, p.y)};
        high = {std::max(high.x, p.x), std::max(high.y, p.y)};
      }
  const auto clamp = [](float v, int limit) {
    return static_cast<int>(std::clamp(v, 0.0F, static_cast<float>(limit)));
  };
  return {clamp(low.x - 2.0F, canvas.width), clamp(low.y - 2.0F, canvas.height),
          clamp(high.x + 3.0F, canvas.width), clamp(high.y + 3.0F, canvas.height)};
}

// Height of the inflated part over its plane at signed distance d.
float rise(float d, float bulge) {
  const float t = 1.0F - clamp01(-d / bulge);
  return bulge * std::sqrt(1.0F - t * t);
}

Color shade(const Material& material, Color albedo, Vec slope, const Lighting& light) {
  const float scale = 1.0F / std::sqrt(slope.x * slope.x + slope.y * slope.y + 1.0F);
  const float nx = -slope.x * scale, ny = -slope.y * scale, nz = scale;
  const auto& l = light.direction;
  const float cosine = nx * l[0] + ny * l[1] + nz * l[2];
  // Wrapped diffuse light keeps the dark side readable; from above comes more ambient light.
  const float diffuse = std::max(0.0F, (cosine + 0.25F) / 1.25F);
  const Color lit = light.ambient * (0.8F - 0.35F * ny) + light.light * diffuse;
  const float hx = l[0], hy = l[1], hz = l[2] + 1.0F;  // the viewer looks along z
  const float half = (nx * hx + ny * hy + nz * hz) / std::sqrt(hx * hx + hy * hy + hz * hz);
  const float highlight = material.gloss * std::pow(std::max(0.0F, half), 40.0F);
  const float rim = 0.55F + 0.45F * smoothstep(0.05F, 0.5F, nz);
  return albedo * lit * rim + light.light * (0.8F * highlight);
}

}  // namespace

Vec Pose::to_canvas(Vec p) const {
  return center + rotated({(mirrored ? -p.x : p.x) * squeeze, p.y}, angle) * scale;
}

Vec Pose::to_figure(Vec p) const {
  const Vec q = rotated((p - center) * (1.0F / scale), -angle);
  return {(mirrored ? -q.x : q.x) / squeeze, q.y};
}

void draw(const Figure& figure, const Pose& pose, const Lighting& lighting, Canvas& canvas,
          Mask& mask) {
  constexpr float kContact = 0.07F;  // width of the shadow a part throws on those beneath
  std::vector<float> field;
  for (const Part& part : figure.parts) {
    const Box box = bounds(part, pose, canvas, kContact);
    if (box.empty()) continue;
    const auto stride = static_cast<std::size_t>(box.width());
    field.resize(stride * static_cast<std::size_t>(box.height()));
    const auto at = [&](int x, int y) -> float& {
      x = std::clamp(x, box.x0, box.x1 - 1) - box.x0;
      y = std::clamp(y, box.y0, box.y1 - 1) - box.y0;
      return field[static_cast<std::size_t>(y) * stride + static_cast<std::size_t>(x)];
    };
    for (int y = box.y0; y < box.y1; ++y)
      for (int x = box.x0; x < box.x1; ++x)
        at(x, y) = distance(
            part, pose.to_figure({static_cast<float>(x) + 0.5F, static_cast<float>(y) + 0.5F}));
    for (int y = box.y0; y < box.y1; ++y)
      for (int x = box.x0; x < box.x1; ++x) {
        const float d = at(x, y);
        const std::size_t index = canvas.index(x, y);
        if (d >= 0.0F) {
          if (d < kContact && mask[index] > 0.0F)
            canvas.pixels[index] =
                canvas.pixels[index] * (1.0F - 0.4F * (1.0F - smoothstep(0.0F, kContact, d)));
          continue;
        }
        const auto height = [&](int px, int py) { return rise(at(px, py), part.bulge); };
        const float per_pixel = pose.scale * 0.5F;  // central differences span two pixels
        const Vec slope{(height(x + 1, y) - height(x - 1, y)) * per_pixel,
                        (height(x, y + 1) - height(x, y - 1)) * per_pixel};
        const Vec local =
            pose.to_figure({static_cast<float>(x) + 0.5F, static_cast<float>(y) + 0.5F});
        canvas.pixels[index] =
            shade(part.material, texture_color(part.material, local), slope, lighting) * part.shade;
        mask[index] = 1.0F;
      }
  }
}

namespace {

// A running mean of 2 radius + 1 values along a line of `count` values `step` apart.
template <class T>
void box_blur_line(T* line, int count, std::size_t step, int radius, std::vector<T>& copy) {
  copy.resize(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    copy[static_cast<std::size_t>(i)] = line[static_cast<std::size_t>(i) * step];
  const auto value = [&](int i) {
    return copy[static_cast<std::size_t>(std::clamp(i, 0, count - 1))];
  };
  const float weight = 1.0F / static_cast<float>(2 * radius + 1);
  T sum = value(0) * 0.0F;
  for (int i = -radius; i <= radius; ++i) sum = sum + value(i);
  for (int i = 0; i < count; ++i) {
    line[static_cast<std::size_t>(i) * step] = sum * weight;
    sum = sum + value(i + radius + 1) + value(i - radius) * -1.0F;
  }
}

template <class T>
void blur_plane(std::vector<T>& plane, int width, int height, int radius) {
  if (radius < 1) return;
  const auto w = static_cast<std::size_t>(width);
  std::vector<T> copy;
  for (int pass = 0; pass < 3; ++pass) {
    for (int y = 0; y < height; ++y)
      box_blur_line(plane.data() + static_cast<std::size_t>(y) * w, width, 1, radius, copy);
    for (std::size_t x = 0; x < w; ++x) box_blur_line(plane.data() + x, height, w, radius, copy);
  }
}

}  // namespace

void blur(Mask& mask, int width, int height, int radius) {
  blur_plane(mask, width, height, radius);
}

void blur(Canvas& canvas, int radius) {
  blur_plane(canvas.pixels, canvas.width, canvas.height, radius);
}

Image to_image(const Canvas& canvas, int factor, float grain, std::uint32_t variant) {
  Image image(canvas.width / factor, canvas.height / factor);
  const float weight = 1.0F / static_cast<float>(factor * factor);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      Color sum;
      for (int j = 0; j < factor; ++j)
        for (int i = 0; i < factor; ++i)
          sum = sum + canvas.pixels[canvas.index(x * factor + i, y * factor + j)];
      const float values[3] = {sum.r * weight, sum.g * weight, sum.b * weight};
      for (std::uint32_t c = 0; c < 3; ++c) {
        const float v = std::max(0.0F, values[c]);
        // Highlights roll off instead of clipping to a flat white.
        const float display =
            255.0F * std::sqrt(v < 0.8F ? v : 1.0F - 0.2F * std::exp((0.8F - v) * 5.0F));
        const float jitter =
            (lattice(x, y, variant + c) + lattice(x, y, variant + c + 3) - 1.0F) * grain;
        image.pixel(x, y)[c] =
            static_cast<std::uint8_t>(std::clamp(display + jitter + 0.5F, 0.0F, 255.0F));
      }
    }
  return image;
}

}  // namespace concord::synthetic
