#pragma once

#include "kernels/memory.h"

namespace concord::cuda {

// Memory of the device for the length of a host function: in stream order, so that what was
// launched before may still use it when it is given back.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : bytes_(bytes < 1 ? 1 : bytes) {
    data_ = kernels::allocate(kDevice, bytes_);
  }
  ~Scratch() { kernels::release(kDevice, data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  static constexpr Device kDevice = {DeviceType::kCuda, 0};
  void* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace concord::cuda
