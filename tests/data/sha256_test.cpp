#include "data/sha256.h"

#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, HasTheStandardsValues) {
  const TempFolder folder;
  EXPECT_EQ(Sha256().digest(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of_file(folder.put("abc", "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::vector<std::uint8_t> piece(1000, 'a');
  Sha256 sum;
  for (int i = 0; i < 1000; ++i) sum.add(piece);
  EXPECT_EQ(sum.digest(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  expect_error([&] { sha256_of_file(folder / "none"); }, {"none", "opened"});
}

}  // namespace
}  // namespace concord::test
