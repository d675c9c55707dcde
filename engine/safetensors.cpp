#include "engine/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "engine/mapped_file.h"
#include "engine/replaced_file.h"
#include "engine/safetensors_header.h"
#include "engine/stored_tensor.h"
#include "engine/text.h"

namespace concord {
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "F32";
    case DType::kBFloat16:
      return "BF16";
    case DType::kFloat64:
      return "F64";
    case DType::kInt64:
      return "I64";
    case DType::kUInt8:
      return "U8";
  }
  fail("unknown dtype {}", static_cast<int>(dtype));
}

// The names and order of the tensors, and where each lies.
SafetensorsHeader layout(const std::vector<Named<Tensor>>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  std::set<std::string> names;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    check(!name.empty() && name != "__metadata__", "\"{}\" cannot name a tensor", name);
    check(names.insert(name).second, "two tensors are named {}", name);
    header.entries.push_back({.name = name,
                              .dtype = dtype_name(tensor.dtype()),
                              .shape = tensor.shape(),
                              .begin = offset,
                              .end = offset + tensor.bytes()});
    offset += tensor.bytes();
  }
  return header;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : path_(path) {
  const MappedFile mapped(path, "a safetensors file");
  const std::uint64_t size = mapped.bytes().size();
  check(size >= 8, "{}: {} bytes are too few for a safetensors file", path.string(), size);
  mapping_ = mapped.owner();

  const char* bytes = mapped.bytes().data();
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes, 8);
  check(header_bytes <= kSafetensorsHeaderLimit,
        "{}: its header would take {} bytes, at most {} are allowed; not a safetensors file",
        path.string(), header_bytes, kSafetensorsHeaderLimit);
  check(header_bytes <= size - 8, "{}: its header takes {} bytes, the file has {}: truncated",
        path.string(), header_bytes, size);
  data_ = bytes + 8 + header_bytes;
  try {
    SafetensorsHeader header =
        parse_safetensors_header({bytes + 8, header_bytes}, size - 8 - header_bytes);
    metadata_ = std::move(header.metadata);
    for (SafetensorsEntry& entry : header.entries)
      tensors_[entry.name] = {.dtype = std::move(entry.dtype),
                              .shape = entry.shape,
                              .begin = entry.begin,
                              .bytes = entry.end - entry.begin};
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : tensors_) result.push_back(name);
  std::stable_sort(result.begin(), result.end(), [&](const auto& a, const auto& b) {
    const Entry &one = tensors_.at(a), &other = tensors_.at(b);
    return std::pair(one.begin, one.bytes) < std::pair(other.begin, other.bytes);
  });
  return result;
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    if (tensors_.empty()) fail("{}: no tensor {}: the file holds none", path_.string(), name);
    fail("{}: no tensor {} among its {}; near it are {}", path_.string(), name, tensors_.size(),
         nearest_names(name, names()));
  }
  return found->second;
}

Shape SafetensorsFile::shape(const std::string& name) const { return entry(name).shape; }

Tensor SafetensorsFile::tensor(const std::string& name) const {
  const Entry& found = entry(name);
  const char* data = data_ + found.begin;
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt64, DType::kUInt8}) {
    if (found.dtype != dtype_name(dtype)) continue;
    if (reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0)
      return Tensor::borrow(found.shape, dtype, const_cast<char*>(data), mapping_);
    Tensor copy = Tensor::empty(found.shape, {.dtype = dtype});
    std::memcpy(copy.view().data, data, found.bytes);
    return copy;
  }
  const std::string where = fmt::format("{}: tensor {}", path_.string(), name);
  const auto dtype = stored_dtype_of_safetensors(found.dtype);
  check(dtype && bytes_of(*dtype) * static_cast<std::uint64_t>(found.shape.numel()) == found.bytes,
        "{} is of dtype {}, which is not read", where, found.dtype);
  std::vector<std::int64_t> strides(found.shape.rank(), 1);
  for (std::size_t axis = found.shape.rank(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * found.shape[axis];
  return read_stored({.dtype = *dtype,
                      .data = {data, found.bytes},
                      .shape = found.shape,
                      .strides = std::move(strides),
                      .owner = mapping_},
                     where);
}

void write_safetensors(const fs::path& path, const std::vector<Named<Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  SafetensorsHeader header;
  std::string text;
  try {
    header = layout(tensors, metadata);
    text = write_safetensors_header(header);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
  check(text.size() <= kSafetensorsHeaderLimit,
        "{}: its header would take {} bytes, at most {} are allowed", path.string(), text.size(),
        kSafetensorsHeaderLimit);
  const std::uint64_t total =
      8 + text.size() + (header.entries.empty() ? 0 : header.entries.back().end);

  ReplacedFile file(path, total);
  const std::uint64_t header_bytes = text.size();
  file.write(&header_bytes, 8);
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const Tensor plain = tensor.to(Device{}).in_format(MemoryFormat::kPlain);
    file.write(plain.view().data, plain.bytes());
  }
  file.commit();
}

}  // namespace concord
