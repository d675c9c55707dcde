// Linear layers by cuBLASLt, whose epilogue adds the bias and rectifies. Its matrices are
// column-major: a row-major [N,I] is to it [I,N], so that y = x weight^T is y' = weight x' with
// weight transposed. In bfloat16 weight and bias are rounded for each call; the weight's gradient
// is stored as it was accumulated, in float32.

#include "kernels/linear.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "kernels/cuda/bias.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/stream.h"
#include "kernels/precision.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::Precision;
using kernels::View;

// cuBLASLt's descriptions, destroyed with the object.
template <class Pointer, cublasStatus_t (*kDestroy)(Pointer)>
struct Destroy {
  void operator()(Pointer object) const { static_cast<void>(kDestroy(object)); }
};
using MatmulDescriptor = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>,
                                         Destroy<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using MatrixLayout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>,
                                     Destroy<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using MatmulPreference =
    std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                    Destroy<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;

// result [rows, columns] = op(a) op(b), all column-major, with `inner` products behind each
// element.
struct Product {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t inner = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  DType dtype = DType::kFloat32;         // of a and b
  DType result_dtype = DType::kFloat32;  // which the bias has too
  bool bias = false;                     // one value a row
  bool relu = false;
  // Of a, b and the result, in bytes: what an algorithm may count on.
  std::array<std::uint32_t, 3> alignment = {};

  auto key() const {
    return std::tuple(rows, columns, inner, transpose_a, transpose_b, dtype, result_dtype, bias,
                      relu, alignment, kernels::precision());
  }
  std::string to_string() const {
    return fmt::format("({} x {}, {} products each, {} into {})", rows, columns, inner,
                       name_of(dtype), name_of(result_dtype));
  }
};

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

struct Plan {
  MatmulDescriptor matmul;
  MatrixLayout a;
  MatrixLayout b;
  MatrixLayout result;
  cublasLtMatmulHeuristicResult_t algorithm = {};
};

MatrixLayout make_layout(std::int64_t rows, std::int64_t columns, cudaDataType_t type,
                         const std::string& about) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_cublas(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                          static_cast<std::uint64_t>(columns), rows),
               "cublasLtMatrixLayoutCreate", about);
  return MatrixLayout(layout);
}

template <class T>
void set(const MatmulDescriptor& matmul, cublasLtMatmulDescAttributes_t attribute, const T& value,
         const std::string& about) {
  check_cublas(cublasLtMatmulDescSetAttribute(matmul.get(), attribute, &value, sizeof(value)),
               "cublasLtMatmulDescSetAttribute", about);
}

cudaDataType_t data_type(DType dtype) {
  return dtype == DType::kFloat64    ? CUDA_R_64F
         : dtype == DType::kBFloat16 ? CUDA_R_16BF
                                     : CUDA_R_32F;
}

cublasLtEpilogue_t epilogue_of(const Product& product) {
  if (product.bias) return product.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return product.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

Plan make_plan(const Product& product) {
  const std::string about = product.to_string();
  const bool is_double = product.dtype == DType::kFloat64;
  const cudaDataType_t type = data_type(product.dtype);
  const bool is_tf32 = product.dtype == DType::kFloat32 && kernels::precision() == Precision::kTf32;
  const cublasComputeType_t compute = is_double ? CUBLAS_COMPUTE_64F
                                      : is_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                : CUBLAS_COMPUTE_32F;
  Plan plan;
  cublasLtMatmulDesc_t matmul = nullptr;
  check_cublas(cublasLtMatmulDescCreate(&matmul, compute, is_double ? CUDA_R_64F : CUDA_R_32F),
               "cublasLtMatmulDescCreate", about);
  plan.matmul.reset(matmul);
  set(plan.matmul, CUBLASLT_MATMUL_DESC_TRANSA, product.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
      about);
  set(plan.matmul, CUBLASLT_MATMUL_DESC_TRANSB, product.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
      about);
  set(plan.matmul, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(product), about);
  const auto [rows, columns, inner] = std::tuple(product.rows, product.columns, product.inner);
  plan.a = product.transpose_a ? make_layout(inner, rows, type, about)
                               : make_layout(rows, inner, type, about);
  plan.b = product.transpose_b ? make_layout(columns, inner, type, about)
                               : make_layout(inner, columns, type, about);
  plan.result = make_layout(rows, columns, data_type(product.result_dtype), about);

  cublasLtMatmulPreference_t raw = nullptr;
  check_cublas(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate", about);
  const MatmulPreference preference(raw);
  check_cublas(cublasLtMatmulPreferenceSetAttribute(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &kWorkspaceBytes, sizeof(kWorkspaceBytes)),
               "cublasLtMatmulPreferenceSetAttribute", about);
  const auto [of_a, of_b, of_result] = product.alignment;
  for (const auto& [attribute, bytes] :
       {std::pair(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_a),
        std::pair(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_b),
        std::pair(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of_result),
        std::pair(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_result)})
    check_cublas(cublasLtMatmulPreferenceSetAttribute(raw, attribute, &bytes, sizeof(bytes)),
                 "cublasLtMatmulPreferenceSetAttribute", about);
  int found = 0;
  check_cublas(cublasLtMatmulAlgoGetHeuristic(cublas_lt(), plan.matmul.get(), plan.a.get(),
                                              plan.b.get(), plan.result.get(), plan.result.get(),
                                              preference.get(), 1, &plan.algorithm, &found),
               "cublasLtMatmulAlgoGetHeuristic", about);
  check(found > 0, "linear: cuBLASLt has no algorithm for {}", about);
  check_cublas(plan.algorithm.state, "cublasLtMatmulAlgoGetHeuristic: its choice", about);
  return plan;
}

// The greatest power of two, up to cuBLASLt's 256, that divides the address.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(address & (~address + 1), 256));
}

void multiply(Product product, const void* a, const void* b, const void* bias, void* result) {
  product.alignment = {alignment_of(a), alignment_of(b), alignment_of(result)};
  using Key = decltype(product.key());
  thread_local std::map<Key, Plan> plans;
  constexpr std::size_t kMostPlans = 1024;
  const Key key = product.key();
  auto plan = plans.find(key);
  if (plan == plans.end()) {
    if (plans.size() == kMostPlans) plans.clear();
    plan = plans.emplace(key, make_plan(product)).first;
  }
  const Plan& p = plan->second;
  if (product.bias) set(p.matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, product.to_string());
  const Scratch workspace(p.algorithm.workspaceSize);
  const double one_double = 1;
  const double zero_double = 0;
  const float one_float = 1;
  const float zero_float = 0;
  const bool is_double = product.dtype == DType::kFloat64;
  const void* const one = is_double ? static_cast<const void*>(&one_double) : &one_float;
  const void* const zero = is_double ? static_cast<const void*>(&zero_double) : &zero_float;
  check_cublas(cublasLtMatmul(cublas_lt(), p.matmul.get(), one, a, p.a.get(), b, p.b.get(), zero,
                              result, p.result.get(), result, p.result.get(), &p.algorithm.algo,
                              workspace.as<void>(), p.algorithm.workspaceSize, stream()),
               "cublasLtMatmul", product.to_string());
}

void zero(const View& view) {
  kernels::zero(view.device, view.data,
                static_cast<std::size_t>(view.numel()) * size_of(view.dtype));
}

// A parameter in the dtype of the images beside it: itself, or a rounded copy.
class InDType {
 public:
  InDType(const ConstView& given, DType dtype) : data_(given.data) {
    if (!given || given.dtype == dtype) return;
    copy_.emplace(static_cast<std::size_t>(given.numel()) * size_of(dtype));
    data_ = copy_->as<void>();
    kernels::convert(given.device, given,
                     View{copy_->as<void>(), dtype, given.format, given.device, given.shape});
  }
  const void* data() const { return data_; }

 private:
  std::optional<Scratch> copy_;
  const void* data_;
};

void linear_forward_cuda(ConstView x, ConstView weight, ConstView bias, bool relu, View y) {
  if (y.numel() == 0) return;
  // The epilogue has no doubles.
  const bool has_epilogue = x.dtype != DType::kFloat64;
  const InDType factor(weight, x.dtype);
  const InDType sum(has_epilogue ? bias : ConstView(), x.dtype);
  multiply({.rows = weight.shape[0],
            .columns = x.shape[0],
            .inner = x.shape[1],
            .transpose_a = true,
            .dtype = x.dtype,
            .result_dtype = x.dtype,
            .bias = has_epilogue && bias,
            .relu = has_epilogue && relu},
           factor.data(), x.data, sum.data(), y.data);
  if (!has_epilogue) add_bias(y, bias, relu);
}

void linear_backward_data_cuda(ConstView dy, ConstView weight, View dx) {
  if (dx.numel() == 0) return;
  const InDType factor(weight, dy.dtype);
  multiply({.rows = weight.shape[1],
            .columns = dy.shape[0],
            .inner = weight.shape[0],
            .dtype = dy.dtype,
            .result_dtype = dy.dtype},
           factor.data(), dy.data, nullptr, dx.data);
}

void linear_backward_weights_cuda(ConstView x, ConstView dy, View d_weight) {
  if (d_weight.numel() == 0) return;
  if (x.shape[0] == 0) return zero(d_weight);
  multiply({.rows = x.shape[1],
            .columns = dy.shape[1],
            .inner = x.shape[0],
            .transpose_b = true,
            .dtype = dy.dtype,
            .result_dtype = d_weight.dtype},
           x.data, dy.data, nullptr, d_weight.data);
}

void linear_backward_bias_cuda(ConstView dy, View d_bias) { sum_per_channel(dy, d_bias); }

const kernels::Registration registrations[] = {
    {kernels::linear_forward, DeviceType::kCuda, linear_forward_cuda},
    {kernels::linear_backward_data, DeviceType::kCuda, linear_backward_data_cuda},
    {kernels::linear_backward_weights, DeviceType::kCuda, linear_backward_weights_cuda},
    {kernels::linear_backward_bias, DeviceType::kCuda, linear_backward_bias_cuda},
};

}  // namespace
}  // namespace concord::cuda
