#include "data/image.h"
#include "data/resize.h"
#include "tests/tools/program_run.h"

namespace concord::test {
namespace {

Image picture() {
  Image image(5, 3);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i % 3 == 0 ? 10 : i % 3 == 1 ? 2 * i : 255 - 3 * i);
  return image;
}

TEST(Inspect, SaysWhatAPictureIs) {
  const TemporaryFolder folder;
  const std::string png = (folder / "a.png").string(), jpeg = (folder / "b").string();
  write_png(png, picture());
  write_file(jpeg, encode_jpeg(Image(4, 2)));
  const ProgramResult result = run_program("concord-inspect", {png, jpeg});
  ASSERT_EQ(result.code, 0) << result.err;
  // Green is 2, 8, ..., 86, so 44 in the mean; blue 249, 240, ..., 123.
  for (const char* part :
       {"a.png   PNG      5       3  10.000  44.000  186.000", "JPEG      4       2   0.000"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " is not in: " << result.out;
}

TEST(Inspect, WritesThePixels) {
  const TemporaryFolder folder;
  const std::string in = (folder / "in.png").string(), out = (folder / "out.png").string();
  write_png(in, picture());
  ASSERT_EQ(run_program("concord-inspect", {in, "--output", out}).code, 0);
  EXPECT_EQ(load_image(out).rgb, picture().rgb);
  expect_failure(run_program("concord-inspect", {in, "--output", out}), 1, {"out.png", "--force"});
  ASSERT_EQ(
      run_program("concord-inspect", {in, "--resize", "7x2", "--output", out, "--force"}).code, 0);
  const Image resized = load_image(out);
  EXPECT_EQ(resized.width, 7);
  EXPECT_EQ(resized.rgb, resize_bilinear(picture(), 7, 2).rgb);
}

TEST(Inspect, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string in = (folder / "in.png").string();
  write_png(in, picture());
  for (const char* size : {"7", "7x", "x7", "0x7", "7x7x7", "-1x2", "99999x1", "7 x 7"})
    expect_failure(run_program("concord-inspect", {in, "--resize", size}), 2, {size, "224x224"});
  expect_failure(run_program("concord-inspect", {in, in, "--output", "o.png"}), 2, {"2 are named"});
  expect_failure(run_program("concord-inspect", {in, "--output", "o.jpg"}), 2, {"o.jpg", ".png"});
  expect_failure(run_program("concord-inspect", {(folder / "none").string()}), 1,
                 {"none", "no such file"});
}

}  // namespace
}  // namespace concord::test
