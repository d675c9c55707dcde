#include "data/feature_reader.h"

#include <sys/mman.h>

#include <fstream>

#include "data/loader.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::TemporaryFolder;

constexpr std::int64_t kCount = 29;
constexpr std::int64_t kBatch = 4;  // and one of a single row at the end
const Shape kShapeA = {kCount, 6, 2, 3};
const Shape kShapeB = {kCount, 3, 5, 1};

Tensor values_of(const Shape& shape, std::uint64_t seed) {
  return test::random_tensor(shape, seed).to(DType::kFloat32);
}

// Three rows a shard.
void write_store(const std::filesystem::path& path, const Tensor& all,
                 StoredDType dtype = StoredDType::kFloat32) {
  const std::size_t row = all.bytes() / static_cast<std::size_t>(all.dim(0));
  FeatureStoreWriter writer(path, {}, 3 * row, dtype);
  const auto count = static_cast<std::size_t>(all.dim(0));
  const std::vector<std::uint8_t> flags(count, 1);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  writer.append(all, Tensor::zeros({all.dim(0)}, {.dtype = DType::kInt64}), flags, flags, names);
  writer.finish();
}

class FeatureReaders : public ::testing::Test {
 protected:
  void SetUp() override {
    write_store(folder_ / "a", a_);
    write_store(folder_ / "b", b_);
  }
  std::vector<FeatureStore> stores() const {
    return {FeatureStore(folder_ / "a"), FeatureStore(folder_ / "b")};
  }
  // Bytes of `batches` batches of both.
  static std::size_t bytes(std::size_t batches) { return batches * kBatch * (36 + 15) * 4; }

  TemporaryFolder folder_;
  Tensor a_ = values_of(kShapeA, 1);
  Tensor b_ = values_of(kShapeB, 2);
};

void expect_rows(const Tensor& got, const Tensor& all, const std::vector<std::int64_t>& rows) {
  ASSERT_EQ(got.shape(), all.shape().with(0, static_cast<std::int64_t>(rows.size())));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    ASSERT_EQ(got.rows(at, at + 1).to_vector<float>(),
              all.rows(rows[i], rows[i] + 1).to_vector<float>())
        << "row " << rows[i];
  }
}

TEST_F(FeatureReaders, GivesTheRowsOfTheOrderHoweverFarAheadAndWhereverItStarts) {
  for (const std::size_t ahead : {bytes(0), bytes(1), bytes(3), bytes(1000)}) {
    for (const bool shuffle : {false, true}) {
      FeatureReader reader(
          stores(), {.batch_size = kBatch, .shuffle = shuffle, .seed = 7, .ahead_bytes = ahead});
      EXPECT_EQ(reader.batches(), 8);
      EXPECT_EQ(reader.size(), kCount);
      for (const std::int64_t first : {0, 3, 7, 8}) {
        for (const std::int64_t epoch : {0, 2}) {
          auto order = shuffled_order(kCount, 7, epoch);
          if (!shuffle) std::sort(order.begin(), order.end());
          reader.start(epoch, first);
          FeatureBatch batch;
          for (std::int64_t number = first; number < 8; ++number) {
            ASSERT_TRUE(reader.next(batch));
            EXPECT_EQ(batch.number, number);
            const std::vector<std::int64_t> rows(
                order.begin() + number * kBatch,
                order.begin() + std::min(kCount, (number + 1) * kBatch));
            ASSERT_EQ(batch.features.size(), 2U);
            expect_rows(batch.features[0], a_, rows);
            expect_rows(batch.features[1], b_, rows);
          }
          EXPECT_FALSE(reader.next(batch));
          EXPECT_FALSE(reader.next(batch));
        }
      }
    }
  }
}

TEST_F(FeatureReaders, AnAbandonedEpochLeavesNoBatch) {
  FeatureReader reader(stores(), {.batch_size = kBatch, .shuffle = true, .ahead_bytes = bytes(3)});
  FeatureBatch batch;
  EXPECT_FALSE(reader.next(batch)) << "before start()";
  for (int taken = 0; taken < 6; ++taken) {
    for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
      reader.start(epoch, 0);
      for (int i = 0; i < taken; ++i) ASSERT_TRUE(reader.next(batch));
    }
    reader.start(5, 1);
    ASSERT_TRUE(reader.next(batch));
    const auto order = shuffled_order(kCount, 0, 5);
    expect_rows(batch.features[0], a_, {order.begin() + kBatch, order.begin() + 2 * kBatch});
  }
}

// What tensors hold while an epoch runs: the batches ahead, the one in use, and nothing else.
TEST_F(FeatureReaders, KeepsToItsMemory) {
  for (const std::size_t ahead : {0, 1, 3}) {
    FeatureReader reader(stores(), {.batch_size = kBatch, .ahead_bytes = bytes(ahead + 1) - 1});
    EXPECT_EQ(reader.ahead(), static_cast<std::int64_t>(ahead));
    EXPECT_EQ(reader.batch_bytes(), bytes(1));
    const std::size_t before = kernels::memory_statistics({}).in_use;
    const std::size_t peak = kernels::memory_statistics({}).peak_in_use;
    FeatureBatch batch;
    reader.start(0);
    std::size_t most = 0;
    while (reader.next(batch))
      most = std::max(most, kernels::memory_statistics({}).in_use - before);
    EXPECT_GT(most, bytes(ahead));
    // Each of a batch's two tensors is rounded up to 64 bytes.
    const std::size_t allowed = (ahead + 1) * (bytes(1) + 2 * 63);
    EXPECT_LE(most, allowed);
    EXPECT_EQ(kernels::memory_statistics({}).in_use, before);
    // Also within next(), unless an earlier test of this process took more.
    EXPECT_LE(kernels::memory_statistics({}).peak_in_use, std::max(peak, before + allowed));
  }
  EXPECT_EQ(FeatureReader(stores(), {.batch_size = 1}).ahead(), 16) << "more would help nobody";
}

TEST_F(FeatureReaders, ErrorsOfTheThreadNameTheFile) {
  for (const std::size_t ahead : {bytes(0), bytes(2)}) {
    for (const char* damage : {"short", "missing", "replaced"}) {
      const TemporaryFolder folder;
      write_store(folder / "a", a_);
      const std::filesystem::path shard = folder / "a/shard-00004.safetensors";
      FeatureReader reader({FeatureStore(folder / "a")},
                           {.batch_size = kBatch, .ahead_bytes = ahead});
      if (damage == std::string("short")) std::filesystem::resize_file(shard, 500);
      if (damage == std::string("missing")) std::filesystem::remove(shard);
      if (damage == std::string("replaced")) {
        std::filesystem::copy_file(shard, folder / "copy");
        std::filesystem::rename(folder / "copy", shard);
      }
      reader.start(0);
      FeatureBatch batch;
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader.next(batch));
      expect_error([&] { reader.next(batch); },
                   {shard.string(), damage == std::string("missing") ? "No such file" : "in use"});
    }
  }
}

TEST_F(FeatureReaders, Misuse) {
  expect_error([] { FeatureReader({}, {}); }, {"no store"});
  expect_error([&] { FeatureReader(stores(), {.batch_size = 0}); }, {"batch size 0"});
  write_store(folder_ / "c", values_of({5, 1, 1, 1}, 3));
  expect_error(
      [&] {
        FeatureReader({FeatureStore(folder_ / "a"), FeatureStore(folder_ / "c")}, {});
      },
      {"29 and 5 rows"});
  FeatureReader reader(stores(), {.batch_size = kBatch});
  expect_error([&] { reader.start(0, 9); }, {"batch 9", "8 batches"});
  expect_error([&] { reader.start(-1); }, {"epoch -1"});
}

// Pages of mappings of files that are resident, in KiB.
std::size_t mapped_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::size_t kib = 0;
  while (status >> word)
    if (word == "RssFile:") status >> kib;
  return kib;
}

TEST(FeatureReader, MapsNothingOfWhatItReads) {
  const TemporaryFolder folder;
  write_store(folder / "a", values_of({400, 64, 14, 14}, 1));  // 20 MB
  FeatureReader reader({FeatureStore(folder / "a")}, {.batch_size = 8, .shuffle = true});
  const std::size_t before = mapped_kib();
  ASSERT_GT(before, 0U);
  reader.start(0);
  double sum = 0;
  for (FeatureBatch batch; reader.next(batch);) sum += batch.features[0].data<float>()[0];
  EXPECT_NE(sum, 0);
  EXPECT_LT(mapped_kib(), before + 1024);
}

}  // namespace
}  // namespace concord
