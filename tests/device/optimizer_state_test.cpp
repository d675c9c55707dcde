// What an optimiser saved, and what tensors hold, comes to a device from wherever it lies.

#include <gtest/gtest.h>

#include "engine/optimizer.h"
#include "tests/device/support.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(OptimizerState);

using Parameters = std::vector<Named<Tensor>>;

// Of both dtypes, of one element and of many.
Parameters parameters_on(Device device) {
  Parameters parameters = {{"weight", random_tensor({7, 33}, 1).to(DType::kFloat32).to(device)},
                           {"bias", random_tensor({7}, 2).to(DType::kFloat64).to(device)},
                           {"gate", random_tensor({}, 3).to(DType::kFloat32).to(device)}};
  for (auto& [name, parameter] : parameters) parameter.set_requires_grad(true);
  return parameters;
}

void train(Parameters& parameters, Optimizer& optimizer, std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t step = first; step < end; ++step) {
    std::uint64_t stream = 100 * step;
    for (auto& [name, parameter] : parameters)
      parameter.set_grad(
          random_tensor(parameter.shape(), ++stream).to(parameter.dtype()).to(parameter.device()));
    optimizer.step(0.05);
  }
}

std::map<std::string, Tensor> copied_to(Device place, const Parameters& tensors) {
  std::map<std::string, Tensor> copies;
  for (const auto& [name, tensor] : tensors) copies.emplace(name, tensor.clone().to(place));
  return copies;
}

using Make = std::function<std::unique_ptr<Optimizer>(Parameters)>;

// Training that goes on from a saved state, from the host or from the device, is the training that
// was never interrupted.
void check_resumed(Device device, const Make& make) {
  Parameters parameters = parameters_on(device);
  const auto optimizer = make(parameters);
  train(parameters, *optimizer, 0, 3);
  for (const Device place : {Device{}, device}) {
    const auto saved_parameters = copied_to(place, parameters);
    const auto saved_state = copied_to(place, optimizer->state());
    Parameters resumed = parameters_on(device);
    for (auto& [name, parameter] : resumed) parameter.copy_from(saved_parameters.at(name));
    const auto other = make(resumed);
    other->load_state(saved_state);

    Parameters straight = parameters_on(device);
    const auto whole = make(straight);
    train(straight, *whole, 0, 6);
    train(resumed, *other, 3, 6);
    for (std::size_t i = 0; i < straight.size(); ++i)
      EXPECT_EQ(resumed[i].second.to_vector<double>(), straight[i].second.to_vector<double>())
          << straight[i].first << " from " << name_of(place);
    const auto expected = whole->state();
    const auto state = other->state();
    ASSERT_EQ(state.size(), expected.size());
    for (std::size_t i = 0; i < state.size(); ++i)
      EXPECT_EQ(state[i].second.to_vector<double>(), expected[i].second.to_vector<double>())
          << expected[i].first << " from " << name_of(place);
  }
}

TEST_P(OptimizerState, OfAdamResumes) {
  in_every_order([&] {
    check_resumed(device(), [](Parameters parameters) {
      return make_adam(std::move(parameters), {.weight_decay = 1e-3});
    });
  });
}

TEST_P(OptimizerState, OfSgdResumes) {
  in_every_order([&] {
    check_resumed(device(), [](Parameters parameters) {
      return make_sgd(std::move(parameters), {.momentum = 0.9, .weight_decay = 1e-3});
    });
  });
}

// Buffers lie where their parameters do, and stay there when a state comes from elsewhere.
TEST_P(OptimizerState, StaysOnItsDevice) {
  const auto optimizer = make_adam(parameters_on(device()), {});
  optimizer->load_state(copied_to(Device{}, optimizer->state()));
  for (const auto& [name, tensor] : optimizer->state())
    EXPECT_EQ(tensor.device(), name == "step" ? Device{} : device()) << name;
}

// Of every dtype and format, into parts of tensors too, converted where they differ; to the device
// and back.
TEST_P(OptimizerState, CopyFromAnotherDevice) {
  constexpr MemoryFormat kFormats[] = {MemoryFormat::kPlain, MemoryFormat::kChannelsLast};
  const Tensor x = random_tensor({3, 5, 7, 3}, 1).to(DType::kFloat32);
  for (const DType from_dtype : {DType::kFloat32, DType::kFloat64})
    for (const DType to_dtype : {DType::kFloat32, DType::kFloat64})
      for (const MemoryFormat from_format : kFormats)
        for (const MemoryFormat to_format : kFormats) {
          const Tensor from = x.to(from_dtype).in_format(from_format);
          Tensor there = Tensor::empty({5, 5, 7, 3}, {to_dtype, device(), to_format});
          there.fill(9);
          there.rows(1, 4).copy_from(from);
          EXPECT_EQ(there.device(), device());
          EXPECT_EQ(there.rows(1, 4).to_vector<double>(), x.to_vector<double>());
          for (const std::int64_t beside : {0, 4})
            EXPECT_EQ(there.rows(beside, beside + 1).to_vector<double>(),
                      std::vector<double>(105, 9));
          Tensor back = Tensor::empty(x.shape(), {from_dtype, Device{}, from_format});
          back.copy_from(there.rows(1, 4));
          EXPECT_EQ(back.to_vector<double>(), x.to_vector<double>());
        }
  const Tensor integers = Tensor::of<std::int64_t>({3}, {1LL << 60, -1, 0});
  Tensor to = Tensor::zeros({3}, {DType::kInt64, device()});
  to.copy_from(integers);
  EXPECT_EQ(to.to_vector<std::int64_t>(), integers.to_vector<std::int64_t>());
  Tensor nothing = Tensor::empty({0, 3}, {.device = device()});
  nothing.copy_from(Tensor::empty({0, 3}));
}

}  // namespace
}  // namespace concord
