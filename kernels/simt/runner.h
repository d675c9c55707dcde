#pragma once
// Runs CUDA kernels on the host, for tests and for a debugger: the threads of a block are fibers of
// one host thread, which a scheduler runs in a permuted order from one barrier to the next. What a
// GPU leaves undefined is an error here, or shows:
//   - a barrier that not every thread of the block reaches, or that is reached at different places;
//   - a warp operation whose mask names a lane that has ended, does not exist, or waits elsewhere;
//   - shared memory is a heap block of the size asked for (AddressSanitizer sees the byte behind
//   it),
//     filled with NaN before each block;
//   - a missing barrier: threads see each other's writes in an order that the seed decides.
// Blocks run one after the other, in a permuted order too. It is slow (about 0.1 microseconds a
// thread and barrier) and never the CPU backend.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
      : x(x_size), y(y_size), z(z_size) {}
};

namespace concord::simt {

using Place = std::source_location;

inline constexpr unsigned kWarpSize = 32;
inline constexpr unsigned kMostThreads = 1024;
inline constexpr std::size_t kMostSharedBytes = 227 << 10;  // of a block, on sm_90

// Fixes the order of blocks and threads of the launches that follow. 0: as numbered.
void set_seed(std::uint64_t seed);

// Runs `body` once for each thread. Throws an Error that names the threads, and the places in the
// source where they wait, for what a GPU leaves undefined and for a launch that it refuses; and
// whatever `body` throws.
void run(const dim3& grid, const dim3& block, std::size_t shared_bytes,
         const std::function<void()>& body);

// --- for the thread that runs ---

const uint3& thread_index();
const uint3& block_index();
const dim3& block_size();
const dim3& grid_size();
// The block's shared memory.
void* shared_bytes();

void wait_for_block(const Place& place);
void wait_for_warp(unsigned mask, const Place& place);

// Every lane of `mask` gives a value (at most 16 bytes) and takes that of `source` (a lane of its
// own warp, which must be in the mask).
void exchange(unsigned mask, const void* give, void* take, std::size_t bytes, unsigned source,
              const Place& place);
// Bit l: whether lane l of `mask` gave true.
unsigned ballot(unsigned mask, bool value, const Place& place);
unsigned lane();

}  // namespace concord::simt
