#include "tools/common/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "tools/common/checkpoint_writer.h"
#include "tools/common/interrupt.h"
#include "tools/common/non_finite.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"
#include "tools/common/training_events.h"

namespace concord::tool {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json to_json(const Values& values) {
  Json object = Json::object();
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

Values from_json(const Json& object) {
  Values values;
  for (const auto& [name, value] : object.items())
    if (value.is_number()) values.emplace_back(name, value.get<double>());
  return values;
}

// Sums over the samples of an epoch so far.
class Sums {
 public:
  void add(const Step& step) {
    samples_ += step.samples;
    for (std::size_t i = 0; i < step.means.size(); ++i) {
      const auto& [name, mean] = step.means[i];
      if (sums_.size() <= i) sums_.emplace_back(name, 0.0);
      sums_[i].second += mean * static_cast<double>(step.samples);
    }
  }
  Values means() const {
    Values values = sums_;
    for (auto& [name, value] : values) value /= static_cast<double>(samples_);
    return values;
  }
  Json json() const { return {{"samples", samples_}, {"sums", to_json(sums_)}}; }
  void restore(const Json& object) {
    samples_ = object.value("samples", std::int64_t{0});
    sums_ = from_json(object.value("sums", Json::object()));
  }
  std::int64_t samples() const { return samples_; }

 private:
  std::int64_t samples_ = 0;
  Values sums_;
};

std::string with_resume(const std::string& command) {
  std::string text = command;
  for (const std::string flag : {" --force", " --resume"})
    for (auto at = text.find(flag); at != std::string::npos; at = text.find(flag))
      text.erase(at, flag.size());
  return text + " --resume";
}

std::string describe(const std::pair<std::string, double>& named) {
  const auto& [name, value] = named;
  const bool percent =
      name.ends_with("top1") || name.ends_with("top5") || name.ends_with("accuracy");
  return percent ? fmt::format("{} {:.2f} %", name, 100 * value)
                 : fmt::format("{} {:.4g}", name, value);
}

class Loop {
 public:
  Loop(TrainingTask& task, const TrainingSetup& setup, const CommandLine& line,
       RunDirectory& directory)
      : task_(task),
        setup_(setup),
        line_(line),
        directory_(directory),
        schedule_(setup.optimizer.lr_schedule, setup.optimizer.lr, setup.optimizer.epochs),
        optimizer_(make_optimizer(setup.optimizer, task.module().named_parameters())),
        checkpoints_(task.module(), *optimizer_, directory) {
    configuration_ = setup.network;
    configuration_["settings"] = setup.settings;
    configuration_ = Json::parse(text_of_json(configuration_));  // as a resumed run will read it
  }

  Values run() {
    if (directory_.resuming())
      resume();
    else
      begin();
    if (directory_.resuming() && state_.epoch >= setup_.optimizer.epochs) return best_;
    // Not before: a refused --resume must leave the run's own config.json.
    directory_.write_config(line_, {{"network", setup_.network}});
    events_ = std::make_unique<TrainingEvents>(setup_.run, line_, directory_,
                                               setup_.optimizer.epochs, state_.epoch);
    Progress progress("training", setup_.optimizer.epochs * task_.samples(), "images");
    progress.begin_at(state_.epoch * task_.samples() + sums_.samples());
    progress_ = &progress;
    while (state_.epoch < setup_.optimizer.epochs) {
      stop_if_asked();
      epoch();
    }
    return best_;
  }

 private:
  void begin() {
    directory_.truncate_metrics(0);  // of a run that was killed before its first checkpoint
    if (setup_.continue_from.empty()) return;
    const Continuation from = continue_from(setup_.continue_from, task_.module(), *optimizer_);
    for (const std::string& text : from.notes) write_note(text);
    if (from.generator) *setup_.generator = *from.generator;
    state_.epoch = from.epoch;
    check(state_.epoch < setup_.optimizer.epochs,
          "{}: has been trained for {} epochs; --epochs counts them and is {}: give more",
          setup_.continue_from, state_.epoch, setup_.optimizer.epochs);
    note("going on from {} at epoch {} of {}", setup_.continue_from, state_.epoch + 1,
         setup_.optimizer.epochs);
  }

  void resume() {
    const std::filesystem::path file = directory_.last();
    const Json before = Json::parse(read_training_state(file).configuration, nullptr, false);
    check(before.is_object() && before.contains("settings"),
          "{}: holds no configuration of a run, so it cannot be resumed", file.string());
    check_same_settings(before["settings"], configuration_["settings"], file.string());
    state_ = load_checkpoint(file, task_.module(), optimizer_.get());
    *setup_.generator = state_.generator;
    const Json metrics = Json::parse(state_.metrics, nullptr, false);
    if (metrics.is_object()) {
      best_ = from_json(metrics.value("best", Json::object()));
      best_score_ =
          metrics.contains("best_score") ? metrics["best_score"].get<double>() : best_score_;
      if (state_.step > 0) sums_.restore(metrics.value("running", Json::object()));
    }
    directory_.truncate_metrics(state_.epoch);
    if (state_.epoch >= setup_.optimizer.epochs)
      note("{}: all {} epochs are done", file.string(), setup_.optimizer.epochs);
    else if (state_.step > 0)
      note("resuming at epoch {}, step {} of {}", state_.epoch + 1, state_.step + 1, task_.steps());
    else
      note("resuming at epoch {}", state_.epoch + 1);
  }

  // The state with everything that goes into a checkpoint now.
  const TrainingState& described_state() {
    state_.generator = *setup_.generator;
    Json metrics = Json::object();
    if (!best_.empty()) metrics = {{"best", to_json(best_)}, {"best_score", best_score_}};
    if (state_.step > 0) metrics["running"] = sums_.json();
    state_.metrics = metrics.dump();
    state_.configuration = configuration_.dump();
    return state_;
  }

  void stop_if_asked() {
    if (!interrupted()) return;
    const Waiting waiting(name_of_epoch() + "  saving");
    checkpoints_.write(described_state());
    throw Interrupted(fmt::format(
        "interrupted in epoch {} after {} of {} steps; all of it is saved. To go on:\n  {}",
        state_.epoch + 1, state_.step, task_.steps(), with_resume(line_.command())));
  }

  void epoch() {
    const Clock::time_point start = Clock::now();
    const std::int64_t samples_before = sums_.samples();
    const std::int64_t steps_before = state_.step;
    double looking = 0;  // seconds that are none of the training's
    const double lr = schedule_.at(state_.epoch);
    progress_->rename(name_of_epoch());
    std::optional<Waiting> first(std::in_place, name_of_epoch() + "  first step");
    task_.start(state_.epoch, state_.step);
    for (Step step; task_.step(step);) {
      first.reset();
      const double loss = value_of(step.means, "loss");
      if (!std::isfinite(loss)) fail_non_finite("the loss", loss, step.number + 1);
      if (step.number + 1 == task_.steps()) {
        const Clock::time_point begun = Clock::now();
        const Waiting waiting(name_of_epoch() + "  histograms");
        events_->gradients(state_.epoch + 1, task_.module());
        looking = since(begun);
      }
      task_.update(*optimizer_, lr);
      sums_.add(step);
      state_.step = step.number + 1;
      show_progress();
      stop_if_asked();
    }
    check(sums_.samples() > 0, "epoch {} had no data", state_.epoch + 1);
    const double seconds = since(start) - looking;
    finish_epoch(
        lr, {.images_per_second = static_cast<double>(sums_.samples() - samples_before) / seconds,
             .seconds = seconds,
             .steps = state_.step - steps_before});
  }

  void finish_epoch(double lr, const TrainingEvents::Speed& speed) {
    Values values = sums_.means();
    try {
      for (auto& value : task_.evaluate()) values.push_back(std::move(value));
    } catch (const Interrupted&) {
      stop_if_asked();  // at the end of the epoch's steps: the evaluation is done when resuming
      throw;
    }
    for (const auto& [name, value] : values)
      if (!std::isfinite(value)) fail_non_finite(name, value, state_.step);
    values.emplace_back("lr", lr);
    const std::string name = name_of_epoch();
    ++state_.epoch;
    state_.step = 0;
    sums_ = {};

    Json line = {{"epoch", state_.epoch}};
    line.update(to_json(values));
    line["seconds"] = std::round(speed.seconds * 1000) / 1000;
    line["images_per_second"] = std::round(speed.images_per_second * 10) / 10;
    // Metrics before checkpoints: a run killed in between does the epoch again and drops the line.
    directory_.append_metrics(line);
    {
      const Waiting waiting(name + "  histograms and pictures");
      events_->epoch(state_.epoch, values, speed, task_);
    }
    const Waiting waiting(name + "  saving");
    if (const double score = task_.score(values); !(score <= best_score_)) {
      best_score_ = score;
      best_ = values;
      best_.emplace(best_.begin(), "epoch", static_cast<double>(state_.epoch));
      checkpoints_.best(described_state());
    }
    if (state_.epoch == setup_.optimizer.epochs || checkpoints_.due())
      checkpoints_.write(described_state());
    tell(values, speed);
  }

  // Of the one that is trained.
  std::string name_of_epoch() const {
    return fmt::format("epoch {}/{}", state_.epoch + 1, setup_.optimizer.epochs);
  }

  void show_progress() {
    const std::string steps = std::to_string(task_.steps());
    std::vector<LinePart> parts = {
        {fmt::format("step {:>{}}/{}", state_.step, steps.size(), steps), 3},
        {fmt::format("loss {:<#6.4g}", value_of(sums_.means(), "loss")), 1}};
    progress_->update(state_.epoch * task_.samples() + sums_.samples(), std::move(parts));
  }

  // The epoch's line; on a terminal on as many as it needs.
  void tell(const Values& values, const TrainingEvents::Speed& speed) const {
    std::vector<std::string> parts = {
        fmt::format("epoch {}/{}", state_.epoch, setup_.optimizer.epochs)};
    for (const auto& value : values) parts.push_back(describe(value));
    parts.push_back(fmt::format("{:.0f} images/s", speed.images_per_second));
    parts.push_back(duration(speed.seconds));
    write_note(folded(parts, live_terminal() ? live_columns() : std::string::npos));
  }

  [[noreturn]] void fail_non_finite(const std::string& what, double value, std::int64_t step) {
    const std::string cause = explain_non_finite(task_.module(), [this] { task_.replay(); });
    fail("{} became {} in epoch {}, step {} of {}: {}. Try a lower --lr (now {}){}", what,
         std::isnan(value) ? "NaN" : "infinite", state_.epoch + 1, step, task_.steps(), cause,
         setup_.optimizer.lr,
         std::filesystem::exists(directory_.last())
             ? fmt::format("; {} is from before", directory_.last().string())
             : "");
  }

  TrainingTask& task_;
  const TrainingSetup& setup_;
  const CommandLine& line_;
  RunDirectory& directory_;
  LearningRateSchedule schedule_;
  std::unique_ptr<Optimizer> optimizer_;
  CheckpointWriter checkpoints_;
  std::unique_ptr<TrainingEvents> events_;
  Progress* progress_ = nullptr;
  Json configuration_;
  TrainingState state_;
  Sums sums_;
  Values best_;
  double best_score_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

void check_same_settings(const Json& before, const Json& now, const std::string& file) {
  for (const auto& [name, value] : now.items()) {
    if (!before.contains(name)) continue;  // a checkpoint from before the setting was known
    const Json& old = before[name];
    check(old == value,
          "--resume: {} was {} when {} was written and is {} now, which would change the result; "
          "give it as before, or start anew in another folder",
          name, old.dump(), file, value.dump());
  }
}

double value_of(const Values& values, const std::string& name) {
  for (const auto& [key, value] : values)
    if (key == name) return value;
  fail("there is no value {}", name);
}

Values train(TrainingTask& task, const TrainingSetup& setup, const CommandLine& line,
             RunDirectory& directory) {
  return Loop(task, setup, line, directory).run();
}

}  // namespace concord::tool
