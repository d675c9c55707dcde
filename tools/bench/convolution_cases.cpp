#include "kernels/conv2d.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

struct Convolution {
  std::int64_t channels;
  std::int64_t size;  // height and width of the input
  std::int64_t outputs;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t padding;
  std::int64_t groups;
  const char* used_by;
};

// The distinct convolutions of the networks at 224x224, and of the Trans-Nets between their layers.
constexpr Convolution kConvolutions[] = {
    {3, 224, 64, 3, 1, 1, 1, "vgg conv1_1"},
    {64, 224, 64, 3, 1, 1, 1, "vgg conv1_2"},
    {64, 112, 128, 3, 1, 1, 1, "vgg conv2_1"},
    {128, 112, 128, 3, 1, 1, 1, "vgg conv2_2"},
    {128, 56, 256, 3, 1, 1, 1, "vgg conv3_1"},
    {256, 56, 256, 3, 1, 1, 1, "vgg conv3_2, conv3_3"},
    {256, 28, 512, 3, 1, 1, 1, "vgg conv4_1"},
    {512, 28, 512, 3, 1, 1, 1, "vgg conv4_2, conv4_3; Trans-Net 512x28x28"},
    {512, 14, 512, 3, 1, 1, 1, "vgg conv5; Trans-Net 512x14x14"},
    {3, 224, 64, 11, 4, 2, 1, "alexnet conv1"},
    {64, 27, 192, 5, 1, 2, 1, "alexnet conv2"},
    {192, 13, 384, 3, 1, 1, 1, "alexnet conv3"},
    {384, 13, 256, 3, 1, 1, 1, "alexnet conv4"},
    {256, 13, 256, 3, 1, 1, 1, "alexnet conv5; Trans-Net 256x13x13"},
    {3, 224, 64, 7, 2, 3, 1, "resnet conv1"},
    {64, 56, 64, 3, 1, 1, 1, "resnet layer1"},
    {64, 56, 128, 3, 2, 1, 1, "resnet18 layer2.0.conv1"},
    {64, 56, 128, 1, 2, 0, 1, "resnet18 layer2.0.downsample"},
    {128, 28, 128, 3, 1, 1, 1, "resnet layer2; Trans-Net 128x28x28"},
    {128, 28, 256, 3, 2, 1, 1, "resnet18 layer3.0.conv1"},
    {256, 14, 256, 3, 1, 1, 1, "resnet layer3; Trans-Net 256x14x14"},
    {256, 14, 512, 3, 2, 1, 1, "resnet18 layer4.0.conv1"},
    {512, 7, 512, 3, 1, 1, 1, "resnet layer4"},
    {64, 56, 64, 1, 1, 0, 1, "resnet50 layer1.0.conv1"},
    {64, 56, 256, 1, 1, 0, 1, "resnet50 layer1 conv3"},
    {256, 56, 64, 1, 1, 0, 1, "resnet50 layer1 conv1"},
    {256, 56, 128, 1, 1, 0, 1, "resnet50 layer2.0.conv1"},
    {128, 56, 128, 3, 2, 1, 1, "resnet50 layer2.0.conv2"},
    {256, 56, 512, 1, 2, 0, 1, "resnet50 layer2.0.downsample"},
    {128, 28, 512, 1, 1, 0, 1, "resnet50 layer2 conv3"},
    {512, 28, 128, 1, 1, 0, 1, "resnet50 layer2 conv1"},
    {256, 28, 256, 3, 2, 1, 1, "resnet50 layer3.0.conv2"},
    {256, 14, 1024, 1, 1, 0, 1, "resnet50 layer3 conv3"},
    {1024, 14, 256, 1, 1, 0, 1, "resnet50 layer3 conv1"},
    {512, 14, 512, 3, 2, 1, 1, "resnet50 layer4.0.conv2"},
    {512, 7, 2048, 1, 1, 0, 1, "resnet50 layer4 conv3"},
    {2048, 7, 512, 1, 1, 0, 1, "resnet50 layer4 conv1"},
    {1024, 14, 1024, 3, 1, 1, 1, "Trans-Net 1024x14x14"},
    {128, 56, 128, 3, 1, 1, 32, "resnext50 layer1 conv2"},
    {256, 56, 256, 3, 1, 1, 32, "resnext101 layer1 conv2"},
    {512, 14, 512, 3, 1, 1, 32, "resnext50 layer3 conv2"},
    {4096, 1, 4096, 1, 1, 0, 1, "Trans-Net 4096x1x1 with --kernel 1"},
};

// Operands of one convolution, in the formats that the device wants.
struct Operands {
  Tensor x, weight, bias, y;
  Conv2dOptions options;
  double flops = 0;
};

Operands operands_of(const Setting& s, const Convolution& c, bool plain) {
  Operands o;
  o.options = {
      .stride = {c.stride, c.stride}, .padding = {c.padding, c.padding}, .groups = c.groups};
  const std::int64_t size = (c.size + 2 * c.padding - c.kernel) / c.stride + 1;
  const Shape x = {s.batch_size, c.channels, c.size, c.size};
  const Shape weight = {c.outputs, c.channels / c.groups, c.kernel, c.kernel};
  kernels::Conv2dFormats formats;
  if (!plain)
    formats = kernels::conv2d_formats(s.device, x, MemoryFormat::kPlain, s.maps, weight, o.options);
  o.x = random_maps(s, x, formats.input);
  o.weight = random_tensor(s, weight);
  o.bias = random_tensor(s, {c.outputs});
  o.y = random_maps(s, {s.batch_size, c.outputs, size, size}, formats.output);
  o.flops = 2.0 * static_cast<double>(o.y.numel()) * static_cast<double>(o.weight.numel()) /
            static_cast<double>(c.outputs);
  return o;
}

void add_passes(CaseList& list, const Convolution& c, bool plain) {
  std::string shape = fmt::format("{}x{}x{}x{}/{}x{}x{}x{}", list.batch(), c.channels, c.size,
                                  c.size, c.outputs, c.channels / c.groups, c.kernel, c.kernel);
  if (c.stride > 1) shape += fmt::format("/stride{}", c.stride);
  if (c.groups > 1) shape += fmt::format("/groups{}", c.groups);
  if (plain) shape += "/plain";
  const auto operands = [s = list.setting(), c, plain] { return operands_of(s, c, plain); };
  list.add(kernels::conv2d_forward, shape, c.used_by, [operands] {
    Operands o = operands();
    const double bytes = bytes_of({o.x, o.weight, o.bias, o.y});
    return Work{[o]() mutable {
                  kernels::conv2d_forward(o.x.device(), o.x.view(), o.weight.view(), o.bias.view(),
                                          o.options, kernels::Conv2dEpilogue{}, o.y.view());
                },
                o.flops, bytes};
  });
  // Nobody asks for the gradient of the images.
  if (c.channels > 3)
    list.add(kernels::conv2d_backward_data, shape, c.used_by, [operands] {
      Operands o = operands();
      const double bytes = bytes_of({o.x, o.weight, o.y});
      return Work{[o]() mutable {
                    kernels::conv2d_backward_data(o.x.device(), o.y.view(), o.weight.view(),
                                                  o.options, o.x.view());
                  },
                  o.flops, bytes};
    });
  list.add(kernels::conv2d_backward_weights, shape, c.used_by, [operands] {
    Operands o = operands();
    const double bytes = bytes_of({o.x, o.weight, o.bias, o.y});
    return Work{[o]() mutable {
                  kernels::conv2d_backward_weights(o.x.device(), o.x.view(), o.y.view(), o.options,
                                                   o.weight.view(), o.bias.view());
                },
                o.flops, bytes};
  });
}

}  // namespace

void add_convolution_cases(CaseList& list) {
  const Shape maps = {list.batch(), 512, 28, 28};
  list.add(kernels::conv2d_formats, text_of(maps, MemoryFormat::kPlain), "every convolution",
           [device = list.device(), maps] {
             return Work{[device, maps] {
               kernels::conv2d_formats(device, maps, MemoryFormat::kPlain, DType::kFloat32,
                                       Shape{512, 512, 3, 3}, Conv2dOptions{.padding = {1, 1}});
             }};
           });
  for (const Convolution& c : kConvolutions) add_passes(list, c, false);
  for (const Convolution& c : kConvolutions)
    if (c.channels == 512 && c.size == 28 && c.kernel == 3) add_passes(list, c, true);
}

}  // namespace concord::bench
