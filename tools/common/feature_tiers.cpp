// The three places where the features of stores may wait (tools/common/feature_pairs.h).

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <span>
#include <utility>

#include "data/workers.h"
#include "engine/staging.h"
#include "kernels/gather_rows.h"
#include "kernels/memory.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/host_memory.h"
#include "tools/common/interrupt.h"
#include "tools/common/tensorboard.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

constexpr double kMebibyte = 1 << 20;
// What is read at a time where all features are.
constexpr std::int64_t kPieceBytes = std::int64_t{64} << 20;

// Page-locked memory that holds features of this process, against --pinned-memory.
std::atomic<std::size_t> pinned_bytes = 0;

std::size_t row_bytes(const FeatureStore& store) {
  return static_cast<std::size_t>(store.shape().with(0, 1).numel()) * sizeof(float);
}

std::int64_t rows_of_a_piece(const FeatureStore& store) {
  const auto bytes = static_cast<std::int64_t>(std::max<std::size_t>(1, row_bytes(store)));
  return std::clamp<std::int64_t>(kPieceBytes / bytes, 1, store.size());
}

std::vector<std::int64_t> rows_from(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(end - begin));
  std::iota(rows.begin(), rows.end(), begin);
  return rows;
}

// There is no memory to hold the features; for a place further down.
class NoRoom : public Error {
 public:
  using Error::Error;
};

// allocate(), whose failure is NoRoom.
template <class Allocate>
Tensor if_there_is_room(Allocate&& allocate) {
  try {
    return allocate();
  } catch (const Error& error) {
    throw NoRoom(error.what());
  }
}

// Two stores of the same images, as pairs.
class StorePairs : public FeaturePairs {
 public:
  StorePairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : a_(a), b_(b), order_(order) {
    check_same_images(a, b);
    check(order.batch_size > 0, "pairs: a batch of {}", order.batch_size);
  }

  std::int64_t batches() const override {
    return (size() + order_.batch_size - 1) / order_.batch_size;
  }
  std::int64_t size() const override { return a_.size(); }
  Shape shape_a() const override { return map_shape(a_.shape()); }
  Shape shape_b() const override { return map_shape(b_.shape()); }
  std::string fingerprint() const override {
    return tool::fingerprint(a_) + ", " + tool::fingerprint(b_);
  }

 protected:
  const PairOrder& order() const { return order_; }

  static void set(PairBatch& batch, const Tensor& a, const Tensor& b, std::int64_t number) {
    batch.b = as_maps(b);
    batch.a = at_size(as_maps(a), batch.b.dim(2), batch.b.dim(3));
    batch.number = number;
  }

 private:
  FeatureStore a_;
  FeatureStore b_;
  PairOrder order_;
};

// Pairs whose features are all in memory.
class HeldPairs : public StorePairs {
 public:
  using StorePairs::StorePairs;

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    check(epoch >= 0 && 0 <= first_batch && first_batch <= batches(),
          "pairs: epoch {} cannot begin at batch {} of {}", epoch, first_batch, batches());
    rows_ = order().shuffle ? shuffled_order(size(), order().seed, epoch) : rows_from(0, size());
    next_ = first_batch;
  }

 protected:
  // Whether the epoch has another batch to begin.
  bool more() const { return !rows_.empty() && next_ < batches(); }
  // The number of the next batch; its rows follow.
  std::int64_t number() const { return next_; }
  std::span<const std::int64_t> take_rows() {
    const auto begin = static_cast<std::size_t>(next_++ * order().batch_size);
    return std::span(rows_).subspan(
        begin, std::min(static_cast<std::size_t>(order().batch_size), rows_.size() - begin));
  }

 private:
  std::vector<std::int64_t> rows_;
  std::int64_t next_ = 0;
};

class ResidentPairs final : public HeldPairs {
 public:
  ResidentPairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : HeldPairs(a, b, order), a_(load(a, order.device)), b_(load(b, order.device)) {}

  bool next(PairBatch& batch) override {
    batch.a = Tensor();
    batch.b = Tensor();
    if (!more()) return false;
    const std::int64_t number = this->number();
    const auto rows = take_rows();
    const Tensor b = gather(b_, rows);
    set(batch, gather(a_, rows), b, number);
    return true;
  }

 private:
  // Some rows at a time, so that the host never holds them all; one piece is read while the one
  // before is copied.
  static Tensor load(const FeatureStore& store, Device device) {
    Tensor result =
        if_there_is_room([&] { return Tensor::empty(store.shape(), {.device = device}); });
    const std::int64_t piece = rows_of_a_piece(store);
    PinnedBuffers buffers(device);
    struct Half {
      Tensor rows;
      std::unique_ptr<kernels::Transfer> transfer;  // goes first
    };
    std::array<Half, 2> halves;
    for (Half& half : halves)
      half.rows =
          if_there_is_room([&] { return buffers.rows(store.shape().with(0, piece), piece); });
    std::size_t turn = 0;
    for (std::int64_t begin = 0; begin < store.size(); begin += piece, turn = 1 - turn) {
      stop_if_interrupted();
      const std::int64_t end = std::min(store.size(), begin + piece);
      Half& half = halves[turn];
      half.transfer.reset();
      store.read(rows_from(begin, end), half.rows.data<float>());
      const kernels::CopyRun run{result.rows(begin, end).view().data,
                                 std::as_const(half.rows).view().data,
                                 static_cast<std::size_t>(end - begin) * row_bytes(store)};
      half.transfer = kernels::start_transfer(device, std::span(&run, 1));
      half.transfer->wait_on_device();
    }
    return result;
  }

  static Tensor gather(const Tensor& from, std::span<const std::int64_t> rows) {
    Tensor to = Tensor::empty(from.shape().with(0, std::ssize(rows)), from.options());
    kernels::gather_rows(from.device(), from.view(), rows, to.view());
    return to;
  }

  Tensor a_;
  Tensor b_;
};

class PinnedPairs final : public HeldPairs {
 public:
  PinnedPairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : HeldPairs(a, b, order), buffers_(order.device), staging_(order.device) {
    for (const FeatureStore* store : {&a, &b}) features_.push_back(load(*store));
    counted_ = buffers_.bytes();
    pinned_bytes += counted_;
  }
  ~PinnedPairs() override { pinned_bytes -= counted_; }

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    staging_.clear();
    HeldPairs::start(epoch, first_batch);
    taken_ = first_batch;
  }

  bool next(PairBatch& batch) override {
    batch.a = Tensor();
    batch.b = Tensor();
    while (!staging_.full() && more()) staging_.put_rows(features_, take_rows());
    if (staging_.empty()) return false;
    const std::vector<Tensor> tensors = staging_.take();
    set(batch, tensors[0], tensors[1], taken_++);
    return true;
  }

 private:
  Tensor load(const FeatureStore& store) {
    Tensor result = if_there_is_room([&] { return buffers_.rows(store.shape(), store.size()); });
    const std::int64_t piece = rows_of_a_piece(store);
    float* const values = result.data<float>();
    for_each_item((store.size() + piece - 1) / piece, 0,
                  [&](std::int64_t i) {
                    const std::int64_t begin = i * piece;
                    const std::int64_t end = std::min(store.size(), begin + piece);
                    const std::int64_t offset = begin * (result.numel() / store.size());
                    store.read(rows_from(begin, end), values + offset);
                  },
                  [](std::int64_t, std::int64_t) { stop_if_interrupted(); });
    return result;
  }

  PinnedBuffers buffers_;
  std::vector<Tensor> features_;
  Staging staging_;
  std::size_t counted_ = 0;
  std::int64_t taken_ = 0;  // the number of the next batch to hand out
};

class ReadPairs final : public StorePairs {
 public:
  ReadPairs(const FeatureStore& a, const FeatureStore& b, const PairOrder& order)
      : StorePairs(a, b, order),
        staging_(order.device),
        reader_({a, b},
                {.batch_size = order.batch_size,
                 .shuffle = order.shuffle,
                 .seed = order.seed,
                 .ahead_bytes = static_cast<std::size_t>(order.memory.read_ahead_mib * kMebibyte),
                 .device = order.device}) {
    if (order.memory.read_ahead_mib > 0 && reader_.ahead() == 0)
      note("a batch of {} takes {:.0f} MiB, --read-ahead is {:.0f}: nothing is read ahead",
           order.batch_size, static_cast<double>(reader_.batch_bytes()) / kMebibyte,
           order.memory.read_ahead_mib);
  }

  void start(std::int64_t epoch, std::int64_t first_batch) override {
    staging_.clear();
    reader_.start(epoch, first_batch);
    taken_ = first_batch;
  }

  bool next(PairBatch& batch) override {
    batch.a = Tensor();  // its memory is wanted for a batch ahead
    batch.b = Tensor();
    // On the CPU nothing is copied, and a second batch would only take memory.
    const bool copies = order().device.type != DeviceType::kCpu;
    while (copies ? !staging_.full() : staging_.empty()) {
      FeatureBatch rows;
      if (!reader_.next(rows)) break;
      staging_.put(std::move(rows.features));
    }
    if (staging_.empty()) return false;
    const std::vector<Tensor> tensors = staging_.take();
    set(batch, tensors[0], tensors[1], taken_++);
    return true;
  }

 private:
  Staging staging_;
  FeatureReader reader_;
  std::int64_t taken_ = 0;  // the number of the next batch to hand out
};

// Features where they are first wanted to be; empty `pairs` and the reason where that cannot be.
struct Attempt {
  std::unique_ptr<FeaturePairs> pairs;
  std::string reason;
};

template <class Pairs>
Attempt attempt(const FeatureStore& a, const FeatureStore& b, const PairOrder& order) {
  try {
    return {std::make_unique<Pairs>(a, b, order), {}};
  } catch (const NoRoom& error) {
    return {nullptr, error.what()};
  }
}

}  // namespace

void add_feature_memory_options(CommandLine& line, FeatureMemory& memory) {
  line.option("--read-ahead", memory.read_ahead_mib,
              "memory for batches of stored features that are read ahead, in MiB; never more, and "
              "the batch in use on top (with a GPU those being copied too); 0 = none",
              in_range(0, 1e7));
  line.option("--device-memory", memory.device_mib,
              "of a GPU, for all stored features, in MiB; where they need more --pinned-memory is "
              "asked; 0 = none, -1 = as much as leaves half of what is free",
              in_range(-1, 1e9));
  line.option(
      "--pinned-memory", memory.pinned_mib,
      "with a GPU that does not hold the stored features: page-locked memory of the host to "
      "hold all of them, in MiB; where they need more they are read ahead; 0 = none, -1 = half of "
      "what is free",
      in_range(-1, 1e9));
}

std::unique_ptr<FeaturePairs> pairs_from_stores(const FeatureStore& a, const FeatureStore& b,
                                                const PairOrder& order) {
  if (order.device.type == DeviceType::kCpu) {
    for (const auto& [name, mib] : {std::pair("--device-memory", order.memory.device_mib),
                                    std::pair("--pinned-memory", order.memory.pinned_mib)})
      check_usage(mib <= 0,
                  "{}: needs a CUDA device, this run is on the CPU; its memory for features is "
                  "--read-ahead",
                  name);
    return read_pairs(a, b, order);
  }
  // A training step needs room beside them: its maps some ten times a batch, and weights.
  const auto row = static_cast<double>(row_bytes(a) + row_bytes(b));
  const double wanted = row * static_cast<double>(a.size());
  const double available = static_cast<double>(kernels::available_memory(order.device));
  const std::string device = name_of(order.device);
  const std::string what = fmt::format("features ({:.0f} MiB)", wanted / kMebibyte);
  std::string reason = fmt::format("{} has {:.0f} MiB free", device, available / kMebibyte);
  const double spare = std::max(available / 2, 16 * row * static_cast<double>(order.batch_size));
  const bool fits = order.memory.device_mib < 0 ? available - wanted >= spare
                                                : wanted <= order.memory.device_mib * kMebibyte;
  if (order.memory.device_mib >= 0)
    reason = fmt::format("--device-memory is {:.0f} MiB", order.memory.device_mib);
  if (fits) {
    Attempt resident = attempt<ResidentPairs>(a, b, order);
    if (resident.pairs != nullptr) {
      note("{} lie in the memory of {}", what, device);
      return std::move(resident.pairs);
    }
    reason = resident.reason;
  }
  const double held = static_cast<double>(pinned_bytes);
  const bool automatic = order.memory.pinned_mib < 0;
  const double budget = automatic ? static_cast<double>(available_host_memory()) / 2
                                  : order.memory.pinned_mib * kMebibyte - held;
  if (wanted <= budget) {
    Attempt pinned = attempt<PinnedPairs>(a, b, order);
    if (pinned.pairs != nullptr) {
      note("{} lie in page-locked memory of the host, for {}", what, reason);
      return std::move(pinned.pairs);
    }
    reason += "; " + pinned.reason;
  } else {
    reason +=
        fmt::format("; {} {:.0f} MiB",
                    automatic ? "half of the host's free memory is" : "--pinned-memory leaves",
                    std::max(0.0, budget) / kMebibyte);
  }
  note("{} are read from their files batch by batch, for {}", what, reason);
  return read_pairs(a, b, order);
}

std::unique_ptr<FeaturePairs> resident_pairs(const FeatureStore& a, const FeatureStore& b,
                                             const PairOrder& order) {
  return std::make_unique<ResidentPairs>(a, b, order);
}
std::unique_ptr<FeaturePairs> pinned_pairs(const FeatureStore& a, const FeatureStore& b,
                                           const PairOrder& order) {
  return std::make_unique<PinnedPairs>(a, b, order);
}
std::unique_ptr<FeaturePairs> read_pairs(const FeatureStore& a, const FeatureStore& b,
                                         const PairOrder& order) {
  return std::make_unique<ReadPairs>(a, b, order);
}

}  // namespace concord::tool
