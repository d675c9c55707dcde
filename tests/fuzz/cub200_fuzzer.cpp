// The lists of CUB-200-2011. An input is the five of them, one after the other, apart by form
// feeds.

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "data/cub200.h"
#include "tests/fuzz/contract.h"
#include "tests/temporary_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const concord::test::TemporaryFolder folder;
  constexpr const char* kLists[] = {"classes.txt", "images.txt", "image_class_labels.txt",
                                    "train_test_split.txt", "bounding_boxes.txt"};
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* list : kLists) {
    const std::size_t end = std::min(rest.find('\f'), rest.size());
    concord::test::write_bytes(folder / list, std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  concord::fuzz::read_or_refuse(folder.path().string(), [] {
    const concord::Cub200 set = concord::read_cub200(folder.path());
    concord::fuzz::expect(!set.classes.empty() && !set.images.empty(), "an empty data set");
    constexpr int kWidth = 100, kHeight = 80;
    for (const concord::CubImage& image : set.images) {
      concord::fuzz::expect(
          image.label >= 0 && image.label < static_cast<std::int64_t>(set.classes.size()),
          "a label without a class");
      const auto inside = (folder.path() / image.file).lexically_normal().string();
      concord::fuzz::expect(inside.starts_with(folder.path().string() + "/"),
                            "a path that leaves the folder");
      concord::fuzz::read_or_refuse("picture", [&] {
        const auto [left, top, right, bottom] =
            concord::crop_rectangle(image.box, kWidth, kHeight, "picture");
        concord::fuzz::expect(0 <= left && left < right && right <= kWidth,
                              "a rectangle beyond the picture's sides");
        concord::fuzz::expect(0 <= top && top < bottom && bottom <= kHeight,
                              "a rectangle above or below the picture");
      });
    }
  });
  return 0;
}
