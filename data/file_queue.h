#pragma once
// Files on their way from the one thread that unpacks an archive to those that work on them.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace concord {

// A file's bytes, or why it cannot be read: one bad image is no reason to stop.
struct FileBytes {
  std::vector<std::uint8_t> bytes = {};
  std::string problem = {};  // names the file; empty when it was read
};

// At most `limit` bytes wait in it, or one file.
class FileQueue {
 public:
  struct Item {
    std::size_t index = 0;
    FileBytes file = {};
  };

  explicit FileQueue(std::size_t limit) : limit_(limit) {}

  // Waits for room; false once nobody takes any more.
  bool push(Item item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return closed_ || items_.empty() || held_ + item.file.bytes.size() <= limit_;
    });
    if (closed_) return false;
    held_ += item.file.bytes.size();
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }
  // Waits for an item. Throws what fail() was given once all before it are taken.
  Item pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !items_.empty() || error_; });
    if (items_.empty()) std::rethrow_exception(error_);
    Item item = std::move(items_.front());
    items_.pop_front();
    held_ -= item.file.bytes.size();
    changed_.notify_all();
    return item;
  }
  // The sender can send no more, for this reason.
  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    changed_.notify_all();
  }
  // The takers want no more.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  std::size_t held_ = 0;
  bool closed_ = false;
  std::exception_ptr error_;
};

}  // namespace concord
