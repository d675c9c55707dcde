#include "kernels/loss.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/elementwise.h"

namespace concord::kernels {
namespace {

// log sum_m exp(row[m] / tau), without overflow.
template <class T>
double log_sum_exp(const T* row, std::int64_t count, double tau) {
  double most = -std::numeric_limits<double>::infinity();
  for (std::int64_t m = 0; m < count; ++m) most = std::max(most, static_cast<double>(row[m]) / tau);
  double total = 0;
  for (std::int64_t m = 0; m < count; ++m)
    total += std::exp(static_cast<double>(row[m]) / tau - most);
  return most + std::log(total);
}

template <class T>
double scalar(const ConstView& view) {
  return static_cast<double>(*view.as<T>());
}

// Calls body(n) for every row; rows of `columns` exponentials.
template <class Body>
void for_each_row(std::int64_t rows, std::int64_t columns, Body body) {
  constexpr std::int64_t kGrain = 1 << 10;
  parallel_for(rows, kGrain / std::max<std::int64_t>(columns, 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t n = begin; n < end; ++n) body(n);
               });
}

double sum_of(const std::vector<double>& values) {
  double total = 0;
  for (double value : values) total += value;
  return total;
}

void cross_entropy_forward_cpu(ConstView logits, ConstView labels, View loss, View log_sum) {
  const std::int64_t samples = logits.shape[0];
  const std::int64_t classes = logits.shape[1];
  const std::int64_t* label = labels.as<std::int64_t>();
  for (std::int64_t n = 0; n < samples; ++n)
    check(0 <= label[n] && label[n] < classes,
          "cross_entropy: label {} of sample {} is outside [0, {}), the classes of logits {}; the "
          "network must have as many outputs as the data has classes",
          label[n], n, classes, logits.shape.to_string());
  double* sums = log_sum.as<double>();
  with_float(logits, "cross_entropy", [&]<class T>(T) {
    const T* values = logits.as<T>();
    std::vector<double> losses(static_cast<std::size_t>(samples));
    for_each_row(samples, classes, [&](std::int64_t n) {
      const T* row = values + n * classes;
      sums[n] = log_sum_exp(row, classes, 1.0);
      losses[static_cast<std::size_t>(n)] = sums[n] - static_cast<double>(row[label[n]]);
    });
    *loss.as<T>() = static_cast<T>(sum_of(losses) / static_cast<double>(samples));
  });
}

void cross_entropy_backward_cpu(ConstView logits, ConstView labels, ConstView log_sum, ConstView dy,
                                View dx) {
  const std::int64_t samples = logits.shape[0];
  const std::int64_t classes = logits.shape[1];
  const std::int64_t* label = labels.as<std::int64_t>();
  const double* sums = log_sum.as<double>();
  with_float(logits, "cross_entropy", [&]<class T>(T) {
    const T* values = logits.as<T>();
    T* gradient = dx.as<T>();
    const double weight = scalar<T>(dy) / static_cast<double>(samples);
    for_each_row(samples, classes, [&](std::int64_t n) {
      for (std::int64_t m = 0; m < classes; ++m) {
        const std::int64_t i = n * classes + m;
        const double probability = std::exp(static_cast<double>(values[i]) - sums[n]);
        gradient[i] = static_cast<T>(weight * (probability - (m == label[n] ? 1.0 : 0.0)));
      }
    });
  });
}

void binary_cross_entropy_with_logits_forward_cpu(ConstView logits, ConstView targets, View loss) {
  with_float(logits, "binary_cross_entropy_with_logits", [&]<class T>(T) {
    const T* values = logits.as<T>();
    const T* wanted = targets.as<T>();
    const double total = sum_elements(logits.numel(), [=](std::int64_t i) {
      const auto z = static_cast<double>(values[i]);
      // max(z, 0), written so that a NaN stays one
      const double positive = z <= 0 ? 0 : z;
      return positive - z * static_cast<double>(wanted[i]) + std::log1p(std::exp(-std::abs(z)));
    });
    *loss.as<T>() = static_cast<T>(total / static_cast<double>(logits.numel()));
  });
}

void binary_cross_entropy_with_logits_backward_cpu(ConstView logits, ConstView targets,
                                                   ConstView dy, View dx) {
  with_float(logits, "binary_cross_entropy_with_logits", [&]<class T>(T) {
    const double weight = scalar<T>(dy) / static_cast<double>(logits.numel());
    map_elements(logits.as<T>(), targets.as<T>(), dx.as<T>(), logits.numel(), [=](T z, T t) {
      const double probability = 1.0 / (1.0 + std::exp(-static_cast<double>(z)));
      return static_cast<T>(weight * (probability - static_cast<double>(t)));
    });
  });
}

void mse_loss_forward_cpu(ConstView a, ConstView b, View loss) {
  with_float(a, "mse_loss", [&]<class T>(T) {
    const T* left = a.as<T>();
    const T* right = b.as<T>();
    const double total = sum_elements(a.numel(), [=](std::int64_t i) {
      const double d = static_cast<double>(left[i]) - static_cast<double>(right[i]);
      return d * d;
    });
    *loss.as<T>() = static_cast<T>(total / static_cast<double>(a.numel()));
  });
}

void mse_loss_backward_cpu(ConstView a, ConstView b, ConstView dy, View da) {
  with_float(a, "mse_loss", [&]<class T>(T) {
    const T weight = static_cast<T>(2 * scalar<T>(dy) / static_cast<double>(a.numel()));
    map_elements(a.as<T>(), b.as<T>(), da.as<T>(), a.numel(),
                 [weight](T x, T y) { return weight * (x - y); });
  });
}

void distillation_loss_forward_cpu(ConstView student, ConstView teacher, double tau, View loss) {
  const std::int64_t samples = student.shape[0];
  const std::int64_t classes = student.shape[1];
  with_float(student, "distillation_loss", [&]<class T>(T) {
    const T* student_values = student.as<T>();
    const T* teacher_values = teacher.as<T>();
    std::vector<double> losses(static_cast<std::size_t>(samples));
    for_each_row(samples, classes, [&](std::int64_t n) {
      const T* s = student_values + n * classes;
      const T* t = teacher_values + n * classes;
      const double student_sum = log_sum_exp(s, classes, tau);
      const double teacher_sum = log_sum_exp(t, classes, tau);
      double total = 0;
      for (std::int64_t m = 0; m < classes; ++m)
        total += std::exp(static_cast<double>(t[m]) / tau - teacher_sum) *
                 (student_sum - static_cast<double>(s[m]) / tau);
      losses[static_cast<std::size_t>(n)] = total;
    });
    *loss.as<T>() = static_cast<T>(tau * tau * sum_of(losses) / static_cast<double>(samples));
  });
}

void distillation_loss_backward_cpu(ConstView student, ConstView teacher, double tau, ConstView dy,
                                    View d_student) {
  const std::int64_t samples = student.shape[0];
  const std::int64_t classes = student.shape[1];
  with_float(student, "distillation_loss", [&]<class T>(T) {
    const T* student_values = student.as<T>();
    const T* teacher_values = teacher.as<T>();
    T* gradient = d_student.as<T>();
    const double weight = scalar<T>(dy) * tau / static_cast<double>(samples);
    for_each_row(samples, classes, [&](std::int64_t n) {
      const T* s = student_values + n * classes;
      const T* t = teacher_values + n * classes;
      const double student_sum = log_sum_exp(s, classes, tau);
      const double teacher_sum = log_sum_exp(t, classes, tau);
      for (std::int64_t m = 0; m < classes; ++m)
        gradient[n * classes + m] =
            static_cast<T>(weight * (std::exp(static_cast<double>(s[m]) / tau - student_sum) -
                                     std::exp(static_cast<double>(t[m]) / tau - teacher_sum)));
    });
  });
}

const Registration registrations[] = {
    {cross_entropy_forward, DeviceType::kCpu, cross_entropy_forward_cpu},
    {cross_entropy_backward, DeviceType::kCpu, cross_entropy_backward_cpu},
    {binary_cross_entropy_with_logits_forward, DeviceType::kCpu,
     binary_cross_entropy_with_logits_forward_cpu},
    {binary_cross_entropy_with_logits_backward, DeviceType::kCpu,
     binary_cross_entropy_with_logits_backward_cpu},
    {mse_loss_forward, DeviceType::kCpu, mse_loss_forward_cpu},
    {mse_loss_backward, DeviceType::kCpu, mse_loss_backward_cpu},
    {distillation_loss_forward, DeviceType::kCpu, distillation_loss_forward_cpu},
    {distillation_loss_backward, DeviceType::kCpu, distillation_loss_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
