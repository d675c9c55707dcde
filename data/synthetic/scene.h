#pragma once
// The vocabulary of the synthetic pictures: flat shapes given by signed distance functions, grouped
// into parts that are shaded as if inflated.

#include <cmath>
#include <cstdint>
#include <vector>

namespace concord::synthetic {

// A point or direction. Figures live in a square of about [-1, 1] x [-1, 1], x to the right, y
// DOWN.
struct Vec {
  float x = 0.0F;
  float y = 0.0F;
};
inline Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y}; }
inline Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y}; }
inline Vec operator*(Vec a, float s) { return {a.x * s, a.y * s}; }
inline float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y; }
inline float length(Vec a) { return std::sqrt(dot(a, a)); }
inline Vec rotated(Vec a, float angle) {
  const float c = std::cos(angle), s = std::sin(angle);
  return {c * a.x - s * a.y, s * a.x + c * a.y};
}

// Linear light, nominally 0..1.
struct Color {
  float r = 0.0F;
  float g = 0.0F;
  float b = 0.0F;
};
inline Color operator+(Color a, Color b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Color operator*(Color a, Color b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
inline Color operator*(Color a, float s) { return {a.r * s, a.g * s, a.b * s}; }
inline Color mix(Color a, Color b, float t) { return a * (1.0F - t) + b * t; }
inline float luminance(Color c) { return 0.21F * c.r + 0.72F * c.g + 0.07F * c.b; }
// From hue, saturation and value in 0..1 as a display shows them.
Color from_hsv(float hue, float saturation, float value);

inline float clamp01(float v) { return v < 0.0F ? 0.0F : v > 1.0F ? 1.0F : v; }
// 0 below `low`, 1 above `high`, a cubic between.
inline float smoothstep(float low, float high, float v) {
  const float t = clamp01((v - low) / (high - low));
  return t * t * (3.0F - 2.0F * t);
}

enum class Texture : std::uint8_t { kPlain, kStripes, kSpots, kPatches };

struct Material {
  Color base;
  Color second;  // of the stripes, spots or patches
  Texture texture = Texture::kPlain;
  float scale = 4.0F;         // stripes or spots per unit of length
  float angle = 0.0F;         // of the stripes, radians
  std::uint32_t variant = 0;  // seeds the texture's noise
  float gloss = 0.25F;        // strength of the highlight, 0..1
};
// The colour at a point of the figure.
Color texture_color(const Material& material, Vec at);

// A shape and its signed distance (negative inside), exact or a close bound.
struct Shape {
  enum class Kind : std::uint8_t { kCone, kEllipse, kPolygon, kVessel };
  Kind kind = Kind::kCone;
  Vec a, b;         // cone: the centres of its round ends; ellipse: centre and radii
  float ra = 0.0F;  // cone: radii of the ends; polygon: ra is the rounding
  float rb = 0.0F;
  float angle = 0.0F;       // ellipse: rotation, radians; vessel: belly
  std::vector<Vec> points;  // polygon, at least 3
  Vec low, high;            // the box that holds the shape
};
Shape cone(Vec a, float ra, Vec b, float rb);
Shape disk(Vec center, float radius);
Shape ellipse(Vec center, Vec radii, float angle = 0.0F);
Shape polygon(std::vector<Vec> points, float rounding);
// A body of revolution about x = 0 from y = top to y = bottom, whose half width runs from `upper`
// to `lower` and is widened by `belly` in the middle. Inside, its distance is the one to the sides,
// so that it is shaded as something round; its ends must be covered by other parts.
Shape vessel(float top, float bottom, float upper, float lower, float belly);
float distance(const Shape& shape, Vec at);

// Shapes of one material that merge into each other over the distance `blend` and are shaded as a
// body that rises from its outline over the distance `bulge` and is flat beyond.
struct Part {
  Material material;
  float bulge = 0.2F;
  float blend = 0.0F;
  float shade = 1.0F;  // below 1 for what lies farther back
  std::vector<Shape> shapes;
};
float distance(const Part& part, Vec at);

// Parts from back to front.
struct Figure {
  std::vector<Part> parts;
};

// A polyline of round cones along a quadratic Bezier curve, radii running from r0 to r1.
void add_curve(Part& part, Vec p0, Vec p1, Vec p2, float r0, float r1, int pieces = 7);

// Value noise of period 1 in 0..1, and four octaves of it. `variant` selects the pattern.
float noise(Vec at, std::uint32_t variant);
float fractal_noise(Vec at, std::uint32_t variant);
// A fixed hash of a lattice point, uniform in [0, 1).
float lattice(std::int32_t x, std::int32_t y, std::uint32_t variant);

}  // namespace concord::synthetic
