#include "data/png.h"

#include <zlib.h>

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

constexpr std::size_t kSignatureBytes = 8;

std::uint32_t big_endian(std::span<const std::uint8_t> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// A chunk is its length (4 bytes), its type (4), the content and the checksum of type and content
// (4). stb_image takes memory for whatever length is announced and compares no checksum: a damaged
// file would ask for gigabytes, or be taken for another picture.
void check_chunks(std::span<const std::uint8_t> bytes, const std::string& name) {
  constexpr std::size_t kFrame = 12;
  for (std::size_t at = kSignatureBytes;;) {
    check(bytes.size() - at >= kFrame, "{}: damaged PNG: it ends before its end chunk: truncated",
          name);
    const std::size_t length = big_endian(bytes, at);
    const std::size_t left = bytes.size() - at - kFrame;
    check(length <= left,
          "{}: damaged PNG: the chunk at byte {} announces {} bytes, {} are left: truncated", name,
          at, length, left);
    const uLong sum = ::crc32_z(0, bytes.data() + at + 4, length + 4);
    check(sum == big_endian(bytes, at + 8 + length),
          "{}: damaged PNG: the chunk at byte {} does not fit its checksum", name, at);
    if (std::memcmp(bytes.data() + at + 4, "IEND", 4) == 0) return;
    at += kFrame + length;
  }
}

}  // namespace

PngSize png_size(std::span<const std::uint8_t> bytes, const std::string& name) {
  // The header chunk comes first: signature 8, length 4, "IHDR", width, height, big-endian. Read
  // here, because stb_image refuses large sizes without a reason.
  check(bytes.size() >= 24 && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0,
        "{}: damaged PNG: it does not begin with a header", name);
  const auto read = [&](std::size_t at) {
    const std::uint32_t value = big_endian(bytes, at);
    check(value <= INT_MAX, "{}: damaged PNG: a side of {} pixels", name, value);
    return static_cast<int>(value);
  };
  return {read(16), read(20)};
}

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  check_chunks(bytes, name);
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
