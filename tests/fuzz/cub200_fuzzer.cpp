// The lists of CUB-200-2011.

#include "data/cub200.h"
#include "tests/fuzz/folder_input.h"
#include "tests/fuzz/plan_contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const concord::test::TemporaryFolder folder;
  concord::fuzz::write_parts(folder,
                             {"classes.txt", "images.txt", "image_class_labels.txt",
                              "train_test_split.txt", "bounding_boxes.txt"},
                             data, size);
  concord::fuzz::read_or_refuse(folder.path().string(), [] {
    concord::fuzz::expect_sane(concord::plan_cub200(concord::FileSource(folder.path())));
  });
  return 0;
}
