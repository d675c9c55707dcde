#include "tools/bench/random_stores.h"

#include <algorithm>

#include "data/feature_store.h"
#include "engine/random.h"
#include "tools/common/interrupt.h"

namespace concord::bench {
namespace {

constexpr std::int64_t kDrawn = 61;

void write_store(const std::filesystem::path& path, const Shape& shape, StoredDType dtype,
                 std::uint64_t seed, std::uint64_t stream) {
  random::Generator generator(seed);
  generator.set_state(seed, stream);
  Tensor drawn = Tensor::empty(shape.with(0, std::min(kDrawn, shape[0])));
  random::fill_normal(drawn, generator, 0, 1);
  FeatureStoreWriter writer(path,
                            {.arch = "none",
                             .layer = "random",
                             .dataset = "random",
                             .split = "train",
                             .weights = "none",
                             .image_size = 0},
                            kShardBytes, dtype);
  for (std::int64_t begin = 0; begin < shape[0]; begin += kDrawn) {
    tool::stop_if_interrupted();
    const std::int64_t count = std::min(kDrawn, shape[0] - begin);
    const std::vector<std::uint8_t> flags(static_cast<std::size_t>(count), 1);
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < count; ++i)
      names.push_back(fmt::format("class/{:08}.jpg", begin + i));
    writer.append(drawn.rows(0, count), Tensor::zeros({count}, {.dtype = DType::kInt64}), flags,
                  flags, names);
  }
  writer.finish();
}

}  // namespace

void write_random_stores(const std::filesystem::path& directory, const Shape& shape,
                         StoredDType dtype, std::uint64_t seed) {
  write_store(directory / "a", shape, dtype, seed, 1);
  write_store(directory / "b", shape, dtype, seed, 2);
}

}  // namespace concord::bench
