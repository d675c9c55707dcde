#pragma once
// The memory of captured work (kernels/graph.h): every replay uses the addresses of the capture, so
// that a block may serve others within the work once it was released, but nobody outside of it.

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace concord::kernels {

class GraphMemory {
 public:
  // Where the memory comes from and goes in the end.
  struct Source {
    void* (*allocate)(std::size_t bytes);
    void (*release)(void* data, std::size_t bytes);
    // The device's whole release(), for what others allocated: it asks take_back().
    void (*release_others)(void* data, std::size_t bytes);
    // Whether a released block, or parts of it, is handed out again. Else every allocation has a
    // block of its own, of the exact size.
    bool reuses = true;
  };
  // Lets the memory go: at once where nobody holds a block of it, else with the last of them.
  struct Retire {
    void operator()(GraphMemory* memory) const { memory->retire(); }
  };
  using Pointer = std::unique_ptr<GraphMemory, Retire>;
  static Pointer make(const Source& source);

  // The memory of what this thread captures; null where it captures nothing.
  static GraphMemory* current();
  // Makes a memory the current one for its lifetime.
  class Current {
   public:
    explicit Current(GraphMemory& memory);
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
  };

  // Throws what the source throws.
  void* allocate(std::size_t bytes);
  bool owns(const void* data) const;
  // For release() of a device: whether the block is taken care of. One of the current memory goes
  // back to it; any other that the capturing thread releases is kept until the captured work is
  // gone, which may use it (what other threads release it must not use); and one of a finished
  // capture stays where it is.
  static bool take_back(void* data, std::size_t bytes);

 private:
  struct Block {
    std::size_t bytes;
    bool is_small;
  };
  explicit GraphMemory(const Source& source) : source_(source) {}
  ~GraphMemory();
  void* take(std::size_t bytes);
  void give_back(void* data);
  void retire();

  Source source_;
  std::vector<std::pair<void*, std::size_t>> segments_;  // of the source
  std::set<void*> segment_starts_;
  // Free ranges by address. Small blocks lie apart, or one that stays would split a large range.
  std::array<std::map<char*, std::size_t>, 2> free_;
  std::map<const void*, Block> held_;
  std::vector<std::pair<void*, std::size_t>> kept_;  // others' blocks
  bool is_retired_ = false;
};

}  // namespace concord::kernels
