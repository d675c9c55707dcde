#pragma once
// What the machine can do at most, measured: the figures that a kernel's are held against.

#include "kernels/shape.h"

namespace concord::bench {

struct Ceilings {
  // float32 fused multiply-adds on independent accumulators of the widest vector, all threads, in
  // FLOP/s (a multiply-add is two).
  double fma_flops = 0;
  // Copying between two arrays of four times the last cache, bytes read + bytes written per second.
  // With ordinary stores, as the kernels have, each written line is first read (write-allocate):
  // that third transfer is not counted. Non-temporal stores do without it.
  double copy_bytes = 0;
  double copy_bytes_non_temporal = 0;  // 0 where the processor is none that has them

  // The higher of the two.
  double memory_bytes() const {
    return copy_bytes > copy_bytes_non_temporal ? copy_bytes : copy_bytes_non_temporal;
  }
};

// With the threads of thread_count(); the best of many short runs, so that other work on the
// machine lowers it little. About a second. Of another device fma_flops is the rate of a product of
// two square matrices of 8192 rows in the chosen precision, by its library.
Ceilings measure_ceilings(Device device);

}  // namespace concord::bench
