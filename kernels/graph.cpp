#include "kernels/graph.h"

#include "kernels/graph_memory.h"

namespace concord::kernels {

bool capturing() { return GraphMemory::current() != nullptr; }

void refuse_while_capturing(std::string_view what) {
  check(!capturing(),
        "{}: a step that is captured as a graph cannot wait for the device or exchange data with "
        "the host; do it before the step, or read its results after it",
        what);
}

}  // namespace concord::kernels
