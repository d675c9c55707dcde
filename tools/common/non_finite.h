#pragma once
// Where a NaN or infinity came from.

#include <functional>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord::tool {

// The name of the first floating tensor that holds a NaN or infinity; empty when none does.
std::string first_non_finite(const std::vector<Named<Tensor>>& tensors);

// Runs `forward`, which runs the module, and names the first of its layers whose output is not
// finite; empty when all are.
std::string first_non_finite_layer(Module& module, const std::function<void()>& forward);

// A sentence that names the first parameter, or else the first layer's output, that is not finite.
std::string explain_non_finite(Module& module, const std::function<void()>& forward);

// Throws naming the file and the first tensor that holds a NaN or infinity.
void check_finite(const std::string& weights, const Module& module);

}  // namespace concord::tool
