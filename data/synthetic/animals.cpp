// Fish, cat, dog and birds, seen from the side, looking to the right.

#include "data/synthetic/figures.h"

namespace concord::synthetic {
namespace {

const Color kInk{0.02F, 0.015F, 0.012F};

Part darker(Part part) {
  part.shade = 0.62F;
  return part;
}

Figure build_fish(random::Stream& stream, const Palette& palette, Texture texture) {
  const float height = uniform(stream, 0.36F, 0.52F), tail = uniform(stream, 0.3F, 0.46F);
  const float fin = uniform(stream, 0.2F, 0.38F), fork = uniform(stream, 0.08F, 0.22F);
  const Material fins = plain(palette.accent, 0.3F);
  Figure figure;
  figure.parts.push_back(make_part(
      fins, 0.08F,
      {polygon({{-0.58F, 0.0F}, {-0.98F, -tail}, {-0.98F + fork, 0.0F}, {-0.98F, tail}}, 0.03F)}));
  figure.parts.push_back(make_part(fins, 0.08F,
                                   {polygon({{-0.35F, -height * 0.6F},
                                             {-0.22F, -height - fin},
                                             {0.08F, -height - fin * 0.75F},
                                             {0.34F, -height * 0.7F}},
                                            0.03F)}));
  figure.parts.push_back(make_part(
      fins, 0.08F,
      {polygon({{-0.2F, height * 0.7F}, {-0.34F, height + fin * 0.6F}, {0.08F, height * 0.8F}},
               0.03F)}));
  Material skin = textured(stream, palette, texture);
  skin.gloss = uniform(stream, 0.35F, 0.7F);
  figure.parts.push_back(make_part(
      skin, height,
      {ellipse({0.08F, 0.0F}, {0.66F, height}), cone({-0.3F, 0.0F}, 0.2F, {-0.66F, 0.0F}, 0.075F)},
      0.25F));
  Part gill = make_part(plain(kInk, 0.0F), 0.02F, {});
  add_curve(gill, {0.3F, -height * 0.55F}, {0.2F, 0.0F}, {0.3F, height * 0.55F}, 0.012F, 0.012F);
  figure.parts.push_back(gill);
  figure.parts.push_back(
      make_part(fins, 0.06F,
                {ellipse({0.04F, height * 0.35F}, {0.19F, 0.09F}, uniform(stream, -0.7F, -0.2F))}));
  Part mouth = make_part(plain(kInk, 0.0F), 0.02F, {});
  add_curve(mouth, {0.72F, 0.06F}, {0.64F, 0.1F}, {0.58F, 0.07F}, 0.016F, 0.012F, 4);
  figure.parts.push_back(mouth);
  add_eye(figure, {0.48F, -height * 0.28F}, uniform(stream, 0.075F, 0.11F), {0.2F, 0.0F});
  return figure;
}

// Trunk, legs and head that cat and dog share; `head` is where the caller hangs ears and muzzle.
struct Quadruped {
  Figure behind;  // far legs
  Figure front;   // near legs, trunk and head
  Vec head;
  float head_radius = 0.0F;
  Material coat;
};

Quadruped build_quadruped(random::Stream& stream, const Palette& palette) {
  Quadruped q;
  q.coat = textured(stream, palette, any_texture(stream));
  q.coat.gloss = uniform(stream, 0.03F, 0.15F);
  const float thick = uniform(stream, 0.2F, 0.27F), leg = uniform(stream, 0.07F, 0.095F);
  const float foot = uniform(stream, 0.62F, 0.76F);
  q.head = {uniform(stream, 0.52F, 0.62F), uniform(stream, -0.44F, -0.3F)};
  q.head_radius = uniform(stream, 0.25F, 0.3F);
  const auto add_leg = [&](Part& part, float x) {
    const float swing = uniform(stream, -0.13F, 0.13F);
    const Vec hip{x, 0.12F}, knee{x + swing * 0.5F, 0.4F}, paw{x + swing, foot};
    part.shapes.push_back(cone(hip, leg * 1.35F, knee, leg));
    part.shapes.push_back(cone(knee, leg, paw, leg * 0.85F));
    part.shapes.push_back(cone(paw, leg * 0.9F, paw + Vec{0.06F, 0.01F}, leg * 0.85F));
  };
  Part far = darker(make_part(q.coat, leg, {}, 0.05F));
  add_leg(far, -0.36F);
  add_leg(far, 0.24F);
  q.behind.parts.push_back(far);
  Part body = make_part(q.coat, thick, {}, 0.12F);
  body.shapes.push_back(cone({-0.42F, 0.04F}, thick, {0.3F, 0.0F}, thick * 0.96F));
  body.shapes.push_back(cone({0.3F, -0.05F}, thick * 0.8F, q.head, q.head_radius * 0.6F));
  add_leg(body, -0.5F);
  add_leg(body, 0.38F);
  q.front.parts.push_back(body);
  q.front.parts.push_back(
      make_part(q.coat, q.head_radius, {ellipse(q.head, {q.head_radius * 1.08F, q.head_radius})}));
  return q;
}

void append(Figure& to, const Figure& from) {
  to.parts.insert(to.parts.end(), from.parts.begin(), from.parts.end());
}

// Two thin legs with toes, from hip to ground.
void add_bird_leg(Part& part, Vec hip, Vec foot, float radius, float toe) {
  part.shapes.push_back(cone(hip, radius * 1.5F, foot, radius));
  for (const float reach : {-0.6F, 0.6F, 1.1F})
    part.shapes.push_back(cone(foot, radius, foot + Vec{toe * reach, toe * 0.25F}, radius * 0.8F));
}

}  // namespace

Figure build_striped_fish(random::Stream& stream, const Palette& palette) {
  return build_fish(stream, palette, Texture::kStripes);
}

Figure build_spotted_fish(random::Stream& stream, const Palette& palette) {
  return build_fish(stream, palette, Texture::kSpots);
}

Figure build_cat(random::Stream& stream, const Palette& palette) {
  const Quadruped q = build_quadruped(stream, palette);
  const float r = q.head_radius;
  Figure figure;
  Part tail = make_part(q.coat, 0.06F, {});
  const float curl = uniform(stream, -0.25F, 0.15F);
  add_curve(tail, {-0.55F, -0.02F}, {-1.05F, -0.1F}, {-0.8F + curl, uniform(stream, -0.8F, -0.6F)},
            0.065F, 0.05F, 9);
  figure.parts.push_back(tail);
  append(figure, q.behind);
  Part ears = make_part(q.coat, 0.1F, {});
  Part inner = make_part(plain({0.6F, 0.25F, 0.25F}, 0.05F), 0.06F, {});
  for (const float side : {-1.0F, 1.0F}) {
    const Vec base = q.head + Vec{side * r * 0.62F, -r * 0.6F};
    const Vec tip = base + Vec{side * r * 0.3F, -r * 0.85F};
    ears.shapes.push_back(
        polygon({base + Vec{-r * 0.3F, 0.0F}, tip, base + Vec{r * 0.3F, r * 0.1F}}, 0.03F));
    inner.shapes.push_back(polygon({base + Vec{-r * 0.12F, -r * 0.12F}, tip + Vec{0.0F, r * 0.28F},
                                    base + Vec{r * 0.12F, -r * 0.06F}},
                                   0.015F));
  }
  figure.parts.push_back(ears);
  figure.parts.push_back(inner);
  append(figure, q.front);
  const Vec look{uniform(stream, -0.2F, 0.3F), uniform(stream, -0.1F, 0.2F)};
  add_eye(figure, q.head + Vec{-r * 0.38F, -r * 0.12F}, r * 0.23F, look);
  add_eye(figure, q.head + Vec{r * 0.42F, -r * 0.12F}, r * 0.23F, look);
  figure.parts.push_back(
      make_part(plain({0.45F, 0.12F, 0.13F}, 0.3F), 0.04F,
                {polygon({q.head + Vec{-r * 0.09F, r * 0.22F}, q.head + Vec{r * 0.11F, r * 0.22F},
                          q.head + Vec{r * 0.01F, r * 0.34F}},
                         0.015F)}));
  Part whiskers = make_part(plain({0.85F, 0.85F, 0.82F}, 0.0F), 0.01F, {});
  for (const float side : {-1.0F, 1.0F})
    for (const float up : {-0.12F, 0.02F, 0.16F})
      whiskers.shapes.push_back(cone(q.head + Vec{side * r * 0.3F, r * 0.38F}, 0.009F,
                                     q.head + Vec{side * r * 1.25F, r * (0.36F + up * 1.6F)},
                                     0.004F));
  figure.parts.push_back(whiskers);
  return figure;
}

Figure build_dog(random::Stream& stream, const Palette& palette) {
  const Quadruped q = build_quadruped(stream, palette);
  const float r = q.head_radius;
  Figure figure;
  Part tail = make_part(q.coat, 0.07F, {});
  add_curve(tail, {-0.56F, -0.06F}, {-0.78F, -0.12F},
            {uniform(stream, -0.9F, -0.76F), uniform(stream, -0.42F, -0.26F)}, 0.085F, 0.035F, 6);
  figure.parts.push_back(tail);
  append(figure, q.behind);
  append(figure, q.front);
  // The muzzle points right, lighter than the coat so that it reads as a separate part.
  const Vec muzzle = q.head + Vec{r * 0.55F, r * 0.34F};
  Material snout = q.coat;
  snout.texture = Texture::kPlain;
  snout.base = mix(palette.main, {0.9F, 0.85F, 0.78F}, 0.35F);
  figure.parts.push_back(
      make_part(snout, r * 0.5F, {ellipse(muzzle, {r * 0.66F, r * 0.44F}, 0.1F)}));
  if (stream.below(2) == 0)
    figure.parts.push_back(make_part(plain({0.7F, 0.12F, 0.14F}, 0.4F), 0.05F,
                                     {cone(muzzle + Vec{r * 0.12F, r * 0.38F}, r * 0.13F,
                                           muzzle + Vec{r * 0.14F, r * 0.66F}, r * 0.15F)}));
  Part lips = make_part(plain(kInk, 0.0F), 0.02F, {});
  add_curve(lips, muzzle + Vec{r * 0.55F, r * 0.08F}, muzzle + Vec{r * 0.15F, r * 0.42F},
            muzzle + Vec{-r * 0.35F, r * 0.22F}, 0.012F, 0.01F, 5);
  figure.parts.push_back(lips);
  figure.parts.push_back(
      make_part(plain(kInk, 0.8F), r * 0.2F,
                {ellipse(muzzle + Vec{r * 0.5F, -r * 0.14F}, {r * 0.2F, r * 0.16F})}));
  const Vec look{0.2F, uniform(stream, -0.1F, 0.2F)};
  add_eye(figure, q.head + Vec{-r * 0.12F, -r * 0.22F}, r * 0.17F, look);
  add_eye(figure, q.head + Vec{r * 0.48F, -r * 0.24F}, r * 0.17F, look);
  Material ear = plain(mix(palette.main, kInk, 0.45F), 0.05F);
  const float droop = uniform(stream, 0.45F, 0.7F);
  figure.parts.push_back(make_part(
      ear, 0.1F, {ellipse(q.head + Vec{-r * 0.72F, r * 0.05F}, {r * 0.3F, r * droop}, 0.3F)}));
  figure.parts.push_back(make_part(
      ear, 0.1F,
      {ellipse(q.head + Vec{r * 0.86F, -r * 0.3F}, {r * 0.2F, r * droop * 0.75F}, -0.45F)}));
  return figure;
}

Figure build_songbird(random::Stream& stream, const Palette& palette) {
  const float plump = uniform(stream, 0.3F, 0.4F), ground = uniform(stream, 0.62F, 0.74F);
  const Material feathers = textured(stream, palette, any_texture(stream));
  Material skin = plain(palette.accent, 0.2F);
  Figure figure;
  Part legs = make_part(skin, 0.02F, {});
  add_bird_leg(legs, {-0.02F, 0.3F}, {uniform(stream, -0.12F, 0.0F), ground}, 0.022F, 0.1F);
  add_bird_leg(legs, {0.14F, 0.3F}, {uniform(stream, 0.12F, 0.26F), ground}, 0.022F, 0.1F);
  figure.parts.push_back(legs);
  const float lift = uniform(stream, -0.1F, 0.3F);
  Material quill = plain(mix(palette.main, kInk, 0.4F), 0.1F);
  figure.parts.push_back(make_part(
      quill, 0.06F,
      {polygon({{-0.3F, 0.06F}, {-0.92F, 0.18F - lift}, {-0.95F, 0.34F - lift}, {-0.3F, 0.24F}},
               0.03F)}));
  const Vec head{uniform(stream, 0.38F, 0.48F), uniform(stream, -0.42F, -0.32F)};
  figure.parts.push_back(make_part(
      skin, 0.05F,
      {polygon({head + Vec{0.16F, -0.09F}, head + Vec{uniform(stream, 0.36F, 0.46F), 0.03F},
                head + Vec{0.15F, 0.1F}},
               0.012F)}));
  figure.parts.push_back(
      make_part(feathers, plump,
                {ellipse({0.0F, 0.06F}, {0.47F, plump}, -0.35F), disk(head, 0.235F)}, 0.22F));
  Material wing = plain(mix(palette.main, palette.second, 0.55F), 0.1F);
  wing.texture = Texture::kStripes;
  wing.second = wing.base * 0.55F;
  wing.scale = 7.0F;
  wing.angle = 1.2F;
  figure.parts.push_back(make_part(wing, 0.14F,
                                   {ellipse({-0.1F, 0.06F}, {0.34F, 0.17F}, 0.2F),
                                    cone({-0.2F, 0.08F}, 0.12F, {-0.52F, 0.2F}, 0.02F)},
                                   0.08F));
  add_eye(figure, head + Vec{0.07F, -0.05F}, 0.058F, {0.2F, 0.0F});
  return figure;
}

Figure build_heron(random::Stream& stream, const Palette& palette) {
  const Material feathers = textured(stream, palette, any_texture(stream));
  const Material skin = plain(palette.accent, 0.2F);
  const float ground = uniform(stream, 0.84F, 0.94F);
  const Vec body{-0.18F, uniform(stream, 0.0F, 0.1F)};
  Figure figure;
  Part legs = make_part(skin, 0.02F, {});
  add_bird_leg(legs, body + Vec{-0.02F, 0.15F}, {uniform(stream, -0.3F, -0.14F), ground}, 0.021F,
               0.12F);
  add_bird_leg(legs, body + Vec{0.1F, 0.15F}, {uniform(stream, -0.06F, 0.14F), ground}, 0.021F,
               0.12F);
  figure.parts.push_back(legs);
  Material quill = plain(mix(palette.main, kInk, 0.4F), 0.1F);
  figure.parts.push_back(make_part(
      quill, 0.06F,
      {polygon({body + Vec{-0.25F, -0.05F}, body + Vec{-0.62F, 0.12F}, body + Vec{-0.3F, 0.14F}},
               0.03F)}));
  const Vec head{uniform(stream, 0.22F, 0.36F), uniform(stream, -0.8F, -0.68F)};
  const float beak = uniform(stream, 0.34F, 0.46F);
  figure.parts.push_back(
      make_part(skin, 0.04F,
                {polygon({head + Vec{0.05F, -0.05F}, head + Vec{beak, uniform(stream, 0.0F, 0.1F)},
                          head + Vec{0.05F, 0.06F}},
                         0.012F)}));
  Part trunk = make_part(feathers, 0.22F,
                         {ellipse(body, {0.4F, uniform(stream, 0.2F, 0.26F)}, -0.2F)}, 0.1F);
  const Vec chest = body + Vec{0.3F, -0.08F};
  const Vec middle = (chest + head) * 0.5F;
  const float bend = uniform(stream, 0.12F, 0.3F);
  add_curve(trunk, chest, chest + Vec{bend, -0.1F}, middle, 0.12F, 0.07F, 5);
  add_curve(trunk, middle, middle + Vec{-bend, -0.12F}, head, 0.07F, 0.06F, 5);
  trunk.shapes.push_back(ellipse(head, {0.12F, 0.09F}));
  figure.parts.push_back(trunk);
  Material wing = plain(mix(palette.main, palette.second, 0.55F), 0.1F);
  wing.texture = Texture::kStripes;
  wing.second = wing.base * 0.55F;
  wing.scale = 7.0F;
  wing.angle = 1.3F;
  figure.parts.push_back(
      make_part(wing, 0.12F,
                {ellipse(body + Vec{-0.06F, 0.0F}, {0.3F, 0.13F}, -0.05F),
                 cone(body + Vec{-0.2F, 0.03F}, 0.09F, body + Vec{-0.48F, 0.12F}, 0.02F)},
                0.06F));
  add_eye(figure, head + Vec{0.03F, -0.02F}, 0.036F, {0.2F, 0.0F});
  return figure;
}

}  // namespace concord::synthetic
