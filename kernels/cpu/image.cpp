#include "kernels/image.h"

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

void normalize_images_cpu(ConstView images, const std::array<float, 3>& mean,
                          const std::array<float, 3>& deviation, View y) {
  check_images(images, y);
  if (y.numel() == 0) return;
  std::array<std::array<float, 256>, 3> tables;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t value = 0; value < 256; ++value)
      tables[c][value] = normalized_value(static_cast<std::uint8_t>(value), mean[c], deviation[c]);

  const auto* from = images.as<std::uint8_t>();
  auto* to = y.as<float>();
  const bool last = y.format == MemoryFormat::kChannelsLast;
  const std::int64_t width = y.shape[3];
  const std::int64_t pixels = y.shape[2] * width;
  const std::int64_t grain = (1 << 14) / width + 1;
  parallel_for(y.shape[0] * y.shape[2], grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint8_t* source = from + row * width * 3;
      const std::int64_t n = row / y.shape[2];
      const std::int64_t h = row % y.shape[2];
      for (std::size_t c = 0; c < 3; ++c) {
        const auto channel = static_cast<std::int64_t>(c);
        float* target =
            to + (last ? row * width * 3 + channel : (n * 3 + channel) * pixels + h * width);
        const std::int64_t step = last ? 3 : 1;
        for (std::int64_t w = 0; w < width; ++w)
          target[w * step] = tables[c][source[w * 3 + channel]];
      }
    }
  });
}

const Registration registration{normalize_images, DeviceType::kCpu, normalize_images_cpu};

}  // namespace
}  // namespace concord::kernels
