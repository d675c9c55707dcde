#include "data/image.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "data/files.h"
#include "data/png.h"
#include "kernels/error.h"

namespace concord {
namespace {

struct DestroyTurbo {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Turbo = std::unique_ptr<void, DestroyTurbo>;

void check_size(const std::string& name, int width, int height, const DecodeOptions& options) {
  check(width > 0 && height > 0, "{}: the image is empty ({}x{})", name, width, height);
  const std::int64_t pixels = std::int64_t{width} * height;
  check(pixels <= options.max_pixels,
        "{}: {}x{} = {} pixels, more than the cap of {}; shrink it or raise --max-megapixels", name,
        width, height, pixels, options.max_pixels);
}

// Pillow's CMYK to RGB (libImaging/Convert.c, cmyk2rgb) on ink amounts, after its reading of every
// CMYK JPEG as inverted (Adobe's convention): out = max(0, k' - c * k' / 255) with k' = 255 - k.
void cmyk_to_rgb(const std::vector<std::uint8_t>& inverted, std::vector<std::uint8_t>& rgb) {
  for (std::size_t pixel = 0; pixel < rgb.size() / 3; ++pixel) {
    const int white = inverted[pixel * 4 + 3];
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const int ink = 255 - inverted[pixel * 4 + channel];
      const int product = ink * white + 128;  // division by 255, rounded, as MULDIV255 does
      rgb[pixel * 3 + channel] =
          static_cast<std::uint8_t>(std::clamp(white - (((product >> 8) + product) >> 8), 0, 255));
    }
  }
}

Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                  const DecodeOptions& options) {
  // A new decoder for every file: an old one remembers tables, with which a damaged file that lacks
  // its own would be decoded, and this one costs a fifth of a microsecond.
  const Turbo turbo(tjInitDecompress());
  check(turbo != nullptr, "{}: the JPEG decoder cannot start: {}", name, tjGetErrorStr2(nullptr));
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  const auto size = static_cast<unsigned long>(bytes.size());
  check(tjDecompressHeader3(turbo.get(), bytes.data(), size, &width, &height, &subsampling,
                            &colorspace) == 0,
        "{}: damaged JPEG: {}", name, tjGetErrorStr2(turbo.get()));
  check_size(name, width, height, options);
  Image image(width, height);
  const bool cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  std::vector<std::uint8_t> inks(cmyk ? image.rgb.size() / 3 * 4 : 0);
  // A progressive file may hold any number of scans over the whole picture: the limit bounds time.
  constexpr int kFlags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  check(tjDecompress2(turbo.get(), bytes.data(), size, cmyk ? inks.data() : image.rgb.data(), width,
                      0, height, cmyk ? TJPF_CMYK : TJPF_RGB, kFlags) == 0,
        "{}: damaged JPEG: {}", name, tjGetErrorStr2(turbo.get()));
  if (cmyk) cmyk_to_rgb(inks, image.rgb);
  return image;
}

// What the first bytes look like, for the message that refuses them.
std::string describe(std::span<const std::uint8_t> bytes) {
  const auto starts = [&](std::string_view magic, std::size_t at = 0) {
    return bytes.size() >= at + magic.size() &&
           std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  if (starts("GIF8")) return "a GIF image";
  if (starts("BM")) return "a BMP image";
  if (starts("RIFF") && starts("WEBP", 8)) return "a WebP image";
  if (starts("II*") || starts("MM\0*")) return "a TIFF image";
  if (starts("<") || starts("\xef\xbb\xbf<")) return "a text file (HTML or XML)";
  const bool text = std::all_of(
      bytes.begin(),
      bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 256)),
      [](std::uint8_t c) { return c >= 32 || c == '\n' || c == '\r' || c == '\t'; });
  return text ? "a text file" : "of an unknown kind";
}

}  // namespace

Image::Image(int width_in, int height_in) : width(width_in), height(height_in) {
  check(width > 0 && height > 0, "image: sides must be positive, got {}x{}", width, height);
  rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
}

ImageKind image_kind(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kJpegMagic[] = {0xFF, 0xD8, 0xFF};
  constexpr std::uint8_t kPngMagic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto starts = [&](std::span<const std::uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (starts(kJpegMagic)) return ImageKind::kJpeg;
  if (starts(kPngMagic)) return ImageKind::kPng;
  return ImageKind::kUnknown;
}

Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const DecodeOptions& options) {
  check(!bytes.empty(), "{}: the file is empty", name);
  switch (image_kind(bytes)) {
    case ImageKind::kJpeg:
      return decode_jpeg(bytes, name, options);
    case ImageKind::kPng: {
      const PngSize size = png_size(bytes, name);
      check_size(name, size.width, size.height, options);
      return decode_png(bytes, name);
    }
    case ImageKind::kUnknown:
      break;
  }
  fail("{}: neither JPEG nor PNG (it looks like {}); convert it to one of them", name,
       describe(bytes));
}

bool is_color_jpeg(std::span<const std::uint8_t> bytes) {
  if (image_kind(bytes) != ImageKind::kJpeg) return false;
  const Turbo turbo(tjInitDecompress());
  int width = 0, height = 0, subsampling = 0, colorspace = -1;
  const bool read =
      turbo != nullptr &&
      tjDecompressHeader3(turbo.get(), bytes.data(), static_cast<unsigned long>(bytes.size()),
                          &width, &height, &subsampling, &colorspace) == 0;
  return read && (colorspace == TJCS_YCbCr || colorspace == TJCS_RGB);
}

Image load_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(read_file(path), path.string(), options);
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality) {
  check(quality >= 1 && quality <= 100, "encode_jpeg: quality {} is not in 1..100", quality);
  const Turbo turbo(tjInitCompress());
  check(turbo != nullptr, "encode_jpeg: the encoder cannot start: {}", tjGetErrorStr2(nullptr));
  unsigned char* data = nullptr;
  unsigned long size = 0;
  const int status = tjCompress2(turbo.get(), image.rgb.data(), image.width, 0, image.height,
                                 TJPF_RGB, &data, &size, TJSAMP_444, quality, TJFLAG_ACCURATEDCT);
  const std::unique_ptr<unsigned char, decltype(&tjFree)> owner(data, &tjFree);
  check(status == 0, "encode_jpeg: {}x{}: {}", image.width, image.height,
        tjGetErrorStr2(turbo.get()));
  return {data, data + size};
}

void write_png(const std::filesystem::path& path, const Image& image) {
  write_file(path, encode_png(image));
}

Image crop(const Image& image, int left, int top, int right, int bottom) {
  check(0 <= left && left < right && right <= image.width && 0 <= top && top < bottom &&
            bottom <= image.height,
        "crop: [{}, {}) x [{}, {}) does not lie inside {}x{}", left, right, top, bottom,
        image.width, image.height);
  Image out(right - left, bottom - top);
  for (int y = 0; y < out.height; ++y)
    std::copy_n(image.pixel(left, top + y), static_cast<std::size_t>(out.width) * 3,
                out.pixel(0, y));
  return out;
}

}  // namespace concord
