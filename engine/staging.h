#pragma once
// Batches on their way from the host to a device, copied while the device computes on the one
// before.

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/tensor.h"
#include "kernels/transfer.h"

namespace concord {

// Buffers of the host from which the device copies without the processor (kernels/transfer.h), kept
// for reuse, because page-locking takes long: for tensors that come in few sizes. For the CPU plain
// tensors. Tensors may outlive it and be let go on any thread.
class PinnedBuffers {
 public:
  explicit PinnedBuffers(Device device);
  // Rows [0, count) of an uninitialised tensor of `shape`, whose buffer is kept for `shape`
  // whatever the count. Throws where the system grants no more memory.
  Tensor rows(const Shape& shape, std::int64_t count, DType dtype = DType::kFloat32);
  // Bytes of the device's buffers, in use and kept.
  std::size_t bytes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A queue of at most `depth` batches. put() begins to copy one and returns; take() gives the oldest
// as tensors of the device that work asked for from then on may use. With a depth of 2:
//
//   while (!staging.full() && reader.next(batch)) staging.put(batch.features);
//   if (staging.empty()) return false;
//   computed = net(staging.take());      // beside it the next batch is copied
//
// A device tensor is the caller's: it may be kept as long as wanted. The host's tensors are held
// until their copy is done, at the latest until the next put(), and must not be written before they
// are let go: not while the Staging holds them. For the CPU tensors pass through unchanged. For one
// thread.
class Staging {
 public:
  // Throws for a depth of 0.
  explicit Staging(Device device, std::size_t depth = 2);

  bool full() const { return slots_.size() == depth_; }
  bool empty() const { return slots_.empty(); }
  // Throws when full, and for tensors that are not the host's.
  void put(std::vector<Tensor> tensors);
  // The same with tensors gathered on the way: to[i] = from[rows[i]] of each. `from` is plain and
  // must stay unwritten until the batch after has been put. Throws for a row that is not there.
  void put_rows(const std::vector<Tensor>& from, std::span<const std::int64_t> rows);
  // Throws when empty.
  std::vector<Tensor> take();
  // Forgets what was put and not taken, once its copies are done.
  void clear();

 private:
  struct Slot {
    std::vector<Tensor> from;
    std::vector<Tensor> to;
    // Last, so that it goes first: its end waits for the copies.
    std::unique_ptr<kernels::Transfer> transfer;
  };
  void check_room(const std::vector<Tensor>& tensors) const;
  void start(Slot slot, std::span<const kernels::CopyRun> runs);

  Device device_;
  std::size_t depth_;
  std::deque<Slot> slots_;
  std::vector<Slot> taken_;  // whose copies the host does not know to be done
};

}  // namespace concord
