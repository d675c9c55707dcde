#pragma once
// What surrounds the object: grounds, walls, clutter and shadows, drawn without regard to its
// class.

#include "data/synthetic/render.h"
#include "kernels/philox.h"

namespace concord::synthetic {

struct Backdrop {
  Canvas canvas;
  bool standing = false;  // there is a floor with a horizon; otherwise one looks down on a surface
  float horizon = 0.0F;   // canvas pixels from the top, when standing
};

// A surface seen from above (planks, tiles, cloth, grass, sand), or a floor before a wall or sky.
// `factor` is the canvas's samples per image pixel.
Backdrop make_backdrop(random::Stream& stream, int width, int height, int factor,
                       const Lighting& lighting);

// Balls, blocks, sticks, leaves and pebbles, textured like the figures.
Figure make_clutter(random::Stream& stream);

// Darkens what surrounds an object of this mask by its shadow: on the surface beside it or, when
// standing, along the floor from its lowest point.
void cast_shadow(Backdrop& backdrop, const Mask& mask, const Lighting& lighting, float strength);

}  // namespace concord::synthetic
