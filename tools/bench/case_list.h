#pragma once
// For the files that list kernel cases.

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor.h"
#include "tools/bench/case.h"

namespace concord::bench {

// What the operands of a case depend on; `prepare` functions hold it by value.
struct Setting {
  Device device;
  std::int64_t batch_size = 8;
  std::uint64_t seed = 0;
  DType maps = DType::kFloat32;  // of what flows between layers; bfloat16 under --precision bf16
};

class CaseList {
 public:
  explicit CaseList(const Setting& setting) : setting_(setting) {}

  // `kernel` gives the name; `prepare` runs when the case is measured, so listing costs nothing.
  template <class AnyKernel>
  void add(const AnyKernel& kernel, const std::string& shape, std::string used_by,
           std::function<Work()> prepare) {
    add_named(kernel.name(), shape, std::move(used_by), std::move(prepare));
  }

  // The same for what is not a kernel by itself.
  void add_named(std::string_view name, const std::string& shape, std::string used_by,
                 std::function<Work()> prepare) {
    cases_.push_back({fmt::format("{}/{}/{}", name_of(device()), name, shape), std::move(used_by),
                      std::move(prepare), device()});
  }

  // What is not ours, to compare with.
  void add_foreign(std::string name, std::string used_by, std::function<Work()> prepare) {
    cases_.push_back({std::move(name), std::move(used_by), std::move(prepare), device()});
  }

  const Setting& setting() const { return setting_; }
  Device device() const { return setting_.device; }
  std::int64_t batch() const { return setting_.batch_size; }
  std::vector<Case> take() { return std::move(cases_); }

 private:
  Setting setting_;
  std::vector<Case> cases_;
};

// Bytes of all of them.
inline double bytes_of(std::initializer_list<Tensor> tensors) {
  double bytes = 0;
  for (const Tensor& tensor : tensors) bytes += static_cast<double>(tensor.bytes());
  return bytes;
}

// Of N(0, 1), repeated after some thousand; the same for a seed and shape; float32.
Tensor random_tensor(const Setting& setting, const Shape& shape,
                     MemoryFormat format = MemoryFormat::kPlain);
Tensor empty_tensor(const Setting& setting, const Shape& shape,
                    MemoryFormat format = MemoryFormat::kPlain, DType dtype = DType::kFloat32);
// The same in the dtype of maps.
Tensor random_maps(const Setting& setting, const Shape& shape,
                   MemoryFormat format = MemoryFormat::kPlain);
Tensor empty_maps(const Setting& setting, const Shape& shape,
                  MemoryFormat format = MemoryFormat::kPlain);
// Class indices below `classes`.
Tensor random_labels(const Setting& setting, std::int64_t count, std::int64_t classes);

// "8x512x28x28/blocked16"
std::string text_of(const Shape& shape, MemoryFormat format);
// The format in which the device's convolutions leave maps of so many channels.
MemoryFormat network_format(const Setting& setting, const Shape& maps);
// That format, and the others that hold the maps.
std::vector<MemoryFormat> all_formats(const Setting& setting, const Shape& maps);

void add_anchor_cases(CaseList& list);       // of other libraries
void add_convolution_cases(CaseList& list);  // conv2d.h
void add_map_cases(CaseList& list);          // activation.h, arithmetic.h, dropout.h, image.h,
                                             // pooling.h, resize.h
void add_norm_cases(CaseList& list);         // norm.h
void add_trans_net_cases(CaseList& list);    // gated_stage.h
void add_ladder_cases(CaseList& list);       // ladder.h, on a GPU
void add_classifier_cases(CaseList& list);   // linear.h, loss.h, optimizer.h, top_k.h
void add_compression_cases(CaseList& list);  // k_means.h
void add_memory_cases(CaseList& list);       // memory.h, copy_rows.h, gather_rows.h,
                                             // engine/random.h

}  // namespace concord::bench
