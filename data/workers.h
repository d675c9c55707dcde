#pragma once
// A pool for work on files: items of unequal cost, errors that reach the caller, progress.

#include <cstdint>
#include <functional>

namespace concord {

// Called on the caller's thread a few times a second and at the end; throwing from it abandons the
// work.
using ProgressCallback = std::function<void(std::int64_t done, std::int64_t total)>;

// Calls body(i) for 0 <= i < count on `threads` threads (0: one per processor), each item once, in
// no particular order. After the first exception, of a body or of `progress`, no further item is
// begun and that exception is rethrown here.
void for_each_item(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body,
                   const ProgressCallback& progress = {});

}  // namespace concord
