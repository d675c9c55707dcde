// The memory of the CUDA device in tests on the host: every buffer is a heap block of its exact
// size, so that AddressSanitizer sees an access beside it, filled with NaN.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "kernels/memory.h"
#include "kernels/simt/transfer.h"

namespace concord::kernels {
namespace {

std::mutex mutex;
MemoryStatistics statistics;

void* allocate_simt(std::size_t bytes) {
  void* data = nullptr;
  check(::posix_memalign(&data, 64, bytes) == 0, "simt: no memory for {} bytes", bytes);
  std::memset(data, 0xFF, bytes);
  const std::lock_guard lock(mutex);
  statistics.in_use += bytes;
  statistics.peak_in_use = std::max(statistics.peak_in_use, statistics.in_use);
  return data;
}

void release_simt(void* data, std::size_t bytes) {
  simt::check_released(data, bytes);
  std::free(data);
  const std::lock_guard lock(mutex);
  statistics.in_use -= bytes;
}

void copy_simt(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
void zero_simt(void* data, std::size_t bytes) { std::memset(data, 0, bytes); }
MemoryStatistics memory_statistics_simt() {
  const std::lock_guard lock(mutex);
  return statistics;
}
std::atomic<std::size_t> available = std::size_t{1} << 30;
std::size_t available_simt() { return available; }
void release_cache_simt() {}

const Registration registrations[] = {
    {allocate, DeviceType::kCuda, allocate_simt},
    {release, DeviceType::kCuda, release_simt},
    {copy, DeviceType::kCuda, copy_simt},
    {copy_from_host, DeviceType::kCuda, copy_simt},
    {copy_to_host, DeviceType::kCuda, copy_simt},
    {zero, DeviceType::kCuda, zero_simt},
    {memory_statistics, DeviceType::kCuda, memory_statistics_simt},
    {available_memory, DeviceType::kCuda, available_simt},
    {release_cache, DeviceType::kCuda, release_cache_simt},
};

}  // namespace
}  // namespace concord::kernels

void concord::simt::set_available_memory(std::size_t bytes) { kernels::available = bytes; }
