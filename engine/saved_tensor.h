#pragma once
// What an operation keeps of its input for its backward pass: the input itself, or, where the
// operation before offers to compute its output a second time from what it keeps anyway, that
// offer.

#include <functional>

#include "engine/tensor.h"

namespace concord {

// Lets those who save `output`, the recorded result of an operation, hold `compute` in its place.
// It must return the same values, bit for bit, and be cheap beside what is done with them. Does
// nothing where `output` was not recorded.
void offer_recomputation(const Tensor& output, std::function<Tensor()> compute);

class SavedTensor {
 public:
  SavedTensor() = default;
  explicit SavedTensor(const Tensor& tensor);
  bool defined() const { return tensor_.defined() || compute_; }
  Tensor get() const { return compute_ ? compute_() : tensor_; }

 private:
  Tensor tensor_;
  std::function<Tensor()> compute_;
};

}  // namespace concord
