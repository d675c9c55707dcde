#pragma once
// The weight lambda of the distillation term KD beside the truth's loss.

#include <cstdint>
#include <optional>
#include <string>

#include "tools/common/program.h"

namespace concord::tool {

// A geometric row of weights from `start` to `end`: over the generations that have a teacher, or
// over the epochs of each of them.
struct KdWeight {
  double start = 0.5;
  double end = 0.5;
  bool over_epochs = false;

  bool varies() const { return start != end; }
  // start (end / start)^(i / (n - 1)) at step i of n; start where n is 1.
  double at(std::int64_t i, std::int64_t n) const;
  // What generation g of n is trained with, g >= 1; where it varies over epochs, in its first.
  double of_generation(std::int64_t g, std::int64_t n) const;
};

// START or START:END; absent for another text, and where only one of both is 0, as a geometric row
// neither begins nor ends there.
std::optional<KdWeight> kd_weight(const std::string& text);
// Accepts such texts.
OptionCheck kd_weight_text();

}  // namespace concord::tool
