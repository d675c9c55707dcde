// The lists of CUB-200-2011. An input is the five of them, one after the other, apart by form
// feeds.

#include "data/cub200.h"
#include "tests/fuzz/contract.h"
#include "tests/fuzz/plan_contract.h"
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
    concord::fuzz::expect_sane(concord::plan_cub200(concord::FileSource(folder.path())));
  });
  return 0;
}
