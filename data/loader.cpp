#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "data/image.h"
#include "data/image_cache.h"
#include "data/resize.h"
#include "engine/staging.h"
#include "kernels/error.h"
#include "kernels/image.h"
#include "kernels/philox.h"

namespace concord {
namespace {

// Keeps shuffles apart from the other uses of a run's seed (weights, dropout).
constexpr std::uint64_t kShuffleStream = std::uint64_t{0x53485546} << 32;

// What came of one sample: the place of its pixels is filled, or `problem` says why not.
struct Outcome {
  std::string problem;
  std::exception_ptr fatal;
};

// A batch being filled. Workers write disjoint rows of `images` and elements of `outcomes`.
struct Slot {
  std::int64_t number = 0;
  std::int64_t begin = 0;  // first position in the epoch's order
  Tensor images;           // normalised [N,3,H,W]; bytes [N,H,W,3] for another device than the CPU
  std::vector<Outcome> outcomes;
  std::size_t missing = 0;  // samples not yet done
};

}  // namespace

class Loader::Impl {
 public:
  Impl(ImageSet image_set, LoaderOptions loader_options)
      : set(std::move(image_set)),
        options(std::move(loader_options)),
        cache(set.samples.size(), options.cache_bytes),
        buffers_(options.device),
        staging_(options.device) {
    check_options();
    if (options.subset.empty()) {
      samples.resize(set.samples.size());
      std::iota(samples.begin(), samples.end(), 0);
    } else {
      samples = options.subset;
    }
    for (std::size_t channel = 0; channel < 3; ++channel)
      for (std::size_t value = 0; value < 256; ++value)
        normalised_[channel][value] = kernels::normalized_value(
            static_cast<std::uint8_t>(value), options.mean[channel], options.std[channel]);
    for (int i = 0; i < options.workers; ++i) workers_.emplace_back([this] { work(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      quitting_ = true;
    }
    work_ready_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  std::int64_t batches() const {
    const auto count = static_cast<std::int64_t>(samples.size());
    return options.drop_last ? count / options.batch_size
                             : (count + options.batch_size - 1) / options.batch_size;
  }

  void start(std::int64_t epoch, std::int64_t first_batch) {
    check(epoch >= 0 && first_batch >= 0 && first_batch <= batches(),
          "loader: epoch {}, batch {} does not exist ({} batches an epoch)", epoch, first_batch,
          batches());
    std::unique_lock lock(mutex_);
    end_ = 0;  // no further sample of the abandoned epoch is begun
    idle_.wait(lock, [this] { return busy_ == 0; });
    slots_.clear();
    staging_.clear();
    staged_.clear();
    order_ = samples;
    if (options.shuffle) {
      const auto shuffled =
          shuffled_order(static_cast<std::int64_t>(samples.size()), options.seed, epoch);
      for (std::size_t i = 0; i < shuffled.size(); ++i)
        order_[i] = samples[static_cast<std::size_t>(shuffled[i])];
    }
    next_position_ = first_batch * options.batch_size;
    end_ = next_position_;
    next_number_ = first_batch;
    delivered_ = false;
    whole_epoch_ = first_batch == 0;
    for (int i = 0; i < options.prefetch; ++i) open_slot();
    lock.unlock();
    work_ready_.notify_all();
  }

  bool next(Batch& batch) {
    batch.images = Tensor();  // its memory is wanted for a batch ahead
    if (!bytes_) {
      if (!next_on_host(batch)) return false;
      batch.device_labels = batch.labels;
      return true;
    }
    for (Batch ahead; !staging_.full() && next_on_host(ahead);) {
      Tensor labels = buffers_.rows({options.batch_size}, ahead.labels.dim(0), DType::kInt64);
      labels.copy_from(ahead.labels);
      std::vector<Tensor> travelling{std::exchange(ahead.images, {}), std::move(labels)};
      if (ahead.targets.defined()) {
        travelling.push_back(
            buffers_.rows({options.batch_size, ahead.targets.dim(1)}, ahead.targets.dim(0)));
        travelling.back().copy_from(ahead.targets);
      }
      staging_.put(std::move(travelling));
      staged_.push_back(std::move(ahead));
    }
    if (staged_.empty()) return false;
    batch = std::move(staged_.front());
    staged_.pop_front();
    const std::vector<Tensor> arrived = staging_.take();
    const Tensor& pictures = arrived[0];
    batch.device_labels = arrived[1];
    if (arrived.size() > 2) batch.targets = arrived[2];
    batch.images = Tensor::empty({pictures.dim(0), 3, options.image_size, options.image_size},
                                 {.device = options.device});
    kernels::normalize_images(options.device, pictures.view(), options.mean, options.std,
                              batch.images.view());
    return true;
  }

  // The next batch as it lies on the host.
  bool next_on_host(Batch& batch) {
    for (;;) {
      std::unique_lock lock(mutex_);
      if (slots_.empty()) {
        check(delivered_ || !whole_epoch_ || samples.empty() || batches() == 0,
              "{}: none of the {} images can be read{}", set.root.string(), samples.size(),
              bad_.empty() ? "" : "; the first: " + bad_.begin()->second);
        return false;
      }
      batch_ready_.wait(lock, [this] { return slots_.front()->missing == 0; });
      std::shared_ptr<Slot> slot = slots_.front();
      slots_.pop_front();
      lock.unlock();
      const bool delivered = deliver(*slot, batch);
      slot.reset();  // before another batch takes its place
      lock.lock();
      open_slot();
      lock.unlock();
      work_ready_.notify_all();
      if (delivered) return true;
    }
  }

  std::int64_t skipped() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(bad_.size());
  }

  ImageSet set;
  LoaderOptions options;
  std::vector<std::int64_t> samples;  // those in use, unshuffled
  ImageCache cache;

 private:
  void check_options() const {
    check(!set.samples.empty(), "loader: {} holds no images", set.root.string());
    check(options.image_size >= 1 && options.image_size <= 1 << 14,
          "loader: image size {} is not in 1..16384", options.image_size);
    check(options.batch_size >= 1, "loader: batch size {} is not positive", options.batch_size);
    check(options.workers >= 1 && options.workers <= 1024, "loader: {} workers; give 1 to 1024",
          options.workers);
    check(options.prefetch >= 1, "loader: prefetch {} is not positive", options.prefetch);
    for (const float deviation : options.std)
      check(deviation > 0.0F, "loader: deviation {} is not positive", deviation);
    const auto count = static_cast<std::int64_t>(set.samples.size());
    check(set.multi_labels.empty() ||
              set.multi_labels.size() == set.samples.size() * set.classes.size(),
          "loader: {} holds {} multi-labels, expected {} images times {} classes",
          set.root.string(), set.multi_labels.size(), set.samples.size(), set.classes.size());
    for (const std::int64_t sample : options.subset)
      check(sample >= 0 && sample < count, "loader: subset index {} is not in 0..{}", sample,
            count - 1);
  }

  // Makes the next batch of the epoch available to the workers. Called under the lock, on the
  // caller's thread, which therefore owns every allocation of a batch.
  void open_slot() {
    if (next_number_ >= batches()) return;
    auto slot = std::make_shared<Slot>();
    slot->number = next_number_++;
    slot->begin = slot->number * options.batch_size;
    const auto count = static_cast<std::int64_t>(samples.size());
    const std::int64_t size = std::min(options.batch_size, count - slot->begin);
    if (bytes_)
      slot->images = buffers_.rows(
          {std::min(options.batch_size, count), options.image_size, options.image_size, 3}, size,
          DType::kUInt8);
    else
      slot->images = Tensor::empty({size, 3, options.image_size, options.image_size});
    slot->outcomes.resize(static_cast<std::size_t>(size));
    slot->missing = static_cast<std::size_t>(size);
    end_ = slot->begin + size;
    slots_.push_back(std::move(slot));
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_ready_.wait(lock, [this] { return quitting_ || next_position_ < end_; });
      if (quitting_) return;
      const std::int64_t position = next_position_++;
      const std::shared_ptr<Slot> slot =
          *std::find_if(slots_.begin(), slots_.end(),
                        [&](const auto& s) { return position - s->begin < s->images.dim(0); });
      const std::int64_t sample = order_[static_cast<std::size_t>(position)];
      const auto row = static_cast<std::size_t>(position - slot->begin);
      const auto known = bad_.find(sample);
      if (known != bad_.end()) slot->outcomes[row].problem = known->second;
      ++busy_;
      lock.unlock();
      if (slot->outcomes[row].problem.empty())
        load(sample, place_of(slot->images, row), slot->outcomes[row]);
      lock.lock();
      --busy_;
      if (--slot->missing == 0) batch_ready_.notify_all();
      if (busy_ == 0) idle_.notify_all();
    }
  }

  std::size_t plane_size() const {
    return static_cast<std::size_t>(options.image_size) *
           static_cast<std::size_t>(options.image_size);
  }
  // Of a picture in a slot's images.
  std::size_t image_bytes() const { return 3 * plane_size() * (bytes_ ? 1 : sizeof(float)); }
  void* place_of(Tensor& images, std::size_t row) const {
    return static_cast<char*>(images.view().data) + row * image_bytes();
  }

  void load(std::int64_t sample, void* target, Outcome& outcome) {
    const auto index = static_cast<std::size_t>(sample);
    try {
      std::shared_ptr<const ImageCache::Pixels> pixels = cache.find(index);
      if (pixels == nullptr) {
        const Image image = load_sample(set.samples[index], {.max_pixels = options.max_pixels});
        pixels = std::make_shared<const ImageCache::Pixels>(
            resize_bilinear(image, options.image_size, options.image_size).rgb);
        cache.insert(index, pixels);
      }
      if (bytes_) {
        std::memcpy(target, pixels->data(), image_bytes());
        return;
      }
      const std::size_t plane = plane_size();
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const std::array<float, 256>& table = normalised_[channel];
        const std::uint8_t* source = pixels->data() + channel;
        float* out = static_cast<float*>(target) + channel * plane;
        for (std::size_t i = 0; i < plane; ++i) out[i] = table[source[i * 3]];
      }
    } catch (const Error& error) {
      outcome.problem = error.what();
    } catch (...) {
      outcome.fatal = std::current_exception();
    }
  }

  // Hands the readable samples of a finished slot over; false when there are none.
  bool deliver(Slot& slot, Batch& batch) {
    std::vector<std::int64_t> kept;
    for (std::size_t row = 0; row < slot.outcomes.size(); ++row) {
      const Outcome& outcome = slot.outcomes[row];
      if (outcome.fatal) std::rethrow_exception(outcome.fatal);
      if (outcome.problem.empty()) {
        kept.push_back(static_cast<std::int64_t>(row));
        continue;
      }
      check(!options.strict, "{}", outcome.problem);
      note_bad(order_[static_cast<std::size_t>(slot.begin) + row], outcome.problem);
    }
    if (kept.empty()) return false;
    delivered_ = true;
    const auto count = static_cast<std::int64_t>(kept.size());
    batch.number = slot.number;
    batch.labels = Tensor::empty({count}, {.dtype = DType::kInt64});
    batch.indices.resize(kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      batch.indices[i] = order_[static_cast<std::size_t>(slot.begin + kept[i])];
      batch.labels.data<std::int64_t>()[i] =
          set.samples[static_cast<std::size_t>(batch.indices[i])].label;
    }
    batch.targets = targets_of(batch.indices);
    if (kept.size() == slot.outcomes.size()) {
      batch.images = std::move(slot.images);
      return true;
    }
    // Up to the places of those that are missing, which are no later than their own.
    for (std::size_t i = 0; i < kept.size(); ++i)
      std::memmove(place_of(slot.images, i),
                   place_of(slot.images, static_cast<std::size_t>(kept[i])), image_bytes());
    batch.images = slot.images.rows(0, count);
    return true;
  }

  Tensor targets_of(const std::vector<std::int64_t>& indices) const {
    if (set.multi_labels.empty()) return {};
    const std::size_t classes = set.classes.size();
    Tensor targets = Tensor::empty(
        {static_cast<std::int64_t>(indices.size()), static_cast<std::int64_t>(classes)});
    float* out = targets.data<float>();
    for (const std::int64_t index : indices)
      out = std::copy_n(&set.multi_labels[static_cast<std::size_t>(index) * classes], classes, out);
    return targets;
  }

  void note_bad(std::int64_t sample, const std::string& problem) {
    {
      const std::lock_guard lock(mutex_);
      if (!bad_.emplace(sample, problem).second) return;
    }
    if (options.warn) options.warn(problem);
  }

  std::array<std::array<float, 256>, 3> normalised_{};
  const bool bytes_ = options.device.type != DeviceType::kCpu;
  PinnedBuffers buffers_;
  Staging staging_;
  std::deque<Batch> staged_;  // of the batches in staging_, all but the images

  mutable std::mutex mutex_;
  std::condition_variable work_ready_;   // a sample may be begun, or quitting_
  std::condition_variable batch_ready_;  // a slot has no missing sample
  std::condition_variable idle_;         // no worker is inside a sample
  std::deque<std::shared_ptr<Slot>> slots_;
  std::vector<std::int64_t> order_;  // sample indices of the epoch; constant while workers are busy
  std::map<std::int64_t, std::string> bad_;
  std::int64_t next_position_ = 0;  // the next one to begin
  std::int64_t end_ = 0;            // positions before it may be begun
  std::int64_t next_number_ = 0;    // the next batch to open
  int busy_ = 0;
  bool delivered_ = false;    // a batch of this epoch was handed out
  bool whole_epoch_ = false;  // it began at batch 0
  bool quitting_ = false;
  std::vector<std::thread> workers_;
};

Loader::Loader(ImageSet set, LoaderOptions options)
    : impl_(std::make_unique<Impl>(std::move(set), std::move(options))) {}
Loader::~Loader() = default;

void Loader::start(std::int64_t epoch, std::int64_t first_batch) {
  impl_->start(epoch, first_batch);
}
bool Loader::next(Batch& batch) { return impl_->next(batch); }
std::int64_t Loader::batches() const { return impl_->batches(); }
std::int64_t Loader::size() const { return static_cast<std::int64_t>(impl_->samples.size()); }
int Loader::image_size() const { return impl_->options.image_size; }
const ImageSet& Loader::set() const { return impl_->set; }
std::int64_t Loader::skipped() const { return impl_->skipped(); }
std::size_t Loader::cached_bytes() const { return impl_->cache.bytes(); }

std::vector<std::int64_t> shuffled_order(std::int64_t count, std::uint64_t seed,
                                         std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  random::Stream stream(seed, kShuffleStream + static_cast<std::uint64_t>(epoch));
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(stream.below(i))]);
  return order;
}

}  // namespace concord
