#include <cstdlib>
#include <filesystem>
#include <optional>

#include "data/feature_store.h"
#include "engine/checkpoint.h"
#include "models/network.h"
#include "tools/bench/step_inputs.h"
#include "tools/bench/step_kinds.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

namespace concord::bench {
namespace {

namespace fs = std::filesystem;

// A folder of its own for what a step writes.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) {
    std::string pattern =
        ((parent.empty() ? fs::temp_directory_path() : fs::path(parent)) / "concord-bench-XXXXXX")
            .string();
    check(::mkdtemp(pattern.data()) != nullptr,
          "no folder can be made in {}; name another by --scratch",
          fs::path(pattern).parent_path().string());
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

constexpr std::int64_t kStoreBatches = 4;

// Features of kStoreBatches batches into a store, to the disk.
class Store final : public WholeStep {
 public:
  Store(bool write, const std::string& maps, const StepOptions& options)
      : write_(write),
        scratch_(options.scratch),
        features_(random_maps(maps_of(maps)->with(0, options.batch_size), options.seed, 1)) {
    const std::vector<std::int64_t> labels(static_cast<std::size_t>(features_.dim(0)), 0);
    labels_ = Tensor::of({features_.dim(0)}, labels);
    if (write_) return;
    write_store();
    store_.emplace(scratch_.path() / "store");
    rows_ = shuffled_order(store_->size(), options.seed, 0);
  }
  void run() override {
    if (write_) {
      fs::remove_all(scratch_.path() / "store");
      return write_store();
    }
    // In the shuffled batches of a training; the pages are in memory already.
    for (std::int64_t begin = 0; begin < store_->size(); begin += features_.dim(0))
      store_->gather({rows_.begin() + begin, rows_.begin() + begin + features_.dim(0)});
  }
  double images() const override { return static_cast<double>(features_.dim(0) * kStoreBatches); }
  double bytes() const override { return static_cast<double>(features_.bytes()) * kStoreBatches; }
  std::string shape() const override {
    return features_.shape().with(0, features_.dim(0) * kStoreBatches).to_string();
  }

 private:
  void write_store() const {
    const auto count = static_cast<std::size_t>(features_.dim(0));
    const std::vector<std::uint8_t> flags(count, 1);
    const std::vector<std::string> names(count, "picture.jpg");
    FeatureStoreWriter writer(scratch_.path() / "store", FeatureStoreInfo{});
    for (std::int64_t batch = 0; batch < kStoreBatches; ++batch)
      writer.append(features_, labels_, flags, flags, names);
    writer.finish();
  }

  bool write_;
  Scratch scratch_;
  Tensor features_;
  Tensor labels_;
  std::optional<FeatureStore> store_;
  std::vector<std::int64_t> rows_;
};

class WriteCheckpoint final : public WholeStep {
 public:
  WriteCheckpoint(const std::string& arch, const StepOptions& options)
      : scratch_(options.scratch), generator_(options.seed) {
    network_ = make_network(arch, options.classes, generator_);
    optimizer_ = tool::make_optimizer({}, network_->named_parameters());
  }
  void run() override { save_checkpoint(path(), *network_, optimizer_.get(), {}); }
  double images() const override { return 0; }
  double bytes() const override { return static_cast<double>(fs::file_size(path())); }
  std::string shape() const override { return "-"; }

 private:
  fs::path path() const { return scratch_.path() / "last.safetensors"; }

  Scratch scratch_;
  random::Generator generator_;
  std::shared_ptr<Network> network_;
  std::unique_ptr<Optimizer> optimizer_;
};

constexpr StepKind kKinds[] = {
    {"store-write", StepArgument::kMaps, "a feature store, synced to the disk",
     make_step_of<Store, true>},
    {"store-read", StepArgument::kMaps, "its rows in a shuffled order, from the page cache",
     make_step_of<Store, false>},
    {"checkpoint-write", StepArgument::kArchitecture, "parameters and momenta, synced to the disk",
     make_step_of<WriteCheckpoint>}};

}  // namespace

std::span<const StepKind> file_steps() { return kKinds; }

}  // namespace concord::bench
