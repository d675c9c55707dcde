#pragma once
// Work that a device is asked for once and then does again and again without the host's asking: a
// CUDA graph. What the host does between one launch and the next costs a small network more than
// the work; a replay is one call.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "kernels/kernel.h"

namespace concord::kernels {

// Recorded work. The memory that was allocated while it was recorded lives as long as this, or as
// longer as somebody holds it; so does what was released then, which the work may use.
class CapturedWork {
 public:
  virtual ~CapturedWork() = default;
  // Asks the device for all of it once more, after everything that was asked for before.
  virtual void replay() = 0;
};

// Runs work() on the host with all that it asks of the device recorded and not done: kernels,
// copies within the device, zero and fill. Its memory is the result's own, at the addresses that
// every replay uses. Work that waits for the device or exchanges data with the host is refused by
// an Error. Of other threads nothing is recorded. Shapes that the libraries have not seen yet are
// better run once before: their algorithms are not measured here.
inline Kernel<std::unique_ptr<CapturedWork>(const std::function<void()>& work)> capture{"capture"};

// Writes a few values of the host's into the device's memory (8-byte aligned, in whole multiples of
// 8 bytes) in the order of the device's work, without waiting for it.
inline Kernel<void(std::span<const std::byte> values, void* to)> store{"store"};

// Whether this thread is within capture().
bool capturing();
// Throws where it is: `what` cannot be part of recorded work.
void refuse_while_capturing(std::string_view what);

// A number that a kernel is given: by value, or, where it is another one at each replay, where it
// stands in the device's memory when the kernel runs.
template <class T>
struct Replayed {
  constexpr Replayed(T given, const T* stands_at = nullptr) : value(given), at(stands_at) {}
  T value;
  const T* at;
};

}  // namespace concord::kernels
