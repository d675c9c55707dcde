#pragma once
// The page of what a suite found, made by concord-visualize at its end.

#include "tools/reproduce/workspace.h"

namespace concord::reproduce {

// Makes report/index.html of the suite unless it is there and was made of these results by this
// version. What keeps it from being made is a warning that says how to make it by hand: the suite
// is done whatever becomes of its page. Throws Interrupted on a signal.
void make_report(const Workspace& workspace);

}  // namespace concord::reproduce
