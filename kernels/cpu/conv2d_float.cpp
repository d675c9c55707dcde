// float32 convolution on oneDNN. A pass is prepared once per shape (its primitive, and the reorders
// of what it wants in another layout) and kept; running it allocates nothing.

#include <array>
#include <map>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/workspace.h"
#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

using dnnl::memory;

// One tensor of a pass: as it is held, and as the primitive wants it.
struct Operand {
  Operand() = default;
  Operand(const memory::desc& held_as, const memory::desc& wanted_as, bool is_result)
      : held(held_as), wanted(wanted_as), result(is_result) {
    if (held == wanted) return;
    reordered_bytes = wanted.get_size();
    reorder = result ? dnnl::reorder({onednn::engine(), wanted, onednn::engine(), held})
                     : dnnl::reorder({onednn::engine(), held, onednn::engine(), wanted});
  }

  memory::desc held;
  memory::desc wanted;
  dnnl::primitive reorder;
  std::size_t reordered_bytes = 0;  // 0: as it is held
  bool result = false;
};

void execute_reorder(const Operand& operand, const memory::desc& from_desc, void* from,
                     const memory::desc& to_desc, void* to) {
  operand.reorder.execute(onednn::stream(),
                          {{DNNL_ARG_FROM, memory(from_desc, onednn::engine(), from)},
                           {DNNL_ARG_TO, memory(to_desc, onednn::engine(), to)}});
}

// The buffer to give to the primitive.
void* enter(const Operand& operand, void* held, Workspace& workspace) {
  if (operand.reordered_bytes == 0) return held;
  void* wanted = workspace.take(operand.reordered_bytes);
  if (!operand.result) execute_reorder(operand, operand.held, held, operand.wanted, wanted);
  return wanted;
}

// Brings a result back.
void leave(const Operand& operand, void* wanted, void* held) {
  if (operand.result && operand.reordered_bytes > 0)
    execute_reorder(operand, operand.wanted, wanted, operand.held, held);
}

struct Plan {
  onednn::ConvolutionPrimitive convolution;
  Operand x;
  Operand weight;
  Operand y;
  memory::desc bias;
  Conv2dEpilogue epilogue;              // what the primitive does of it: all or nothing
  std::int64_t merged = 1;              // groups run as one
  std::size_t merged_weight_bytes = 0;  // 0: the weight as given
  std::size_t workspace_bytes = 0;
};

onednn::Convolution convolution_of(const ConvolutionSetup& setup, const Shape& weight,
                                   std::int64_t groups, bool bias, MemoryFormat x_format,
                                   MemoryFormat y_format, const Conv2dEpilogue& epilogue) {
  const Conv2dOptions& options = setup.options;
  return {onednn::image_desc(setup.x, x_format),
          onednn::weight_desc(weight, groups, true),
          bias ? onednn::vector_desc(setup.y[1]) : memory::desc(),
          onednn::image_desc(setup.y, y_format),
          {options.stride.height, options.stride.width},
          {options.dilation.height - 1, options.dilation.width - 1},
          {options.padding.height, options.padding.width},
          epilogue};
}

// Where oneDNN has nothing but its reference loops for the formats (the gradient of a plain image,
// for one), plain operands, which it computes by matrix products, and no epilogue.
Plan make_plan(Pass pass, const ConvolutionSetup& setup, bool bias, Conv2dEpilogue epilogue) {
  Plan plan;
  const std::int64_t groups = setup.options.groups;
  if (groups > 1)
    plan.merged = std::max<std::int64_t>(1, groups_to_merge(setup.x[1], setup.y[1], groups));
  const std::int64_t merged_groups = groups / plan.merged;
  const Shape weight = setup.weight.with(1, setup.weight[1] * plan.merged);

  std::optional<onednn::ConvolutionPrimitive> found;
  MemoryFormat x_format = setup.x_format;
  MemoryFormat y_format = setup.y_format;
  const auto attempt = [&] {
    found = onednn::make_convolution(
        pass, dnnl::algorithm::convolution_direct,
        convolution_of(setup, weight, merged_groups, bias, x_format, y_format, epilogue));
    return found && !found->reference;
  };
  if (!attempt()) {
    epilogue = {};
    x_format = y_format = MemoryFormat::kPlain;
    attempt();
  }
  check(found.has_value(), "conv2d: oneDNN has no implementation for input {}, weight {}",
        setup.x.to_string(), setup.weight.to_string());

  plan.convolution = *found;
  plan.epilogue = epilogue;
  plan.x = Operand(onednn::image_desc(setup.x, setup.x_format),
                   onednn::image_desc(setup.x, x_format), pass == Pass::kBackwardData);
  plan.y = Operand(onednn::image_desc(setup.y, setup.y_format),
                   onednn::image_desc(setup.y, y_format), pass == Pass::kForward);
  plan.weight = Operand(onednn::weight_desc(weight, merged_groups, false), found->weight,
                        pass == Pass::kBackwardWeights);
  if (bias) plan.bias = onednn::vector_desc(setup.y[1]);
  if (plan.merged > 1) plan.merged_weight_bytes = plan.weight.held.get_size();
  plan.workspace_bytes = plan.x.reordered_bytes + plan.y.reordered_bytes +
                         plan.weight.reordered_bytes + plan.merged_weight_bytes +
                         plan.convolution.scratchpad_bytes;
  return plan;
}

// All that a plan depends on.
using PlanKey = std::array<std::int64_t, 22>;

PlanKey key_of(Pass pass, const ConvolutionSetup& setup, bool bias,
               const Conv2dEpilogue& epilogue) {
  const Conv2dOptions& o = setup.options;
  return {static_cast<std::int64_t>(pass),
          bias,
          epilogue.add,
          epilogue.relu,
          thread_count(),
          static_cast<std::int64_t>(setup.x_format),
          static_cast<std::int64_t>(setup.y_format),
          setup.x[0],
          setup.x[1],
          setup.x[2],
          setup.x[3],
          setup.weight[0],
          setup.weight[1],
          setup.weight[2],
          setup.weight[3],
          o.stride.height,
          o.stride.width,
          o.padding.height,
          o.padding.width,
          o.dilation.height,
          o.dilation.width,
          o.groups};
}

// The plans of this thread, the least recently used dropped first: a network has some 160 (three
// passes of 53 convolutions), and a last, smaller batch as many again.
const Plan& plan_for(Pass pass, const ConvolutionSetup& setup, bool bias,
                     const Conv2dEpilogue& epilogue) {
  constexpr std::size_t kMostPlans = 1024;
  struct Entry {
    Plan plan;
    std::uint64_t used = 0;
  };
  thread_local std::map<PlanKey, Entry> plans;
  thread_local std::uint64_t clock = 0;
  const PlanKey key = key_of(pass, setup, bias, epilogue);
  auto found = plans.find(key);
  if (found == plans.end()) {
    if (plans.size() == kMostPlans) {
      plans.erase(std::min_element(plans.begin(), plans.end(), [](const auto& a, const auto& b) {
        return a.second.used < b.second.used;
      }));
    }
    found = plans.emplace(key, Entry{make_plan(pass, setup, bias, epilogue), 0}).first;
  }
  found->second.used = ++clock;
  return found->second.plan;
}

// Elements of a weight worth a thread.
constexpr std::int64_t kGrain = 1 << 14;

// Visits the blocks of a block-diagonal weight [O, merged * C/groups, R, S]: row o holds the
// C/groups channels of its own group and zeros for the others.
//   body(row of `given`, row of `merged` where the group's channels start, length of both)
template <class Body>
void for_each_block(const ConvolutionSetup& setup, std::int64_t merged, Body body) {
  const std::int64_t group_outputs = setup.weight[0] / setup.options.groups;
  const std::int64_t length = setup.weight[1] * setup.weight[2] * setup.weight[3];
  parallel_for(setup.weight[0], kGrain / (merged * length),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t o = begin; o < end; ++o) {
                   const std::int64_t group = o / group_outputs % merged;
                   body(o * length, o * merged * length, group * length, length);
                 }
               });
}

void merge_groups(const ConvolutionSetup& setup, std::int64_t merged, const float* given,
                  float* wide) {
  for_each_block(setup, merged,
                 [=](std::int64_t from, std::int64_t row, std::int64_t at, std::int64_t length) {
                   std::fill_n(wide + row, merged * length, 0.0F);
                   std::copy_n(given + from, length, wide + row + at);
                 });
}

void split_groups(const ConvolutionSetup& setup, std::int64_t merged, const float* wide,
                  float* given) {
  for_each_block(setup, merged,
                 [=](std::int64_t to, std::int64_t row, std::int64_t at, std::int64_t length) {
                   std::copy_n(wide + row + at, length, given + to);
                 });
}

}  // namespace

void run_convolution_float(Pass pass, const ConvolutionSetup& setup,
                           const ConvolutionBuffers<float>& buffers) {
  const Plan& plan = plan_for(pass, setup, buffers.bias != nullptr, buffers.epilogue);
  Workspace& workspace = Workspace::with_room(plan.workspace_bytes, 5);
  const bool weight_is_result = pass == Pass::kBackwardWeights;
  // Where the primitive does not add, what stands in y must outlive its result.
  const bool ends_apart = plan.epilogue != buffers.epilogue;
  const bool keeps_y = ends_apart && buffers.epilogue.add;
  std::vector<float> result(keeps_y ? static_cast<std::size_t>(setup.y.numel()) : 0);
  float* const y = keeps_y ? result.data() : buffers.y;

  float* weight = buffers.weight;
  if (plan.merged > 1) {
    weight = static_cast<float*>(workspace.take(plan.merged_weight_bytes));
    if (!weight_is_result) merge_groups(setup, plan.merged, buffers.weight, weight);
  }
  void* const x_given = enter(plan.x, buffers.x, workspace);
  void* const weight_given = enter(plan.weight, weight, workspace);
  void* const y_given = enter(plan.y, y, workspace);

  const auto argument = [](const memory::desc& desc, void* data) {
    return memory(desc, onednn::engine(), data);
  };
  const bool x_is_result = pass == Pass::kBackwardData;
  std::unordered_map<int, memory> arguments = {
      {x_is_result ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, argument(plan.x.wanted, x_given)},
      {weight_is_result ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
       argument(plan.weight.wanted, weight_given)},
      {pass == Pass::kForward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
       argument(plan.y.wanted, y_given)}};
  if (buffers.bias != nullptr)
    arguments.insert(
        {weight_is_result ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, argument(plan.bias, buffers.bias)});
  if (plan.convolution.scratchpad_bytes > 0)
    arguments.insert(
        {DNNL_ARG_SCRATCHPAD,
         argument(plan.convolution.scratchpad, workspace.take(plan.convolution.scratchpad_bytes))});
  plan.convolution.primitive.execute(onednn::stream(), arguments);

  leave(plan.x, x_given, buffers.x);
  leave(plan.weight, weight_given, weight);
  leave(plan.y, y_given, y);
  if (weight_is_result && plan.merged > 1) split_groups(setup, plan.merged, weight, buffers.weight);
  if (ends_apart) end_convolution(y, setup.y.numel(), buffers.epilogue, buffers.y);
}

}  // namespace concord::kernels
