// Mug and teapot from the side; beetle and turtle from above, pointing up.

#include <algorithm>

#include "data/synthetic/figures.h"

namespace concord::synthetic {
namespace {

const Color kInk{0.02F, 0.015F, 0.012F};

Part handle(const Material& material, Vec top, Vec bottom, float reach, float radius) {
  Part part = make_part(material, radius, {});
  const Vec out{top.x + reach, top.y * 0.75F + bottom.y * 0.25F};
  const Vec low{top.x + reach, top.y * 0.2F + bottom.y * 0.8F};
  const Vec middle = (out + low) * 0.5F;
  add_curve(part, top, out + Vec{0.0F, -0.12F}, middle, radius, radius, 6);
  add_curve(part, middle, low + Vec{0.0F, 0.1F}, bottom, radius, radius, 6);
  return part;
}

}  // namespace

Figure build_mug(random::Stream& stream, const Palette& palette) {
  Material glaze = textured(stream, palette, any_texture(stream));
  glaze.gloss = uniform(stream, 0.4F, 0.8F);
  const float top = uniform(stream, -0.62F, -0.46F), bottom = uniform(stream, 0.5F, 0.64F);
  const float upper = uniform(stream, 0.38F, 0.5F), lower = uniform(stream, 0.3F, 0.48F);
  const float belly = uniform(stream, -0.03F, 0.16F), rim = uniform(stream, 0.08F, 0.15F);
  const float reach = uniform(stream, 0.34F, 0.46F);
  const float grip_radius = uniform(stream, 0.055F, 0.08F);
  Figure figure;
  const Material grip =
      stream.below(2) == 0 ? plain(palette.main, 0.6F) : plain(palette.accent, 0.6F);
  figure.parts.push_back(handle(grip, {-upper + 0.02F, top + 0.22F},
                                {-lower - belly * 0.4F, bottom - 0.26F}, -reach, grip_radius));
  const float round = std::min(upper, lower);
  figure.parts.push_back(make_part(glaze, 0.1F, {ellipse({0.0F, bottom}, {lower, rim * 0.7F})}));
  figure.parts.push_back(make_part(glaze, round, {vessel(top, bottom, upper, lower, belly)}));
  figure.parts.push_back(make_part(plain(palette.main, 0.7F), 0.03F,
                                   {ellipse({0.0F, top}, {upper + 0.045F, rim + 0.02F})}));
  figure.parts.push_back(make_part(plain(palette.main * 0.35F, 0.0F), 0.02F,
                                   {ellipse({0.0F, top + 0.005F}, {upper - 0.01F, rim - 0.025F})}));
  const Color drink =
      stream.below(2) == 0 ? Color{0.09F, 0.035F, 0.012F} : Color{0.55F, 0.42F, 0.25F};
  figure.parts.push_back(make_part(plain(drink, 0.5F), 0.02F,
                                   {ellipse({0.0F, top + 0.03F}, {upper - 0.05F, rim - 0.055F})}));
  return figure;
}

Figure build_teapot(random::Stream& stream, const Palette& palette) {
  Material glaze = textured(stream, palette, any_texture(stream));
  glaze.gloss = uniform(stream, 0.4F, 0.8F);
  const Material trim =
      stream.below(2) == 0 ? plain(palette.main, 0.6F) : plain(palette.accent, 0.6F);
  const float top = uniform(stream, -0.36F, -0.26F), bottom = uniform(stream, 0.46F, 0.56F);
  const float upper = uniform(stream, 0.24F, 0.34F), lower = uniform(stream, 0.28F, 0.38F);
  const float belly = uniform(stream, 0.12F, 0.28F);
  const float side = (upper + lower) * 0.5F + belly;
  const float reach = uniform(stream, 0.3F, 0.38F), grip_radius = uniform(stream, 0.05F, 0.07F);
  Figure figure;
  figure.parts.push_back(handle(trim, {-upper - belly * 0.55F, top + 0.16F},
                                {-lower - belly * 0.6F, bottom - 0.22F}, -reach, grip_radius));
  Part spout = make_part(glaze, 0.1F, {}, 0.04F);
  const Vec mouth{side + uniform(stream, 0.3F, 0.4F), top + uniform(stream, -0.12F, 0.06F)};
  add_curve(spout, {side - 0.16F, 0.24F}, {side + 0.22F, 0.26F}, mouth, 0.14F, 0.055F, 8);
  figure.parts.push_back(spout);
  figure.parts.push_back(make_part(plain(palette.main * 0.25F, 0.0F), 0.02F,
                                   {ellipse(mouth + Vec{0.01F, -0.015F}, {0.045F, 0.03F}, -0.6F)}));
  figure.parts.push_back(
      make_part(glaze, std::min(upper, lower), {vessel(top, bottom, upper, lower, belly)}));
  figure.parts.push_back(
      make_part(trim, 0.05F, {ellipse({0.0F, bottom + 0.02F}, {lower + 0.02F, 0.05F})}));
  const float dome = uniform(stream, 0.1F, 0.2F);
  figure.parts.push_back(
      make_part(trim, 0.12F, {ellipse({0.0F, top - 0.01F}, {upper + 0.03F, dome})}));
  figure.parts.push_back(
      make_part(trim, 0.07F, {disk({0.0F, top - dome - 0.04F}, uniform(stream, 0.06F, 0.09F))}));
  return figure;
}

Figure build_beetle(random::Stream& stream, const Palette& palette) {
  const float wide = uniform(stream, 0.36F, 0.5F), tall = uniform(stream, 0.5F, 0.6F);
  const Material dark = plain(mix(palette.accent, kInk, 0.8F), 0.4F);
  Figure figure;
  Part limbs = make_part(dark, 0.04F, {});
  for (const float side : {-1.0F, 1.0F}) {
    for (int i = 0; i < 3; ++i) {
      const float row = static_cast<float>(i - 1);
      const Vec root{side * wide * 0.75F, 0.08F + row * 0.26F};
      const Vec knee = root + Vec{side * uniform(stream, 0.2F, 0.28F), row * 0.12F - 0.05F};
      const Vec foot = knee + Vec{side * uniform(stream, 0.06F, 0.16F),
                                  row * 0.16F + uniform(stream, 0.06F, 0.18F)};
      limbs.shapes.push_back(cone(root, 0.045F, knee, 0.034F));
      limbs.shapes.push_back(cone(knee, 0.034F, foot, 0.02F));
    }
    const float spread = uniform(stream, 0.16F, 0.34F);
    add_curve(limbs, {side * 0.09F, -0.66F}, {side * 0.1F, -0.88F}, {side * spread, -0.96F}, 0.022F,
              0.016F, 5);
    limbs.shapes.push_back(disk({side * spread, -0.96F}, 0.032F));
  }
  figure.parts.push_back(limbs);
  figure.parts.push_back(make_part(dark, 0.14F, {ellipse({0.0F, -0.58F}, {0.18F, 0.14F})}));
  figure.parts.push_back(make_part(plain(palette.accent * 0.6F, 0.5F), 0.16F,
                                   {ellipse({0.0F, -0.4F}, {wide * 0.72F, 0.17F})}));
  Material shell = textured(stream, palette, any_texture(stream));
  shell.gloss = uniform(stream, 0.5F, 0.9F);
  figure.parts.push_back(make_part(shell, wide, {ellipse({0.0F, 0.12F}, {wide, tall})}));
  figure.parts.push_back(
      make_part(plain(kInk, 0.0F), 0.02F,
                {cone({0.0F, -0.3F}, 0.016F, {0.0F, 0.12F + tall * 0.93F}, 0.012F)}));
  return figure;
}

Figure build_turtle(random::Stream& stream, const Palette& palette) {
  const float wide = uniform(stream, 0.44F, 0.54F), tall = uniform(stream, 0.5F, 0.6F);
  const Material skin = plain(mix(palette.accent, palette.main, 0.3F), 0.15F);
  Figure figure;
  Part limbs = make_part(skin, 0.1F, {});
  for (const float side : {-1.0F, 1.0F}) {
    const float front = uniform(stream, 0.2F, 0.8F), back = uniform(stream, 0.5F, 1.1F);
    limbs.shapes.push_back(
        ellipse({side * (wide + 0.04F), -0.36F}, {0.28F, 0.125F}, -side * front));
    limbs.shapes.push_back(ellipse({side * wide * 0.82F, 0.48F}, {0.2F, 0.1F}, side * back));
  }
  limbs.shapes.push_back(
      cone({0.0F, 0.5F}, 0.08F, {uniform(stream, -0.08F, 0.08F), 0.06F + tall + 0.2F}, 0.015F));
  figure.parts.push_back(limbs);
  const float turn = uniform(stream, -0.12F, 0.12F);
  Part head = make_part(skin, 0.16F,
                        {cone({0.0F, -0.42F}, 0.11F, {turn, -0.66F}, 0.12F),
                         ellipse({turn, -0.74F}, {0.155F, 0.18F})},
                        0.08F);
  figure.parts.push_back(head);
  add_eye(figure, {turn - 0.09F, -0.8F}, 0.042F, {0.0F, -0.2F});
  add_eye(figure, {turn + 0.09F, -0.8F}, 0.042F, {0.0F, -0.2F});
  Material rim = plain(mix(palette.main, kInk, 0.5F), 0.2F);
  figure.parts.push_back(make_part(rim, 0.1F, {ellipse({0.0F, 0.06F}, {wide, tall})}));
  Material shell = textured(stream, palette, any_texture(stream));
  figure.parts.push_back(
      make_part(shell, wide, {ellipse({0.0F, 0.05F}, {wide * 0.86F, tall * 0.87F})}));
  Part seams = make_part(plain(mix(palette.main, kInk, 0.75F), 0.0F), 0.015F, {});
  for (const float y : {-0.16F, 0.26F}) {
    seams.shapes.push_back(cone({-wide * 0.34F, y}, 0.014F, {wide * 0.34F, y}, 0.014F));
    for (const float side : {-1.0F, 1.0F})
      seams.shapes.push_back(cone({side * wide * 0.34F, y}, 0.014F,
                                  {side * wide * 0.68F, y + (y < 0 ? -0.1F : 0.1F)}, 0.01F));
  }
  for (const float side : {-1.0F, 1.0F})
    seams.shapes.push_back(
        cone({side * wide * 0.34F, -0.16F}, 0.014F, {side * wide * 0.34F, 0.26F}, 0.014F));
  figure.parts.push_back(seams);
  return figure;
}

}  // namespace concord::synthetic
