#pragma once
// What holds of every plan that a data set's reader makes.

#include "data/image_plan.h"
#include "tests/fuzz/contract.h"

namespace concord::fuzz {

inline void expect_sane(const ImagePlan& plan) {
  constexpr int kWidth = 100, kHeight = 80;
  for (const PlannedImage& image : plan.images) {
    expect(is_plain_path(image.file), "an image outside the source");
    expect(is_plain_path(image.target), "a target outside the output folder");
    if (!image.box) continue;
    read_or_refuse("picture", [&] {
      const auto [left, top, right, bottom] =
          crop_rectangle(*image.box, kWidth, kHeight, "picture");
      expect(0 <= left && left < right && right <= kWidth,
             "a rectangle beyond the picture's sides");
      expect(0 <= top && top < bottom && bottom <= kHeight,
             "a rectangle above or below the picture");
    });
  }
  // It may refuse what a reader need not look at; it must not do anything else.
  read_or_refuse("", [&] { check_plan(plan, 1); });
}

}  // namespace concord::fuzz
