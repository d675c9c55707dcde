#pragma once
// Losses, each a scalar `loss` of the operands' dtype, and their gradients. Sums are taken in
// double. dy is the gradient of that scalar, one element. Formulas: engine/ops/loss.h.

#include "kernels/kernel.h"

namespace concord::kernels {

// logits [N,M], labels int64 [N]. log_sum [N], float64, receives log sum_m exp(logits[n,m]) for the
// backward pass. A label outside [0, M) is an error on the CPU. CUDA, which would have to wait for
// the device to know, makes the loss NaN, and by log_sum the gradient of that row.
inline Kernel<void(ConstView logits, ConstView labels, View loss, View log_sum)>
    cross_entropy_forward{"cross_entropy_forward"};
// dx[n,m] = dy / N (exp(logits[n,m] - log_sum[n]) - [m = labels[n]])
inline Kernel<void(ConstView logits, ConstView labels, ConstView log_sum, ConstView dy, View dx)>
    cross_entropy_backward{"cross_entropy_backward"};

// loss = mean(max(z, 0) - z t + log(1 + exp(-|z|)))
inline Kernel<void(ConstView logits, ConstView targets, View loss)>
    binary_cross_entropy_with_logits_forward{"binary_cross_entropy_with_logits_forward"};
// dx = dy / count (sigmoid(z) - t)
inline Kernel<void(ConstView logits, ConstView targets, ConstView dy, View dx)>
    binary_cross_entropy_with_logits_backward{"binary_cross_entropy_with_logits_backward"};

// loss = mean((a - b)^2); equal shapes and formats.
inline Kernel<void(ConstView a, ConstView b, View loss)> mse_loss_forward{"mse_loss_forward"};
// da = 2 dy / count (a - b)
inline Kernel<void(ConstView a, ConstView b, ConstView dy, View da)> mse_loss_backward{
    "mse_loss_backward"};

inline Kernel<void(ConstView student, ConstView teacher, double tau, View loss)>
    distillation_loss_forward{"distillation_loss_forward"};
// d_student = dy tau / N (softmax(student / tau) - softmax(teacher / tau))
inline Kernel<void(ConstView student, ConstView teacher, double tau, ConstView dy, View d_student)>
    distillation_loss_backward{"distillation_loss_backward"};

}  // namespace concord::kernels
