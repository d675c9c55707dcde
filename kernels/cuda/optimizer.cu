// Every element of a parameter, of its gradient and of its states is read once and written once, 16
// bytes at a time. One launch updates as many parameters as a table in the kernel's arguments has
// room for, so that the hundred small ones of a network do not cost a launch each: every parameter
// is cut into chunks, a block takes one, and finds in the table whose it is.

#include <cmath>
#include <vector>

#include "kernels/cuda/elementwise.h"
#include "kernels/optimizer.h"

namespace concord::cuda {
namespace {

using kernels::AdamFactors;
using kernels::AdamOperands;
using kernels::AdamStep;
using kernels::SgdOperands;
using kernels::SgdStep;

constexpr unsigned kThreads = 256;
constexpr std::int64_t kChunk = 4096;  // elements of a block: four packs of float for each thread
constexpr int kMostParameters = 80;    // of a launch
constexpr std::size_t kMostArgumentBytes = 4096;  // what every architecture takes

template <class T>
struct Parameter {
  const T* gradient;
  T* parameter;
  T* states[2];  // as many of them as the update has
};

// By value among a kernel's arguments, which all threads read alike. Block b has a chunk of the
// parameter p for which first_block[p] <= b < first_block[p + 1].
template <class T>
struct Table {
  Parameter<T> parameters[kMostParameters];
  std::int64_t sizes[kMostParameters];
  unsigned first_block[kMostParameters + 1];
  int count;
};

// What an update does to an element. read() takes the numbers that a replay finds in memory.
template <class T>
struct Sgd {
  static constexpr int kStates = 0;
  T rate, decay;
  const double* rate_at;
  __device__ void read() {
    if (rate_at != nullptr) rate = static_cast<T>(*rate_at);
  }
  __device__ void operator()(T g, T& w, T*) const { w -= rate * (g + decay * w); }
};
template <class T>
struct SgdWithMomentum {
  static constexpr int kStates = 1;
  T rate, decay, momentum;
  const double* rate_at;
  __device__ void read() {
    if (rate_at != nullptr) rate = static_cast<T>(*rate_at);
  }
  __device__ void operator()(T g, T& w, T* states) const {
    states[0] = momentum * states[0] + (g + decay * w);
    w -= rate * states[0];
  }
};
template <class T>
struct Adam {
  static constexpr int kStates = 2;
  T rate, decay, beta1, rest1, beta2, rest2, eps, root;
  const AdamFactors* factors_at;
  __device__ void read() {
    if (factors_at == nullptr) return;
    rate = static_cast<T>(factors_at->rate);
    root = static_cast<T>(factors_at->root);
  }
  __device__ void operator()(T g, T& w, T* states) const {
    const T decayed = g + decay * w;
    states[0] = beta1 * states[0] + rest1 * decayed;
    states[1] = beta2 * states[1] + rest2 * decayed * decayed;
    w -= rate * (states[0] / (sqrt(states[1]) / root + eps));
  }
};

template <class T, class Update>
__device__ __forceinline__ void update_element(const Parameter<T>& of, std::int64_t i,
                                               const Update& update) {
  T w = of.parameter[i];
  T states[2] = {};
  for (int s = 0; s < Update::kStates; ++s) states[s] = of.states[s][i];
  update(of.gradient[i], w, states);
  of.parameter[i] = w;
  for (int s = 0; s < Update::kStates; ++s) of.states[s][i] = states[s];
}

template <class T, class Update>
__device__ __forceinline__ void update_pack(const Parameter<T>& of, std::int64_t i,
                                            const Update& update) {
  const auto gradient = reinterpret_cast<const Pack<T>*>(of.gradient)[i];
  auto parameter = reinterpret_cast<Pack<T>*>(of.parameter)[i];
  Pack<T> states[2];
  for (int s = 0; s < Update::kStates; ++s) states[s] = reinterpret_cast<Pack<T>*>(of.states[s])[i];
  for (int k = 0; k < Pack<T>::kSize; ++k) {
    T own[2] = {};
    for (int s = 0; s < Update::kStates; ++s) own[s] = states[s].v[k];
    update(gradient.v[k], parameter.v[k], own);
    for (int s = 0; s < Update::kStates; ++s) states[s].v[k] = own[s];
  }
  reinterpret_cast<Pack<T>*>(of.parameter)[i] = parameter;
  for (int s = 0; s < Update::kStates; ++s) reinterpret_cast<Pack<T>*>(of.states[s])[i] = states[s];
}

template <class T, class Update>
__global__ void __launch_bounds__(kThreads) update_kernel(Table<T> table, Update update) {
  update.read();
  // The last parameter that begins at this block or before it.
  int p = 0;
  for (int end = table.count; end - p > 1;) {
    const int middle = (p + end) / 2;
    if (table.first_block[middle] <= blockIdx.x)
      p = middle;
    else
      end = middle;
  }
  const Parameter<T> of = table.parameters[p];
  const std::int64_t begin = std::int64_t{blockIdx.x - table.first_block[p]} * kChunk;
  const std::int64_t end = begin + kChunk < table.sizes[p] ? begin + kChunk : table.sizes[p];

  constexpr int kSize = Pack<T>::kSize;
  std::uintptr_t bits = reinterpret_cast<std::uintptr_t>(of.gradient) |
                        reinterpret_cast<std::uintptr_t>(of.parameter);
  for (int s = 0; s < Update::kStates; ++s) bits |= reinterpret_cast<std::uintptr_t>(of.states[s]);
  // Chunks begin at whole packs.
  const std::int64_t packs_end = bits % 16 == 0 ? end / kSize : begin / kSize;
  for (std::int64_t i = begin / kSize + threadIdx.x; i < packs_end; i += kThreads)
    update_pack(of, i, update);
  for (std::int64_t i = packs_end * kSize + threadIdx.x; i < end; i += kThreads)
    update_element(of, i, update);
}

// Updates the parameters of type T among `operands`; entry_of(operand) is what the table holds of
// it.
template <class T, class Operands, class Update, class EntryOf>
void update_all(std::span<const Operands> operands, const Update& update, EntryOf entry_of) {
  static_assert(sizeof(Table<T>) + sizeof(Update) <= kMostArgumentBytes);
  Table<T> table = {};
  const auto flush = [&] {
    if (table.count == 0) return;
    launch(update_kernel<T, Update>, {dim3(table.first_block[table.count]), dim3(kThreads), 0},
           table, update);
    table.count = 0;
  };
  for (const Operands& operand : operands) {
    const std::int64_t size = operand.parameter.numel();
    if (operand.parameter.dtype != kDTypeOf<T> || size == 0) continue;
    if (table.count == kMostParameters) flush();
    const int p = table.count++;
    table.parameters[p] = entry_of(operand);
    table.sizes[p] = size;
    table.first_block[p + 1] =
        table.first_block[p] + static_cast<unsigned>((size + kChunk - 1) / kChunk);
  }
  flush();
}

template <class T>
void sgd_steps_of(std::span<const SgdOperands> operands, const SgdStep& step) {
  const auto rate = static_cast<T>(step.learning_rate);
  const auto decay = static_cast<T>(step.weight_decay);
  const auto momentum = static_cast<T>(step.momentum);
  if (step.momentum == 0)
    update_all<T>(operands, Sgd<T>{rate, decay, step.learning_rate_at}, [](const SgdOperands& o) {
      return Parameter<T>{o.gradient.as<T>(), o.parameter.as<T>(), {}};
    });
  else
    update_all<T>(
        operands, SgdWithMomentum<T>{rate, decay, momentum, step.learning_rate_at},
        [](const SgdOperands& o) {
          return Parameter<T>{o.gradient.as<T>(), o.parameter.as<T>(), {o.momentum_buffer.as<T>()}};
        });
}

template <class T>
void adam_steps_of(std::span<const AdamOperands> operands, const AdamStep& step) {
  const AdamFactors factors = step.factors();
  const Adam<T> update{
      .rate = static_cast<T>(factors.rate),
      .decay = static_cast<T>(step.weight_decay),
      .beta1 = static_cast<T>(step.beta1),
      .rest1 = static_cast<T>(1 - step.beta1),
      .beta2 = static_cast<T>(step.beta2),
      .rest2 = static_cast<T>(1 - step.beta2),
      .eps = static_cast<T>(step.eps),
      .root = static_cast<T>(factors.root),
      .factors_at = step.factors_at,
  };
  update_all<T>(operands, update, [](const AdamOperands& o) {
    return Parameter<T>{
        o.gradient.as<T>(), o.parameter.as<T>(), {o.exp_avg.as<T>(), o.exp_avg_sq.as<T>()}};
  });
}

// All are checked before any is changed.
void sgd_cuda(const char* kernel, std::span<const SgdOperands> operands, const SgdStep& step) {
  for (const SgdOperands& o : operands) {
    kernels::check_operand(kernel, o.parameter, o.gradient);
    if (step.momentum != 0) kernels::check_operand(kernel, o.parameter, o.momentum_buffer);
    kernels::with_float(o.parameter, kernel, [](auto) {});
  }
  sgd_steps_of<float>(operands, step);
  sgd_steps_of<double>(operands, step);
}

void adam_cuda(const char* kernel, std::span<const AdamOperands> operands, const AdamStep& step) {
  for (const AdamOperands& o : operands) {
    kernels::check_operand(kernel, o.parameter, o.gradient);
    kernels::check_operand(kernel, o.parameter, o.exp_avg);
    kernels::check_operand(kernel, o.parameter, o.exp_avg_sq);
    kernels::with_float(o.parameter, kernel, [](auto) {});
  }
  adam_steps_of<float>(operands, step);
  adam_steps_of<double>(operands, step);
}

void sgd_step_cuda(ConstView gradient, View parameter, View momentum_buffer, const SgdStep& step) {
  const SgdOperands operands[] = {{gradient, parameter, momentum_buffer}};
  sgd_cuda("sgd_step", operands, step);
}
void sgd_steps_cuda(std::span<const SgdOperands> operands, const SgdStep& step) {
  sgd_cuda("sgd_steps", operands, step);
}
void adam_step_cuda(ConstView gradient, View parameter, View exp_avg, View exp_avg_sq,
                    const AdamStep& step) {
  const AdamOperands operands[] = {{gradient, parameter, exp_avg, exp_avg_sq}};
  adam_cuda("adam_step", operands, step);
}
void adam_steps_cuda(std::span<const AdamOperands> operands, const AdamStep& step) {
  adam_cuda("adam_steps", operands, step);
}

const kernels::Registration registrations[] = {
    {kernels::sgd_step, DeviceType::kCuda, sgd_step_cuda},
    {kernels::sgd_steps, DeviceType::kCuda, sgd_steps_cuda},
    {kernels::adam_step, DeviceType::kCuda, adam_step_cuda},
    {kernels::adam_steps, DeviceType::kCuda, adam_steps_cuda},
};

}  // namespace
}  // namespace concord::cuda
