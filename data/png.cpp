#include "data/png.h"

#include <zlib.h>

#include <climits>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

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

using Bytes = std::span<const std::uint8_t>;

std::uint32_t big_endian(Bytes bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// Length, type and checksum (of type and content) around the content, 4 bytes each.
constexpr std::size_t kFrame = 12;

// With a checksum of 0, which stb_image does not look at.
void append_chunk(std::vector<std::uint8_t>& to, std::string_view type, Bytes content) {
  for (int shift = 24; shift >= 0; shift -= 8)
    to.push_back(static_cast<std::uint8_t>(content.size() >> shift));
  to.insert(to.end(), type.begin(), type.end());
  to.insert(to.end(), content.begin(), content.end());
  to.insert(to.end(), 4, 0);
}

// The file with its header, its palette and its pixels in one chunk, for stb_image, which by itself
// would take memory for whatever length a chunk announces, compare no checksum, and give an index
// beyond the palette the colour of what lies in memory; here it is black, as in Pillow. What else
// there is (alpha of colours, gamma, texts) does not change the pixels.
std::vector<std::uint8_t> repacked(Bytes bytes, const std::string& name) {
  constexpr std::size_t kSignature = 8, kPalette = 256 * 3;
  std::vector<std::uint8_t> result(bytes.begin(), bytes.begin() + kSignature);
  std::vector<std::uint8_t> pixels;
  for (std::size_t at = kSignature;;) {
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
    const std::string_view type(reinterpret_cast<const char*>(bytes.data() + at + 4), 4);
    const Bytes content = bytes.subspan(at + 8, length);
    if (type == "IHDR") {
      append_chunk(result, type, content);
    } else if (type == "PLTE") {
      check(pixels.empty(), "{}: damaged PNG: its palette comes after its pixels", name);
      std::vector<std::uint8_t> palette(content.begin(), content.end());
      if (length <= kPalette && length % 3 == 0) palette.resize(kPalette);
      append_chunk(result, type, palette);
    } else if (type == "IDAT") {
      pixels.insert(pixels.end(), content.begin(), content.end());
    } else if (type == "IEND") {
      break;
    } else {
      // A small first letter marks what may be passed over.
      check((bytes[at + 4] & 0x20U) != 0,
            "{}: the chunk at byte {} is none that a PNG decoder knows and must be understood; "
            "convert the file to a common PNG",
            name, at);
    }
    at += kFrame + length;
  }
  check(!pixels.empty(), "{}: damaged PNG: it has no pixels", name);
  append_chunk(result, "IDAT", pixels);
  append_chunk(result, "IEND", {});
  return result;
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
  const std::vector<std::uint8_t> file = repacked(bytes, name);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(file.data(), checked_length(file, name), &width, &height, &channels, 3),
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
