#include "kernels/cpu/onednn.h"

#include <string_view>

namespace concord::kernels::onednn {
namespace {

using dnnl::memory;

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

bool is_plain(const Conv2dEpilogue& epilogue) { return !epilogue.add && !epilogue.relu; }

dnnl::primitive_attr forward_attributes(const Conv2dEpilogue& epilogue) {
  dnnl::primitive_attr attributes = user_scratchpad();
  if (is_plain(epilogue)) return attributes;
  dnnl::post_ops operations;
  if (epilogue.add) operations.append_sum();
#if DNNL_VERSION_MAJOR >= 3
  if (epilogue.relu) operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
  if (epilogue.relu) operations.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
  attributes.set_post_ops(operations);
  return attributes;
}

// Descriptions of backward passes ask for that of a forward pass of training.
dnnl::prop_kind kind_of(const Conv2dEpilogue& epilogue) {
  return is_plain(epilogue) ? dnnl::prop_kind::forward_training
                            : dnnl::prop_kind::forward_inference;
}

// oneDNN 3 dropped the operation descriptors: their arguments go to the primitive descriptor.
#if DNNL_VERSION_MAJOR >= 3

auto forward_desc(dnnl::algorithm algorithm, const Convolution& c) {
  return dnnl::convolution_forward::primitive_desc(
      engine(), kind_of(c.epilogue), algorithm, c.x, c.weight, c.bias, c.y, c.strides, c.dilations,
      c.padding, c.padding, forward_attributes(c.epilogue), true);
}
auto backward_data_desc(dnnl::algorithm algorithm, const Convolution& c,
                        const dnnl::convolution_forward::primitive_desc& forward) {
  return dnnl::convolution_backward_data::primitive_desc(
      engine(), algorithm, c.x, c.weight, c.y, c.strides, c.dilations, c.padding, c.padding,
      forward, user_scratchpad(), true);
}
auto backward_weights_desc(dnnl::algorithm algorithm, const Convolution& c,
                           const dnnl::convolution_forward::primitive_desc& forward) {
  return dnnl::convolution_backward_weights::primitive_desc(
      engine(), algorithm, c.x, c.weight, c.bias, c.y, c.strides, c.dilations, c.padding, c.padding,
      forward, user_scratchpad(), true);
}

#else

auto forward_desc(dnnl::algorithm algorithm, const Convolution& c) {
  return dnnl::convolution_forward::primitive_desc(
      {kind_of(c.epilogue), algorithm, c.x, c.weight, c.bias, c.y, c.strides, c.dilations,
       c.padding, c.padding},
      forward_attributes(c.epilogue), engine(), true);
}
auto backward_data_desc(dnnl::algorithm algorithm, const Convolution& c,
                        const dnnl::convolution_forward::primitive_desc& forward) {
  return dnnl::convolution_backward_data::primitive_desc(
      {algorithm, c.x, c.weight, c.y, c.strides, c.dilations, c.padding, c.padding},
      user_scratchpad(), engine(), forward, true);
}
auto backward_weights_desc(dnnl::algorithm algorithm, const Convolution& c,
                           const dnnl::convolution_forward::primitive_desc& forward) {
  return dnnl::convolution_backward_weights::primitive_desc(
      {algorithm, c.x, c.weight, c.bias, c.y, c.strides, c.dilations, c.padding, c.padding},
      user_scratchpad(), engine(), forward, true);
}

#endif

template <class Primitive, class Description>
ConvolutionPrimitive describe(const Description& description, const memory::desc& weight) {
  ConvolutionPrimitive result;
  result.primitive = Primitive(description);
  result.weight = weight;
  result.scratchpad = description.scratchpad_desc();
  result.scratchpad_bytes = result.scratchpad.get_size();
  result.reference = std::string_view(description.impl_info_str()).starts_with("ref");
  return result;
}

}  // namespace

dnnl::engine& engine() {
  thread_local dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  thread_local dnnl::stream instance(engine());
  return instance;
}

MemoryFormat vector_format() {
  static const MemoryFormat format = [] {
    // The values are sets of instruction groups, in both major versions.
    const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto has = [isa](dnnl::cpu_isa wanted) {
      return (isa & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
    };
    if (has(dnnl::cpu_isa::avx512_core)) return MemoryFormat::kBlocked16;
    if (has(dnnl::cpu_isa::avx2)) return MemoryFormat::kBlocked8;
    return MemoryFormat::kPlain;
  }();
  return format;
}

std::int64_t vector_lanes() {
  switch (vector_format()) {
    case MemoryFormat::kBlocked16:
      return 16;
    case MemoryFormat::kBlocked8:
      return 8;
    default:
      return 1;
  }
}

memory::desc image_desc(const Shape& shape, MemoryFormat format) {
  using Tag = memory::format_tag;
  Tag tag = Tag::nchw;
  if (format == MemoryFormat::kChannelsLast) tag = Tag::nhwc;
  if (format == MemoryFormat::kBlocked8) tag = Tag::nChw8c;
  if (format == MemoryFormat::kBlocked16) tag = Tag::nChw16c;
  return {{shape[0], shape[1], shape[2], shape[3]}, memory::data_type::f32, tag};
}

memory::desc weight_desc(const Shape& weight, std::int64_t groups, bool any) {
  using Tag = memory::format_tag;
  if (groups == 1)
    return {{weight[0], weight[1], weight[2], weight[3]},
            memory::data_type::f32,
            any ? Tag::any : Tag::oihw};
  return {{groups, weight[0] / groups, weight[1], weight[2], weight[3]},
          memory::data_type::f32,
          any ? Tag::any : Tag::goihw};
}

memory::desc vector_desc(std::int64_t size) {
  return {{size}, memory::data_type::f32, memory::format_tag::a};
}

std::optional<ConvolutionPrimitive> make_convolution(Pass pass, dnnl::algorithm algorithm,
                                                     const Convolution& convolution) {
  const auto forward = forward_desc(algorithm, convolution);
  if (!forward) return {};
  if (pass == Pass::kForward)
    return describe<dnnl::convolution_forward>(forward, forward.weights_desc());
  if (pass == Pass::kBackwardData) {
    const auto backward = backward_data_desc(algorithm, convolution, forward);
    if (!backward) return {};
    return describe<dnnl::convolution_backward_data>(backward, backward.weights_desc());
  }
  const auto backward = backward_weights_desc(algorithm, convolution, forward);
  if (!backward) return {};
  return describe<dnnl::convolution_backward_weights>(backward, backward.diff_weights_desc());
}

}  // namespace concord::kernels::onednn
