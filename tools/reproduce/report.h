#pragma once
// The page of what a suite found, made by concord-visualize at its end.

#include "tools/reproduce/workspace.h"

namespace concord::reproduce {

// Makes report/index.html of the suite unless it is there and was made of the same results and the
// same outputs of its steps. What keeps it from being made is a warning that says how to make it by
// hand: the suite is done whatever becomes of its page. Throws Interrupted on a signal.
void make_report(const Suite& suite, const Workspace& workspace);

}  // namespace concord::reproduce
