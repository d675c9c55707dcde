#include "data/synthetic/figures.h"

#include <cmath>
#include <utility>

namespace concord::synthetic {

float uniform(random::Stream& stream, float low, float high) {
  return static_cast<float>(stream.uniform(low, high));
}

Palette random_palette(random::Stream& stream) {
  const float hue = uniform(stream, 0.0F, 1.0F);
  const float saturation = uniform(stream, 0.25F, 0.9F);
  const bool dark = stream.below(2) == 0;
  const float value = dark ? uniform(stream, 0.35F, 0.55F) : uniform(stream, 0.75F, 0.98F);
  const float other = dark ? uniform(stream, 0.82F, 1.0F) : uniform(stream, 0.2F, 0.42F);
  const float second_hue = std::fmod(hue + uniform(stream, -0.25F, 0.25F) + 1.0F, 1.0F);
  const float accent_hue = std::fmod(hue + uniform(stream, 0.3F, 0.7F), 1.0F);
  Palette palette;
  palette.main = from_hsv(hue, saturation, value);
  palette.second = from_hsv(second_hue, uniform(stream, 0.1F, 0.8F), other);
  const float vivid = uniform(stream, 0.5F, 0.95F), bright = uniform(stream, 0.6F, 0.95F);
  palette.accent = from_hsv(accent_hue, vivid, bright);
  return palette;
}

Material plain(Color color, float gloss) {
  Material material;
  material.base = material.second = color;
  material.gloss = gloss;
  return material;
}

Material textured(random::Stream& stream, const Palette& palette, Texture texture) {
  Material material;
  material.base = palette.main;
  material.second = palette.second;
  material.texture = texture;
  material.scale =
      texture == Texture::kStripes ? uniform(stream, 2.6F, 4.2F) : uniform(stream, 4.0F, 6.0F);
  material.angle = uniform(stream, -0.5F, 0.5F);
  material.variant = stream.next();
  material.gloss = uniform(stream, 0.1F, 0.5F);
  return material;
}

Texture any_texture(random::Stream& stream) { return static_cast<Texture>(stream.below(4)); }

Part make_part(Material material, float bulge, std::vector<Shape> shapes, float blend) {
  Part part;
  part.material = std::move(material);
  part.bulge = bulge;
  part.blend = blend;
  part.shapes = std::move(shapes);
  return part;
}

void add_eye(Figure& figure, Vec at, float radius, Vec look) {
  const Material white = plain({0.92F, 0.92F, 0.9F}, 0.2F),
                 dark = plain({0.01F, 0.01F, 0.015F}, 0.6F);
  figure.parts.push_back(make_part(white, radius, {disk(at, radius)}));
  figure.parts.push_back(make_part(dark, radius, {disk(at + look * radius, radius * 0.58F)}));
  figure.parts.push_back(make_part(
      white, radius, {disk(at + look * radius + Vec{-0.2F, -0.25F} * radius, radius * 0.17F)}));
}

const std::vector<FigureKind>& figure_kinds() {
  static const std::vector<FigureKind> kinds{
      {"striped_fish", build_striped_fish, false},
      {"spotted_fish", build_spotted_fish, false},
      {"cat", build_cat, false},
      {"dog", build_dog, false},
      {"mug", build_mug, false},
      {"teapot", build_teapot, false},
      {"songbird", build_songbird, false},
      {"heron", build_heron, false},
      {"beetle", build_beetle, true},
      {"turtle", build_turtle, true},
  };
  return kinds;
}

}  // namespace concord::synthetic
