// Features of stores in the device's memory, in page-locked memory, and read from their files.

#include "tests/device/support.h"
#include "tests/temporary_folder.h"
#include "tests/tools/pair_support.h"

namespace concord {
namespace {

using tool::PairOrder;

CONCORD_ON_EVERY_DEVICE(FeatureTiers);

constexpr std::int64_t kImages = 27;

// Of equal size: resizing rounds otherwise on another device.
struct Stores {
  test::TemporaryFolder folder;
  FeatureStore a = test::write_store(folder.path() / "a", kImages, 3, 4, 1);
  FeatureStore b = test::write_store(folder.path() / "b", kImages, 2, 4, 2);
};

// As many batches as are never read ahead at once, the last of them smaller; with --read-ahead for
// some of them and for none.
TEST_P(FeatureTiers, GiveTheSameBatches) {
  const Stores stores;
  for (const bool shuffle : {false, true})
    for (const double read_ahead : {0.0, 0.002, 1.0}) {
      PairOrder order = {.batch_size = 4, .shuffle = shuffle, .seed = 5};
      order.memory.read_ahead_mib = read_ahead;
      const auto expected = tool::read_pairs(stores.a, stores.b, order);
      order.device = device();
      test::expect_same_pairs(*tool::read_pairs(stores.a, stores.b, order), *expected, device());
      test::expect_same_pairs(*tool::pinned_pairs(stores.a, stores.b, order), *expected, device());
      test::expect_same_pairs(*tool::resident_pairs(stores.a, stores.b, order), *expected,
                              device());
    }
}

#if defined(CONCORD_SIMT)
// What the choice says on stderr; the batches are checked on the way.
std::string note_of_choice(const Stores& stores, Device device, std::size_t free_on_device,
                           double pinned_mib, double device_mib) {
  PairOrder order = {.batch_size = 4, .shuffle = true, .seed = 5};
  const auto expected = tool::read_pairs(stores.a, stores.b, order);
  order.device = device;
  order.memory.pinned_mib = pinned_mib;
  order.memory.device_mib = device_mib;
  simt::set_available_memory(free_on_device);
  testing::internal::CaptureStderr();
  const auto pairs = tool::pairs_from_stores(stores.a, stores.b, order);
  simt::set_available_memory(std::size_t{1} << 30);
  std::string note = testing::internal::GetCapturedStderr();
  test::expect_same_pairs(*pairs, *expected, device);
  return note;
}

TEST(FeatureTierChoice, IsByWhatIsFree) {
  constexpr Device kCuda = {DeviceType::kCuda, 0};
  const Stores stores;
  const auto expect = [&](std::size_t free_on_device, double pinned_mib,
                          const std::vector<std::string>& parts, double device_mib = -1) {
    const std::string note = note_of_choice(stores, kCuda, free_on_device, pinned_mib, device_mib);
    for (const std::string& part : parts) EXPECT_NE(note.find(part), std::string::npos) << note;
  };
  expect(std::size_t{1} << 30, -1, {"lie in the memory of cuda:0"});
  expect(0, -1, {"page-locked memory of the host", "cuda:0 has 0 MiB free"});
  expect(0, 0, {"read from their files", "cuda:0 has 0 MiB free", "--pinned-memory leaves 0 MiB"});
  // Both stores take 27 rows of 60 + 40 floats, 10800 bytes.
  expect(0, 10799.0 / (1 << 20), {"read from their files"});
  expect(0, 10800.0 / (1 << 20), {"page-locked memory of the host"});
  // What the device may give, whatever it has free.
  constexpr std::size_t kMuch = std::size_t{1} << 30;
  expect(kMuch, -1, {"page-locked memory of the host", "--device-memory is 0 MiB"}, 0);
  expect(kMuch, 0, {"read from their files", "--device-memory is 0 MiB"}, 10799.0 / (1 << 20));
  expect(kMuch, 0, {"lie in the memory of cuda:0"}, 10800.0 / (1 << 20));
  // The budget is the process', not a store's.
  PairOrder order = {.batch_size = 4, .device = kCuda};
  const auto held = tool::pinned_pairs(stores.a, stores.b, order);
  expect(0, 10800.0 / (1 << 20), {"read from their files"});
  expect(0, 2 * 10800.0 / (1 << 20), {"page-locked memory of the host"});
}
#endif

}  // namespace
}  // namespace concord
