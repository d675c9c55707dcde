#include "data/synthetic/scene.h"

#include <algorithm>
#include <utility>

namespace concord::synthetic {
namespace {

constexpr float kPi = 3.14159265F;

float polygon_distance(const std::vector<Vec>& points, Vec at) {
  // Inigo Quilez, "2D distance functions": nearest edge, sign by the winding of crossings.
  float nearest = dot(at - points[0], at - points[0]);
  float sign = 1.0F;
  for (std::size_t i = 0, j = points.size() - 1; i < points.size(); j = i, ++i) {
    const Vec edge = points[j] - points[i];
    const Vec from = at - points[i];
    const Vec off = from - edge * clamp01(dot(from, edge) / dot(edge, edge));
    nearest = std::min(nearest, dot(off, off));
    const bool c0 = at.y >= points[i].y, c1 = at.y < points[j].y;
    const bool c2 = edge.x * from.y > edge.y * from.x;
    if ((c0 && c1 && c2) || (!c0 && !c1 && !c2)) sign = -sign;
  }
  return sign * std::sqrt(nearest);
}

float ellipse_distance(Vec radii, Vec at) {
  const Vec scaled{at.x / radii.x, at.y / radii.y};
  const Vec slope{scaled.x / radii.x, scaled.y / radii.y};
  const float k0 = length(scaled), k1 = length(slope);
  if (k1 < 1e-6F) return -std::min(radii.x, radii.y);
  return std::max(k0 * (k0 - 1.0F) / k1, -std::min(radii.x, radii.y));
}

// Distance to the nearest of points jittered about an integer lattice, and that cell's hash.
std::pair<float, float> nearest_cell(Vec at, std::uint32_t variant) {
  const auto cx = static_cast<std::int32_t>(std::floor(at.x));
  const auto cy = static_cast<std::int32_t>(std::floor(at.y));
  float best = 9.0F, hash = 0.0F;
  for (std::int32_t y = cy - 1; y <= cy + 1; ++y)
    for (std::int32_t x = cx - 1; x <= cx + 1; ++x) {
      const Vec center{static_cast<float>(x) + 0.25F + 0.5F * lattice(x, y, variant),
                       static_cast<float>(y) + 0.25F + 0.5F * lattice(x, y, variant + 1)};
      const float d = length(at - center);
      if (d < best) {
        best = d;
        hash = lattice(x, y, variant + 2);
      }
    }
  return {best, hash};
}

}  // namespace

Color from_hsv(float hue, float saturation, float value) {
  const auto channel = [&](float shift) {
    const float k = std::fmod(hue * 6.0F + shift, 6.0F);
    const float v = value - value * saturation * clamp01(std::min(k, 4.0F - k));
    return v * v;  // display to linear light, gamma 2
  };
  return {channel(5.0F), channel(3.0F), channel(1.0F)};
}

float lattice(std::int32_t x, std::int32_t y, std::uint32_t variant) {
  std::uint32_t h = static_cast<std::uint32_t>(x) * 0x8DA6B343U ^
                    static_cast<std::uint32_t>(y) * 0xD8163841U ^ variant * 0xCB1AB31FU;
  h = (h ^ (h >> 16)) * 0x7FEB352DU;
  h = (h ^ (h >> 15)) * 0x846CA68BU;
  return static_cast<float>((h ^ (h >> 16)) >> 8) * 0x1.0p-24F;
}

float noise(Vec at, std::uint32_t variant) {
  const float fx = std::floor(at.x), fy = std::floor(at.y);
  const auto x = static_cast<std::int32_t>(fx), y = static_cast<std::int32_t>(fy);
  const float u = smoothstep(0.0F, 1.0F, at.x - fx), v = smoothstep(0.0F, 1.0F, at.y - fy);
  const float top = lattice(x, y, variant) * (1.0F - u) + lattice(x + 1, y, variant) * u;
  const float low = lattice(x, y + 1, variant) * (1.0F - u) + lattice(x + 1, y + 1, variant) * u;
  return top * (1.0F - v) + low * v;
}

float fractal_noise(Vec at, std::uint32_t variant) {
  float sum = 0.0F, weight = 0.5F;
  for (std::uint32_t octave = 0; octave < 4; ++octave) {
    sum += weight * noise(at, variant + octave);
    at = rotated(at * 2.03F, 0.5F);
    weight *= 0.5F;
  }
  return sum / 0.9375F;
}

Color texture_color(const Material& material, Vec at) {
  const std::uint32_t variant = material.variant;
  const Vec shifted = at + Vec{13.0F + 7.0F * lattice(1, 2, variant), 11.0F};
  float amount = 0.0F;
  switch (material.texture) {
    case Texture::kPlain:
      break;
    case Texture::kStripes: {
      const Vec along = rotated(shifted, -material.angle);
      const float wave = along.x * material.scale + 0.7F * noise(shifted * 2.5F, variant);
      amount = smoothstep(-0.25F, 0.25F, std::sin(2.0F * kPi * wave));
      break;
    }
    case Texture::kSpots: {
      const auto [d, hash] = nearest_cell(shifted * material.scale, variant);
      const float radius = 0.26F + 0.12F * hash;
      amount = 1.0F - smoothstep(radius - 0.06F, radius + 0.06F, d);
      break;
    }
    case Texture::kPatches:
      amount = smoothstep(0.48F, 0.54F, fractal_noise(shifted * (0.55F * material.scale), variant));
      break;
  }
  // A little uneven everywhere, so that no surface is a flat computer colour.
  const float uneven = 0.86F + 0.28F * fractal_noise(shifted * 5.0F, variant + 9);
  return mix(material.base, material.second, amount) * uneven;
}

Shape cone(Vec a, float ra, Vec b, float rb) {
  Shape shape;
  shape.kind = Shape::Kind::kCone;
  shape.a = a;
  shape.b = b;
  shape.ra = ra;
  shape.rb = rb;
  shape.low = {std::min(a.x - ra, b.x - rb), std::min(a.y - ra, b.y - rb)};
  shape.high = {std::max(a.x + ra, b.x + rb), std::max(a.y + ra, b.y + rb)};
  return shape;
}

Shape disk(Vec center, float radius) { return cone(center, radius, center, radius); }

Shape ellipse(Vec center, Vec radii, float angle) {
  Shape shape;
  shape.kind = Shape::Kind::kEllipse;
  shape.a = center;
  shape.b = radii;
  shape.angle = angle;
  const float c = std::cos(angle), s = std::sin(angle);
  const Vec half{std::hypot(radii.x * c, radii.y * s), std::hypot(radii.x * s, radii.y * c)};
  shape.low = center - half;
  shape.high = center + half;
  return shape;
}

Shape polygon(std::vector<Vec> points, float rounding) {
  Shape shape;
  shape.kind = Shape::Kind::kPolygon;
  shape.ra = rounding;
  shape.low = shape.high = points.front();
  for (const Vec p : points) {
    shape.low = {std::min(shape.low.x, p.x), std::min(shape.low.y, p.y)};
    shape.high = {std::max(shape.high.x, p.x), std::max(shape.high.y, p.y)};
  }
  shape.low = shape.low - Vec{rounding, rounding};
  shape.high = shape.high + Vec{rounding, rounding};
  shape.points = std::move(points);
  return shape;
}

Shape vessel(float top, float bottom, float upper, float lower, float belly) {
  Shape shape;
  shape.kind = Shape::Kind::kVessel;
  shape.a = {0.0F, top};
  shape.b = {0.0F, bottom};
  shape.ra = upper;
  shape.rb = lower;
  shape.angle = belly;
  const float widest = std::max(upper, lower) + std::max(belly, 0.0F);
  shape.low = {-widest, top};
  shape.high = {widest, bottom};
  return shape;
}

float distance(const Shape& shape, Vec at) {
  switch (shape.kind) {
    case Shape::Kind::kEllipse:
      return ellipse_distance(shape.b, rotated(at - shape.a, -shape.angle));
    case Shape::Kind::kPolygon:
      return polygon_distance(shape.points, at) - shape.ra;
    case Shape::Kind::kVessel: {
      const float t = clamp01((at.y - shape.a.y) / (shape.b.y - shape.a.y));
      const float half = shape.ra + (shape.rb - shape.ra) * t + shape.angle * std::sin(kPi * t);
      const float ends = std::max(shape.a.y - at.y, at.y - shape.b.y);
      const float side = std::abs(at.x) - half;
      return ends > 0.0F ? std::max(ends, side) : side;
    }
    case Shape::Kind::kCone:
      break;
  }
  const Vec axis = shape.b - shape.a, from = at - shape.a;
  const float squared = dot(axis, axis);
  const float t = squared > 0.0F ? clamp01(dot(from, axis) / squared) : 0.0F;
  return length(from - axis * t) - (shape.ra + (shape.rb - shape.ra) * t);
}

float distance(const Part& part, Vec at) {
  float d = 1e9F;
  for (const Shape& shape : part.shapes) {
    const float next = distance(shape, at);
    if (part.blend > 0.0F) {
      // Quilez's polynomial smooth minimum: equals min where the two differ by more than `blend`.
      const float h = std::max(part.blend - std::abs(d - next), 0.0F) / part.blend;
      d = std::min(d, next) - h * h * part.blend * 0.25F;
    } else {
      d = std::min(d, next);
    }
  }
  return d;
}

void add_curve(Part& part, Vec p0, Vec p1, Vec p2, float r0, float r1, int pieces) {
  Vec last = p0;
  float last_radius = r0;
  for (int i = 1; i <= pieces; ++i) {
    const float t = static_cast<float>(i) / static_cast<float>(pieces), s = 1.0F - t;
    const Vec point = p0 * (s * s) + p1 * (2.0F * s * t) + p2 * (t * t);
    const float radius = r0 + (r1 - r0) * t;
    part.shapes.push_back(cone(last, last_radius, point, radius));
    last = point;
    last_radius = radius;
  }
}

}  // namespace concord::synthetic
