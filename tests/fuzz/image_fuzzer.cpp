// Image files, decoded and brought to sizes of the kind that training asks for.

#include "data/image.h"
#include "data/resize.h"
#include "tests/fuzz/contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // In memory of its own, not the fuzzer's, which is larger than the input.
  const std::vector<std::uint8_t> bytes(data, data + size);
  const std::string name = "drawer/picture";
  concord::is_color_jpeg(bytes);
  concord::fuzz::read_or_refuse(name, [&] {
    const concord::Image image =
        concord::decode_image(bytes, name, {.max_pixels = std::int64_t{1} << 18});
    const auto pixels =
        static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
    concord::fuzz::expect(image.rgb.size() == pixels * 3, "pixels do not fill the picture");
    concord::resize_bilinear(image, 13, 7);
  });
  return 0;
}
