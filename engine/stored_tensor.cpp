#include "engine/stored_tensor.h"

#include <array>
#include <cstring>
#include <limits>

#include "engine/half.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::int64_t kMaxExpanded = std::int64_t{1} << 28;

struct DtypeInfo {
  std::string_view name;         // torch.NAME
  std::string_view storage;      // torch.STORAGE; empty where there is none
  std::string_view safetensors;  // likewise
  std::uint64_t bytes;
};
// In the order of StoredDtype.
constexpr DtypeInfo kDtypes[] = {
    {"float32", "FloatStorage", "F32", 4},
    {"float64", "DoubleStorage", "F64", 8},
    {"float16", "HalfStorage", "F16", 2},
    {"bfloat16", "BFloat16Storage", "BF16", 2},
    {"int64", "LongStorage", "I64", 8},
    {"int32", "IntStorage", "I32", 4},
    {"int16", "ShortStorage", "I16", 2},
    {"int8", "CharStorage", "I8", 1},
    {"uint8", "ByteStorage", "U8", 1},
    {"bool", "BoolStorage", "BOOL", 1},
    {"uint16", "", "U16", 2},
    {"uint32", "", "U32", 4},
    {"uint64", "", "U64", 8},
    {"complex64", "ComplexFloatStorage", "C64", 8},
    {"complex128", "ComplexDoubleStorage", "", 16},
    {"float8_e4m3fn", "", "F8_E4M3", 1},
    {"float8_e5m2", "", "F8_E5M2", 1},
};

const DtypeInfo& info(StoredDtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

std::optional<StoredDtype> find_dtype(std::string_view DtypeInfo::*member, std::string_view name) {
  for (std::size_t i = 0; i < std::size(kDtypes); ++i)
    if (!name.empty() && kDtypes[i].*member == name) return static_cast<StoredDtype>(i);
  return std::nullopt;
}

// `count` elements of `From` at `data` with the strides, in row-major order, converted.
template <class From, class To, class Convert>
void gather(const char* data, const Shape& shape, const std::vector<std::int64_t>& strides, To* to,
            Convert convert) {
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    From value;
    std::memcpy(&value, data + offset * static_cast<std::int64_t>(sizeof(From)), sizeof(From));
    to[i] = convert(value);
    for (std::size_t axis = shape.rank(); axis-- > 0;) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

bool is_contiguous(const Shape& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

}  // namespace

std::uint64_t bytes_of(StoredDtype dtype) { return info(dtype).bytes; }
std::optional<StoredDtype> stored_dtype(std::string_view name) {
  return find_dtype(&DtypeInfo::name, name);
}
std::optional<StoredDtype> stored_dtype_of_storage(std::string_view name) {
  return find_dtype(&DtypeInfo::storage, name);
}
std::optional<StoredDtype> stored_dtype_of_safetensors(std::string_view name) {
  return find_dtype(&DtypeInfo::safetensors, name);
}

std::string_view name_of(StoredDtype dtype) { return info(dtype).name; }

Tensor read_stored(const StoredTensor& from, const std::string& where) {
  check(from.dtype < StoredDtype::kFirstUnread,
        "{} is {}; floats of 16, 32 and 64 bits, whole numbers of up to 32 bits or int64, "
        "and bool can be read",
        where, info(from.dtype).name);
  const char* data = from.data.data();
  const DType dtype = from.dtype < StoredDtype::kInt64 ? DType::kFloat32 : DType::kInt64;
  const std::int64_t numel = from.shape.numel();
  if (numel == 0) return Tensor::empty(from.shape, {.dtype = dtype});
  const bool as_it_is = from.dtype == StoredDtype::kFloat32 || from.dtype == StoredDtype::kInt64;
  if (as_it_is && is_contiguous(from.shape, from.strides) &&
      reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0)
    return Tensor::borrow(from.shape, dtype, const_cast<char*>(data), from.owner);
  const std::uint64_t stored = from.data.size() / info(from.dtype).bytes;
  check(numel <= kMaxExpanded || static_cast<std::uint64_t>(numel) <= stored,
        "{} of shape {} repeats its {} elements more often than is allowed (to at most "
        "{}); save tensor.clone()",
        where, from.shape.to_string(), stored, kMaxExpanded);

  Tensor result = Tensor::empty(from.shape, {.dtype = dtype});
  const auto copy = [&]<class From, class To>(From, To, auto convert) {
    gather<From>(data, from.shape, from.strides, result.data<To>(), convert);
  };
  const auto floats = [&](auto example) {
    copy(example, 0.0F, [](auto value) { return static_cast<float>(value); });
  };
  const auto integers = [&](auto example) {
    copy(example, std::int64_t{0}, [](auto value) { return static_cast<std::int64_t>(value); });
  };
  switch (from.dtype) {
    case StoredDtype::kFloat32:
      floats(0.0F);
      break;
    case StoredDtype::kFloat64:
      floats(0.0);
      break;
    case StoredDtype::kFloat16:
      copy(std::uint16_t{0}, 0.0F, half_to_float);
      break;
    case StoredDtype::kBFloat16:
      floats(BFloat16{});
      break;
    case StoredDtype::kInt64:
      integers(std::int64_t{0});
      break;
    case StoredDtype::kInt32:
      integers(std::int32_t{0});
      break;
    case StoredDtype::kInt16:
      integers(std::int16_t{0});
      break;
    case StoredDtype::kInt8:
      integers(std::int8_t{0});
      break;
    case StoredDtype::kUInt8:
      integers(std::uint8_t{0});
      break;
    case StoredDtype::kBool:
      copy(std::uint8_t{0}, std::int64_t{0},
           [](std::uint8_t value) { return std::int64_t{value != 0}; });
      break;
    case StoredDtype::kUInt16:
      integers(std::uint16_t{0});
      break;
    case StoredDtype::kUInt32:
      integers(std::uint32_t{0});
      break;
    case StoredDtype::kUInt64:
      copy(std::uint64_t{0}, std::int64_t{0}, [&](std::uint64_t value) {
        check(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
              "{} holds {}, which is beyond int64", where, value);
        return static_cast<std::int64_t>(value);
      });
      break;
    default:
      fail("unknown dtype {}", static_cast<int>(from.dtype));
  }
  return result;
}

std::vector<std::string> conversion_notes(const std::string& file,
                                          const std::map<StoredDtype, std::size_t>& counts) {
  std::vector<std::string> notes;
  for (const auto& [dtype, count] : counts) {
    if (dtype == StoredDtype::kFloat32 || dtype == StoredDtype::kInt64 ||
        dtype >= StoredDtype::kFirstUnread)
      continue;
    notes.push_back(fmt::format("{}: {} of its tensors {} {} and {} converted to {}", file, count,
                                count == 1 ? "is" : "are", name_of(dtype),
                                count == 1 ? "was" : "were",
                                dtype < StoredDtype::kInt64 ? "float32" : "int64"));
  }
  return notes;
}

}  // namespace concord
