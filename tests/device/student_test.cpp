// Steps of a classifier that learns from another one (tools/common/training_steps.h): the teacher
// on its device or on the CPU, in graphs or not.

#include "engine/optimizer.h"
#include "tests/device/small_classifier.h"
#include "tools/common/training_steps.h"

namespace concord {
namespace {

using tool::ClassifierStep;
using tool::Teaching;
using tool::value_of;

CONCORD_ON_EVERY_DEVICE(StudentOn);

// A small classifier of 4 classes as a Network.
class SmallNetwork final : public Network {
 public:
  explicit SmallNetwork(bool dropout) : Network("small", 4) {
    for (const ModulePtr& module : classifier_.net.children()) {
      if (!dropout && dynamic_cast<Dropout*>(module.get()) != nullptr) continue;
      const std::string name = fmt::format("step{}", named_modules().size());
      add_step(name, register_module(name, module));
    }
  }

 private:
  test::SmallClassifier classifier_;
};

struct Outcome {
  std::vector<double> losses;  // loss, ce and kd of each step
  std::vector<double> parameters;
};

constexpr int kSteps = 7;

Outcome train_student(Device device, Device teacher_device, bool graphs) {
  SmallNetwork student(true);
  SmallNetwork teacher(false);
  // Another network than the student, with statistics of its own.
  for (auto& [name, tensor] : teacher.named_parameters())
    tensor.copy_from(test::images(tensor.shape(), name.size()));
  student.to(device);
  teacher.to(teacher_device);
  teacher.set_training(false);
  ClassifierStep step(student, {.teacher = &teacher, .lambda = 0.7, .tau = 2}, graphs);
  const auto optimizer =
      make_sgd(student.named_parameters(), {.momentum = 0.9, .weight_decay = 1e-3});
  Outcome outcome;
  for (std::uint64_t number = 0; number < kSteps; ++number) {
    Batch batch;
    batch.images = test::images({3, 3, 7, 6}, number).to(device);
    batch.device_labels = Tensor::of<std::int64_t>({3}, {0, 3, 1}).to(device);
    if (number == 5) step.set_lambda(0.2);
    const tool::Step result = step.run(batch);
    for (const char* name : {"loss", "ce", "kd"})
      outcome.losses.push_back(value_of(result.means, name));
    step.update(*optimizer, 0.05);
  }
  student.to(Device{});
  for (const auto& [name, tensor] : student.named_parameters())
    for (const double value : tensor.to_vector<double>()) outcome.parameters.push_back(value);
  return outcome;
}

TEST_P(StudentOn, LearnsWhatItLearnsOnTheCpu) {
  const Outcome expected = train_student(Device{}, Device{}, false);
  ASSERT_FALSE(expected.parameters.empty());
  EXPECT_LT(expected.losses[12], expected.losses[0]) << "it learns";
  for (std::size_t i = 0; i < expected.losses.size(); i += 3) {
    const double lambda = i < 15 ? 0.7 : 0.2;
    EXPECT_NEAR(expected.losses[i], expected.losses[i + 1] + lambda * expected.losses[i + 2], 1e-5);
  }
  for (const Device teacher : {Device{}, device()}) {
    const Outcome actual = train_student(device(), teacher, false);
    ASSERT_EQ(actual.losses.size(), expected.losses.size());
    for (std::size_t i = 0; i < expected.losses.size(); ++i)
      EXPECT_NEAR(actual.losses[i], expected.losses[i], 1e-4) << "loss " << i;
  }
}

class StudentInGraphs : public test::OnDevice {};
INSTANTIATE_TEST_SUITE_P(Devices, StudentInGraphs, ::testing::Values(DeviceType::kCuda),
                         test::name_of_device);

TEST_P(StudentInGraphs, LearnsTheSame) {
  for (const Device teacher : {Device{}, device()}) {
    const Outcome eager = train_student(device(), teacher, false);
    const Outcome graphs = train_student(device(), teacher, true);
    EXPECT_EQ(graphs.losses, eager.losses);
    EXPECT_EQ(graphs.parameters, eager.parameters);
  }
}

}  // namespace
}  // namespace concord
