#pragma once
// The ten classes of the synthetic data set.

#include <string_view>
#include <vector>

#include "data/synthetic/scene.h"
#include "kernels/philox.h"

namespace concord::synthetic {

// Colours of one figure, drawn without regard to its class: the colour must not give it away.
struct Palette {
  Color main;
  Color second;  // clearly lighter or darker than `main`, so that a texture shows
  Color accent;  // beaks, fins, handles
};
Palette random_palette(random::Stream& stream);

// A class: a name and how to draw one of its members. What tells classes apart:
//   striped_fish, spotted_fish   the same body, the texture only
//   cat, dog                     ears, muzzle and tail; any texture
//   mug, teapot                  spout and lid; any texture, overlapping body shapes
//   songbird, heron              proportions of neck, legs and beak; any texture
//   beetle, turtle               seen from above: six thin legs and feelers, or four flippers, head
//                                and tail; any texture
struct FigureKind {
  std::string_view name;
  Figure (*build)(random::Stream&, const Palette&);
  bool any_rotation;  // seen from above, so it may point anywhere
};
// Paired classes stand next to each other, so that the first few make a sensible smaller task.
const std::vector<FigureKind>& figure_kinds();

// Shared by the builders in animals.cpp and things.cpp.
float uniform(random::Stream& stream, float low, float high);
Material plain(Color color, float gloss = 0.25F);
Material textured(random::Stream& stream, const Palette& palette, Texture texture);
// One of the four textures, evenly.
Texture any_texture(random::Stream& stream);
Part make_part(Material material, float bulge, std::vector<Shape> shapes, float blend = 0.0F);
// White, pupil and highlight.
void add_eye(Figure& figure, Vec at, float radius, Vec look = {});

Figure build_striped_fish(random::Stream& stream, const Palette& palette);
Figure build_spotted_fish(random::Stream& stream, const Palette& palette);
Figure build_cat(random::Stream& stream, const Palette& palette);
Figure build_dog(random::Stream& stream, const Palette& palette);
Figure build_mug(random::Stream& stream, const Palette& palette);
Figure build_teapot(random::Stream& stream, const Palette& palette);
Figure build_songbird(random::Stream& stream, const Palette& palette);
Figure build_heron(random::Stream& stream, const Palette& palette);
Figure build_beetle(random::Stream& stream, const Palette& palette);
Figure build_turtle(random::Stream& stream, const Palette& palette);

}  // namespace concord::synthetic
