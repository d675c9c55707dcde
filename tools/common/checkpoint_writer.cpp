#include "tools/common/checkpoint_writer.h"

#include <utility>

#include "tools/common/non_finite.h"

namespace concord::tool {

void CheckpointWriter::check_finite(const TrainingState& state) const {
  const std::string broken = first_non_finite(module_.named_state());
  check(broken.empty(),
        "{} holds a NaN or infinity after {} epochs and {} steps; that state is not saved. Try a "
        "lower --lr",
        broken, state.epoch, state.step);
}

void CheckpointWriter::best(const TrainingState& state) {
  check_finite(state);
  waiting_.emplace();
  for (const auto& [name, tensor] : module_.named_state())
    waiting_->values.push_back(tensor.clone());
  waiting_->state = state;
}

bool CheckpointWriter::due() const { return Clock::now() - written_at_ >= 10 * cost_; }

void CheckpointWriter::swap_waiting() {
  const auto state = module_.named_state();
  for (std::size_t i = 0; i < state.size(); ++i) {
    Tensor now = state[i].second.detach();
    const Tensor kept = now.clone();
    now.copy_from(waiting_->values[i]);
    waiting_->values[i] = kept;
  }
}

void CheckpointWriter::write(const TrainingState& state) {
  check_finite(state);
  const Clock::time_point start = Clock::now();
  if (waiting_) {
    swap_waiting();
    try {
      save_checkpoint(directory_.best(), module_, nullptr, waiting_->state);
    } catch (...) {
      swap_waiting();
      throw;
    }
    swap_waiting();
    waiting_.reset();
  }
  save_checkpoint(directory_.last(), module_, &optimizer_, state);
  written_at_ = Clock::now();
  cost_ = written_at_ - start;
}

}  // namespace concord::tool
