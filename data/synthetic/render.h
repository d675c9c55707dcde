#pragma once
// Draws figures into a supersampled canvas: inflated shading, contact shadows, coverage.

#include <array>
#include <cstdint>
#include <vector>

#include "data/image.h"
#include "data/synthetic/scene.h"

namespace concord::synthetic {

// A picture in linear light, rows from the top.
struct Canvas {
  int width = 0;
  int height = 0;
  std::vector<Color> pixels;

  Canvas(int w, int h)
      : width(w), height(h), pixels(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {}
  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
};

// One value in 0..1 per canvas pixel.
using Mask = std::vector<float>;

// Where a figure stands: figure coordinates p go to canvas pixels center + scale * A p, A being the
// mirror image (mirrored), then the squeeze of x by `squeeze`, then the rotation by `angle`.
struct Pose {
  Vec center;
  float scale = 1.0F;  // canvas pixels per unit
  float squeeze = 1.0F;
  float angle = 0.0F;
  bool mirrored = false;

  Vec to_canvas(Vec p) const;
  Vec to_figure(Vec p) const;
};

struct Lighting {
  std::array<float, 3> direction{-0.4F, -0.6F, 0.7F};  // unit, towards the light; z to the viewer
  Color light{1.0F, 1.0F, 1.0F};
  Color ambient{0.3F, 0.3F, 0.3F};
};

// Paints the figure over the canvas and sets `mask` to 1 where it lies. The canvas pixel is one
// sample: no smoothing here, shrinking the canvas does it.
void draw(const Figure& figure, const Pose& pose, const Lighting& lighting, Canvas& canvas,
          Mask& mask);

// Three box blurs of the given radius in pixels, close to a Gaussian of that deviation.
void blur(Mask& mask, int width, int height, int radius);
void blur(Canvas& canvas, int radius);

// Averages factor x factor samples and encodes with gamma 2, adding `grain(i)` display levels.
Image to_image(const Canvas& canvas, int factor, float grain, std::uint32_t variant);

}  // namespace concord::synthetic
