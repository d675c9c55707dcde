// The memory of the CUDA device in tests on the host: every buffer is a heap block of its exact
// size, so that AddressSanitizer sees an access beside it, filled with NaN.

#include "kernels/simt/allocation.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "kernels/graph.h"
#include "kernels/graph_memory.h"
#include "kernels/memory.h"
#include "kernels/simt/graph.h"
#include "kernels/simt/transfer.h"

namespace concord::simt {
namespace {

std::mutex mutex;
kernels::MemoryStatistics statistics;

}  // namespace

void* allocate_block(std::size_t bytes) {
  void* data = nullptr;
  check(::posix_memalign(&data, 64, bytes) == 0, "simt: no memory for {} bytes", bytes);
  std::memset(data, 0xFF, bytes);
  const std::lock_guard lock(mutex);
  statistics.in_use += bytes;
  statistics.peak_in_use = std::max(statistics.peak_in_use, statistics.in_use);
  return data;
}

void release_block(void* data, std::size_t bytes) {
  check_released(data, bytes);
  std::free(data);
  const std::lock_guard lock(mutex);
  statistics.in_use -= bytes;
}

namespace {

using kernels::GraphMemory;

void* allocate_simt(std::size_t bytes) {
  GraphMemory* const captured = GraphMemory::current();
  if (captured == nullptr) return allocate_block(bytes);
  void* const data = captured->allocate(bytes);
  submit_allocation(data, bytes);
  return data;
}
void release_simt(void* data, std::size_t bytes) {
  const GraphMemory* const captured = GraphMemory::current();
  if (captured != nullptr && captured->owns(data)) submit_release(data, bytes);
  if (!GraphMemory::take_back(data, bytes)) release_block(data, bytes);
}

void copy_simt(void* to, const void* from, std::size_t bytes) {
  submit([to, from, bytes] { std::memcpy(to, from, bytes); });
}
void copy_from_host_simt(void* to, const void* from, std::size_t bytes) {
  kernels::refuse_while_capturing("copy_from_host");
  std::memcpy(to, from, bytes);
}
void copy_to_host_simt(void* to, const void* from, std::size_t bytes) {
  kernels::refuse_while_capturing("copy_to_host");
  std::memcpy(to, from, bytes);
}
void zero_simt(void* data, std::size_t bytes) {
  submit([data, bytes] { std::memset(data, 0, bytes); });
}
kernels::MemoryStatistics memory_statistics_simt() {
  const std::lock_guard lock(mutex);
  return statistics;
}
std::atomic<std::size_t> available = std::size_t{1} << 30;
std::size_t available_simt() { return available; }
void release_cache_simt() {}

const kernels::Registration registrations[] = {
    {kernels::allocate, DeviceType::kCuda, allocate_simt},
    {kernels::release, DeviceType::kCuda, release_simt},
    {kernels::copy, DeviceType::kCuda, copy_simt},
    {kernels::copy_from_host, DeviceType::kCuda, copy_from_host_simt},
    {kernels::copy_to_host, DeviceType::kCuda, copy_to_host_simt},
    {kernels::zero, DeviceType::kCuda, zero_simt},
    {kernels::memory_statistics, DeviceType::kCuda, memory_statistics_simt},
    {kernels::available_memory, DeviceType::kCuda, available_simt},
    {kernels::release_cache, DeviceType::kCuda, release_cache_simt},
};

}  // namespace

void set_available_memory(std::size_t bytes) { available = bytes; }

}  // namespace concord::simt
