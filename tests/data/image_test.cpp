#include "data/image.h"

#include <cstring>
#include <random>

#include "tests/data/goldens.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

std::vector<std::uint8_t> from_hex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// Decoding must end in an Error or in a picture of a sane size, whatever the bytes.
bool decodes(std::span<const std::uint8_t> bytes) {
  try {
    const Image image = decode_image(bytes, "fuzz", {.max_pixels = 1 << 20});
    EXPECT_EQ(image.rgb.size(),
              static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("fuzz: ", 0), 0U) << error.what();
    return false;
  }
}

TEST(DecodeImage, GivesThePixelsOfPillow) {
  for (const DecodeGolden& golden : kDecodeGoldens) {
    const Image image = decode_image(from_hex(golden.file), golden.kind);
    EXPECT_EQ(image.width, golden.width) << golden.kind;
    EXPECT_EQ(image.height, golden.height) << golden.kind;
    EXPECT_EQ(hash_of(image.rgb), golden.hash) << golden.kind;
  }
}

TEST(DecodeImage, GoesByTheFirstBytesNotTheName) {
  const TempFolder folder;
  const Image image = numbered_image(20, 10, 3);
  const auto path = folder.put("really-png.jpg", encode_png(image));
  EXPECT_EQ(load_image(path).rgb, image.rgb);
}

TEST(DecodeImage, RefusesWhatIsNoImageByName) {
  expect_error([] { decode_image({}, "a.jpg"); }, {"a.jpg", "empty"});
  expect_error([] { decode_image(bytes_of("this is text\n"), "b.jpg"); }, {"b.jpg", "text file"});
  expect_error([] { decode_image(bytes_of("GIF89a......"), "c.jpg"); }, {"c.jpg", "GIF"});
  expect_error([] { decode_image(bytes_of("RIFF....WEBPVP8 "), "d.jpg"); }, {"d.jpg", "WebP"});
  expect_error([] { load_image("/nonexistent/e.jpg"); }, {"/nonexistent/e.jpg", "no such file"});
  expect_error([] { load_image("/tmp"); }, {"/tmp", "not a regular file"});
}

TEST(DecodeImage, ChecksTheSizeBeforeThePixels) {
  const Image image = formula_image(40, 30);
  for (const auto& bytes : {encode_jpeg(image), encode_png(image)}) {
    expect_error([&] { decode_image(bytes, "big", {.max_pixels = 1199}); },
                 {"big", "40x30", "1200", "1199"});
    EXPECT_NO_THROW(decode_image(bytes, "fits", {.max_pixels = 1200}));
  }
  // A header may announce what no memory holds: nothing of that size may be asked for.
  std::vector<std::uint8_t> jpeg = encode_jpeg(image);
  for (std::size_t i = 0; i + 8 < jpeg.size(); ++i)
    if (jpeg[i] == 0xFF && jpeg[i + 1] == 0xC0) std::memset(&jpeg[i + 5], 0xF0, 4);
  expect_error([&] { decode_image(jpeg, "bomb.jpg"); }, {"bomb.jpg", "61680x61680", "cap"});
  std::vector<std::uint8_t> png = encode_png(image);
  const std::uint8_t huge[8] = {0, 0xFF, 0, 0, 0, 0xFF, 0, 0};
  std::memcpy(&png[16], huge, 8);
  expect_error([&] { decode_image(png, "bomb.png"); }, {"bomb.png", "16711680x16711680", "cap"});
}

TEST(DecodeImage, EveryTruncationIsAnErrorOrAnImage) {
  for (const DecodeGolden& golden : kDecodeGoldens) {
    const std::vector<std::uint8_t> bytes = from_hex(golden.file);
    const bool jpeg = image_kind(bytes) == ImageKind::kJpeg;
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      // A copy of exactly that length, so that reading past it is seen by AddressSanitizer.
      const std::vector<std::uint8_t> part(bytes.begin(),
                                           bytes.begin() + static_cast<std::ptrdiff_t>(length));
      const bool decoded = decodes(part);
      // The last bytes of a JPEG are its end marker and padding; what lacks more is not whole.
      if (jpeg && length + 3 < bytes.size()) {
        EXPECT_FALSE(decoded) << golden.kind << " of " << length << " bytes";
      }
    }
  }
}

TEST(DecodeImage, SurvivesDamage) {
  const unsigned seed = 20240501;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::size_t refused = 0, rounds = 0;
  for (const DecodeGolden& golden : kDecodeGoldens) {
    const std::vector<std::uint8_t> whole = from_hex(golden.file);
    for (int round = 0; round < 400; ++round, ++rounds) {
      std::vector<std::uint8_t> bytes = whole;
      for (unsigned i = 0; i < 1 + random() % 4; ++i)
        bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
      refused += decodes(bytes) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, rounds / 20);  // otherwise nothing was damaged
}

// 4x1 pixels of 8 bits, 0 1 2 200, of a palette of two colours, behind a chunk of no pixels.
// Pillow: what is beyond the palette is black.
TEST(DecodeImage, GivesBlackBeyondThePalette) {
  const auto png = from_hex(
      "89504e470d0a1a0a0000000d4948445200000004000000010803000000cee2ffff00000006504c544509"
      "08070605045158d791000000004944415435af061e0000000d49444154789c636060643a010000d400cc"
      "04dbcfec0000000049454e44ae426082");
  EXPECT_EQ(decode_image(png, "short").rgb,
            (std::vector<std::uint8_t>{9, 8, 7, 6, 5, 4, 0, 0, 0, 0, 0, 0}));
}

TEST(DecodeImage, RefusesPngChunksThatAreDamaged) {
  const std::vector<std::uint8_t> whole = encode_png(formula_image(11, 7));
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::uint8_t> bytes = whole;
    bytes[at] = value;
    return bytes;
  };
  // Signature 8, header 25; then the pixels: length, type, content.
  constexpr std::size_t kPixels = 33;
  const auto flipped = static_cast<std::uint8_t>(whole[kPixels + 40] ^ 1U);
  expect_error([&] { decode_image(changed(kPixels + 40, flipped), "a.png"); },
               {"a.png", "byte 33", "checksum"});
  // 2 GB, for which no memory may be asked.
  expect_error([&] { decode_image(changed(kPixels, 0x7F), "b.png"); },
               {"b.png", "byte 33", "announces 2130706", "truncated"});
  const std::vector<std::uint8_t> cut(whole.begin(), whole.end() - 1);
  expect_error([&] { decode_image(cut, "c.png"); }, {"c.png", "end chunk"});
}

TEST(DecodeImage, SaysWhatIsWrongWithTheBrokenFiles) {
  CONCORD_NEEDS_SHARED_DATA(data);
  expect_error([&] { load_image(data / "broken/truncated.jpg"); }, {"truncated.jpg", "damaged"});
  expect_error([&] { load_image(data / "broken/empty.jpg"); }, {"empty.jpg", "empty"});
  expect_error([&] { load_image(data / "broken/not-an-image.jpg"); },
               {"not-an-image.jpg", "text file"});
}

TEST(EncodeJpeg, ComesBackCloseAndIsChecked) {
  const Image image = numbered_image(33, 17, 5);
  const Image back = decode_image(encode_jpeg(image, 100), "jpeg");
  ASSERT_EQ(back.rgb.size(), image.rgb.size());
  int worst = 0;
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    worst = std::max(worst, std::abs(int{back.rgb[i]} - int{image.rgb[i]}));
  EXPECT_LE(worst, 4);  // quality 100 quantises by 1; colour conversion rounds twice
  EXPECT_GT(encode_jpeg(image, 95).size(), encode_jpeg(image, 20).size());
  expect_error([&] { encode_jpeg(image, 0); }, {"quality 0"});
  expect_error([&] { encode_jpeg(image, 101); }, {"quality 101"});
}

TEST(WritePng, IsLossless) {
  const TempFolder folder;
  const Image image = formula_image(31, 22);
  write_png(folder / "a.png", image);
  EXPECT_EQ(load_image(folder / "a.png").rgb, image.rgb);
  expect_error([&] { write_png(folder / "missing/a.png", image); }, {"missing/a.png"});
}

TEST(Crop, TakesTheRectangle) {
  const Image image = formula_image(10, 8);
  const Image part = crop(image, 2, 3, 7, 8);
  ASSERT_EQ(part.width, 5);
  ASSERT_EQ(part.height, 5);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 5; ++x)
      EXPECT_EQ(std::memcmp(part.pixel(x, y), image.pixel(x + 2, y + 3), 3), 0);
  expect_error([&] { crop(image, 2, 3, 11, 8); }, {"[2, 11)", "10x8"});
  expect_error([&] { crop(image, 5, 3, 5, 8); }, {"[5, 5)"});
}

TEST(IsColorJpeg, TellsGrayFromColour) {
  for (const DecodeGolden& golden : kDecodeGoldens) {
    const bool expected = std::string(golden.kind).rfind("colour JPEG", 0) == 0;
    EXPECT_EQ(is_color_jpeg(from_hex(golden.file)), expected) << golden.kind;
  }
}

}  // namespace
}  // namespace concord::test
