#pragma once
// oneDNN 2 and 3 behind one small interface, so that the rest of kernels/cpu is written once. All
// descriptors are float32.

#include <cstddef>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>

#include "kernels/conv2d.h"

namespace concord::kernels::onednn {

// The engine and the stream of the calling thread.
dnnl::engine& engine();
dnnl::stream& stream();

// The format whose blocks are this machine's vectors: kBlocked16 with AVX-512, kBlocked8 with AVX2,
// kPlain without either. Obeys DNNL_MAX_CPU_ISA, as oneDNN itself does.
MemoryFormat vector_format();
// 16, 8 or 1.
std::int64_t vector_lanes();

dnnl::memory::desc image_desc(const Shape& shape, MemoryFormat format);
// A plain weight [O,C/groups,R,S], seen as [groups,O/groups,...] where groups > 1; without a layout
// (chosen by the primitive) where `any`.
dnnl::memory::desc weight_desc(const Shape& weight, std::int64_t groups, bool any);
dnnl::memory::desc vector_desc(std::int64_t size);

enum class Pass : std::uint8_t { kForward, kBackwardData, kBackwardWeights };

struct Convolution {
  dnnl::memory::desc x;
  dnnl::memory::desc weight;
  dnnl::memory::desc bias;  // empty: none
  dnnl::memory::desc y;
  dnnl::memory::dims strides;
  dnnl::memory::dims dilations;  // oneDNN's: 0 is a dense kernel
  dnnl::memory::dims padding;
  Conv2dEpilogue epilogue = {};  // its relu takes NaN to 0
};

// A pass of a convolution ready to run, and what it wants to be given.
struct ConvolutionPrimitive {
  dnnl::primitive primitive;
  dnnl::memory::desc weight;
  std::size_t scratchpad_bytes = 0;
  dnnl::memory::desc scratchpad;
  // oneDNN's plain loops, a thousand times slower than the rest.
  bool reference = false;
};

// Nothing where oneDNN has no implementation.
std::optional<ConvolutionPrimitive> make_convolution(Pass pass, dnnl::algorithm algorithm,
                                                     const Convolution& convolution);

}  // namespace concord::kernels::onednn
