#include "data/feature_reader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <span>
#include <thread>
#include <utility>

#include "data/loader.h"
#include "engine/staging.h"

namespace concord {
namespace {

constexpr std::size_t kMostAhead = 16;

// A batch being filled by the thread.
struct Slot {
  FeatureBatch batch;
  std::span<const std::int64_t> rows;
  bool announced = false;
  bool begun = false;
  bool done = false;
  std::exception_ptr error;
};

}  // namespace

class FeatureReader::Impl {
 public:
  Impl(std::vector<FeatureStore> stores, FeatureReaderOptions options)
      : stores_(std::move(stores)), options_(options), buffers_(options.device) {
    check(!stores_.empty(), "feature reader: no store given");
    check(options_.batch_size >= 1, "feature reader: batch size {} is not positive",
          options_.batch_size);
    for (const FeatureStore& store : stores_)
      check(store.size() == size(), "feature reader: stores of {} and {} rows", size(),
            store.size());
    ahead_ = std::min(options_.ahead_bytes / batch_bytes(), kMostAhead);
    order_.resize(static_cast<std::size_t>(size()));
    std::iota(order_.begin(), order_.end(), 0);
    next_number_ = batches();
    if (ahead_ > 0) thread_ = std::thread([this] { work(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      quitting_ = true;
    }
    work_ready_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void start(std::int64_t epoch, std::int64_t first_batch) {
    check(epoch >= 0 && first_batch >= 0 && first_batch <= batches(),
          "feature reader: epoch {}, batch {} does not exist ({} batches an epoch)", epoch,
          first_batch, batches());
    std::unique_lock lock(mutex_);
    slots_.clear();
    idle_.wait(lock, [this] { return !busy_; });
    if (options_.shuffle) order_ = shuffled_order(size(), options_.seed, epoch);
    next_number_ = first_batch;
    for (std::size_t i = 0; i < ahead_; ++i) open_slot();
    lock.unlock();
    work_ready_.notify_all();
  }

  bool next(FeatureBatch& batch) {
    batch.features.clear();
    std::unique_lock lock(mutex_);
    if (ahead_ == 0) {
      if (next_number_ >= batches()) return false;
      open_slot();
      const std::shared_ptr<Slot> slot = take_front();
      announce(*slot);
      fill(*slot);
      if (slot->error) std::rethrow_exception(slot->error);
      batch = std::move(slot->batch);
      return true;
    }
    if (slots_.empty()) return false;
    batch_ready_.wait(lock, [this] { return slots_.front()->done; });
    const std::shared_ptr<Slot> slot = take_front();
    if (slot->error) std::rethrow_exception(slot->error);
    batch = std::move(slot->batch);
    open_slot();
    lock.unlock();
    work_ready_.notify_all();
    return true;
  }

  std::int64_t batches() const { return (size() + options_.batch_size - 1) / options_.batch_size; }
  std::int64_t size() const { return stores_.front().size(); }
  std::int64_t ahead() const { return static_cast<std::int64_t>(ahead_); }
  std::size_t batch_bytes() const {
    std::int64_t values = 0;
    for (const FeatureStore& store : stores_) values += store.shape().numel() / size();
    return static_cast<std::size_t>(values * std::min(options_.batch_size, size())) * sizeof(float);
  }

 private:
  std::shared_ptr<Slot> take_front() {
    std::shared_ptr<Slot> slot = slots_.front();
    slots_.pop_front();
    return slot;
  }

  // The next batch of the epoch. Called under the lock, on the caller's thread, which therefore
  // owns every allocation.
  void open_slot() {
    if (next_number_ >= batches()) return;
    auto slot = std::make_shared<Slot>();
    slot->batch.number = next_number_++;
    const std::int64_t begin = slot->batch.number * options_.batch_size;
    const std::int64_t count = std::min(options_.batch_size, size() - begin);
    slot->rows =
        std::span(order_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    for (const FeatureStore& store : stores_)
      slot->batch.features.push_back(
          buffers_.rows(store.shape().with(0, std::min(options_.batch_size, size())), count));
    slots_.push_back(std::move(slot));
  }

  void announce(Slot& slot) {
    if (std::exchange(slot.announced, true)) return;
    try {
      for (const FeatureStore& store : stores_) store.announce(slot.rows);
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  void fill(Slot& slot) {
    if (slot.error) return;
    try {
      for (std::size_t i = 0; i < stores_.size(); ++i)
        stores_[i].read(slot.rows, slot.batch.features[i].data<float>());
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  // Announces each batch before the one in front of it is copied, so that the disk does not wait
  // for the copying.
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto unbegun = [this] {
        return std::find_if(slots_.begin(), slots_.end(), [](const auto& s) { return !s->begun; });
      };
      work_ready_.wait(lock, [&] { return quitting_ || unbegun() != slots_.end(); });
      if (quitting_) return;
      const auto at = unbegun();
      const std::shared_ptr<Slot> slot = *at;
      const std::shared_ptr<Slot> after = at + 1 == slots_.end() ? nullptr : *(at + 1);
      slot->begun = true;
      busy_ = true;
      lock.unlock();
      announce(*slot);
      if (after != nullptr) announce(*after);
      fill(*slot);
      lock.lock();
      slot->done = true;
      busy_ = false;
      batch_ready_.notify_all();
      idle_.notify_all();
    }
  }

  std::vector<FeatureStore> stores_;
  FeatureReaderOptions options_;
  PinnedBuffers buffers_;
  std::size_t ahead_ = 0;
  std::vector<std::int64_t> order_;  // constant while the thread is busy

  std::mutex mutex_;
  std::condition_variable work_ready_;   // a batch may be begun, or quitting_
  std::condition_variable batch_ready_;  // a batch is done
  std::condition_variable idle_;         // the thread is in no batch
  std::deque<std::shared_ptr<Slot>> slots_;
  std::int64_t next_number_ = 0;  // the next batch to open
  bool busy_ = false;
  bool quitting_ = false;
  std::thread thread_;
};

FeatureReader::FeatureReader(std::vector<FeatureStore> stores, FeatureReaderOptions options)
    : impl_(std::make_unique<Impl>(std::move(stores), options)) {}
FeatureReader::~FeatureReader() = default;

void FeatureReader::start(std::int64_t epoch, std::int64_t first_batch) {
  impl_->start(epoch, first_batch);
}
bool FeatureReader::next(FeatureBatch& batch) { return impl_->next(batch); }
std::int64_t FeatureReader::batches() const { return impl_->batches(); }
std::int64_t FeatureReader::size() const { return impl_->size(); }
std::int64_t FeatureReader::ahead() const { return impl_->ahead(); }
std::size_t FeatureReader::batch_bytes() const { return impl_->batch_bytes(); }

}  // namespace concord
