#include "data/workers.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace concord {
namespace {

struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t next = 0;
  std::int64_t done = 0;
  int running = 0;
  std::exception_ptr error;

  void stop_with(std::exception_ptr cause) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(cause);
  }
};

}  // namespace

void for_each_item(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body,
                   const ProgressCallback& progress) {
  if (threads <= 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  threads = static_cast<int>(std::min<std::int64_t>(threads, std::max<std::int64_t>(count, 1)));
  Shared shared;
  const auto work = [&] {
    std::unique_lock lock(shared.mutex);
    while (!shared.error && shared.next < count) {
      const std::int64_t item = shared.next++;
      lock.unlock();
      std::exception_ptr error;
      try {
        body(item);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && !shared.error) shared.error = error;
      ++shared.done;
    }
    --shared.running;
    shared.changed.notify_all();
  };
  std::vector<std::thread> workers;
  shared.running = threads;
  try {
    for (int i = 0; i < threads; ++i) workers.emplace_back(work);
  } catch (...) {
    // The system grants no more threads: let those that run finish, then say so.
    shared.stop_with(std::current_exception());
    const std::lock_guard lock(shared.mutex);
    shared.running -= threads - static_cast<int>(workers.size());
  }
  std::unique_lock lock(shared.mutex);
  while (shared.running > 0) {
    shared.changed.wait_for(lock, std::chrono::milliseconds(100));
    if (!progress || shared.error) continue;
    const std::int64_t done = shared.done;
    lock.unlock();
    try {
      progress(done, count);
    } catch (...) {
      shared.stop_with(std::current_exception());
    }
    lock.lock();
  }
  lock.unlock();
  for (std::thread& worker : workers) worker.join();
  if (shared.error) std::rethrow_exception(shared.error);
  if (progress) progress(count, count);
}

}  // namespace concord
