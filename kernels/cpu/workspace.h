#pragma once

#include <cstddef>

namespace concord::kernels {

// Memory for the time of one call, from kernels::allocate: one buffer per thread that only grows.
class Workspace {
 public:
  ~Workspace();
  // The calling thread's, with room for `bytes` in `pieces` pieces, all of it free. What take()
  // gave before is void.
  static Workspace& with_room(std::size_t bytes, std::size_t pieces);
  // A 64-byte aligned piece.
  void* take(std::size_t bytes);

 private:
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace concord::kernels
