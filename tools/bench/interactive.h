#pragma once
// One step under the control of another program (tools/compare_pytorch.py).

#include <string>

#include "tools/bench/whole_step.h"

namespace concord::bench {

// Sets the step up and prints a line of JSON, {"ready", "images", "baseline_bytes",
// "resident_bytes"}: resident memory before and after the set-up. Then answers each line "run N" on
// stdin with a line {"seconds": [N], "values": [N], "peak_bytes"}, the peak being that of all runs
// so far, until the end of stdin or a line "quit". Throws on any other line.
void serve_step(const std::string& name, const StepOptions& options);

}  // namespace concord::bench
