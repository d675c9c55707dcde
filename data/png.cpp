#include "data/png.h"

#include <climits>
#include <cstring>
#include <memory>

#include "kernels/error.h"

// PNG only: stb_image's other decoders (GIF, PSD, HDR) hold its known vulnerabilities.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_FAILURE_USERMSG
#define STBIDEF [[maybe_unused]] static
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIWDEF [[maybe_unused]] static
#include <stb_image_write.h>

namespace concord {
namespace {

int checked_length(std::span<const std::uint8_t> bytes, const std::string& name) {
  check(bytes.size() <= INT_MAX, "{}: a PNG of {} bytes is too large to read", name, bytes.size());
  return static_cast<int>(bytes.size());
}

}  // namespace

PngSize png_size(std::span<const std::uint8_t> bytes, const std::string& name) {
  // The header chunk comes first: signature 8, length 4, "IHDR", width, height, big-endian. Read
  // here, because stb_image refuses large sizes without a reason.
  check(bytes.size() >= 24 && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0,
        "{}: damaged PNG: it does not begin with a header", name);
  const auto read = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | bytes[at + i];
    check(value <= INT_MAX, "{}: damaged PNG: a side of {} pixels", name, value);
    return static_cast<int>(value);
  };
  return {read(16), read(20)};
}

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes.data(), checked_length(bytes, name), &width, &height, &channels,
                            3),
      &stbi_image_free);
  check(pixels != nullptr, "{}: damaged PNG: {}", name,
        stbi_failure_reason() != nullptr ? stbi_failure_reason() : "the cause is unknown");
  Image image(width, height);
  image.rgb.assign(pixels.get(), pixels.get() + image.rgb.size());
  return image;
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* context, void* data, int size) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    auto* out = static_cast<std::vector<std::uint8_t>*>(context);
    out->insert(out->end(), begin, begin + size);
  };
  check(stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.rgb.data(),
                               image.width * 3) != 0,
        "encode_png: {}x{} failed", image.width, image.height);
  return bytes;
}

}  // namespace concord
