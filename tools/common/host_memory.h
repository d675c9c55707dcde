#pragma once

#include <cstddef>

namespace concord::tool {

// Bytes of the host's memory that a process may still take without others being pushed out: what
// the system says is available, or what the limits of the process' control groups leave where that
// is less; 0 where neither is known.
std::size_t available_host_memory();

}  // namespace concord::tool
