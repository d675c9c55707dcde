#pragma once
// What a suite would do, and what it would take.

#include "tools/reproduce/run_suite.h"

namespace concord::reproduce {

// Prints, for each chosen step, whether it would run and why, its command, and the time and disk it
// needs (tools/reproduce/estimate.h), then the sums. Writes nothing. `measure`: time training steps
// that nothing else tells of.
void print_dry_run(const Suite& suite, const Workspace& workspace, const Programs& programs,
                   const SuiteOptions& options, bool measure);

}  // namespace concord::reproduce
