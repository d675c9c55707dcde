#include "engine/autograd.h"

#include <atomic>
#include <map>
#include <string>

#include "engine/saved_tensor.h"
#include "kernels/arithmetic.h"

namespace concord {

// One recorded operation. Inputs are edges to the nodes behind them, or to leaf tensors; never to
// intermediate tensors, whose data nobody but the backward function may keep alive.
class Node {
 public:
  struct Edge {
    std::shared_ptr<Node> node;
    Tensor leaf;
  };

  std::string name;
  std::uint64_t sequence = 0;
  std::vector<Edge> edges;
  BackwardFunction backward;
  std::function<Tensor()> recompute;  // the output again; may be empty
  Shape output_shape;
  TensorOptions output_options;
};

namespace {

thread_local bool gradients_are_enabled = true;
std::atomic<std::uint64_t> next_sequence{1};

// sum += term, in place when nobody else holds sum.
void accumulate(Tensor& sum, Tensor term) {
  if (!sum.defined()) {
    sum = std::move(term);
    return;
  }
  const Tensor other = term.in_format(sum.format());
  const NoGradGuard no_grad;
  Tensor result = sum.unique() ? sum.detach() : empty_like(sum);
  kernels::add(sum.device(), sum.view(), other.view(), result.view());
  sum = std::move(result);
}

void check_gradient(const Node& node, std::size_t input, const Tensor& gradient,
                    const Shape& expected) {
  check(gradient.shape() == expected,
        "{}: gradient of input {} has shape {}, the input has shape {}", node.name, input,
        gradient.shape().to_string(), expected.to_string());
}

}  // namespace

bool gradients_enabled() { return gradients_are_enabled; }
NoGradGuard::NoGradGuard() : before_(gradients_are_enabled) { gradients_are_enabled = false; }
NoGradGuard::~NoGradGuard() { gradients_are_enabled = before_; }

bool needs_gradient(const Tensor& input) { return gradients_are_enabled && input.tracked(); }

Tensor record(std::string_view name, Tensor output, const std::vector<Tensor>& inputs,
              BackwardFunction backward) {
  bool wanted = false;
  for (const Tensor& input : inputs) wanted = wanted || needs_gradient(input);
  if (!wanted) return output;
  auto node = std::make_shared<Node>();
  node->name = name;
  node->sequence = next_sequence++;
  node->backward = std::move(backward);
  node->output_shape = output.shape();
  node->output_options = output.options();
  for (const Tensor& input : inputs) {
    Node::Edge edge;
    if (input.tracked()) {
      if (input.node())
        edge.node = input.node();
      else
        edge.leaf = input;
    }
    node->edges.push_back(std::move(edge));
  }
  output.set_node(std::move(node));
  return output;
}

void offer_recomputation(const Tensor& output, std::function<Tensor()> compute) {
  if (output.node()) output.node()->recompute = std::move(compute);
}

SavedTensor::SavedTensor(const Tensor& tensor) {
  if (tensor.node()) compute_ = tensor.node()->recompute;
  if (!compute_) tensor_ = tensor.detach();
}

void Tensor::add_to_grad(Tensor term) {
  Tensor sum = grad();
  set_grad({});
  accumulate(sum, term.in_format(format()));
  set_grad(std::move(sum));
}

void Tensor::backward(const Tensor& cotangent) const {
  check(tracked(), "backward: no tensor behind this one requires a gradient");
  check(node() != nullptr, "backward: a leaf has no graph");
  check(cotangent.defined() || numel() == 1,
        "backward: a cotangent is needed for an output of shape {}", shape().to_string());
  const NoGradGuard no_grad;

  // A node is recorded after those behind it, so the highest sequence number with a gradient has
  // received all of it.
  struct Pending {
    std::shared_ptr<Node> node;
    Tensor gradient;
  };
  std::map<std::uint64_t, Pending, std::greater<>> pending;
  pending[node()->sequence] = {
      node(), cotangent.defined() ? cotangent : Tensor::full(shape(), 1.0, {dtype(), device()})};
  while (!pending.empty()) {
    auto [current, gradient] = std::move(pending.begin()->second);
    pending.erase(pending.begin());
    check(current->backward != nullptr,
          "backward: the graph behind {} was consumed by an earlier backward pass", current->name);
    check(gradient.shape() == current->output_shape,
          "backward: {} has an output of shape {}, its gradient has shape {}", current->name,
          current->output_shape.to_string(), gradient.shape().to_string());
    // The one place where a gradient changes its format.
    if (gradient.format() != current->output_options.format)
      gradient = gradient.in_format(current->output_options.format);

    const BackwardFunction function = std::exchange(current->backward, nullptr);
    current->recompute = nullptr;
    std::vector<Node::Edge> edges = std::exchange(current->edges, {});
    std::vector<Tensor> gradients = function(std::move(gradient));
    check(gradients.size() == edges.size(), "{}: {} gradients returned for {} inputs",
          current->name, gradients.size(), edges.size());
    for (std::size_t i = 0; i < edges.size(); ++i) {
      Tensor input_gradient = std::move(gradients[i]);
      if (!input_gradient.defined()) continue;
      if (edges[i].node) {
        Pending& behind = pending[edges[i].node->sequence];
        check_gradient(*current, i, input_gradient, edges[i].node->output_shape);
        behind.node = edges[i].node;
        accumulate(behind.gradient, std::move(input_gradient));
      } else if (edges[i].leaf.defined()) {
        check_gradient(*current, i, input_gradient, edges[i].leaf.shape());
        edges[i].leaf.add_to_grad(std::move(input_gradient));
      }
    }
  }
}

}  // namespace concord
