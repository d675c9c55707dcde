#pragma once
// Losses: scalars, averaged as stated; float32 or float64, and float32 of bfloat16 operands (on
// CUDA).

#include "engine/tensor.h"

namespace concord {

// -1/N sum_n log softmax(logits[n])[labels[n]]: logits [N,M], labels int64 [N] in [0, M). For a
// label outside it throws on the CPU, naming it and its sample; on CUDA the loss is NaN.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);
// Mean over all elements of -(t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))), stable for any z;
// targets of logits' shape and dtype.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& targets);
// mean((a - b)^2) over all elements.
Tensor mse_loss(const Tensor& a, const Tensor& b);
// -tau^2 / N sum_n sum_m softmax(teacher/tau)[n,m] log softmax(student/tau)[n,m]: [N,M] both; the
// teacher is a constant.
Tensor distillation_loss(const Tensor& student, const Tensor& teacher, double tau);

}  // namespace concord
