#pragma once
// cuDNN behind handles that clean up after themselves and calls that are checked.

#include <cudnn.h>

#include <memory>
#include <string_view>
#include <type_traits>

#include "kernels/conv2d.h"

namespace concord::cuda {

// The handle of the calling thread, on stream().
cudnnHandle_t cudnn();

// Throws with the call, cuDNN's text for the status, its last message, and `about` (shapes).
void check_cudnn(cudnnStatus_t status, std::string_view call, std::string_view about = {});

// One RAII type for each kind of descriptor; kName is that of kCreate, for messages.
template <class Pointer, cudnnStatus_t (*kCreate)(Pointer*), cudnnStatus_t (*kDestroy)(Pointer),
          const char* kName>
class CudnnObject {
 public:
  CudnnObject() {
    Pointer raw = nullptr;
    check_cudnn(kCreate(&raw), kName);
    object_.reset(raw);
  }
  Pointer get() const { return object_.get(); }

 private:
  struct Destroy {
    void operator()(Pointer object) const { static_cast<void>(kDestroy(object)); }
  };
  std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy> object_;
};
inline constexpr char kCreateTensor[] = "cudnnCreateTensorDescriptor";
inline constexpr char kCreateFilter[] = "cudnnCreateFilterDescriptor";
inline constexpr char kCreateActivation[] = "cudnnCreateActivationDescriptor";
inline constexpr char kCreateConvolution[] = "cudnnCreateConvolutionDescriptor";
using TensorDescriptor = CudnnObject<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor,
                                     cudnnDestroyTensorDescriptor, kCreateTensor>;
using FilterDescriptor = CudnnObject<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor,
                                     cudnnDestroyFilterDescriptor, kCreateFilter>;
using ActivationDescriptor =
    CudnnObject<cudnnActivationDescriptor_t, cudnnCreateActivationDescriptor,
                cudnnDestroyActivationDescriptor, kCreateActivation>;
using ConvolutionDescriptor =
    CudnnObject<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor,
                cudnnDestroyConvolutionDescriptor, kCreateConvolution>;

}  // namespace concord::cuda
