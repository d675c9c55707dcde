// Batches of images that are normalised on the device.

#include "data/loader.h"

#include "tests/data/support.h"
#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(DeviceLoader);

// Small pictures that differ in size; those of `unreadable` are no pictures.
ImageSet write_images(const test::TempFolder& folder, int count,
                      const std::vector<int>& unreadable) {
  for (int i = 0; i < count; ++i) {
    const std::string name = fmt::format("{}/{:03}.png", i % 2 == 0 ? "a" : "b", i);
    if (std::ranges::find(unreadable, i) == unreadable.end())
      folder.put(name, encode_png(test::numbered_image(9 + i % 5, 7 + i % 3, i)));
    else
      folder.put(name, std::vector<std::uint8_t>{'n', 'o'});
  }
  return read_class_folder(folder.path());
}

void expect_same_epochs(Loader& actual, Loader& expected, Device device) {
  for (const auto& [epoch, first] : {std::pair{0, 0}, {1, 0}, {1, 2}}) {
    SCOPED_TRACE(fmt::format("epoch {} from batch {}", epoch, first));
    Batch one, other;
    actual.start(epoch, 1);
    ASSERT_TRUE(actual.next(one));  // and abandoned
    actual.start(epoch, first);
    expected.start(epoch, first);
    while (expected.next(other)) {
      ASSERT_TRUE(actual.next(one));
      EXPECT_EQ(one.images.device(), device);
      EXPECT_EQ(one.images.shape(), other.images.shape());
      EXPECT_EQ(one.number, other.number);
      EXPECT_EQ(one.indices, other.indices);
      EXPECT_EQ(one.labels.to_vector<std::int64_t>(), other.labels.to_vector<std::int64_t>());
      EXPECT_EQ(one.device_labels.device(), device);
      EXPECT_EQ(one.device_labels.to_vector<std::int64_t>(),
                other.labels.to_vector<std::int64_t>());
      // To the bit.
      EXPECT_EQ(one.images.to_vector<float>(), other.images.to_vector<float>());
    }
    EXPECT_FALSE(actual.next(one));
    EXPECT_FALSE(actual.next(one)) << "after the end";
  }
}

TEST_P(DeviceLoader, GivesWhatTheHostGives) {
  const test::TempFolder folder;
  // A batch with one missing at its beginning and one with nothing else.
  const ImageSet set = write_images(folder, 23, {0, 8, 10, 12, 14});
  for (const bool shuffle : {false, true})
    for (const int workers : {1, 3}) {
      LoaderOptions options;
      options.image_size = 8;
      options.batch_size = 4;
      options.workers = workers;
      options.shuffle = shuffle;
      options.seed = 7;
      Loader expected(set, options);
      options.device = device();
      Loader actual(set, options);
      expect_same_epochs(actual, expected, device());
      EXPECT_EQ(actual.skipped(), 5);
      EXPECT_EQ(actual.cached_bytes(), expected.cached_bytes());
    }
}

TEST_P(DeviceLoader, Errors) {
  const test::TempFolder folder;
  LoaderOptions options;
  options.image_size = 5;
  options.batch_size = 2;
  options.device = device();
  Batch batch;
  {
    Loader loader(write_images(folder, 4, {0, 1, 2, 3}), options);
    loader.start(0);
    test::expect_error([&] { loader.next(batch); }, {"none of the 4 images can be read"});
  }
  options.strict = true;
  Loader loader(write_images(folder, 8, {7}), options);
  loader.start(0);
  test::expect_error(
      [&] {
        while (loader.next(batch)) {
        }
      },
      {"007.png"});
  // It may be begun again.
  loader.start(0);
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.number, 0);
}

TEST_P(DeviceLoader, MultiLabelsTravelWithTheirPictures) {
  const test::TempFolder folder;
  ImageSet set = write_images(folder, 11, {3});
  for (std::size_t i = 0; i < set.samples.size(); ++i)
    set.multi_labels.insert(set.multi_labels.end(), {i % 2 == 0, i % 3 == 0});
  LoaderOptions options;
  options.image_size = 5;
  options.batch_size = 4;
  options.shuffle = true;
  Loader expected(set, options);
  options.device = device();
  Loader actual(set, options);
  actual.start(0);
  expected.start(0);
  Batch one, other;
  while (expected.next(other)) {
    ASSERT_TRUE(actual.next(one));
    EXPECT_EQ(one.targets.device(), device());
    EXPECT_EQ(one.targets.shape(), other.targets.shape());
    EXPECT_EQ(one.targets.to_vector<float>(), other.targets.to_vector<float>());
  }
  EXPECT_FALSE(actual.next(one));
}

// A batch that is kept is not written by those that come after.
TEST_P(DeviceLoader, BatchesAreTheCallers) {
  const test::TempFolder folder;
  const ImageSet set = write_images(folder, 12, {});
  LoaderOptions options;
  options.image_size = 5;
  options.batch_size = 2;
  Loader expected(set, options);
  options.device = device();
  Loader actual(set, options);
  actual.start(0);
  expected.start(0);
  std::vector<Tensor> kept;
  for (Batch batch; actual.next(batch);) kept.push_back(batch.images);
  ASSERT_EQ(kept.size(), 6U);
  Batch batch;
  for (const Tensor& images : kept) {
    ASSERT_TRUE(expected.next(batch));
    EXPECT_EQ(images.to_vector<float>(), batch.images.to_vector<float>());
  }
}

}  // namespace
}  // namespace concord
