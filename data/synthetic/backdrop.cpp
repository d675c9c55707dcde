#include "data/synthetic/backdrop.h"

#include <algorithm>
#include <cmath>

#include "data/synthetic/figures.h"

namespace concord::synthetic {
namespace {

constexpr float kPi = 3.14159265F;
enum class Ground : std::uint8_t { kPlanks, kTiles, kCloth, kGrass, kSand, kCount };

struct Surface {
  Ground ground = Ground::kSand;
  Color main;
  Color second;
  std::uint32_t variant = 0;
};

Surface random_surface(random::Stream& stream) {
  Surface surface;
  surface.ground = static_cast<Ground>(stream.below(static_cast<std::uint64_t>(Ground::kCount)));
  // Mostly the hues of wood, earth and grass, so that the pictures look like photographs.
  float hue = uniform(stream, 0.04F, 0.15F), saturation = uniform(stream, 0.15F, 0.6F);
  if (surface.ground == Ground::kGrass) hue = uniform(stream, 0.17F, 0.36F);
  if (surface.ground == Ground::kTiles || surface.ground == Ground::kCloth) {
    hue = uniform(stream, 0.0F, 1.0F);
    saturation *= 0.6F;
  }
  const float value = uniform(stream, 0.35F, 0.88F), contrast = uniform(stream, 0.7F, 0.88F);
  surface.main = from_hsv(hue, saturation, value);
  surface.second = from_hsv(hue, saturation, value * contrast);
  surface.variant = stream.next();
  return surface;
}

// The colour of a surface at a point, one unit being about half the picture.
Color surface_color(const Surface& s, Vec at) {
  const float rough = fractal_noise(at * 3.0F, s.variant);
  switch (s.ground) {
    case Ground::kPlanks: {
      const float row = std::floor(at.y * 2.5F);
      const float plank = lattice(static_cast<std::int32_t>(row), 0, s.variant);
      const float grain = fractal_noise({at.x * 1.5F + plank * 9.0F, at.y * 16.0F}, s.variant);
      const float edge = std::abs(at.y * 2.5F - row - 0.5F);
      return mix(s.main, s.second, clamp01(grain * 1.3F + plank * 0.5F - 0.3F)) *
             (1.0F - 0.5F * smoothstep(0.46F, 0.5F, edge));
    }
    case Ground::kTiles: {
      const Vec cell = at * 1.8F;
      const Vec corner{std::floor(cell.x), std::floor(cell.y)};
      const float own = lattice(static_cast<std::int32_t>(corner.x),
                                static_cast<std::int32_t>(corner.y), s.variant);
      const float edge =
          std::max(std::abs(cell.x - corner.x - 0.5F), std::abs(cell.y - corner.y - 0.5F));
      return mix(s.main, s.second, own) * (0.9F + 0.2F * rough) *
             (1.0F - 0.35F * smoothstep(0.455F, 0.485F, edge));
    }
    case Ground::kCloth: {
      const float weave = std::sin(at.x * 60.0F) * std::sin(at.y * 60.0F);
      const float band = smoothstep(-0.2F, 0.2F, std::sin(at.x * 5.0F + 1.5F * rough));
      return mix(s.main, s.second, band) * (0.92F + 0.08F * weave + 0.12F * (rough - 0.5F));
    }
    case Ground::kGrass: {
      const float blades = noise({at.x * 34.0F, at.y * 9.0F}, s.variant + 5);
      return mix(s.main, s.second * 0.8F, blades) * (0.7F + 0.6F * rough);
    }
    case Ground::kSand:
    case Ground::kCount:
      break;
  }
  const float speckle = noise(at * 45.0F, s.variant + 6);
  return mix(s.main, s.second, rough) * (0.88F + 0.24F * speckle);
}

// Hills before a sky, or a papered wall.
struct Wall {
  bool outdoors = false;
  Surface paper;
  Color high, low, hills;
  std::uint32_t variant = 0;
};

Color wall_color(const Wall& wall, Vec at, float above) {
  if (!wall.outdoors) {
    const float stripe = smoothstep(-0.15F, 0.15F, std::sin(at.x * 2.0F * kPi * 1.7F));
    return mix(wall.paper.main, wall.paper.second, stripe) *
           (0.9F + 0.2F * fractal_noise(at * 2.0F, wall.variant)) *
           (1.0F - 0.25F * smoothstep(0.08F, 0.0F, above));
  }
  const float ridge = 0.1F + 0.35F * fractal_noise({at.x * 1.3F, 3.0F}, wall.variant);
  if (above < ridge) return wall.hills * (0.6F + 0.7F * fractal_noise(at * 5.0F, wall.variant + 4));
  const float cloud =
      smoothstep(0.5F, 0.75F, fractal_noise({at.x * 1.2F, at.y * 2.5F}, wall.variant + 8));
  return mix(mix(wall.low, wall.high, clamp01(above)), {0.9F, 0.9F, 0.92F}, 0.7F * cloud);
}

Wall random_wall(random::Stream& stream) {
  Wall wall;
  wall.outdoors = stream.below(2) == 0;
  wall.paper = random_surface(stream);
  const float hue =
      stream.below(4) == 0 ? uniform(stream, 0.02F, 0.1F) : uniform(stream, 0.52F, 0.63F);
  const float value = uniform(stream, 0.65F, 0.95F);
  wall.high = from_hsv(hue, 0.5F, value);
  wall.low = from_hsv(hue, 0.15F, std::min(1.0F, value * 1.1F));
  wall.hills = from_hsv(uniform(stream, 0.15F, 0.6F), 0.3F, value * 0.6F);
  wall.variant = stream.next();
  return wall;
}

}  // namespace

Backdrop make_backdrop(random::Stream& stream, int width, int height, int factor,
                       const Lighting& lighting) {
  // Drawn at the image's own resolution and enlarged: a backdrop is slightly out of focus anyway.
  const int w = (width + factor - 1) / factor, h = (height + factor - 1) / factor;
  Canvas small(w, h);
  Backdrop backdrop{Canvas(width, height), stream.below(2) == 0, 0.0F};
  const float horizon = uniform(stream, 0.38F, 0.66F) * static_cast<float>(h);
  backdrop.horizon = horizon * static_cast<float>(factor);
  const Surface floor = random_surface(stream);
  const Wall wall = random_wall(stream);
  const float turn = uniform(stream, 0.0F, 2.0F * kPi), zoom = uniform(stream, 0.8F, 1.6F);
  const Color light = lighting.ambient * 0.8F + lighting.light * lighting.direction[2];
  const float unit = 2.0F / static_cast<float>(std::max(w, h));
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const Vec at{(static_cast<float>(x) - 0.5F * static_cast<float>(w)) * unit,
                   (static_cast<float>(y) + 0.5F - horizon) * unit};
      Color color;
      if (!backdrop.standing) {
        color = surface_color(floor, rotated(at * zoom, turn) + Vec{5.0F, 7.0F});
      } else if (at.y < 0.0F) {
        color = wall_color(wall, at * zoom, -at.y);
      } else {
        // A floor in perspective: what lies nearer the horizon is farther and smaller.
        const float depth = 1.0F / (at.y + 0.35F);
        color = surface_color(floor, Vec{at.x * depth * zoom + 9.0F, depth * 2.5F * zoom});
      }
      small.pixels[small.index(x, y)] = color * light;
    }
  blur(small, backdrop.standing && w >= 96 ? 1 : 0);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const float fx =
          std::clamp((static_cast<float>(x) + 0.5F) / static_cast<float>(factor) - 0.5F, 0.0F,
                     static_cast<float>(w - 1));
      const float fy =
          std::clamp((static_cast<float>(y) + 0.5F) / static_cast<float>(factor) - 0.5F, 0.0F,
                     static_cast<float>(h - 1));
      const int x0 = static_cast<int>(fx), y0 = static_cast<int>(fy);
      const int x1 = std::min(x0 + 1, w - 1), y1 = std::min(y0 + 1, h - 1);
      const float u = fx - static_cast<float>(x0), v = fy - static_cast<float>(y0);
      backdrop.canvas.pixels[backdrop.canvas.index(x, y)] =
          mix(mix(small.pixels[small.index(x0, y0)], small.pixels[small.index(x1, y0)], u),
              mix(small.pixels[small.index(x0, y1)], small.pixels[small.index(x1, y1)], u), v);
    }
  return backdrop;
}

Figure make_clutter(random::Stream& stream) {
  const Palette palette = random_palette(stream);
  const Material material = textured(stream, palette, any_texture(stream));
  Figure figure;
  switch (stream.below(5)) {
    case 0:
      figure.parts.push_back(make_part(material, 0.8F, {disk({}, 0.8F)}));
      break;
    case 1: {
      const float h = uniform(stream, 0.4F, 0.8F);
      figure.parts.push_back(make_part(
          material, 0.12F, {polygon({{-0.6F, -h}, {0.6F, -h}, {0.6F, h}, {-0.6F, h}}, 0.08F)}));
      break;
    }
    case 2: {
      Part part = make_part(plain(palette.main, 0.05F), 0.08F, {});
      add_curve(part, {-1.0F, uniform(stream, -0.3F, 0.3F)}, {0.0F, uniform(stream, -0.3F, 0.3F)},
                {1.0F, 0.0F}, 0.09F, 0.06F, 5);
      figure.parts.push_back(part);
      break;
    }
    case 3: {
      const float bend = uniform(stream, 0.25F, 0.45F);
      figure.parts.push_back(make_part(plain(palette.main, 0.15F), 0.15F,
                                       {polygon({{-0.9F, 0.0F},
                                                 {-0.4F, -bend},
                                                 {0.3F, -bend * 0.8F},
                                                 {0.95F, 0.0F},
                                                 {0.3F, bend * 0.8F},
                                                 {-0.4F, bend}},
                                                0.03F)}));
      Part vein = make_part(plain(palette.main * 0.5F, 0.0F), 0.02F,
                            {cone({-1.1F, 0.0F}, 0.03F, {0.85F, 0.0F}, 0.012F)});
      figure.parts.push_back(vein);
      break;
    }
    default:
      figure.parts.push_back(make_part(plain(mix(palette.main, {0.3F, 0.3F, 0.3F}, 0.6F), 0.1F),
                                       0.5F, {ellipse({}, {0.8F, uniform(stream, 0.45F, 0.7F)})}));
  }
  return figure;
}

void cast_shadow(Backdrop& backdrop, const Mask& mask, const Lighting& lighting, float strength) {
  const int width = backdrop.canvas.width, height = backdrop.canvas.height;
  int left = width, right = 0, top = height, bottom = -1;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (mask[backdrop.canvas.index(x, y)] > 0.0F) {
        bottom = y;
        top = std::min(top, y);
        left = std::min(left, x);
        right = std::max(right, x + 1);
      }
  if (bottom < 0) return;
  const auto size = static_cast<float>(std::max(bottom - top + 1, right - left));
  const int radius = std::max(1, static_cast<int>(size * 0.022F));
  // The shadow reaches no farther from the object than the object is long.
  const int reach = static_cast<int>(size * 0.75F) + 3 * radius;
  const int x0 = std::max(0, left - reach), x1 = std::min(width, right + reach);
  const int y0 = std::max(0, top - reach / 4), y1 = std::min(height, bottom + reach / 4 + 1);
  const int shadow_width = x1 - x0;
  Mask shadow(static_cast<std::size_t>(shadow_width) * static_cast<std::size_t>(y1 - y0), 0.0F);
  const auto shade = [&](int x, int y) -> float& {
    return shadow[static_cast<std::size_t>(y - y0) * static_cast<std::size_t>(shadow_width) +
                  static_cast<std::size_t>(x - x0)];
  };
  for (int y = y0; y < y1; ++y)
    for (int x = x0; x < x1; ++x) {
      // The point of the object whose shadow falls here.
      float sx = static_cast<float>(x) + lighting.direction[0] * size * 0.09F;
      float sy = static_cast<float>(y) + lighting.direction[1] * size * 0.09F;
      if (backdrop.standing) {
        const float up = static_cast<float>(bottom - y) * 3.2F;
        sx = static_cast<float>(x) + lighting.direction[0] * up * 0.7F;
        sy = static_cast<float>(bottom) - up;
        if (static_cast<float>(y) < backdrop.horizon) continue;
      }
      if (sx < 0.0F || sy < 0.0F) continue;
      const int ix = static_cast<int>(sx), iy = static_cast<int>(sy);
      if (ix >= width || iy >= height) continue;
      shade(x, y) = mask[backdrop.canvas.index(ix, iy)];
    }
  blur(shadow, shadow_width, y1 - y0, radius);
  for (int y = y0; y < y1; ++y)
    for (int x = x0; x < x1; ++x) {
      const std::size_t p = backdrop.canvas.index(x, y);
      if (mask[p] == 0.0F)
        backdrop.canvas.pixels[p] = backdrop.canvas.pixels[p] * (1.0F - strength * shade(x, y));
    }
}

}  // namespace concord::synthetic
