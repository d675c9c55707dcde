#pragma once
// A safetensors file of float32 tensors that are written row by row, for results larger than
// memory.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace concord::tool {

class TensorStream {
 public:
  // Creates a temporary file beside `path` with room for the tensors. Throws naming the file.
  TensorStream(std::filesystem::path path,
               const std::vector<std::pair<std::string, Shape>>& tensors,
               const std::map<std::string, std::string>& metadata = {});
  // Removes the temporary file unless finish() was called.
  ~TensorStream();
  TensorStream(const TensorStream&) = delete;
  TensorStream& operator=(const TensorStream&) = delete;

  // Rows [first, first + rows.dim(0)) of the tensor. Throws naming the file (disk full).
  void write(const std::string& name, std::int64_t first, const Tensor& rows);
  // Syncs the file and moves it to its place.
  void finish();

 private:
  struct Place {
    std::int64_t begin = 0;  // in the file, bytes
    Shape shape;
  };
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int file_ = -1;
  std::map<std::string, Place> places_;
};

}  // namespace concord::tool
