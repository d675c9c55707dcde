// The lists in text and the XML of Stanford Dogs; the harness mat has the lists in Matlab's format.

#include "data/dogs120.h"
#include "tests/fuzz/folder_input.h"
#include "tests/fuzz/plan_contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const concord::test::TemporaryFolder folder;
  concord::fuzz::write_parts(folder,
                             {"train_list.txt", "test_list.txt", "Annotation/n1-auk/a",
                              "Annotation/n2-bee/b", "Images/n1-auk/a.jpg", "Images/n2-bee/b.jpg"},
                             data, size);
  concord::fuzz::read_or_refuse(folder.path().string(), [] {
    concord::fuzz::expect_sane(concord::plan_dogs120(concord::FileSource(folder.path())));
  });
  return 0;
}
