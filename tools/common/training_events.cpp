#include "tools/common/training_events.h"

namespace concord::tool {
namespace {

constexpr std::int64_t kHistogramEpochs = 50;
constexpr std::int64_t kPictureEpochs = 10;  // TensorBoard shows no more of a tag

std::string in_code_block(const std::string& text) { return "```\n" + text + "\n```\n"; }

}  // namespace

std::string tag_of_value(const std::string& name) {
  if (name.starts_with("val_")) return "val/" + name.substr(4);
  return "train/" + (name.starts_with("dL/") ? name.substr(3) : name);
}

bool is_shown(std::int64_t epoch, std::int64_t epochs, std::int64_t most) {
  const std::int64_t every = epochs <= most ? 1 : (epochs + most - 2) / (most - 1);
  return epoch == 1 || epoch == epochs || (epoch % every == 0 && epoch / every < most - 1);
}

TrainingEvents::TrainingEvents(const RunOptions& options, const CommandLine& line,
                               const RunDirectory& directory, std::int64_t epochs,
                               std::int64_t done)
    : all_(options.tensorboard == "all"), epochs_(epochs) {
  if (options.tensorboard == "none") return;
  const bool first = done == 0;  // then steps from 0 on, the configuration's too
  writer_ = std::make_unique<EventWriter>(directory.path(), first ? 0 : done + 1);
  writer_->text(
      done, "run/configuration",
      in_code_block(line.command()) + "\n" + in_code_block(text_of_json(line.values(), 2)));
}

bool TrainingEvents::shows(std::int64_t epoch, std::int64_t most) const {
  return all_ && is_shown(epoch, epochs_, most);
}

void TrainingEvents::gradients(std::int64_t epoch, const Module& module) {
  if (!shows(epoch, kHistogramEpochs)) return;
  for (const auto& [name, parameter] : module.named_parameters())
    if (!parameter.grad_is_put_off() && parameter.grad().defined())
      writer_->histogram(epoch, "gradients/" + name, histogram_of(parameter.grad()));
}

void TrainingEvents::epoch(std::int64_t epoch, const Values& values, const Speed& speed,
                           TrainingTask& task) {
  if (writer_ == nullptr) return;
  Values tagged;
  for (const auto& [name, value] : values) tagged.emplace_back(tag_of_value(name), value);
  tagged.emplace_back("speed/images_per_second", speed.images_per_second);
  tagged.emplace_back("speed/seconds_per_epoch", speed.seconds);
  if (speed.steps > 0)
    tagged.emplace_back("speed/seconds_per_step", speed.seconds / static_cast<double>(speed.steps));
  writer_->scalars(epoch, tagged);
  if (shows(epoch, kHistogramEpochs))
    for (const auto& [name, parameter] : task.module().named_parameters())
      if (parameter.requires_grad())
        writer_->histogram(epoch, "weights/" + name, histogram_of(parameter));
  if (shows(epoch, kPictureEpochs))
    for (const auto& [tag, picture] : task.pictures()) writer_->image(epoch, tag, picture);
}

}  // namespace concord::tool
