#pragma once
// Reading Python's pickles without running anything. Source: CPython's Lib/pickletools.py, which
// states every opcode of protocols 0 to 5.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace concord {

// One value of a pickle. Values refer to each other by index into their Pickle, so that a file may
// nest and share them, even in circles, without any recursion here.
struct PickleValue {
  enum class Kind : std::uint8_t {
    kNone,
    kBool,        // integer: 0 or 1
    kInteger,     // integer
    kLong,        // text: more than 64 bits, two's complement, little-endian
    kFloat,       // number
    kString,      // text: UTF-8, or the bytes of a Python 2 string
    kBytes,       // text
    kList,        // items
    kTuple,       // items
    kSet,         // items
    kDict,        // items: key, value, key, value, ...
    kGlobal,      // text: "torch.FloatStorage"
    kPersistent,  // items[0]: the id of what is stored outside the pickle
    kCall,        // text: what would be called, "torch._utils._rebuild_tensor_v2"; items: arguments
  };
  Kind kind = Kind::kNone;
  std::int64_t integer = 0;
  double number = 0;
  std::string text = {};
  std::vector<std::uint32_t> items = {};
};

// "a list", "a whole number"; for messages.
std::string_view name_of(PickleValue::Kind kind);

// Runs the pickle's stack machine. Globals are names only: those of a fixed list are let through
// (torch's rebuild functions, storages, dtypes, Size and device; OrderedDict, Counter; NumPy's
// scalars; a few containers), and what a call of one would give is kept as a dict, a tuple or the
// call itself. Any other is an error that names it. State given to an object (BUILD) is dropped.
class Pickle {
 public:
  using Index = std::uint32_t;
  static constexpr std::size_t kMaxOperations = std::size_t{1} << 22;
  static constexpr std::size_t kMaxItems = std::size_t{1} << 23;
  static constexpr std::size_t kMaxOpenMarks = 1000;
  static constexpr std::size_t kMaxLongBytes = 1024;

  // Reads the one pickle at the start of `bytes`; others may follow. Throws for everything that is
  // not a pickle of plain values within the limits above: errors begin with `where` (the file) and
  // give the byte. Memory is bounded by the limits and the length of `bytes`.
  Pickle(std::string_view bytes, const std::string& where);

  const PickleValue& root() const { return values_[root_]; }
  Index root_index() const { return root_; }
  const PickleValue& at(Index index) const { return values_[index]; }
  // All that the pickle made, reachable from the root or not; each only refers to others of these.
  const std::vector<PickleValue>& values() const { return values_; }
  // The value of a dict's key that is this string, the last where there are several; null when
  // there is none or `dict` is no dict.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
  // Of the pickle itself, up to and with its STOP.
  std::size_t bytes_used() const { return used_; }

 private:
  std::vector<PickleValue> values_;
  Index root_ = 0;
  std::size_t used_ = 0;
};

}  // namespace concord
