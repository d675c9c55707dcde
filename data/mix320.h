#pragma once
// MIX320: the birds of CUB-200-2011 and the dogs of Stanford Dogs as one task (spec section 6).

#include "data/image_plan.h"

namespace concord {

// The images of both plans, those of the dogs of source 1. Classes are the birds' in byte order,
// then the dogs' likewise, so that a dog's label is the number of birds plus its breed (200 + breed
// of the whole sets); groups "birds" and "dogs". The folders' byte order is that of the labels:
// where it would not be by the published names (it is: "001." to "200." come before "n02..."), all
// of them get "birds." or "dogs." before their names. Published counts are the sums. Throws Error
// when the plans have other splits, multi-labels, or more sources than one.
ImagePlan plan_mix320(const ImagePlan& birds, const ImagePlan& dogs);

}  // namespace concord
