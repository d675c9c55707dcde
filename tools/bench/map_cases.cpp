// Kernels that run over feature maps: elementwise, dropout, pooling, resizing;
// and pictures, of which the first maps are made.

#include <algorithm>

#include "data/loader.h"
#include "kernels/activation.h"
#include "kernels/arithmetic.h"
#include "kernels/dropout.h"
#include "kernels/image.h"
#include "kernels/pooling.h"
#include "kernels/resize.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

struct Maps {
  std::int64_t channels;
  std::int64_t size;
  const char* used_by;
};
constexpr Maps kMaps[] = {{64, 224, "vgg block 1"},
                          {256, 56, "vgg block 3, resnet50 layer1"},
                          {512, 28, "vgg block 4, Trans-Net"},
                          {256, 14, "resnet layer3, Trans-Net"}};

using Unary = kernels::Kernel<void(kernels::ConstView, kernels::View)>;
using Binary = kernels::Kernel<void(kernels::ConstView, kernels::ConstView, kernels::View)>;

void add_unary(CaseList& list, const Unary& kernel, const Shape& shape, MemoryFormat format,
               const char* used_by, double flops) {
  list.add(kernel, text_of(shape, format), used_by,
           [s = list.setting(), &kernel, shape, format, flops] {
             Tensor x = random_maps(s, shape, format);
             Tensor y = empty_like(x);
             return Work{[&kernel, x, y]() mutable { kernel(x.device(), x.view(), y.view()); },
                         flops * static_cast<double>(x.numel()), bytes_of({x, y})};
           });
}

void add_binary(CaseList& list, const Binary& kernel, const Shape& shape, MemoryFormat format,
                const char* used_by, double flops) {
  list.add(kernel, text_of(shape, format), used_by,
           [s = list.setting(), &kernel, shape, format, flops] {
             Tensor a = random_maps(s, shape, format);
             Tensor b = random_maps(s, shape, format);
             Tensor y = empty_like(a);
             return Work{
                 [&kernel, a, b, y]() mutable { kernel(a.device(), a.view(), b.view(), y.view()); },
                 flops * static_cast<double>(a.numel()), bytes_of({a, b, y})};
           });
}

// Elementwise kernels walk every format as one array, so one format says all.
void add_elementwise(CaseList& list, const Shape& shape, const char* used_by) {
  const MemoryFormat format = network_format(list.setting(), shape);
  add_unary(list, kernels::relu_forward, shape, format, used_by, 1);
  add_binary(list, kernels::relu_backward, shape, format, used_by, 1);
  add_unary(list, kernels::sigmoid_forward, shape, format, "the gates, at their size a few bytes",
            4);
  add_binary(list, kernels::sigmoid_backward, shape, format, "the gates, at their size a few bytes",
             3);
  add_binary(list, kernels::add, shape, format, used_by, 1);
  add_binary(list, kernels::multiply, shape, format, used_by, 1);
  list.add(kernels::scale, text_of(shape, format), used_by, [s = list.setting(), shape, format] {
    Tensor x = random_maps(s, shape, format);
    Tensor y = empty_like(x);
    return Work{[x, y]() mutable { kernels::scale(x.device(), x.view(), 0.5, y.view()); },
                static_cast<double>(x.numel()), bytes_of({x, y})};
  });
  list.add(kernels::sum, text_of(shape, format), used_by, [s = list.setting(), shape, format] {
    Tensor x = random_maps(s, shape, format);
    Tensor result = empty_tensor(s, {});
    return Work{[x, result]() mutable { kernels::sum(x.device(), x.view(), result.view()); },
                static_cast<double>(x.numel()), bytes_of({x})};
  });
  list.add(kernels::all_finite, text_of(shape, format), "features read from files",
           [s = list.setting(), shape, format] {
             Tensor x = random_maps(s, shape, format);
             return Work{[x]() mutable { kernels::all_finite(x.device(), x.view()); },
                         static_cast<double>(x.numel()), bytes_of({x})};
           });
}

void add_dropout(CaseList& list, const Shape& shape, MemoryFormat format, const char* used_by) {
  list.add(kernels::dropout, text_of(shape, format), used_by, [s = list.setting(), shape, format] {
    Tensor x = random_maps(s, shape, format);
    Tensor y = empty_like(x);
    return Work{[x, y, seed = s.seed]() mutable {
                  kernels::dropout(x.device(), x.view(), 0.5, seed, 1, y.view());
                },
                2.0 * static_cast<double>(x.numel()), bytes_of({x, y})};
  });
}

void add_max_pool(CaseList& list, const Shape& shape, MemoryFormat format, std::int64_t kernel,
                  std::int64_t padding, const char* used_by) {
  const MaxPool2dOptions options = {
      .kernel = {kernel, kernel}, .stride = {2, 2}, .padding = {padding, padding}};
  const std::int64_t size = (shape[2] + 2 * padding - kernel) / 2 + 1;
  const Shape pooled = {shape[0], shape[1], size, size};
  const std::string text = fmt::format("{}/{}x{}", text_of(shape, format), kernel, kernel);
  struct Operands {
    Tensor x, y, index;
  };
  const auto operands = [s = list.setting(), shape, pooled, format, options] {
    Operands o{random_maps(s, shape, format), empty_maps(s, pooled, format),
               empty_tensor(s, pooled, format, DType::kUInt8)};
    kernels::max_pool2d_forward(o.x.device(), o.x.view(), options, o.y.view(), o.index.view());
    return o;
  };
  const double cells = static_cast<double>(kernel * kernel);
  list.add(kernels::max_pool2d_forward, text, used_by, [operands, options, cells] {
    Operands o = operands();
    return Work{[o, options]() mutable {
                  kernels::max_pool2d_forward(o.x.device(), o.x.view(), options, o.y.view(),
                                              o.index.view());
                },
                cells * static_cast<double>(o.y.numel()), bytes_of({o.x, o.y, o.index})};
  });
  list.add(kernels::max_pool2d_backward, text, used_by, [operands, options] {
    Operands o = operands();
    return Work{[o, options]() mutable {
                  kernels::max_pool2d_backward(o.x.device(), o.y.view(), o.index.view(), options,
                                               o.x.view());
                },
                static_cast<double>(o.y.numel()), bytes_of({o.x, o.y, o.index})};
  });
}

// Two kernels between maps of two sizes, forward from the first to the second.
void add_between_sizes(CaseList& list, const Unary& forward, const Unary& backward,
                       const Shape& from, const Shape& to, MemoryFormat format, double flops,
                       const char* used_by) {
  const std::string text = fmt::format("{}/to{}x{}", text_of(from, format), to[2], to[3]);
  const auto work = [s = list.setting(), format](const Unary& kernel, const Shape& in,
                                                 const Shape& out, double operations) {
    Tensor x = random_maps(s, in, format);
    Tensor y = empty_maps(s, out, format);
    return Work{[&kernel, x, y]() mutable { kernel(x.device(), x.view(), y.view()); }, operations,
                bytes_of({x, y})};
  };
  list.add(forward, text, used_by,
           [work, &forward, from, to, flops] { return work(forward, from, to, flops); });
  list.add(backward, text, used_by,
           [work, &backward, from, to, flops] { return work(backward, to, from, flops); });
}

void add_images(CaseList& list, const Shape& maps, MemoryFormat format) {
  list.add(kernels::normalize_images, text_of(maps, format), "every classifier's input",
           [s = list.setting(), maps, format] {
             const auto values = random_labels(s, maps.numel(), 256).to_vector<std::int64_t>();
             const std::vector<std::uint8_t> bytes(values.begin(), values.end());
             const Tensor images = Tensor::of({maps[0], maps[2], maps[3], 3}, bytes).to(s.device);
             Tensor y = empty_maps(s, maps, format);
             return Work{[images, y]() mutable {
                           kernels::normalize_images(y.device(), images.view(), kImageNetMean,
                                                     kImageNetStd, y.view());
                         },
                         3 * static_cast<double>(y.numel()), bytes_of({images, y})};
           });
}

}  // namespace

void add_map_cases(CaseList& list) {
  const std::int64_t batch = list.batch();
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast})
    add_images(list, {batch, 3, 224, 224}, format);
  for (const Maps& maps : kMaps)
    add_elementwise(list, {batch, maps.channels, maps.size, maps.size}, maps.used_by);

  add_dropout(list, {batch, 4096}, MemoryFormat::kPlain, "alexnet, vgg classifiers");
  const Shape middle = {batch, 512, 28, 28};
  for (const MemoryFormat format : all_formats(list.setting(), middle)) {
    add_dropout(list, middle, format, "no network here");
    add_max_pool(list, middle, format, 2, 0, "vgg block 4");
  }
  const auto blocked = [&](const Shape& shape) { return network_format(list.setting(), shape); };
  const Shape first = {batch, 64, 224, 224};
  const Shape resnet = {batch, 64, 112, 112};
  const Shape alexnet = {batch, 64, 55, 55};
  add_max_pool(list, first, blocked(first), 2, 0, "vgg block 1");
  add_max_pool(list, resnet, blocked(resnet), 3, 1, "resnet stem");
  add_max_pool(list, alexnet, blocked(alexnet), 3, 0, "alexnet block 1");

  const auto average = [&](const Shape& from, const Shape& to, const char* used_by) {
    add_between_sizes(list, kernels::adaptive_avg_pool2d_forward,
                      kernels::adaptive_avg_pool2d_backward, from, to, blocked(from),
                      static_cast<double>(std::max(from.numel(), to.numel())), used_by);
  };
  average({batch, 512, 7, 7}, {batch, 512, 1, 1}, "resnet18, resnet34");
  average({batch, 2048, 7, 7}, {batch, 2048, 1, 1}, "resnet50");
  average({batch, 512, 7, 7}, {batch, 512, 7, 7}, "vgg");
  average({batch, 256, 6, 6}, {batch, 256, 6, 6}, "alexnet");

  const Shape small = {batch, 256, 13, 13};
  const Shape large = {batch, 256, 14, 14};
  for (const MemoryFormat format : all_formats(list.setting(), small))
    add_between_sizes(list, kernels::resize_bilinear_forward, kernels::resize_bilinear_backward,
                      small, large, format, 7.0 * static_cast<double>(large.numel()),
                      "Trans-Net from alexnet to resnet");
}

}  // namespace concord::bench
