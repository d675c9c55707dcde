#pragma once
// Resizing of 8-bit pictures exactly as Pillow does it, and so torchvision's Resize on a PIL image.

#include "data/image.h"

namespace concord {

// Bilinear (triangle filter, widened by the scale when shrinking, so it antialiases) in 22-bit
// fixed point: per axis, with scale = in / out and f = max(scale, 1), output i is
//   (2^21 + sum_t k_t v_t) >> 22, clipped to 0..255,  k_t = round(2^22 w_t / sum w),
//   w_t = max(0, 1 - |(t + 0.5 - c) / f|),  c = (i + 0.5) scale,
// over taps t in [int(c - f + 0.5), int(c + f + 0.5)) clamped to the picture. Columns first,
// rounded to 8 bits, then rows; an axis whose size does not change is left alone. Throws Error
// unless both new sides are positive. Source: Pillow, libImaging/Resample.c; equal to it bit for
// bit up to Pillow 12, the versions that published results were made with. Pillow 13 does rows
// first when the height shrinks much more than the width (its pull request 9549), which moves some
// values by one.
Image resize_bilinear(const Image& image, int width, int height);

}  // namespace concord
