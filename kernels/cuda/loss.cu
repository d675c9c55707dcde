// Losses over whole buffers (binary cross entropy, mean squared error) read 16 bytes a thread.
// Those over rows [N,M] give a row to a warp, or, where it is wide, to a block of four: a row is
// read two or three times, of which only the first leaves the cache, so that neither its maximum
// nor its sums need a kernel of their own. Exponentials and logarithms are taken in the operands'
// type, since those of double would bound the kernels; all sums are double.

#include <limits>
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/reduce.h"
#include "kernels/loss.h"

namespace concord::cuda {
namespace {

struct Scaled {
  double factor;
  __device__ double operator()(double sum) const { return factor * sum; }
};
// A mean over nothing is NaN, as on the CPU.
struct Mean {
  double count;
  __device__ double operator()(double sum) const { return sum / count; }
};

// --- over whole buffers ---

// The sum of Term over pack i of two buffers, or over one of the elements behind the last whole
// pack. The order of the additions is the same whether or not the buffers are aligned.
template <class T, class Term>
struct PackOfPairs {
  const T* a;
  const T* b;
  std::int64_t packs;
  bool aligned;
  Term term;

  __device__ double operator()(std::int64_t i) const {
    constexpr int kSize = Pack<T>::kSize;
    if (i >= packs) {
      const std::int64_t k = packs * kSize + (i - packs);
      return term(static_cast<Compute<T>>(a[k]), static_cast<Compute<T>>(b[k]));
    }
    Values<T> left;
    Values<T> right;
    if (aligned) {
      left = load_pack(a, i);
      right = load_pack(b, i);
    } else {
      for (int k = 0; k < kSize; ++k) {
        left.v[k] = static_cast<Compute<T>>(a[i * kSize + k]);
        right.v[k] = static_cast<Compute<T>>(b[i * kSize + k]);
      }
    }
    double sum = 0;
    for (int k = 0; k < kSize; ++k) sum += term(left.v[k], right.v[k]);
    return sum;
  }
};

struct BinaryCrossEntropy {
  template <class T>
  __device__ double operator()(T z, T t) const {
    // max(z, 0), written so that a NaN stays one. What may cancel is subtracted in double.
    const double positive = z <= T(0) ? 0.0 : static_cast<double>(z);
    const T rest = static_cast<T>(log1p(exp(z < T(0) ? z : -z)));
    return positive - static_cast<double>(z) * static_cast<double>(t) + static_cast<double>(rest);
  }
};
struct SquaredError {
  template <class T>
  __device__ double operator()(T a, T b) const {
    const double d = static_cast<double>(a) - static_cast<double>(b);
    return d * d;
  }
};

template <class Term>
void mean_of_pairs(ConstView a, ConstView b, View loss) {
  kernels::with_storage(a, "loss", [&]<class T>(T) {
    const T* left = a.as<T>();
    const T* right = b.as<T>();
    const std::int64_t count = a.numel();
    const std::int64_t packs = count / Pack<T>::kSize;
    const std::int64_t items = packs + count % Pack<T>::kSize;
    sum_elements(items, PackOfPairs<T, Term>{left, right, packs, are_aligned(left, right), Term{}},
                 Mean{static_cast<double>(count)}, loss.as<Compute<T>>());
  });
}

struct BinaryCrossEntropyBackward {
  static constexpr double kFactor = 1;
  template <class T>
  __device__ T operator()(T z, T t) const {
    return static_cast<T>(T(1) / (T(1) + exp(-z))) - t;
  }
};
struct SquaredErrorBackward {
  static constexpr double kFactor = 2;
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a - b;
  }
};

// da = dy kFactor / count Gradient(a, b): map_two_kernel, but that dy is read once by each thread.
template <class T, class Gradient>
__global__ void gradient_kernel(const T* a, const T* b, const Compute<T>* dy, T* da,
                                std::int64_t count, std::int64_t packs) {
  using P = Compute<T>;
  const Gradient f;
  const P weight =
      static_cast<P>(Gradient::kFactor * static_cast<double>(*dy) / static_cast<double>(count));
  for (std::int64_t i = first_item(); i < packs; i += item_stride()) {
    Values<T> values = load_pack(a, i);
    const Values<T> right = load_pack(b, i);
    for (int k = 0; k < Pack<T>::kSize; ++k) values.v[k] = weight * f(values.v[k], right.v[k]);
    store_pack(da, i, values);
  }
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    da[i] = static_cast<T>(weight * f(static_cast<P>(a[i]), static_cast<P>(b[i])));
}

template <class Gradient>
void map_gradient(ConstView a, ConstView b, ConstView dy, View da) {
  const std::int64_t count = a.numel();
  if (count == 0) return;
  kernels::with_storage(a, "loss", [&]<class T>(T) {
    const bool aligned = are_aligned(a.as<T>(), b.as<T>(), da.as<T>());
    const std::int64_t packs = aligned ? count / Pack<T>::kSize : 0;
    launch(gradient_kernel<T, Gradient>, strided_shape(packs > 0 ? packs : count), a.as<T>(),
           b.as<T>(), dy.as<Compute<T>>(), da.as<T>(), count, packs);
  });
}

// --- over rows ---

constexpr unsigned kRowThreads = 128;
constexpr unsigned kRowWarps = kRowThreads / kWarp;
constexpr unsigned kMostRowBlocks = 132 * 8;
// Rows of more elements have a block each: eight for a lane of a warp.
constexpr std::int64_t kMostWarpColumns = 256;
// Loss and log sum of a row whose label is none of its columns.
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The threads that share a row: a block, or one of its warps. All of them call sum and max.
template <bool kWholeBlock>
struct RowThreads {
  static constexpr unsigned kCount = kWholeBlock ? kRowThreads : kWarp;
  static constexpr unsigned kRowsOfBlock = kRowThreads / kCount;

  __device__ static unsigned rank() { return threadIdx.x % kCount; }
  __device__ static std::int64_t first_row() {
    return std::int64_t{blockIdx.x} * kRowsOfBlock + threadIdx.x / kCount;
  }
  __device__ static std::int64_t row_stride() { return std::int64_t{gridDim.x} * kRowsOfBlock; }

  template <int K>
  __device__ static void sum(double (&values)[K]) {
    if constexpr (kWholeBlock) {
      block_sum(values, shared_memory<double>());
    } else {
      for (int k = 0; k < K; ++k) values[k] = warp_sum(values[k]);
    }
  }
  template <class T>
  __device__ static T max(T value) {
    value = warp_max(value);
    if constexpr (kWholeBlock) {
      T* const shared = shared_memory<T>();
      if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
      __syncthreads();
      value = warp_max(shared[threadIdx.x % kRowWarps]);
      __syncthreads();
    }
    return value;
  }
};

template <class T>
constexpr T kLeast = -std::numeric_limits<T>::infinity();

// The greatest element of a row.
template <class Threads, class T>
__device__ Compute<T> row_max(const T* row, std::int64_t columns) {
  Compute<T> most = kLeast<Compute<T>>;
  for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount) {
    const auto value = static_cast<Compute<T>>(row[m]);
    most = value <= most ? most : value;  // takes a NaN, which warp_max keeps
  }
  return Threads::max(most);
}

template <class T, bool kWholeBlock>
__global__ void cross_entropy_kernel(const T* logits, const std::int64_t* labels, std::int64_t rows,
                                     std::int64_t columns, double* log_sum, double* partial) {
  using Threads = RowThreads<kWholeBlock>;
  using P = Compute<T>;
  double loss[1] = {0};
  for (std::int64_t n = Threads::first_row(); n < rows; n += Threads::row_stride()) {
    const T* row = logits + n * columns;
    const P most = row_max<Threads>(row, columns);
    double sum[1] = {0};
    for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount)
      sum[0] += static_cast<double>(static_cast<P>(exp(static_cast<P>(row[m]) - most)));
    Threads::sum(sum);
    if (Threads::rank() == 0) {
      const std::int64_t label = labels[n];
      const bool known = 0 <= label && label < columns;
      const double value = known ? static_cast<double>(most) + log(sum[0]) : kNaN;
      log_sum[n] = value;
      loss[0] += known ? value - static_cast<double>(row[label]) : kNaN;
    }
  }
  block_sum(loss, shared_memory<double>());
  if (threadIdx.x == 0) partial[blockIdx.x] = loss[0];
}

template <class T, bool kWholeBlock>
__global__ void cross_entropy_backward_kernel(const T* logits, const std::int64_t* labels,
                                              const double* log_sum, const Compute<T>* dy,
                                              std::int64_t rows, std::int64_t columns, T* dx) {
  using Threads = RowThreads<kWholeBlock>;
  using P = Compute<T>;
  const P weight = static_cast<P>(static_cast<double>(*dy) / static_cast<double>(rows));
  for (std::int64_t n = Threads::first_row(); n < rows; n += Threads::row_stride()) {
    const T* row = logits + n * columns;
    T* const to = dx + n * columns;
    const std::int64_t label = labels[n];
    const double sum = log_sum[n];
    for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount) {
      const P difference = static_cast<P>(static_cast<double>(row[m]) - sum);
      to[m] =
          static_cast<T>(weight * (static_cast<P>(exp(difference)) - (m == label ? P(1) : P(0))));
    }
  }
}

// With s and t the rows of student and teacher over tau, less their maxima:
//   -sum_m softmax(t)[m] log softmax(s)[m] = log sum_m e^s[m] - sum_m e^t[m] s[m] / sum_m e^t[m]
template <class T, bool kWholeBlock>
__global__ void distillation_kernel(const T* student, const T* teacher, Compute<T> rate,
                                    std::int64_t rows, std::int64_t columns, double* partial) {
  using Threads = RowThreads<kWholeBlock>;
  using P = Compute<T>;
  double loss[1] = {0};
  for (std::int64_t n = Threads::first_row(); n < rows; n += Threads::row_stride()) {
    const T* student_row = student + n * columns;
    const T* teacher_row = teacher + n * columns;
    const P student_most = row_max<Threads>(student_row, columns);
    const P teacher_most = row_max<Threads>(teacher_row, columns);
    double sums[3] = {0, 0, 0};
    for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount) {
      const P s = (static_cast<P>(student_row[m]) - student_most) * rate;
      const P t = (static_cast<P>(teacher_row[m]) - teacher_most) * rate;
      const auto share = static_cast<double>(static_cast<P>(exp(t)));
      sums[0] += static_cast<double>(static_cast<P>(exp(s)));
      sums[1] += share;
      sums[2] += share * static_cast<double>(s);
    }
    Threads::sum(sums);
    if (Threads::rank() == 0) loss[0] += log(sums[0]) - sums[2] / sums[1];
  }
  block_sum(loss, shared_memory<double>());
  if (threadIdx.x == 0) partial[blockIdx.x] = loss[0];
}

template <class T>
__device__ __forceinline__ Compute<T> exponential(T x, Compute<T> most, Compute<T> rate) {
  return static_cast<Compute<T>>(exp((static_cast<Compute<T>>(x) - most) * rate));
}

template <class T, bool kWholeBlock>
__global__ void distillation_backward_kernel(const T* student, const T* teacher, Compute<T> rate,
                                             double tau, const Compute<T>* dy, std::int64_t rows,
                                             std::int64_t columns, T* d_student) {
  using Threads = RowThreads<kWholeBlock>;
  using P = Compute<T>;
  const double weight = static_cast<double>(*dy) * tau / static_cast<double>(rows);
  for (std::int64_t n = Threads::first_row(); n < rows; n += Threads::row_stride()) {
    const T* student_row = student + n * columns;
    const T* teacher_row = teacher + n * columns;
    T* const to = d_student + n * columns;
    const P student_most = row_max<Threads>(student_row, columns);
    const P teacher_most = row_max<Threads>(teacher_row, columns);
    double sums[2] = {0, 0};
    for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount) {
      sums[0] += static_cast<double>(exponential(student_row[m], student_most, rate));
      sums[1] += static_cast<double>(exponential(teacher_row[m], teacher_most, rate));
    }
    Threads::sum(sums);
    const P student_share = static_cast<P>(weight / sums[0]);
    const P teacher_share = static_cast<P>(weight / sums[1]);
    for (std::int64_t m = Threads::rank(); m < columns; m += Threads::kCount)
      to[m] = static_cast<T>(exponential(student_row[m], student_most, rate) * student_share -
                             exponential(teacher_row[m], teacher_most, rate) * teacher_share);
  }
}

LaunchShape row_shape(std::int64_t rows, unsigned rows_of_block) {
  LaunchShape shape = strided_shape(rows, rows_of_block, kMostRowBlocks);
  shape.block = dim3(kRowThreads);
  shape.shared_bytes = block_sum_bytes<double>(3);
  return shape;
}

// Calls body(std::true_type) for rows that a block shares, with false_type for those of a warp.
template <class Body>
void by_width(std::int64_t columns, Body body) {
  if (columns > kMostWarpColumns) {
    body(std::true_type{});
  } else {
    body(std::false_type{});
  }
}

// Launches body(shape, partial), whose blocks each leave a sum in `partial`, and then finish of
// their sum as the loss.
template <class T, class Finish, class Body>
void sum_over_rows(const LaunchShape& shape, Finish finish, T* loss, Body body) {
  const Scratch partial(shape.grid.x * sizeof(double));
  body(partial.as<double>());
  launch(finish_sum_kernel<T, Finish>, {dim3(1), dim3(kSumThreads), block_sum_bytes<double>(1)},
         static_cast<int>(shape.grid.x), partial.as<double>(), finish, loss);
}

void cross_entropy_forward_cuda(ConstView logits, ConstView labels, View loss, View log_sum) {
  const std::int64_t rows = logits.shape[0];
  const std::int64_t columns = logits.shape[1];
  kernels::with_storage(logits, "cross_entropy", [&]<class T>(T) {
    by_width(columns, [&]<bool kWholeBlock>(std::bool_constant<kWholeBlock>) {
      const LaunchShape shape = row_shape(rows, RowThreads<kWholeBlock>::kRowsOfBlock);
      sum_over_rows(
          shape, Mean{static_cast<double>(rows)}, loss.as<Compute<T>>(), [&](double* partial) {
            launch(cross_entropy_kernel<T, kWholeBlock>, shape, logits.as<T>(),
                   labels.as<std::int64_t>(), rows, columns, log_sum.as<double>(), partial);
          });
    });
  });
}

void cross_entropy_backward_cuda(ConstView logits, ConstView labels, ConstView log_sum,
                                 ConstView dy, View dx) {
  if (logits.numel() == 0) return;
  const std::int64_t rows = logits.shape[0];
  const std::int64_t columns = logits.shape[1];
  kernels::with_storage(logits, "cross_entropy", [&]<class T>(T) {
    by_width(columns, [&]<bool kWholeBlock>(std::bool_constant<kWholeBlock>) {
      launch(cross_entropy_backward_kernel<T, kWholeBlock>,
             row_shape(rows, RowThreads<kWholeBlock>::kRowsOfBlock), logits.as<T>(),
             labels.as<std::int64_t>(), log_sum.as<double>(), dy.as<Compute<T>>(), rows, columns,
             dx.as<T>());
    });
  });
}

void distillation_loss_forward_cuda(ConstView student, ConstView teacher, double tau, View loss) {
  const std::int64_t rows = student.shape[0];
  const std::int64_t columns = student.shape[1];
  kernels::with_storage(student, "distillation_loss", [&]<class T>(T) {
    by_width(columns, [&]<bool kWholeBlock>(std::bool_constant<kWholeBlock>) {
      const LaunchShape shape = row_shape(rows, RowThreads<kWholeBlock>::kRowsOfBlock);
      sum_over_rows(shape, Scaled{tau * tau / static_cast<double>(rows)}, loss.as<Compute<T>>(),
                    [&](double* partial) {
                      launch(distillation_kernel<T, kWholeBlock>, shape, student.as<T>(),
                             teacher.as<T>(), static_cast<Compute<T>>(1 / tau), rows, columns,
                             partial);
                    });
    });
  });
}

void distillation_loss_backward_cuda(ConstView student, ConstView teacher, double tau, ConstView dy,
                                     View d_student) {
  if (student.numel() == 0) return;
  const std::int64_t rows = student.shape[0];
  const std::int64_t columns = student.shape[1];
  kernels::with_storage(student, "distillation_loss", [&]<class T>(T) {
    by_width(columns, [&]<bool kWholeBlock>(std::bool_constant<kWholeBlock>) {
      launch(distillation_backward_kernel<T, kWholeBlock>,
             row_shape(rows, RowThreads<kWholeBlock>::kRowsOfBlock), student.as<T>(),
             teacher.as<T>(), static_cast<Compute<T>>(1 / tau), tau, dy.as<Compute<T>>(), rows,
             columns, d_student.as<T>());
    });
  });
}

const kernels::Registration registrations[] = {
    {kernels::cross_entropy_forward, DeviceType::kCuda, cross_entropy_forward_cuda},
    {kernels::cross_entropy_backward, DeviceType::kCuda, cross_entropy_backward_cuda},
    {kernels::binary_cross_entropy_with_logits_forward, DeviceType::kCuda,
     mean_of_pairs<BinaryCrossEntropy>},
    {kernels::binary_cross_entropy_with_logits_backward, DeviceType::kCuda,
     map_gradient<BinaryCrossEntropyBackward>},
    {kernels::mse_loss_forward, DeviceType::kCuda, mean_of_pairs<SquaredError>},
    {kernels::mse_loss_backward, DeviceType::kCuda, map_gradient<SquaredErrorBackward>},
    {kernels::distillation_loss_forward, DeviceType::kCuda, distillation_loss_forward_cuda},
    {kernels::distillation_loss_backward, DeviceType::kCuda, distillation_loss_backward_cuda},
};

}  // namespace
}  // namespace concord::cuda
