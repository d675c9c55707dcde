#pragma once
// The kinds of whole steps, each subject's from a file of its own.

#include <span>

#include "tools/bench/whole_step.h"

namespace concord::bench {

// What follows the colon of a step's name.
enum class StepArgument : std::uint8_t { kNone, kArchitecture, kMaps };

struct StepKind {
  const char* name;
  StepArgument argument;
  const char* help;
  std::unique_ptr<WholeStep> (*make)(const std::string& argument, const StepOptions& options);
};

// T(before..., argument, options), or without the argument where T takes none.
template <class T, auto... kBefore>
std::unique_ptr<WholeStep> make_step_of(const std::string& argument, const StepOptions& options) {
  if constexpr (std::is_constructible_v<T, decltype(kBefore)..., const std::string&,
                                        const StepOptions&>)
    return std::make_unique<T>(kBefore..., argument, options);
  else
    return std::make_unique<T>(kBefore..., options);
}

std::span<const StepKind> classifier_steps();
std::span<const StepKind> trans_net_steps();
std::span<const StepKind> image_steps();
std::span<const StepKind> file_steps();

}  // namespace concord::bench
