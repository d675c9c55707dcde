#include "tools/report/encoded_maps.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/error.h"
#include "tools/report/html.h"

namespace concord::report {
namespace {

// In zlib's format.
std::vector<std::uint8_t> deflated(const std::vector<std::uint8_t>& bytes) {
  z_stream stream{};
  // Differences have few repetitions and many small values: Z_FILTERED is made for them.
  check(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS, 9, Z_FILTERED) == Z_OK,
        "zlib cannot compress: no memory");
  std::vector<std::uint8_t> result(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.next_out = result.data();
  // zlib counts in 32 bits.
  constexpr std::size_t kMost = std::size_t{1} << 30;
  std::size_t taken = 0;
  std::size_t given = 0;
  int code = Z_OK;
  while (code == Z_OK) {
    const std::size_t in = std::min(kMost, bytes.size() - taken);
    const std::size_t out = std::min(kMost, result.size() - given);
    stream.avail_in = static_cast<uInt>(in);
    stream.avail_out = static_cast<uInt>(out);
    code = deflate(&stream, taken + in == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    taken += in - stream.avail_in;
    given += out - stream.avail_out;
  }
  deflateEnd(&stream);
  check(code == Z_STREAM_END, "zlib cannot compress {} bytes: code {}", bytes.size(), code);
  result.resize(given);
  return result;
}

}  // namespace

EncodedMaps::EncodedMaps(std::int64_t width, std::int64_t height)
    : width_(static_cast<std::size_t>(width)), height_(static_cast<std::size_t>(height)) {
  check(width > 0 && height > 0, "maps of {} x {} values cannot be stored", width, height);
}

void EncodedMaps::add(std::span<const float> map) {
  check(map.size() == width_ * height_, "a map of {} values among those of {} x {}", map.size(),
        width_, height_);
  float largest = 0;
  for (const float value : map)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  const float step = largest / 127;
  steps_.push_back(step);
  for (const float value : map) {
    if (!std::isfinite(value))
      values_.push_back(kNoNumber);
    else
      values_.push_back(static_cast<std::int8_t>(
          step > 0 ? std::clamp(std::lround(double{value} / step), -127L, 127L) : 0));
  }
}

void EncodedMaps::check_number(std::size_t number) const {
  check(number < count(), "there is no map {} of {}", number, count());
}

std::string EncodedMaps::steps_text(std::span<const std::size_t> numbers) const {
  std::vector<std::uint8_t> bytes;
  for (const std::size_t number : numbers) {
    check_number(number);
    const auto bits = std::bit_cast<std::uint32_t>(steps_[number]);
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  return base85(bytes);
}

std::string EncodedMaps::values_text(std::span<const std::size_t> numbers) const {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(numbers.size() * width_ * height_);
  for (const std::size_t number : numbers) {
    check_number(number);
    const std::int8_t* map = values_.data() + number * width_ * height_;
    for (std::size_t y = 0; y < height_; ++y)
      for (std::size_t x = 0; x < width_; ++x) {
        const std::int8_t* here = map + y * width_ + x;
        const int left = x > 0 ? here[-1] : 0;
        const int above = y > 0 ? *(here - width_) : 0;
        const int foretold = x > 0 && y > 0 ? (left + above) >> 1 : left + above;
        bytes.push_back(static_cast<std::uint8_t>(*here - foretold));
      }
  }
  return base85(deflated(bytes));
}

}  // namespace concord::report
