#include "tools/bench/case_list.h"

#include <algorithm>

#include "engine/random.h"
#include "kernels/conv2d.h"
#include "kernels/memory.h"
#include "kernels/precision.h"

namespace concord::bench {

Tensor empty_tensor(const Setting& setting, const Shape& shape, MemoryFormat format, DType dtype) {
  return Tensor::empty(shape, {dtype, setting.device, format});
}

Tensor random_tensor(const Setting& setting, const Shape& shape, MemoryFormat format) {
  // Drawing a hundred million numbers takes longer than measuring what is done with them, so a
  // prime number of them is repeated.
  constexpr std::int64_t kPeriod = 65521;
  Tensor tensor = Tensor::empty(shape, {.format = format});
  random::Generator generator(setting.seed);
  Tensor drawn = Tensor::empty({std::min(kPeriod, tensor.numel())});
  random::fill_normal(drawn, generator, 0, 1);
  const std::size_t bytes = tensor.bytes();
  char* to = static_cast<char*>(tensor.view().data);
  for (std::size_t at = 0; at < bytes; at += drawn.bytes())
    kernels::copy(Device{}, to + at, drawn.view().data, std::min(drawn.bytes(), bytes - at));
  return tensor.to(setting.device);
}

Tensor random_maps(const Setting& setting, const Shape& shape, MemoryFormat format) {
  return random_tensor(setting, shape, format).to(setting.maps);
}

Tensor empty_maps(const Setting& setting, const Shape& shape, MemoryFormat format) {
  return empty_tensor(setting, shape, format, setting.maps);
}

Tensor random_labels(const Setting& setting, std::int64_t count, std::int64_t classes) {
  random::Stream stream(setting.seed, 1);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i)
    labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes))));
  return Tensor::of({count}, labels).to(setting.device);
}

std::string text_of(const Shape& shape, MemoryFormat format) {
  return shape.rank() < 4 ? shape.to_string()
                          : fmt::format("{}/{}", shape.to_string(), name_of(format));
}

MemoryFormat network_format(const Setting& setting, const Shape& maps) {
  return kernels::conv2d_formats(setting.device, maps, MemoryFormat::kPlain, setting.maps,
                                 Shape{maps[1], maps[1], 1, 1}, Conv2dOptions{})
      .output;
}

std::vector<MemoryFormat> all_formats(const Setting& setting, const Shape& maps) {
  std::vector<MemoryFormat> formats = {network_format(setting, maps)};
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast})
    if (format != formats[0]) formats.push_back(format);
  return formats;
}

std::vector<Case> kernel_cases(Device device, std::int64_t batch_size, std::uint64_t seed) {
  const bool in_bfloat16 =
      device.type == DeviceType::kCuda && kernels::precision() == kernels::Precision::kBFloat16;
  CaseList list({device, batch_size, seed, in_bfloat16 ? DType::kBFloat16 : DType::kFloat32});
  add_convolution_cases(list);
  add_map_cases(list);
  add_norm_cases(list);
  add_trans_net_cases(list);
  add_ladder_cases(list);
  add_classifier_cases(list);
  add_compression_cases(list);
  add_memory_cases(list);
  add_anchor_cases(list);
  return list.take();
}

}  // namespace concord::bench
