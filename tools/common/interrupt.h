#pragma once
// Ctrl-C (SIGINT) and SIGTERM: the first asks the program to stop at the next good place, the
// second ends it at once.

#include "kernels/error.h"

namespace concord::tool {

// Thrown to unwind after an interruption; run_program() exits with kInterrupted.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// Installs the handlers. Called by run_program().
void watch_interrupts();
// Whether a first signal has come.
bool interrupted();
// Throws Interrupted when a signal has come: for loops that have nothing to save.
void stop_if_interrupted();

}  // namespace concord::tool
