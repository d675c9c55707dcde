#pragma once
// Image files: JPEG and PNG in and out, 8 bits a channel. Untrusted input: every malformed file is
// an Error that names it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace concord {

// An 8-bit RGB picture: rgb[(y * width + x) * 3 + channel], rows from the top, no padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  Image() = default;
  // A black picture. Throws Error unless both sides are positive.
  Image(int width_in, int height_in);

  std::uint8_t* pixel(int x, int y) {
    return rgb.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                         static_cast<std::size_t>(x)) *
                            3;
  }
  const std::uint8_t* pixel(int x, int y) const { return const_cast<Image*>(this)->pixel(x, y); }
};

struct DecodeOptions {
  // Most pixels (width x height) a file may announce; checked before its pixels are decoded. The
  // default is 192 MiB of RGB.
  std::int64_t max_pixels = std::int64_t{1} << 26;
};

enum class ImageKind : std::uint8_t { kUnknown, kJpeg, kPng };

// The kind told by the first bytes; a file's name says nothing.
ImageKind image_kind(std::span<const std::uint8_t> bytes);

// Decodes a JPEG (libjpeg-turbo, accurate integer DCT, fancy upsampling: Pillow's pixels bit for
// bit) or a PNG. Grayscale, palette and 16-bit pictures are widened or narrowed to 8-bit RGB (16
// bits: the high byte), alpha is dropped, CMYK JPEG is converted as Pillow's convert("RGB") does,
// EXIF orientation is ignored. `name` stands in the messages. Throws Error for an empty, unknown,
// truncated, damaged or too large file; a warning of the JPEG library counts as damage.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const DecodeOptions& options = {});

// Whether the bytes are a JPEG with three colour components, by its header.
bool is_color_jpeg(std::span<const std::uint8_t> bytes);

// read_file and decode_image.
Image load_image(const std::filesystem::path& path, const DecodeOptions& options = {});

// A baseline JPEG without chroma subsampling (4:4:4), quality 1..100. Throws Error.
std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality = 95);

// An 8-bit RGB PNG.
std::vector<std::uint8_t> encode_png(const Image& image);

// encode_png into a file, replaced atomically. Throws Error.
void write_png(const std::filesystem::path& path, const Image& image);

// The rectangle [left, right) x [top, bottom), which must be non-empty and lie inside the picture.
Image crop(const Image& image, int left, int top, int right, int bottom);

}  // namespace concord
