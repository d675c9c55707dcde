// Fully connected layers, losses, rankings and optimisers.

#include "kernels/linear.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "kernels/top_k.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

struct Layer {
  std::int64_t inputs;
  std::int64_t outputs;
  const char* used_by;
};
constexpr Layer kLayers[] = {{25088, 4096, "vgg FC6"},
                             {9216, 4096, "alexnet FC6"},
                             {4096, 4096, "vgg and alexnet FC7"},
                             {4096, 200, "vgg and alexnet, 200 classes"},
                             {2048, 200, "resnet50, 200 classes"},
                             {512, 200, "resnet18, 200 classes"}};

struct LinearOperands {
  Tensor x, weight, bias, y;
  double flops = 0;
};

void add_linear(CaseList& list, const Layer& layer) {
  const std::string text = fmt::format("{}x{}/to{}", list.batch(), layer.inputs, layer.outputs);
  const auto operands = [s = list.setting(), layer] {
    LinearOperands o;
    o.x = random_maps(s, {s.batch_size, layer.inputs});
    o.weight = random_tensor(s, {layer.outputs, layer.inputs});
    o.bias = random_tensor(s, {layer.outputs});
    o.y = random_maps(s, {s.batch_size, layer.outputs});
    o.flops = 2.0 * static_cast<double>(s.batch_size * layer.inputs * layer.outputs);
    return o;
  };
  list.add(kernels::linear_forward, text, layer.used_by, [operands] {
    LinearOperands o = operands();
    return Work{[o]() mutable {
                  kernels::linear_forward(o.x.device(), o.x.view(), o.weight.view(), o.bias.view(),
                                          false, o.y.view());
                },
                o.flops, bytes_of({o.x, o.weight, o.bias, o.y})};
  });
  list.add(kernels::linear_backward_data, text, layer.used_by, [operands] {
    LinearOperands o = operands();
    return Work{[o]() mutable {
                  kernels::linear_backward_data(o.x.device(), o.y.view(), o.weight.view(),
                                                o.x.view());
                },
                o.flops, bytes_of({o.x, o.weight, o.y})};
  });
  list.add(kernels::linear_backward_weights, text, layer.used_by, [operands] {
    LinearOperands o = operands();
    return Work{[o]() mutable {
                  kernels::linear_backward_weights(o.x.device(), o.x.view(), o.y.view(),
                                                   o.weight.view());
                },
                o.flops, bytes_of({o.x, o.weight, o.y})};
  });
  list.add(kernels::linear_backward_bias, text, layer.used_by, [operands] {
    LinearOperands o = operands();
    return Work{
        [o]() mutable { kernels::linear_backward_bias(o.y.device(), o.y.view(), o.bias.view()); },
        static_cast<double>(o.y.numel()), bytes_of({o.y, o.bias})};
  });
}

struct LossOperands {
  Tensor a, b, labels, log_sum, loss, dy, da;
  double elements = 0;
};

LossOperands loss_operands(const Setting& s, const Shape& shape, MemoryFormat format) {
  LossOperands o;
  o.a = random_maps(s, shape, format);
  o.b = Tensor::full(shape, 0.5, {s.maps, s.device, format});
  o.labels = random_labels(s, shape[0], shape[1]);
  o.log_sum = Tensor::full({shape[0]}, 6, {DType::kFloat64, s.device});
  o.loss = empty_tensor(s, {});
  o.dy = Tensor::full({}, 1, {DType::kFloat32, s.device});
  o.da = empty_like(o.a);
  o.elements = static_cast<double>(shape.numel());
  return o;
}

void add_losses(CaseList& list) {
  const Shape logits = {list.batch(), 200};
  const std::string text = logits.to_string();
  const auto operands = [s = list.setting(), logits] {
    return loss_operands(s, logits, MemoryFormat::kPlain);
  };
  list.add(kernels::cross_entropy_forward, text, "classifiers, 200 classes", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::cross_entropy_forward(o.a.device(), o.a.view(), o.labels.view(),
                                                 o.loss.view(), o.log_sum.view());
                },
                3 * o.elements, bytes_of({o.a, o.labels, o.log_sum})};
  });
  list.add(kernels::cross_entropy_backward, text, "classifiers, 200 classes", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::cross_entropy_backward(o.a.device(), o.a.view(), o.labels.view(),
                                                  o.log_sum.view(), o.dy.view(), o.da.view());
                },
                4 * o.elements, bytes_of({o.a, o.labels, o.log_sum, o.da})};
  });
  list.add(kernels::binary_cross_entropy_with_logits_forward, text, "VOC's 20 labels", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::binary_cross_entropy_with_logits_forward(o.a.device(), o.a.view(),
                                                                    o.b.view(), o.loss.view());
                },
                6 * o.elements, bytes_of({o.a, o.b})};
  });
  list.add(kernels::binary_cross_entropy_with_logits_backward, text, "VOC's 20 labels", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::binary_cross_entropy_with_logits_backward(
                      o.a.device(), o.a.view(), o.b.view(), o.dy.view(), o.da.view());
                },
                5 * o.elements, bytes_of({o.a, o.b, o.da})};
  });
  list.add(kernels::distillation_loss_forward, text, "born-again networks", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::distillation_loss_forward(o.a.device(), o.a.view(), o.b.view(), 1,
                                                     o.loss.view());
                },
                8 * o.elements, bytes_of({o.a, o.b})};
  });
  list.add(kernels::distillation_loss_backward, text, "born-again networks", [operands] {
    LossOperands o = operands();
    return Work{[o]() mutable {
                  kernels::distillation_loss_backward(o.a.device(), o.a.view(), o.b.view(), 1,
                                                      o.dy.view(), o.da.view());
                },
                8 * o.elements, bytes_of({o.a, o.b, o.da})};
  });
  // The disentanglement loss: this and gate_penalty.
  for (const Shape& maps : {Shape{list.batch(), 512, 28, 28}, Shape{list.batch(), 256, 14, 14}}) {
    const MemoryFormat format = network_format(list.setting(), maps);
    const auto of_maps = [s = list.setting(), maps, format] {
      return loss_operands(s, maps, format);
    };
    list.add(kernels::mse_loss_forward, text_of(maps, format), "Trans-Net", [of_maps] {
      LossOperands o = of_maps();
      return Work{[o]() mutable {
                    kernels::mse_loss_forward(o.a.device(), o.a.view(), o.b.view(), o.loss.view());
                  },
                  3 * o.elements, bytes_of({o.a, o.b})};
    });
    list.add(kernels::mse_loss_backward, text_of(maps, format), "Trans-Net", [of_maps] {
      LossOperands o = of_maps();
      return Work{[o]() mutable {
                    kernels::mse_loss_backward(o.a.device(), o.a.view(), o.b.view(), o.dy.view(),
                                               o.da.view());
                  },
                  2 * o.elements, bytes_of({o.a, o.b, o.da})};
    });
  }
}

struct Update {
  Shape parameter;
  const char* used_by;
};

void add_optimizers(CaseList& list) {
  const Update updates[] = {{{4096, 4096}, "vgg and alexnet FC7"},
                            {{512, 512, 3, 3}, "vgg block 4, Trans-Net"},
                            {{512}, "batch norms"}};
  struct Operands {
    Tensor gradient, parameter, first, second;
  };
  for (const Update& update : updates) {
    const auto operands = [s = list.setting(), shape = update.parameter] {
      const TensorOptions plain = {DType::kFloat32, s.device};
      return Operands{random_tensor(s, shape), random_tensor(s, shape), Tensor::zeros(shape, plain),
                      Tensor::zeros(shape, plain)};
    };
    const std::string text = update.parameter.to_string();
    const auto elements = static_cast<double>(update.parameter.numel());
    list.add(kernels::sgd_step, text, update.used_by, [operands, elements] {
      Operands o = operands();
      return Work{
          [o]() mutable {
            kernels::sgd_step(
                o.parameter.device(), o.gradient.view(), o.parameter.view(), o.first.view(),
                kernels::SgdStep{.learning_rate = 1e-4, .momentum = 0.9, .weight_decay = 1e-4});
          },
          6 * elements, 5 * 4 * elements};
    });
    list.add(kernels::adam_step, text, update.used_by, [operands, elements] {
      Operands o = operands();
      return Work{[o]() mutable {
                    kernels::adam_step(o.parameter.device(), o.gradient.view(), o.parameter.view(),
                                       o.first.view(), o.second.view(),
                                       kernels::AdamStep{.learning_rate = 1e-4,
                                                         .beta1 = 0.9,
                                                         .beta2 = 0.999,
                                                         .eps = 1e-8,
                                                         .weight_decay = 1e-4,
                                                         .step = 10});
                  },
                  13 * elements, 7 * 4 * elements};
    });
  }
}

// The parameters of resnet50's second stage, small ones and smaller ones, in one call.
void add_optimizers_of_many(CaseList& list) {
  struct Operands {
    std::vector<Tensor> tensors;
    std::vector<kernels::SgdOperands> sgd;
    std::vector<kernels::AdamOperands> adam;
    double elements = 0;
  };
  const auto operands = [s = list.setting()] {
    Operands o;
    for (int block = 0; block < 4; ++block) {
      for (const Shape& shape :
           {Shape{128, 512, 1, 1}, Shape{128}, Shape{128}, Shape{128, 128, 3, 3}, Shape{128},
            Shape{128}, Shape{512, 128, 1, 1}, Shape{512}, Shape{512}}) {
        const Tensor gradient = random_tensor(s, shape);
        Tensor parameter = random_tensor(s, shape);
        Tensor first = Tensor::zeros(shape, {DType::kFloat32, s.device});
        Tensor second = Tensor::zeros(shape, {DType::kFloat32, s.device});
        o.sgd.push_back({gradient.view(), parameter.view(), first.view()});
        o.adam.push_back({gradient.view(), parameter.view(), first.view(), second.view()});
        o.tensors.insert(o.tensors.end(), {gradient, parameter, first, second});
        o.elements += static_cast<double>(shape.numel());
      }
    }
    return o;
  };
  list.add(kernels::sgd_steps, "36-parameters", "resnet50", [operands] {
    const Operands o = operands();
    return Work{
        [o] {
          kernels::sgd_steps(
              o.tensors.front().device(), o.sgd,
              kernels::SgdStep{.learning_rate = 1e-4, .momentum = 0.9, .weight_decay = 1e-4});
        },
        6 * o.elements, 5 * 4 * o.elements};
  });
  list.add(kernels::adam_steps, "36-parameters", "resnet50", [operands] {
    const Operands o = operands();
    return Work{[o] {
                  kernels::adam_steps(o.tensors.front().device(), o.adam,
                                      kernels::AdamStep{.learning_rate = 1e-4,
                                                        .beta1 = 0.9,
                                                        .beta2 = 0.999,
                                                        .eps = 1e-8,
                                                        .weight_decay = 1e-4,
                                                        .step = 10});
                },
                13 * o.elements, 7 * 4 * o.elements};
  });
}

void add_top_k(CaseList& list, std::int64_t classes, const char* used_by) {
  const Shape shape = {list.batch(), classes};
  list.add(kernels::top_k, shape.to_string() + "/5", used_by, [s = list.setting(), shape] {
    const Tensor logits = random_maps(s, shape);
    Tensor indices = empty_tensor(s, {shape[0], 5}, MemoryFormat::kPlain, DType::kInt64);
    Tensor values = empty_maps(s, {shape[0], 5});
    return Work{[logits, indices, values]() mutable {
                  kernels::top_k(logits.device(), logits.view(), indices.view(), values.view());
                },
                static_cast<double>(logits.numel()), bytes_of({logits, indices, values})};
  });
}

}  // namespace

void add_classifier_cases(CaseList& list) {
  for (const Layer& layer : kLayers) add_linear(list, layer);
  add_losses(list);
  add_top_k(list, 200, "evaluation, 200 classes");
  add_top_k(list, 1000, "evaluation, ImageNet");
  add_optimizers(list);
  add_optimizers_of_many(list);
}

}  // namespace concord::bench
