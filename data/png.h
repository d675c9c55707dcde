#pragma once
// PNG by stb_image, apart from image.cpp because that single-header library is compiled here.

#include <cstdint>
#include <span>
#include <string>

#include "data/image.h"

namespace concord {

struct PngSize {
  int width = 0;
  int height = 0;
};

// The size that the header announces. Throws Error naming `name`.
PngSize png_size(std::span<const std::uint8_t> bytes, const std::string& name);

// The pixels as 8-bit RGB, alpha dropped. The caller has checked the size. Throws Error.
Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace concord
