#pragma once
// One suite for every device: each test runs on the CPU and on CUDA, which in simt_tests is the
// host runner (kernels/simt), there in several orders of threads, and in cuda_tests a GPU.
// References are float64, computed here or by the CPU's kernels, which tests/engine holds to naive
// loops.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "kernels/device.h"
#include "kernels/precision.h"
#include "tests/gradient_check.h"
#include "tests/relative_error.h"

#if defined(CONCORD_SIMT)
#include "kernels/simt/runner.h"
#include "kernels/simt/transfer.h"
#endif

namespace concord::test {

// The sizes at which tails, whole vectors and whole blocks begin and end.
inline constexpr std::int64_t kAwkwardSizes[] = {1, 3, 31, 32, 33, 255, 257, 1023, 1025};

// The floating dtypes that the device computes with.
inline std::vector<DType> dtypes_on(Device device) {
  std::vector<DType> dtypes = {DType::kFloat32, DType::kFloat64};
  if (device.type == DeviceType::kCuda) dtypes.push_back(DType::kBFloat16);
  return dtypes;
}
// The tolerance of a dtype: half a unit in the last place of bfloat16 and some of float32, in which
// it is computed; else the one given for it.
inline double tolerance_of(DType dtype, double float32, double float64) {
  return dtype == DType::kFloat64 ? float64 : dtype == DType::kFloat32 ? float32 : 0x1p-8 + float32;
}

class OnDevice : public ::testing::TestWithParam<DeviceType> {
 protected:
  Device device() const { return {GetParam(), 0}; }
  void SetUp() override {
#if !defined(CONCORD_SIMT)
    if (GetParam() != DeviceType::kCuda) return;
    const std::string problem = why_no_gpu();
    if (!problem.empty()) GTEST_SKIP() << problem;
#endif
  }
#if defined(CONCORD_SIMT)
  void TearDown() override { EXPECT_EQ(simt::take_transfer_problem(), ""); }
#endif

  // Runs `body`, on the host runner once for each of several orders of threads.
  void in_every_order(const std::function<void()>& body) const {
#if defined(CONCORD_SIMT)
    if (GetParam() == DeviceType::kCuda) {
      for (std::uint64_t seed : {0, 1, 2}) {
        SCOPED_TRACE("order of threads: seed " + std::to_string(seed));
        simt::set_seed(seed);
        body();
      }
      simt::set_seed(0);
      return;
    }
#endif
    body();
  }

 private:
  static std::string why_no_gpu() {
    static const std::string problem = []() -> std::string {
      const std::string missing = kernels::load_kernels(DeviceType::kCuda);
      if (!missing.empty()) return missing;
      try {
        kernels::use_device(Device{DeviceType::kCuda, 0}, 0);
        return {};
      } catch (const Error& error) {
        return error.what();
      }
    }();
    return problem;
  }
};

// While one lives, networks on CUDA compute in bfloat16.
class InBFloat16 {
 public:
  InBFloat16() { kernels::set_precision(kernels::Precision::kBFloat16); }
  ~InBFloat16() { kernels::set_precision(kernels::Precision::kFloat32); }
  InBFloat16(const InBFloat16&) = delete;
  InBFloat16& operator=(const InBFloat16&) = delete;
};

inline std::string name_of_device(const ::testing::TestParamInfo<DeviceType>& info) {
  if (info.param == DeviceType::kCpu) return "cpu";
#if defined(CONCORD_SIMT)
  return "simt";
#else
  return "cuda";
#endif
}

#define CONCORD_ON_EVERY_DEVICE(SUITE)                                              \
  class SUITE : public ::concord::test::OnDevice {};                                \
  INSTANTIATE_TEST_SUITE_P(                                                         \
      Devices, SUITE,                                                               \
      ::testing::Values(::concord::DeviceType::kCpu, ::concord::DeviceType::kCuda), \
      ::concord::test::name_of_device)

// A tensor on the device whose data begins `offset` elements behind a 64-byte boundary: kernels
// that move 16 bytes at a time must not assume that they may.
inline Tensor unaligned_on(Device device, const Tensor& values, std::int64_t offset = 1) {
  const std::int64_t count = values.numel();
  Tensor room = Tensor::empty({count + offset}, {values.dtype(), device});
  Tensor result = room.rows(offset, offset + count).reshaped(values.shape());
  result.copy_from(values.to(device));
  return result;
}

}  // namespace concord::test
