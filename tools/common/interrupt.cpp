#include "tools/common/interrupt.h"

#include <csignal>

namespace concord::tool {
namespace {

volatile std::sig_atomic_t signal_came = 0;

extern "C" void on_signal(int) {
  signal_came = 1;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void watch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return signal_came != 0; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted("interrupted");
}

}  // namespace concord::tool
