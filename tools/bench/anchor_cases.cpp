// What the kernels of kernels/cpu are measured against: oneDNN 2's Winograd convolution (AVX-512;
// oneDNN 3 and lesser machines have none, and then there are no such cases). It is given its weight
// in the layout that it asks for, ours starts from the plain weight.

#include "kernels/cpu/onednn.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

using kernels::onednn::Pass;

struct Shapes {
  Shape x;
  Shape weight;
  Shape y;
};

std::optional<kernels::onednn::ConvolutionPrimitive> winograd(Pass pass, const Shapes& shapes) {
  const MemoryFormat format = kernels::onednn::vector_format();
  if (format != MemoryFormat::kBlocked16) return {};
  return kernels::onednn::make_convolution(
      pass, dnnl::algorithm::convolution_winograd,
      {kernels::onednn::image_desc(shapes.x, format),
       kernels::onednn::weight_desc(shapes.weight, 1, true), dnnl::memory::desc(),
       kernels::onednn::image_desc(shapes.y, format), dnnl::memory::dims{1, 1},
       dnnl::memory::dims{0, 0}, dnnl::memory::dims{1, 1}, kernels::Conv2dEpilogue{}});
}

Work work_of(const Setting& setting, Pass pass, const Shapes& shapes) {
  const auto found = winograd(pass, shapes);
  const MemoryFormat format = kernels::onednn::vector_format();
  const Tensor x = random_tensor(setting, shapes.x, format);
  const Tensor y = random_tensor(setting, shapes.y, format);
  const Tensor weight =
      random_tensor(setting, {static_cast<std::int64_t>(found->weight.get_size() / sizeof(float))});
  const Tensor scratchpad = random_tensor(
      setting, {static_cast<std::int64_t>(found->scratchpad_bytes / sizeof(float)) + 1});
  const auto memory_of = [](const dnnl::memory::desc& desc, const Tensor& tensor) {
    return dnnl::memory(desc, kernels::onednn::engine(), const_cast<void*>(tensor.view().data));
  };
  const std::unordered_map<int, dnnl::memory> arguments = {
      {pass == Pass::kBackwardData ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
       memory_of(kernels::onednn::image_desc(shapes.x, format), x)},
      {pass == Pass::kBackwardWeights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
       memory_of(found->weight, weight)},
      {pass == Pass::kForward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
       memory_of(kernels::onednn::image_desc(shapes.y, format), y)},
      {DNNL_ARG_SCRATCHPAD, memory_of(found->scratchpad, scratchpad)}};
  // The tensors live as long as the work that uses them.
  return {[primitive = found->primitive, arguments, x, y, weight, scratchpad] {
            primitive.execute(kernels::onednn::stream(), arguments);
            kernels::onednn::stream().wait();
          },
          2.0 * static_cast<double>(shapes.y.numel()) * static_cast<double>(shapes.weight.numel()) /
              static_cast<double>(shapes.weight[0]),
          bytes_of({x, y, weight})};
}

}  // namespace

void add_anchor_cases(CaseList& list) {
  if (list.device().type != DeviceType::kCpu) return;
  for (const auto& [channels, size] : {std::pair<std::int64_t, std::int64_t>{64, 56},
                                       {128, 28},
                                       {256, 14},
                                       {512, 28},
                                       {512, 14}}) {
    const Shapes shapes = {{list.batch(), channels, size, size},
                           {channels, channels, 3, 3},
                           {list.batch(), channels, size, size}};
    for (const auto& [pass, name] : {std::pair{Pass::kForward, "winograd_forward"},
                                     {Pass::kBackwardData, "winograd_backward_data"},
                                     {Pass::kBackwardWeights, "winograd_backward_weights"}}) {
      if (!winograd(pass, shapes)) continue;
      list.add_foreign(
          fmt::format("onednn/{}/{}/{}", name, shapes.x.to_string(), shapes.weight.to_string()),
          "to compare conv2d with", [setting = list.setting(), pass = pass, shapes] {
            return work_of(setting, pass, shapes);
          });
    }
  }
}

}  // namespace concord::bench
