// Memory of the device, in stream order: a block that was released may be handed out again at once,
// because what still uses it runs before. The driver's pool keeps what is free.

#include "kernels/cuda/allocation.h"

#include <atomic>

#include "kernels/cuda/call.h"
#include "kernels/cuda/stream.h"
#include "kernels/graph.h"
#include "kernels/graph_memory.h"
#include "kernels/memory.h"
#include "kernels/precision.h"

namespace concord::cuda {
namespace {

std::atomic<std::size_t> in_use = 0;
std::atomic<std::size_t> peak_in_use = 0;

cudaMemPool_t pool() {
  static cudaMemPool_t const instance = [] {
    cudaMemPool_t result = nullptr;
    check_call(cudaDeviceGetDefaultMemPool(&result, selected_device()),
               "cudaDeviceGetDefaultMemPool");
    // Or it would give everything back at each synchronisation.
    std::uint64_t keep = ~std::uint64_t{0};
    check_call(cudaMemPoolSetAttribute(result, cudaMemPoolAttrReleaseThreshold, &keep),
               "cudaMemPoolSetAttribute");
    return result;
  }();
  return instance;
}

}  // namespace

void* allocate_from_pool(std::size_t bytes) {
  void* data = nullptr;
  cudaError_t error = cudaMallocFromPoolAsync(&data, bytes, pool(), main_stream());
  if (error == cudaErrorMemoryAllocation) {
    // Free blocks may be too small each; together they may do.
    cudaGetLastError();
    synchronize();
    check_call(cudaMemPoolTrimTo(pool(), 0), "cudaMemPoolTrimTo");
    error = cudaMallocFromPoolAsync(&data, bytes, pool(), main_stream());
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0;
    std::size_t total = 0;
    check_call(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    fail(
        "out of memory on cuda:{}: {} bytes asked for, {} in use by tensors, {} of {} free on the "
        "device; lower --batch-size or --image-size{}",
        selected_device(), bytes, in_use.load(), free, total,
        kernels::precision() == kernels::Precision::kBFloat16 ? "" : ", or use --precision bf16");
  }
  check_call(error, "cudaMallocFromPoolAsync", fmt::format("of {} bytes", bytes));
  const std::size_t now = in_use += bytes;
  std::size_t peak = peak_in_use;
  while (now > peak && !peak_in_use.compare_exchange_weak(peak, now)) {
  }
  return data;
}

// A failure here is one of work that was launched before; the next call that checks reports it.
void release_to_pool(void* data, std::size_t bytes) {
  static_cast<void>(cudaFreeAsync(data, main_stream()));
  in_use -= bytes;
}

void release_block(void* data, std::size_t bytes) {
  if (!kernels::GraphMemory::take_back(data, bytes)) release_to_pool(data, bytes);
}

namespace {

void* allocate_cuda(std::size_t bytes) {
  kernels::GraphMemory* const captured = kernels::GraphMemory::current();
  return captured != nullptr ? captured->allocate(bytes) : allocate_from_pool(bytes);
}

void copy_with(cudaMemcpyKind kind, void* to, const void* from, std::size_t bytes) {
  check_call(cudaMemcpyAsync(to, from, bytes, kind, stream()), "cudaMemcpyAsync",
             fmt::format("of {} bytes", bytes));
}
void copy_cuda(void* to, const void* from, std::size_t bytes) {
  copy_with(cudaMemcpyDeviceToDevice, to, from, bytes);
}
void copy_from_host_cuda(void* to, const void* from, std::size_t bytes) {
  kernels::refuse_while_capturing("copy_from_host");
  // Of pageable memory the call has taken a copy when it returns; of pinned memory it has not.
  copy_with(cudaMemcpyHostToDevice, to, from, bytes);
  synchronize();
}
void copy_to_host_cuda(void* to, const void* from, std::size_t bytes) {
  kernels::refuse_while_capturing("copy_to_host");
  copy_with(cudaMemcpyDeviceToHost, to, from, bytes);
  synchronize();
}
void zero_cuda(void* data, std::size_t bytes) {
  check_call(cudaMemsetAsync(data, 0, bytes, stream()), "cudaMemsetAsync",
             fmt::format("of {} bytes", bytes));
}

kernels::MemoryStatistics statistics_cuda() {
  std::uint64_t reserved = 0;
  std::uint64_t used = 0;
  check_call(cudaMemPoolGetAttribute(pool(), cudaMemPoolAttrReservedMemCurrent, &reserved),
             "cudaMemPoolGetAttribute");
  check_call(cudaMemPoolGetAttribute(pool(), cudaMemPoolAttrUsedMemCurrent, &used),
             "cudaMemPoolGetAttribute");
  return {in_use, peak_in_use, static_cast<std::size_t>(reserved - used)};
}
std::size_t available_cuda() {
  std::size_t free = 0;
  std::size_t total = 0;
  check_call(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free + statistics_cuda().cached;
}
void release_cache_cuda() {
  synchronize();
  check_call(cudaMemPoolTrimTo(pool(), 0), "cudaMemPoolTrimTo");
}

const kernels::Registration registrations[] = {
    {kernels::allocate, DeviceType::kCuda, allocate_cuda},
    {kernels::release, DeviceType::kCuda, release_block},
    {kernels::copy, DeviceType::kCuda, copy_cuda},
    {kernels::copy_from_host, DeviceType::kCuda, copy_from_host_cuda},
    {kernels::copy_to_host, DeviceType::kCuda, copy_to_host_cuda},
    {kernels::zero, DeviceType::kCuda, zero_cuda},
    {kernels::memory_statistics, DeviceType::kCuda, statistics_cuda},
    {kernels::available_memory, DeviceType::kCuda, available_cuda},
    {kernels::release_cache, DeviceType::kCuda, release_cache_cuda},
};

}  // namespace
}  // namespace concord::cuda
