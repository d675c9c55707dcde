#include "data/loader.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "data/image_cache.h"
#include "data/resize.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

// Two classes, `count` small pictures each, which differ in size so that resizing has work to do.
ImageSet write_images(const TempFolder& folder, int count) {
  for (int i = 0; i < 2 * count; ++i)
    folder.put(fmt::format("{}/{:03}.png", i < count ? "a" : "b", i),
               encode_png(numbered_image(9 + i % 5, 7 + i % 3, i)));
  return read_class_folder(folder.path());
}

struct Epoch {
  std::vector<std::int64_t> indices, labels, sizes, numbers;
  std::vector<float> pixels;
  friend bool operator==(const Epoch&, const Epoch&) = default;
};

void append(Epoch& epoch, const Batch& batch) {
  const auto labels = batch.labels.to_vector<std::int64_t>();
  const auto pixels = batch.images.to_vector<float>();
  epoch.indices.insert(epoch.indices.end(), batch.indices.begin(), batch.indices.end());
  epoch.labels.insert(epoch.labels.end(), labels.begin(), labels.end());
  epoch.pixels.insert(epoch.pixels.end(), pixels.begin(), pixels.end());
  epoch.sizes.push_back(batch.images.dim(0));
  epoch.numbers.push_back(batch.number);
}

Epoch read_epoch(Loader& loader, std::int64_t number, std::int64_t first_batch = 0) {
  Epoch epoch;
  Batch batch;
  loader.start(number, first_batch);
  while (loader.next(batch)) append(epoch, batch);
  return epoch;
}

LoaderOptions small_options() {
  LoaderOptions options;
  options.image_size = 8;
  options.batch_size = 4;
  options.workers = 1;
  options.seed = 7;
  return options;
}

TEST(Loader, GivesResizedAndNormalisedImagesInOrder) {
  const TempFolder folder;
  const ImageSet set = write_images(folder, 5);
  Loader loader(set, small_options());
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(loader.size(), 10);
  const Epoch epoch = read_epoch(loader, 0);
  EXPECT_EQ(epoch.sizes, (std::vector<std::int64_t>{4, 4, 2}));
  EXPECT_EQ(epoch.numbers, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(epoch.labels, (std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_EQ(epoch.indices[i], static_cast<std::int64_t>(i));
    const Image image = resize_bilinear(load_image(set.samples[i].path), 8, 8);
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < 64; ++p) {
        const double expected =
            (image.rgb[p * 3 + c] / 255.0 - kImageNetMean[c]) / double{kImageNetStd[c]};
        // float32 arithmetic of values below 3: a few units of 2^-23
        ASSERT_NEAR(epoch.pixels[(i * 3 + c) * 64 + p], expected, 2e-6);
      }
  }
}

TEST(Loader, OrderDependsOnSeedAndEpochOnly) {
  const TempFolder folder;
  const ImageSet set = write_images(folder, 13);
  LoaderOptions options = small_options();
  options.shuffle = true;
  Loader one(set, options);
  options.workers = 4;
  options.prefetch = 3;
  options.cache_bytes = 1000;
  Loader four(set, options);
  for (const std::int64_t epoch : {0, 1, 5}) {
    const Epoch expected = read_epoch(one, epoch);
    EXPECT_EQ(read_epoch(four, epoch), expected) << "epoch " << epoch;
    EXPECT_EQ(read_epoch(four, epoch), expected) << "again, from the cache";
    std::vector<std::int64_t> sorted = expected.indices, all(26);
    std::sort(sorted.begin(), sorted.end());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted, all);
    EXPECT_NE(expected.indices, all);
  }
  EXPECT_NE(read_epoch(one, 0).indices, read_epoch(one, 1).indices);
  options.seed = 8;
  Loader other(set, options);
  EXPECT_NE(read_epoch(other, 0).indices, read_epoch(one, 0).indices);
}

TEST(Loader, ResumesInTheMiddleOfAnEpoch) {
  const TempFolder folder;
  LoaderOptions options = small_options();
  options.shuffle = true;
  options.workers = 3;
  Loader loader(write_images(folder, 9), options);
  Epoch whole = read_epoch(loader, 2);
  const Epoch rest = read_epoch(loader, 2, 3);
  EXPECT_EQ(rest.numbers, (std::vector<std::int64_t>{3, 4}));
  whole.indices.erase(whole.indices.begin(), whole.indices.begin() + 12);
  EXPECT_EQ(rest.indices, whole.indices);
  whole.pixels.erase(whole.pixels.begin(), whole.pixels.begin() + 12 * 3 * 64);
  EXPECT_EQ(rest.pixels, whole.pixels);
  EXPECT_TRUE(read_epoch(loader, 2, 5).indices.empty());
  expect_error([&] { loader.start(2, 6); }, {"batch 6", "5 batches"});
}

TEST(Loader, AnEpochMayBeAbandoned) {
  const TempFolder folder;
  LoaderOptions options = small_options();
  options.workers = 4;
  options.prefetch = 4;
  const ImageSet set = write_images(folder, 20);
  Loader loader(set, options);
  const Epoch expected = read_epoch(loader, 0);
  Batch batch;
  for (int i = 0; i < 50; ++i) {
    loader.start(0);
    if (i % 2 == 0) loader.next(batch);
  }
  EXPECT_EQ(read_epoch(loader, 0), expected);
  for (int i = 0; i < 20; ++i) {
    Loader abandoned(set, options);
    abandoned.start(i);
    if (i % 2 == 0) abandoned.next(batch);
  }
  Loader idle(set, options);  // never started
  EXPECT_FALSE(idle.next(batch));
}

TEST(Loader, DropsTheLastBatchOnRequest) {
  const TempFolder folder;
  LoaderOptions options = small_options();
  options.drop_last = true;
  Loader loader(write_images(folder, 5), options);
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(read_epoch(loader, 0).indices.size(), 8U);
}

TEST(Loader, UsesASubset) {
  const TempFolder folder;
  const ImageSet set = write_images(folder, 5);
  LoaderOptions options = small_options();
  options.subset = {9, 2, 4};
  Loader loader(set, options);
  EXPECT_EQ(read_epoch(loader, 0).indices, (std::vector<std::int64_t>{9, 2, 4}));
  EXPECT_EQ(loader.size(), 3);
  options.subset = {10};
  expect_error([&] { Loader(set, options); }, {"subset index 10", "0..9"});
}

TEST(Loader, LeavesOutBadImagesAndCountsThem) {
  const TempFolder folder;
  write_images(folder, 6);
  const std::vector<std::uint8_t> jpeg = encode_jpeg(formula_image(30, 30));
  folder.put("a/001.png", std::span(jpeg).first(jpeg.size() / 2));
  folder.put("a/003.png", "no picture");
  for (const char* name : {"b/008.png", "b/009.png", "b/010.png", "b/011.png"})
    folder.put(name, "");  // a whole batch
  const ImageSet set = read_class_folder(folder.path());
  for (const int workers : {1, 4}) {
    LoaderOptions options = small_options();
    options.workers = workers;
    std::vector<std::string> warnings;
    options.warn = [&](const std::string& text) { warnings.push_back(text); };
    Loader loader(set, options);
    const Epoch epoch = read_epoch(loader, 0);
    EXPECT_EQ(epoch.indices, (std::vector<std::int64_t>{0, 2, 4, 5, 6, 7}));
    EXPECT_EQ(epoch.labels, (std::vector<std::int64_t>{0, 0, 0, 0, 1, 1}));
    EXPECT_EQ(epoch.sizes, (std::vector<std::int64_t>{2, 4}));
    EXPECT_EQ(epoch.numbers, (std::vector<std::int64_t>{0, 1}));
    const Image good = resize_bilinear(load_image(set.samples[2].path), 8, 8);
    EXPECT_NEAR(epoch.pixels[3 * 64], (good.rgb[0] / 255.0 - 0.485) / 0.229, 2e-6)
        << "the second row is sample 2";
    ASSERT_EQ(warnings.size(), 6U);
    EXPECT_NE(warnings[0].find("a/001.png: damaged JPEG"), std::string::npos) << warnings[0];
    EXPECT_NE(warnings[1].find("a/003.png"), std::string::npos) << warnings[1];
    EXPECT_NE(warnings[2].find("b/008.png"), std::string::npos) << warnings[2];
    EXPECT_EQ(loader.skipped(), 6);
    EXPECT_EQ(read_epoch(loader, 0), epoch);
    EXPECT_EQ(warnings.size(), 6U) << "each is told once";

    options.strict = true;
    Loader strict(set, options);
    strict.start(0);
    Batch batch;
    expect_error([&] { strict.next(batch); }, {"a/001.png", "damaged JPEG"});
  }
}

TEST(Loader, SaysWhenNothingCanBeRead) {
  const TempFolder folder;
  folder.put("a/1.jpg", "");
  folder.put("b/2.jpg", "");
  Loader loader(read_class_folder(folder.path()), small_options());
  loader.start(0);
  Batch batch;
  expect_error([&] { loader.next(batch); }, {"none of the 2 images", "1.jpg"});
}

TEST(Loader, HonoursPixelCapAndCacheLimit) {
  const TempFolder folder;
  const ImageSet set = write_images(folder, 6);
  LoaderOptions options = small_options();
  options.max_pixels = 9 * 7;
  Loader capped(set, options);
  EXPECT_LT(read_epoch(capped, 0).indices.size(), 12U);
  EXPECT_GT(capped.skipped(), 0);

  options = small_options();
  const std::size_t picture = 8 * 8 * 3;
  options.cache_bytes = 5 * picture + picture / 2;
  options.workers = 4;
  Loader cached(set, options);
  const Epoch epoch = read_epoch(cached, 0);
  EXPECT_EQ(cached.cached_bytes(), 5 * picture);
  options.cache_bytes = 0;
  Loader uncached(set, options);
  EXPECT_EQ(read_epoch(uncached, 0), epoch);
  EXPECT_EQ(uncached.cached_bytes(), 0U);

  // What is cached is not read again: the files may go.
  options.cache_bytes = 12 * picture;
  Loader full(set, options);
  EXPECT_EQ(read_epoch(full, 0), epoch);
  for (const ImageSample& sample : set.samples) std::filesystem::remove(sample.path);
  EXPECT_EQ(read_epoch(full, 1), epoch);
}

// What tensors hold while an epoch runs: the batches ahead and the one in use, also where a bad
// picture makes a batch smaller.
TEST(Loader, KeepsToItsMemory) {
  const TempFolder folder;
  write_images(folder, 10);
  folder.put("a/005.png", "not a picture");
  const ImageSet set = read_class_folder(folder.path());
  for (const int prefetch : {1, 3}) {
    LoaderOptions options = small_options();
    options.prefetch = prefetch;
    Loader loader(set, options);
    const std::size_t before = kernels::memory_statistics({}).in_use;
    const std::size_t peak = kernels::memory_statistics({}).peak_in_use;
    const std::size_t batch_bytes = 4 * 3 * 8 * 8 * sizeof(float);
    Batch batch;
    loader.start(0);
    std::size_t most = 0;
    std::int64_t images = 0;
    while (loader.next(batch)) {
      most = std::max(most, kernels::memory_statistics({}).in_use - before);
      images += batch.images.dim(0);
    }
    EXPECT_EQ(images, 19);
    EXPECT_EQ(most, static_cast<std::size_t>(prefetch + 1) * batch_bytes + 64) << "and the labels";
    EXPECT_EQ(kernels::memory_statistics({}).in_use, before + 64) << "the labels of the last batch";
    // Also within next(), unless an earlier test of this process took more.
    EXPECT_LE(kernels::memory_statistics({}).peak_in_use,
              std::max(peak, before + static_cast<std::size_t>(prefetch + 1) * batch_bytes + 128));
  }
}

TEST(Loader, GivesTheMultiLabelsOfTheImagesInABatch) {
  const TempFolder folder;
  ImageSet set = write_images(folder, 5);
  folder.put("a/001.png", "no picture");
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    set.samples[i].label = -1;
    set.multi_labels.push_back(i % 2 == 0 ? 1 : 0);
    set.multi_labels.push_back(i % 3 == 0 ? 1 : 0);
  }
  LoaderOptions options = small_options();
  options.shuffle = true;
  options.workers = 2;
  Loader loader(set, options);
  loader.start(0);
  Batch batch;
  std::size_t images = 0;
  while (loader.next(batch)) {
    ASSERT_EQ(batch.targets.shape(), (Shape{batch.images.dim(0), 2}));
    const auto targets = batch.targets.to_vector<float>();
    for (std::size_t row = 0; row < batch.indices.size(); ++row, ++images) {
      const auto i = batch.indices[row];
      EXPECT_EQ(targets[row * 2], i % 2 == 0 ? 1.0F : 0.0F) << i;
      EXPECT_EQ(targets[row * 2 + 1], i % 3 == 0 ? 1.0F : 0.0F) << i;
    }
  }
  EXPECT_EQ(images, 9U) << "one cannot be read";

  set.multi_labels.pop_back();
  expect_error([&] { Loader wrong(set, options); }, {"19 multi-labels", "10 images times 2"});
  set.multi_labels.clear();
  Loader single(set, options);
  single.start(0);
  ASSERT_TRUE(single.next(batch));
  EXPECT_FALSE(batch.targets.defined()) << "not those of the loader before";
}

TEST(Loader, RefusesSenselessOptions) {
  const TempFolder folder;
  const ImageSet set = write_images(folder, 1);
  const auto fails = [&](auto change, const std::vector<std::string>& parts) {
    LoaderOptions options = small_options();
    change(options);
    expect_error([&] { Loader(set, options); }, parts);
  };
  fails([](LoaderOptions& o) { o.image_size = 0; }, {"image size 0"});
  fails([](LoaderOptions& o) { o.batch_size = 0; }, {"batch size 0"});
  fails([](LoaderOptions& o) { o.workers = 0; }, {"0 workers"});
  fails([](LoaderOptions& o) { o.prefetch = 0; }, {"prefetch 0"});
  fails([](LoaderOptions& o) { o.std[1] = 0.0F; }, {"deviation 0"});
  expect_error([] { Loader(ImageSet{}, small_options()); }, {"holds no images"});
}

TEST(ShuffledOrder, IsFixedForever) {
  // Written down once: a change here changes every run that is resumed or repeated.
  EXPECT_EQ(shuffled_order(10, 1, 0), shuffled_order(10, 1, 0));
  EXPECT_NE(shuffled_order(10, 1, 0), shuffled_order(10, 1, 1));
  EXPECT_NE(shuffled_order(10, 1, 0), shuffled_order(10, 2, 0));
  EXPECT_EQ(shuffled_order(10, 1, 0), (std::vector<std::int64_t>{5, 4, 6, 3, 1, 8, 0, 2, 7, 9}));
  EXPECT_TRUE(shuffled_order(0, 1, 0).empty());
}

TEST(ShuffledOrder, IsFair) {
  // 6 orders of 3 items, 6000 draws: each 1000 times within 5 deviations of sqrt(6000 * 5/36) = 29.
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::int64_t epoch = 0; epoch < 6000; ++epoch) ++counts[shuffled_order(3, 42, epoch)];
  ASSERT_EQ(counts.size(), 6U);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 145);
}

TEST(ImageCache, KeepsWhatCameFirst) {
  ImageCache cache(3, 10);
  const auto pixels = [](std::size_t size) {
    return std::make_shared<const ImageCache::Pixels>(size, std::uint8_t{1});
  };
  cache.insert(0, pixels(6));
  cache.insert(1, pixels(5));
  cache.insert(2, pixels(4));
  EXPECT_NE(cache.find(0), nullptr);
  EXPECT_EQ(cache.find(1), nullptr);
  EXPECT_NE(cache.find(2), nullptr);
  EXPECT_EQ(cache.bytes(), 10U);
  cache.insert(0, pixels(1));
  EXPECT_EQ(cache.find(0)->size(), 6U);
}

}  // namespace
}  // namespace concord::test
