// The lists and the XML of Pascal VOC, for each of its tasks.

#include "data/voc.h"
#include "tests/fuzz/folder_input.h"
#include "tests/fuzz/plan_contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const concord::test::TemporaryFolder folder;
  concord::fuzz::write_parts(
      folder,
      {"ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "Annotations/a.xml",
       "Annotations/b.xml", "JPEGImages/a.jpg", "JPEGImages/b.jpg"},
      data, size);
  using concord::VocTask;
  for (const VocTask task : {VocTask::kCrop, VocTask::kAnimals, VocTask::kMultiLabel})
    concord::fuzz::read_or_refuse(folder.path().string(), [&] {
      concord::fuzz::expect_sane(concord::plan_voc(concord::FileSource(folder.path()), task));
    });
  return 0;
}
