#pragma once
// A kernel is declared once, device-independently, and defined per device:
//
//   kernels/relu.h        inline Kernel<void(ConstView x, View y)> relu_forward{"relu_forward"};
//   kernels/cpu/relu.cpp  const Registration cpu{relu_forward, DeviceType::kCpu, relu_forward_cpu};
//   engine/ops/relu.cpp   kernels::relu_forward(x.device(), x.view(), y.view());
//
// There is no table to edit. A device without a definition is an error that names both; nothing
// falls back to another device.

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/view.h"

namespace concord::kernels {

// The names of the kernels that this build defines for `type`, sorted: what there is to test and to
// measure.
std::vector<std::string_view> kernels_of(DeviceType type);

// Adds a name to those; Kernel::define calls it.
void remember_kernel(DeviceType type, std::string_view name);

template <class Signature>
class Kernel;

template <class Result, class... Args>
class Kernel<Result(Args...)> {
 public:
  using Function = Result (*)(Args...);

  constexpr explicit Kernel(const char* name) : name_(name) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // Runs the definition for `device`; throws if there is none.
  template <class... Given>
  Result operator()(Device device, Given&&... args) const {
    const Function function = table_[static_cast<std::size_t>(device.type)];
    check(function != nullptr, "{}: this build has no kernel for device {}", name_,
          concord::name_of(device));
    return function(std::forward<Given>(args)...);
  }

  const char* name() const { return name_; }
  bool available(DeviceType type) const {
    return table_[static_cast<std::size_t>(type)] != nullptr;
  }
  // Throws when the device has one already: two kernels of one name would otherwise be merged by
  // the linker into one that runs the wrong code.
  void define(DeviceType type, Function function) {
    check(table_[static_cast<std::size_t>(type)] == nullptr,
          "{}: defined twice for one device; give one of the two another name", name_);
    table_[static_cast<std::size_t>(type)] = function;
    remember_kernel(type, name_);
  }

 private:
  const char* name_;
  std::array<Function, kDeviceTypes> table_{};
};

// Defines a kernel for a device when the program starts.
struct Registration {
  template <class Signature>
  Registration(Kernel<Signature>& kernel, DeviceType type,
               typename Kernel<Signature>::Function function) {
    kernel.define(type, function);
  }
};

}  // namespace concord::kernels
