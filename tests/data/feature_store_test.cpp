#include "data/feature_store.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <numeric>

#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::TemporaryFolder;
using test::write_bytes;

namespace fs = std::filesystem;

constexpr std::int64_t kCount = 11;
const Shape kShape = {kCount, 16, 2, 3};  // 384 bytes a row
const FeatureStoreInfo kInfo = {.arch = "resnet18",
                                .layer = "layer3",
                                .dataset = "/data/x \"y\"",
                                .split = "test",
                                .weights = "best.safetensors",
                                .image_size = 112};

Tensor features() { return test::random_tensor(kShape, 1).to(DType::kFloat32); }
std::string name_of_row(std::int64_t row) { return "class/" + std::to_string(row) + ".jpg"; }

void append(FeatureStoreWriter& writer, const Tensor& all, std::int64_t begin, std::int64_t end,
            MemoryFormat format = MemoryFormat::kPlain) {
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> top1, top3;
  std::vector<std::string> names;
  for (std::int64_t row = begin; row < end; ++row) {
    labels.push_back(row * 10);
    top1.push_back(row % 2);
    top3.push_back(row % 3 == 0);
    names.push_back(name_of_row(row));
  }
  writer.append(all.rows(begin, end).in_format(format), Tensor::of({end - begin}, labels), top1,
                top3, names);
}

// kCount rows in batches of four, five rows a shard.
void write_store(const fs::path& path, std::size_t shard_bytes = 5 * 384,
                 MemoryFormat format = MemoryFormat::kPlain) {
  FeatureStoreWriter writer(path, kInfo, shard_bytes);
  const Tensor all = features();
  for (std::int64_t begin = 0; begin < kCount; begin += 4)
    append(writer, all, begin, std::min(kCount, begin + 4), format);
  writer.finish();
}

std::vector<std::string> listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(FeatureStore, RoundTripAcrossShards) {
  const TemporaryFolder folder;
  write_store(folder / "s", 5 * 384 + 100);
  EXPECT_EQ(listing(folder / "s"),
            (std::vector<std::string>{"index.json", "shard-00000.safetensors",
                                      "shard-00001.safetensors", "shard-00002.safetensors"}));
  const FeatureStore store(folder / "s");
  EXPECT_EQ(store.size(), kCount);
  EXPECT_EQ(store.shape(), kShape);
  EXPECT_EQ(store.info().arch, kInfo.arch);
  EXPECT_EQ(store.info().layer, kInfo.layer);
  EXPECT_EQ(store.info().dataset, kInfo.dataset);
  EXPECT_EQ(store.info().split, kInfo.split);
  EXPECT_EQ(store.info().weights, kInfo.weights);
  EXPECT_EQ(store.info().image_size, 112);
  ASSERT_TRUE(store.has_labels());
  for (std::int64_t row = 0; row < kCount; ++row) {
    const std::size_t i = static_cast<std::size_t>(row);
    EXPECT_EQ(store.labels()[i], row * 10);
    EXPECT_EQ(store.top1()[i], row % 2);
    EXPECT_EQ(store.top3()[i], row % 3 == 0);
    EXPECT_EQ(store.names()[i], name_of_row(row));
  }
  const auto all = features().to_vector<float>();
  for (std::int64_t begin = 0; begin <= kCount; ++begin) {
    for (std::int64_t end = begin; end <= kCount; ++end) {
      const auto rows = store.rows(begin, end).to_vector<float>();
      ASSERT_EQ(rows, std::vector<float>(all.begin() + begin * 96, all.begin() + end * 96))
          << begin << " to " << end;
    }
  }
  EXPECT_EQ(store.rows(5, 10).view().data, store.rows(5, 6).view().data) << "no copy in a shard";
}

TEST(FeatureStore, RowsAreGatheredInAnyOrder) {
  const TemporaryFolder folder;
  write_store(folder / "s");
  const FeatureStore store(folder / "s");
  const std::vector<std::int64_t> order = {10, 0, 4, 5, 5, 9};
  const Tensor gathered = store.gather(order);
  EXPECT_EQ(gathered.shape(), kShape.with(0, 6));
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    EXPECT_EQ(gathered.rows(at, at + 1).to_vector<float>(),
              features().rows(order[i], order[i] + 1).to_vector<float>());
  }
  EXPECT_EQ(store.gather({}).numel(), 0);
}

TEST(FeatureStore, TheBytesDoNotDependOnFormatOrBatches) {
  const TemporaryFolder folder;
  write_store(folder / "plain");
  write_store(folder / "blocked", 5 * 384, MemoryFormat::kBlocked16);
  {
    FeatureStoreWriter writer(folder / "single", kInfo, 5 * 384);
    for (std::int64_t row = 0; row < kCount; ++row) append(writer, features(), row, row + 1);
    writer.finish();
  }
  for (const std::string& name : listing(folder / "plain")) {
    const std::string bytes = test::read_bytes(folder / "plain" / name);
    EXPECT_EQ(test::read_bytes(folder / "blocked" / name), bytes) << name;
    EXPECT_EQ(test::read_bytes(folder / "single" / name), bytes) << name;
  }
}

TEST(FeatureStore, AShardHoldsAtLeastARow) {
  const TemporaryFolder folder;
  write_store(folder / "s", 1);
  EXPECT_EQ(listing(folder / "s").size(), 1U + kCount);
  EXPECT_EQ(FeatureStore(folder / "s").rows(0, kCount).to_vector<float>(),
            features().to_vector<float>());
}

TEST(FeatureStore, ASingleFileWillDo) {
  const TemporaryFolder folder;
  const Tensor double_features = test::random_tensor(kShape, 1);
  write_safetensors(folder / "f", {{"features", double_features}});
  const FeatureStore store(folder / "f");
  EXPECT_EQ(store.shape(), kShape);
  EXPECT_FALSE(store.has_labels());
  EXPECT_TRUE(store.labels().empty() && store.names().empty());
  EXPECT_EQ(store.rows(2, 9).to_vector<float>(), features().rows(2, 9).to_vector<float>());

  write_safetensors(folder / "g", {{"feature", double_features}});
  expect_error([&] { FeatureStore(folder / "g"); }, {"no tensor features", "feature"});
  write_safetensors(folder / "h", {{"features", Tensor::zeros({3, 4})}});
  expect_error([&] { FeatureStore(folder / "h"); }, {(folder / "h").string(), "3x4", "[N,C,H,W]"});
  write_safetensors(folder / "i", {{"features", Tensor::zeros({0, 4, 1, 1})}});
  expect_error([&] { FeatureStore(folder / "i"); }, {"0x4x1x1"});
  expect_error([&] { FeatureStore(folder / "none"); }, {(folder / "none").string()});
}

// Stored in 16 bits: what is read is what the rounding gives, by either way of reading.
TEST(FeatureStore, RoundTripInSixteenBits) {
  const TemporaryFolder folder;
  Tensor all = features();
  all.data<float>()[0] = NAN;
  all.data<float>()[96 * 6 + 1] = -INFINITY;
  for (const auto& [dtype, narrow] : {std::pair(StoredDType::kBFloat16, &narrow_to_bfloat16),
                                      std::pair(StoredDType::kFloat16, &narrow_to_float16)}) {
    const fs::path path = folder / safetensors_name(dtype);
    {
      FeatureStoreWriter writer(path, kInfo, 5 * 192, dtype);
      append(writer, all, 0, 4);
      append(writer, all, 4, kCount, MemoryFormat::kBlocked16);
      writer.finish();
    }
    std::vector<std::uint16_t> bits(static_cast<std::size_t>(all.numel()));
    EXPECT_TRUE(narrow(all.data<float>(), bits.size(), bits.data()));
    std::vector<float> expected(bits.size());
    widen(dtype, bits.data(), bits.size(), expected.data());
    const auto row = [&](std::int64_t at) {
      return std::vector<float>(expected.begin() + at * 96, expected.begin() + (at + 1) * 96);
    };
    EXPECT_EQ(listing(path).size(), 4U) << "as many rows a shard as its bytes allow";
    const FeatureStore store(path);
    EXPECT_EQ(store.dtype(), dtype);
    EXPECT_EQ(store.labels()[10], 100);
    for (const std::int64_t at : {10, 1, 5, 6}) {
      const std::vector<float> wanted = row(at);
      for (const Tensor& got : {store.rows(at, at + 1), store.gather({at}),
                                store.rows(at, std::min(kCount, at + 4)).rows(0, 1)})
        EXPECT_EQ(got.to_vector<float>(), wanted) << at;
    }
    EXPECT_TRUE(std::isnan(store.rows(0, 1).to_vector<float>()[0]));
    EXPECT_EQ(store.rows(6, 7).to_vector<float>()[1], -INFINITY);
    // As the engine reads it.
    EXPECT_EQ(SafetensorsFile(path / "shard-00001.safetensors")
                  .tensor("features")
                  .rows(0, 1)
                  .to_vector<float>(),
              row(5));
  }
}

TEST(FeatureStoreWriter, AFeatureTooLargeForItsType) {
  const TemporaryFolder folder;
  Tensor all = features();
  all.data<float>()[96 * 2] = 70000;
  FeatureStoreWriter half(folder / "half", kInfo, 5 * 192, StoredDType::kFloat16);
  expect_error([&] { append(half, all, 0, 4); },
               {(folder / "half").string(), name_of_row(2), "fp16", "bf16"});
  FeatureStoreWriter bfloat(folder / "bfloat", kInfo, 5 * 192, StoredDType::kBFloat16);
  append(bfloat, all, 0, 4);
  expect_error([&] { FeatureStoreWriter(folder / "x", kInfo, 1, StoredDType::kFloat64); },
               {"float64"});
}

TEST(FeatureStore, RowsThatAreNotThere) {
  const TemporaryFolder folder;
  write_store(folder / "s");
  const FeatureStore store(folder / "s");
  expect_error([&] { store.rows(3, 12); }, {"[3, 12) of 11"});
  expect_error([&] { store.rows(-1, 2); }, {"[-1, 2) of 11"});
  expect_error([&] { store.gather({0, 11}); }, {"row 11 of 11"});
}

TEST(FeatureStoreWriter, WhatIsNotFinishedLeavesNothing) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "mine");
  write_bytes(folder / "mine/config.json", "{}");
  for (const char* name : {"mine", "new"}) {
    FeatureStoreWriter writer(folder / name, kInfo, 5 * 384);
    append(writer, features(), 0, kCount);
    EXPECT_TRUE(fs::exists(folder / name / "shard-00001.safetensors"));
    expect_error([&] { FeatureStore(folder / name); }, {"not a feature store", "index.json"});
  }
  EXPECT_EQ(listing(folder / "mine"), std::vector<std::string>{"config.json"});
  EXPECT_FALSE(fs::exists(folder / "new"));
}

TEST(FeatureStoreWriter, Misuse) {
  const TemporaryFolder folder;
  FeatureStoreWriter writer(folder / "s", kInfo);
  expect_error([&] { writer.finish(); }, {"no features"});
  append(writer, features(), 0, 2);
  expect_error([&] { append(writer, Tensor::zeros({2, 16, 2, 2}), 0, 2); }, {"16x2x2", "16x2x3"});
  expect_error([&] { append(writer, Tensor::zeros({2, 16}), 0, 2); }, {"[n,C,H,W]", "2x16"});
  expect_error(
      [&] {
        writer.append(features().rows(0, 2), Tensor::of<std::int64_t>({2}, {0, 1}), {1}, {1, 1},
                      {"a", "b"});
      },
      {"2 rows", "1 top-1"});
  writer.finish();
  expect_error([&] { append(writer, features(), 0, 2); }, {"finished"});
  expect_error([&] { writer.finish(); }, {"finished"});
  expect_error([&] { FeatureStoreWriter(folder / "s", kInfo); }, {"holds a feature store already"});
  write_bytes(folder / "file", "");
  expect_error([&] { FeatureStoreWriter(folder / "file", kInfo); },
               {(folder / "file").string(), "folder"});
  EXPECT_EQ(FeatureStore(folder / "s").size(), 2);
}

// A limit on the size of files stands for a full disk.
TEST(FeatureStoreWriter, AFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  rlimit unlimited = {};
  getrlimit(RLIMIT_FSIZE, &unlimited);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited = {1024, unlimited.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limited);
  {
    FeatureStoreWriter writer(folder / "s", kInfo, 5 * 384);
    expect_error([&] { append(writer, features(), 0, kCount); },
                 {"shard-00000.safetensors", "bytes are needed"});
  }
  setrlimit(RLIMIT_FSIZE, &unlimited);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(folder.listing().empty());
}

class Damaged : public ::testing::Test {
 protected:
  void SetUp() override { write_store(folder_ / "s"); }
  void expect_refused(const std::vector<std::string>& parts) {
    expect_error([&] { FeatureStore(folder_ / "s"); }, parts);
  }
  void replace(const std::string& from, const std::string& to) {
    std::string text = test::read_bytes(folder_ / "s/index.json");
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_bytes(folder_ / "s/index.json", text.replace(at, from.size(), to));
  }
  TemporaryFolder folder_;
};

TEST_F(Damaged, AMissingShard) {
  fs::remove(folder_ / "s/shard-00001.safetensors");
  expect_refused({"shard-00001.safetensors"});
}

TEST_F(Damaged, AShortShard) {
  const fs::path shard = folder_ / "s/shard-00002.safetensors";
  const std::string bytes = test::read_bytes(shard);
  write_bytes(shard, bytes.substr(0, bytes.size() - 1));
  expect_refused({"shard-00002.safetensors", "truncated"});
}

TEST_F(Damaged, AShardOfAnotherShape) {
  fs::copy_file(folder_ / "s/shard-00002.safetensors", folder_ / "s/shard-00000.safetensors",
                fs::copy_options::overwrite_existing);
  expect_refused({"shard-00000.safetensors", "1x16x2x3", "5x16x2x3"});
}

TEST_F(Damaged, LabelsOfAnotherCount) {
  write_safetensors(folder_ / "s/shard-00002.safetensors",
                    {{"features", Tensor::zeros({1, 16, 2, 3})},
                     {"label", Tensor::zeros({2}, {.dtype = DType::kInt64})}});
  expect_refused({"shard-00002.safetensors", "label"});
}

TEST_F(Damaged, IndexTruncatedAtEveryByte) {
  const std::string text = test::read_bytes(folder_ / "s/index.json");
  for (std::size_t length = 0; length + 2 < text.size(); ++length) {
    write_bytes(folder_ / "s/index.json", text.substr(0, length));
    EXPECT_THROW(FeatureStore(folder_ / "s"), Error) << length;
  }
}

TEST_F(Damaged, IndexWithOtherContents) {
  replace("\"concord-features\"", "\"other\"");
  expect_refused({"index.json", "other", "concord-features"});
  write_store(folder_ / "t");
  fs::copy_file(folder_ / "t/index.json", folder_ / "s/index.json",
                fs::copy_options::overwrite_existing);
  replace("\"count\": 11", "\"count\": 12");
  expect_refused({"11 images of 12"});
  replace("\"count\": 12", "\"count\": -1");
  expect_refused({"index.json"});
  replace("\"count\": -1", "\"count\": 11");
  replace("\"shard-00000.safetensors\"", "\"../t/shard-00000.safetensors\"");
  expect_refused({"does not lie in the folder"});
  replace("\"../t/shard-00000.safetensors\"", "7");
  expect_refused({"index.json", "malformed"});
}

}  // namespace
}  // namespace concord
