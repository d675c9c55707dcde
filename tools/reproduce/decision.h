#pragma once
// Whether a step has to be run.

#include <string>

#include "tools/reproduce/workspace.h"

namespace concord::reproduce {

enum class Action : std::uint8_t {
  kSkip,    // its output is there, made by this command from these inputs
  kResume,  // it was stopped or killed: its program goes on from what it saved
  kAnew,    // what it wrote before is removed first
};

struct Decision {
  Action action = Action::kAnew;
  std::string reason;  // "not run yet", "its input data changed", ...
};

// The hashes of the step's inputs as they are now, by path.
Json hashes_of_inputs(const Step& step, const Workspace& workspace, ContentHashes& hashes);

// A step is skipped when its program and words, Concord's version, the contents of its inputs and
// the contents of its output are those in its record; one that did not end goes on when, but for
// the output, the same holds and its program has --resume (`resumable`). `again`: to be run
// whatever the record says. Throws Error when there is a folder of the step's name that no record
// knows: nothing that this suite did not write is removed.
Decision decide(const Step& step, const Workspace& workspace, ContentHashes& hashes, bool resumable,
                bool again);

// "steps/train-a/last.safetensors" of ${step:train-a}/last.safetensors.
std::string shown_path(const std::string& path);

}  // namespace concord::reproduce
