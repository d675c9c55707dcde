#include "kernels/simt/runner.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <boost/context/stack_context.hpp>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/error.h"
#include "kernels/philox.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace concord::simt {
namespace {

// AddressSanitizer must know on which stack a thread runs.
#if defined(__SANITIZE_ADDRESS__)
void leave_stack(void** own_fake, const void* next_bottom, std::size_t next_size) {
  __sanitizer_start_switch_fiber(own_fake, next_bottom, next_size);
}
void enter_stack(void* own_fake, const void** last_bottom, std::size_t* last_size) {
  __sanitizer_finish_switch_fiber(own_fake, last_bottom, last_size);
}
void forget_stack(void* bottom, std::size_t size) { __asan_unpoison_memory_region(bottom, size); }
constexpr std::size_t kStackBytes = 256 << 10;
#else
void leave_stack(void**, const void*, std::size_t) {}
void enter_stack(void*, const void**, std::size_t*) {}
void forget_stack(void*, std::size_t) {}
constexpr std::size_t kStackBytes = 64 << 10;
#endif

// Stacks with a guard page below, kept for the next launch.
class Stacks {
 public:
  ~Stacks() {
    for (void* stack : stacks_) ::munmap(stack, kStackBytes);
  }
  void* bottom(std::size_t i) {
    while (stacks_.size() <= i) {
      void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      check(stack != MAP_FAILED, "simt: no memory for the stack of thread {}", stacks_.size());
      ::mprotect(stack, kGuardBytes, PROT_NONE);
      stacks_.push_back(stack);
    }
    return static_cast<char*>(stacks_[i]) + kGuardBytes;
  }
  static constexpr std::size_t kGuardBytes = 4096;
  static constexpr std::size_t kUsableBytes = kStackBytes - kGuardBytes;

 private:
  std::vector<void*> stacks_;
};

// Boost's notion of an allocator, for stacks that others own.
struct NoAllocator {
  boost::context::stack_context allocate() { return {}; }
  void deallocate(boost::context::stack_context&) {}
};

enum class State : std::uint8_t { kReady, kAtBlockBarrier, kInWarp, kEnded };

struct Thread {
  uint3 index;
  unsigned number = 0;  // within the block
  State state = State::kReady;
  Place place;
  unsigned mask = 0;
  boost::context::fiber fiber;
  boost::context::fiber scheduler;
  const void* scheduler_bottom = nullptr;
  std::size_t scheduler_size = 0;
  void* stack_bottom = nullptr;
  void* fake_stack = nullptr;

  unsigned warp() const { return number / kWarpSize; }
  unsigned lane() const { return number % kWarpSize; }
};

// Thrown into the threads of a block of which one has failed, to unwind their stacks.
struct Cancelled {};

class Block;
thread_local Block* current_block = nullptr;
thread_local Thread* current_thread = nullptr;
thread_local std::uint64_t order_seed = 0;

std::string describe(const Thread& thread) {
  const std::string who =
      fmt::format("thread ({}, {}, {})", thread.index.x, thread.index.y, thread.index.z);
  switch (thread.state) {
    case State::kEnded:
      return who + " has ended";
    case State::kAtBlockBarrier:
      return fmt::format("{} waits at {}:{}", who, thread.place.file_name(), thread.place.line());
    case State::kInWarp:
      return fmt::format("{} waits for lanes {:#010x} at {}:{}", who, thread.mask,
                         thread.place.file_name(), thread.place.line());
    case State::kReady:
      break;
  }
  return who + " runs";
}

bool same_place(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

// A permutation of 0 .. count-1.
std::vector<unsigned> permuted(std::uint64_t count, std::uint64_t stream) {
  std::vector<unsigned> order(count);
  std::iota(order.begin(), order.end(), 0U);
  if (order_seed == 0) return order;
  random::Stream numbers(order_seed, stream);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(numbers.below(i))]);
  return order;
}

class Block {
 public:
  Block(const dim3& grid, const dim3& block, std::size_t shared_size,
        const std::function<void()>& body, Stacks& stacks)
      : grid_(grid), size_(block), shared_size_(shared_size), body_(body), stacks_(stacks) {}

  void run(const uint3& index, std::uint64_t number) {
    index_ = index;
    failure_ = nullptr;
    cancelled_ = false;
    fill_shared();
    start_threads();
    Block* const outer = std::exchange(current_block, this);
    for (std::uint64_t round = 0; unended() > 0; ++round) {
      for (unsigned t : permuted(threads_.size(), (number << 32) + round))
        if (threads_[t].state == State::kReady) resume(threads_[t]);
      if (failure_ == nullptr) release();
      if (failure_ != nullptr) cancel();
    }
    current_block = outer;
    std::free(shared_);
    shared_ = nullptr;
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

  const dim3& grid() const { return grid_; }
  const dim3& size() const { return size_; }
  const uint3& index() const { return index_; }
  void* shared() const { return shared_; }

  // Gives control to the scheduler until it makes the thread ready again.
  void suspend(Thread& self, State state) {
    self.state = state;
    leave_stack(&self.fake_stack, self.scheduler_bottom, self.scheduler_size);
    self.scheduler = std::move(self.scheduler).resume();
    enter_stack(self.fake_stack, &self.scheduler_bottom, &self.scheduler_size);
    if (cancelled_) throw Cancelled{};
  }

  // What the lanes of a warp give each other.
  std::array<std::array<std::byte, 16>, kWarpSize>& slots(const Thread& thread) {
    return slots_[thread.warp()];
  }

  // The messages are made only where they are needed: this runs at every warp operation.
  void check_lanes(const Thread& self, unsigned mask) const {
    if ((mask >> self.lane() & 1) == 0)
      fail("simt: {} is lane {}, which its mask {:#010x} leaves out", describe(self), self.lane(),
           mask);
    const unsigned present = static_cast<unsigned>(threads_.size()) - self.warp() * kWarpSize;
    const unsigned last = kWarpSize - 1 - static_cast<unsigned>(std::countl_zero(mask));
    if (last >= present)
      fail(
          "simt: {} names lane {} in its mask {:#010x}, the block of {} threads has none; launch "
          "whole warps",
          describe(self), last, mask, threads_.size());
  }

 private:
  void fill_shared() {
    // Exactly as large as asked for, so that a sanitizer sees what lies behind it.
    check(::posix_memalign(&shared_, 128, std::max<std::size_t>(shared_size_, 1)) == 0,
          "simt: no memory for {} bytes of shared memory", shared_size_);
    std::memset(shared_, 0xFF, shared_size_);
  }

  void start_threads() {
    const unsigned count = size_.x * size_.y * size_.z;
    threads_.clear();
    threads_.resize(count);
    slots_.resize((count + kWarpSize - 1) / kWarpSize);
    for (unsigned t = 0; t < count; ++t) {
      Thread& thread = threads_[t];
      thread.index = {t % size_.x, t / size_.x % size_.y, t / (size_.x * size_.y)};
      thread.number = t;
      thread.stack_bottom = stacks_.bottom(t);
      forget_stack(thread.stack_bottom, Stacks::kUsableBytes);
      boost::context::stack_context context;
      context.size = Stacks::kUsableBytes;
      context.sp = static_cast<char*>(thread.stack_bottom) + Stacks::kUsableBytes;
      thread.fiber = boost::context::fiber(
          std::allocator_arg, boost::context::preallocated(context.sp, context.size, context),
          NoAllocator{}, [this, &thread](boost::context::fiber&& scheduler) {
            thread.scheduler = std::move(scheduler);
            enter_stack(nullptr, &thread.scheduler_bottom, &thread.scheduler_size);
            try {
              if (!cancelled_) body_();
            } catch (const Cancelled&) {
            } catch (...) {
              if (failure_ == nullptr) failure_ = std::current_exception();
            }
            thread.state = State::kEnded;
            leave_stack(nullptr, thread.scheduler_bottom, thread.scheduler_size);
            return std::move(thread.scheduler);
          });
    }
  }

  void resume(Thread& thread) {
    Thread* const outer = std::exchange(current_thread, &thread);
    void* fake_stack = nullptr;
    leave_stack(&fake_stack, thread.stack_bottom, Stacks::kUsableBytes);
    thread.fiber = std::move(thread.fiber).resume();
    enter_stack(fake_stack, nullptr, nullptr);
    current_thread = outer;
  }

  std::ptrdiff_t count(State state) const {
    return std::ranges::count(threads_, state, &Thread::state);
  }
  std::ptrdiff_t unended() const { return std::ssize(threads_) - count(State::kEnded); }

  void set_failure(const std::string& message) {
    failure_ = std::make_exception_ptr(
        Error(fmt::format("simt: block ({}, {}, {}): {}", index_.x, index_.y, index_.z, message)));
  }

  // Lets those go on whose barrier is complete; where nobody can, says why.
  void release() {
    if (unended() == 0) return;
    for (std::size_t warp = 0; warp < slots_.size(); ++warp) release_warp(warp);
    if (failure_ != nullptr || count(State::kReady) > 0) return;
    const auto waiting = std::ranges::find(threads_, State::kAtBlockBarrier, &Thread::state);
    for (const Thread& thread : threads_) {
      const bool joins = waiting != threads_.end() && thread.state == State::kAtBlockBarrier &&
                         same_place(thread.place, waiting->place);
      if (joins) continue;
      const auto other = waiting != threads_.end()
                             ? waiting
                             : std::ranges::find(threads_, State::kInWarp, &Thread::state);
      return set_failure(fmt::format("divergent barrier: {}, but {}", describe(*other),
                                     describe(&*other == &thread ? other_than(thread) : thread)));
    }
    for (Thread& thread : threads_) thread.state = State::kReady;
  }

  // A thread that keeps `thread` waiting, for a message.
  const Thread& other_than(const Thread& thread) const {
    for (unsigned lane = 0; lane < kWarpSize; ++lane) {
      const std::size_t number = thread.warp() * kWarpSize + lane;
      if ((thread.mask >> lane & 1) == 0 || number >= threads_.size()) continue;
      const Thread& other = threads_[number];
      if (&other != &thread && !together(thread, other)) return other;
    }
    return thread;
  }

  static bool together(const Thread& a, const Thread& b) {
    return a.state == State::kInWarp && b.state == State::kInWarp && a.mask == b.mask &&
           same_place(a.place, b.place);
  }

  void release_warp(std::size_t warp) {
    const std::size_t begin = warp * kWarpSize;
    const std::size_t end = std::min(threads_.size(), begin + kWarpSize);
    for (std::size_t t = begin; t < end; ++t) {
      const Thread& thread = threads_[t];
      if (thread.state != State::kInWarp) continue;
      bool complete = true;
      for (std::size_t other = begin; other < end; ++other) {
        if ((thread.mask >> (other - begin) & 1) == 0) continue;
        if (threads_[other].state == State::kEnded)
          return set_failure(fmt::format("divergent warp: {}, but {}", describe(thread),
                                         describe(threads_[other])));
        complete = complete && together(thread, threads_[other]);
      }
      if (!complete) continue;
      const unsigned mask = thread.mask;
      for (std::size_t other = begin; other < end; ++other)
        if ((mask >> (other - begin) & 1) != 0) threads_[other].state = State::kReady;
    }
  }

  void cancel() {
    cancelled_ = true;
    for (Thread& thread : threads_)
      if (thread.state != State::kEnded) resume(thread);
  }

  dim3 grid_;
  dim3 size_;
  std::size_t shared_size_;
  const std::function<void()>& body_;
  Stacks& stacks_;
  uint3 index_;
  void* shared_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<std::array<std::array<std::byte, 16>, kWarpSize>> slots_;
  std::exception_ptr failure_;
  bool cancelled_ = false;
};

Thread& self() {
  check(current_thread != nullptr, "simt: called outside a kernel");
  return *current_thread;
}

}  // namespace

void set_seed(std::uint64_t seed) { order_seed = seed; }

void run(const dim3& grid, const dim3& block, std::size_t shared_bytes,
         const std::function<void()>& body) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  check(threads > 0 && threads <= kMostThreads && block.z <= 64,
        "simt: a block of {}x{}x{} threads; a GPU takes 1 to {} and at most 64 along z", block.x,
        block.y, block.z, kMostThreads);
  check(blocks > 0 && grid.x <= 0x7FFFFFFFU && grid.y <= 65535 && grid.z <= 65535,
        "simt: a grid of {}x{}x{} blocks; a GPU takes at least one and at most 65535 along y and z",
        grid.x, grid.y, grid.z);
  check(shared_bytes <= kMostSharedBytes, "simt: {} bytes of shared memory, a GPU has {}",
        shared_bytes, kMostSharedBytes);
  thread_local Stacks stacks;
  Block runner(grid, block, shared_bytes, body, stacks);
  for (std::uint64_t b : permuted(blocks, ~std::uint64_t{0})) {
    const auto x = static_cast<unsigned>(b % grid.x);
    const auto y = static_cast<unsigned>(b / grid.x % grid.y);
    const auto z = static_cast<unsigned>(b / grid.x / grid.y);
    runner.run({x, y, z}, b);
  }
}

const uint3& thread_index() { return self().index; }
const uint3& block_index() { return current_block->index(); }
const dim3& block_size() { return current_block->size(); }
const dim3& grid_size() { return current_block->grid(); }
void* shared_bytes() { return current_block->shared(); }
unsigned lane() { return self().lane(); }

void wait_for_block(const Place& place) {
  Thread& thread = self();
  thread.place = place;
  current_block->suspend(thread, State::kAtBlockBarrier);
}

void wait_for_warp(unsigned mask, const Place& place) {
  Thread& thread = self();
  thread.place = place;
  thread.mask = mask;
  current_block->check_lanes(thread, mask);
  current_block->suspend(thread, State::kInWarp);
}

void exchange(unsigned mask, const void* give, void* take, std::size_t bytes, unsigned source,
              const Place& place) {
  Thread& thread = self();
  if ((mask >> source & 1) == 0)
    fail("simt: {}:{}: {} reads lane {}, which is not in the mask {:#010x}", place.file_name(),
         place.line(), describe(thread), source, mask);
  auto& slots = current_block->slots(thread);
  std::memcpy(slots[thread.lane()].data(), give, bytes);
  wait_for_warp(mask, place);
  std::memcpy(take, slots[source].data(), bytes);
  wait_for_warp(mask, place);  // all have read before anybody gives again
}

unsigned ballot(unsigned mask, bool value, const Place& place) {
  Thread& thread = self();
  auto& slots = current_block->slots(thread);
  slots[thread.lane()][0] = std::byte{value};
  wait_for_warp(mask, place);
  unsigned bits = 0;
  for (unsigned l = 0; l < kWarpSize; ++l)
    if ((mask >> l & 1) != 0 && slots[l][0] != std::byte{0}) bits |= 1U << l;
  wait_for_warp(mask, place);
  return bits;
}

}  // namespace concord::simt
