// concord-inspect: image files as Concord reads them.

#include <array>
#include <charconv>
#include <filesystem>
#include <optional>

#include "data/files.h"
#include "data/image.h"
#include "data/resize.h"
#include "tools/common/interrupt.h"
#include "tools/common/program.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::vector<std::string> files;
  std::string resize;
  std::string output;
  bool force = false;
};

struct Size {
  int width = 0;
  int height = 0;
};

// "224x160".
std::optional<Size> size_of(const std::string& text) {
  Size size;
  const char* end = text.data() + text.size();
  const auto [middle, first] = std::from_chars(text.data(), end, size.width);
  if (first != std::errc() || middle == end || *middle != 'x') return std::nullopt;
  const auto [last, second] = std::from_chars(middle + 1, end, size.height);
  constexpr int kMost = 16384;
  if (second != std::errc() || last != end) return std::nullopt;
  if (size.width < 1 || size.height < 1 || size.width > kMost || size.height > kMost)
    return std::nullopt;
  return size;
}

// Of red, green and blue, 0 to 255.
std::array<double, 3> means(const Image& image) {
  std::array<double, 3> sums{};
  for (std::size_t i = 0; i < image.rgb.size(); ++i) sums[i % 3] += image.rgb[i];
  for (double& sum : sums) sum /= static_cast<double>(image.rgb.size() / 3);
  return sums;
}

void inspect(const Options& options) {
  const std::optional<Size> size = size_of(options.resize);
  check_usage(options.resize.empty() || size.has_value(),
              "--resize {}: WIDTHxHEIGHT is expected, 1 to 16384 each, such as 224x224",
              options.resize);
  check_usage(options.output.empty() || options.files.size() == 1,
              "--output takes one picture, and {} are named", options.files.size());
  check_usage(options.output.empty() || options.output.ends_with(".png"),
              "--output {}: a PNG is written, so its name ends in .png", options.output);
  check(options.output.empty() || options.force || !std::filesystem::exists(options.output),
        "{}: exists; give --force to replace it", options.output);
  Table table({"image", "kind", "width", "height", "red", "green", "blue"});
  for (const std::string& file : options.files) {
    stop_if_interrupted();
    const std::vector<std::uint8_t> bytes = read_file(file);
    Image image = decode_image(bytes, file);
    const char* kind = image_kind(bytes) == ImageKind::kJpeg ? "JPEG" : "PNG";
    if (size) image = resize_bilinear(image, size->width, size->height);
    const auto [red, green, blue] = means(image);
    table.row({file, kind, std::to_string(image.width), std::to_string(image.height),
               fmt::format("{:.3f}", red), fmt::format("{:.3f}", green),
               fmt::format("{:.3f}", blue)});
    if (!options.output.empty()) write_png(options.output, image);
  }
  table.print();
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-inspect",
       .summary = "Decodes pictures (JPEG or PNG) as every program does, and says what they are.",
       .example = "  concord-inspect bird.jpg\n"
                  "  concord-inspect bird.jpg --resize 224x224 --output as-a-network-sees-it.png\n"
                  "Prints kind, size and mean of each channel (0 to 255), here of the picture as "
                  "resized.",
       .footnote = "Resizing is Pillow's, bilinear. The PNG holds the pixels themselves."});
  line.option("files", options.files, "pictures").required();
  line.option("--resize", options.resize, "WIDTHxHEIGHT to bring them to");
  line.option("--output", options.output, "PNG of the one picture, as decoded and resized");
  line.flag("--force", options.force, "replace that PNG where it exists");
  return run_program(line, argc, argv, [&] { inspect(options); });
}
