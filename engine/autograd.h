#pragma once
// Reverse-mode differentiation. While gradients are enabled each operation records one Node: the
// nodes behind its inputs and a function from the gradient of its output to those of its inputs.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace concord {

// Receives the gradient of the output, in the output's shape and memory format, and returns one
// gradient per recorded input, in order; an undefined one where none flows. The gradient is handed
// over: reuse_or_empty_like() lets the result overwrite it when nobody else holds it.
using BackwardFunction = std::function<std::vector<Tensor>(Tensor output_gradient)>;

// Whether operations record (per thread; true at start).
bool gradients_enabled();

// Turns recording off for its lifetime.
class NoGradGuard {
 public:
  NoGradGuard();
  ~NoGradGuard();
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool before_;
};

// Whether an operation on `input` must be recorded for it: recording is on and the graph continues
// behind it. False for an undefined tensor.
bool needs_gradient(const Tensor& input);

// Makes `output` the recorded result of operation `name` on `inputs`, and returns it; does nothing
// when none of them needs a gradient. `backward` must hold what it saves by detach(), or output and
// node would keep each other alive.
Tensor record(std::string_view name, Tensor output, const std::vector<Tensor>& inputs,
              BackwardFunction backward);

}  // namespace concord
