#include "analysis/compression/compact_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "analysis/compression/weight_coding.h"
#include "engine/text.h"

namespace concord {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kFormat = "concord-compact";
constexpr std::string_view kVersion = "1";
constexpr const char* kCodebook = ":codebook";
constexpr const char* kCodes = ":codes";
// Of the texts in the metadata, which become trees of JSON many times their size: a network has
// hundreds of tensors and at most thousands of classes.
constexpr std::size_t kMostText = std::size_t{16} << 20;

std::uint32_t checksum_of(const void* bytes, std::size_t count) {
  return static_cast<std::uint32_t>(crc32_z(0, static_cast<const Bytef*>(bytes), count));
}
std::uint32_t checksum_of(const Tensor& tensor) {
  return checksum_of(tensor.view().data, tensor.bytes());
}

Tensor expanded(const Shape& shape, const std::vector<float>& codebook,
                const std::vector<std::uint16_t>& codes) {
  Tensor tensor = Tensor::empty(shape);
  auto* values = tensor.data<float>();
  for (std::size_t i = 0; i < codes.size(); ++i)
    values[i] = codes[i] == 0 ? 0.0F : codebook[codes[i] - std::size_t{1}];
  return tensor;
}

// The bytes of `coded`, checked against the checkpoint's tensor.
std::vector<std::uint8_t> bytes_of(const CodedWeight& coded, const Tensor& tensor) {
  check(coded.codes.size() == static_cast<std::size_t>(coded.shape.numel()) &&
            coded.shape == tensor.shape() && tensor.dtype() == DType::kFloat32,
        "compact file: {} has {} codes and shape {}, in the checkpoint it is {} {}", coded.name,
        coded.codes.size(), coded.shape.to_string(), name_of(tensor.dtype()),
        tensor.shape().to_string());
  std::vector<std::uint8_t> bytes = encode_codes(coded.codes, coded.codebook.size());
  const Tensor back = expanded(coded.shape, coded.codebook,
                               decode_codes(bytes, coded.codes.size(), coded.codebook.size()));
  check(std::memcmp(back.view().data, tensor.view().data, tensor.bytes()) == 0,
        "compact file: the codes of {} do not give the checkpoint's values", coded.name);
  return bytes;
}

// A text of the metadata, as a JSON object.
Json object_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(), "{}: its metadata have no \"{}\"", file.path().string(),
        key);
  check(found->second.size() <= kMostText, "{}: \"{}\" of its metadata has {} bytes, at most {}",
        file.path().string(), key, found->second.size(), kMostText);
  Json json = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), "{}: \"{}\" of its metadata is no JSON object", file.path().string(),
        key);
  return json;
}

std::uint32_t checksum_in(const Json& value, const std::string& where) {
  check(value.is_number_unsigned() && value.get<std::uint64_t>() <= 0xFFFFFFFFU,
        "{}: its crc32 is no number of 32 bits", where);
  return value.get<std::uint32_t>();
}

Shape shape_in(const Json& value, const std::string& where) {
  check(value.is_array() && value.size() <= Shape::kMaxRank &&
            std::all_of(value.begin(), value.end(),
                        [](const Json& size) {
                          return size.is_number_unsigned() &&
                                 size.get<std::uint64_t>() <=
                                     static_cast<std::uint64_t>(CompactFile::kMostElements);
                        }),
        "{}: its shape is no list of at most {} sizes up to {}", where, Shape::kMaxRank,
        CompactFile::kMostElements);
  try {
    const Shape shape(value.get<std::vector<std::int64_t>>());
    check(shape.numel() <= CompactFile::kMostElements, "its shape {} has {} elements, at most {}",
          shape.to_string(), shape.numel(), CompactFile::kMostElements);
    return shape;
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
}

}  // namespace

void write_compact(const fs::path& path, const SafetensorsFile& checkpoint,
                   const std::vector<CodedWeight>& coded) {
  std::vector<Named<Tensor>> tensors;
  Json entries = Json::object();
  std::set<std::string> written;
  for (const std::string& name : checkpoint.names()) {
    check(name.find(':') == std::string::npos,
          "compact file: tensor {} has a colon in its name, which stands for something here", name);
    static const std::set<std::string_view> kDTypes = {"F32", "F64", "I64", "U8"};
    check(kDTypes.contains(checkpoint.dtype(name)),
          "compact file: tensor {} is {}; F32, F64, I64 and U8 are kept to the bit", name,
          checkpoint.dtype(name));
    const Tensor tensor = checkpoint.tensor(name);
    entries[name]["crc32"] = checksum_of(tensor);
    const auto found = std::find_if(coded.begin(), coded.end(),
                                    [&](const CodedWeight& one) { return one.name == name; });
    if (found == coded.end()) {
      tensors.emplace_back(name, tensor);
      continue;
    }
    const std::vector<std::uint8_t> bytes = bytes_of(*found, tensor);
    for (std::size_t axis = 0; axis < found->shape.rank(); ++axis)
      entries[name]["shape"].push_back(found->shape[axis]);
    const auto values = static_cast<std::int64_t>(found->codebook.size());
    if (values > 0) tensors.emplace_back(name + kCodebook, Tensor::of({values}, found->codebook));
    tensors.emplace_back(name + kCodes,
                         Tensor::of({static_cast<std::int64_t>(bytes.size())}, bytes));
    written.insert(name);
  }
  for (const CodedWeight& one : coded)
    check(written.contains(one.name), "compact file: {} has no tensor {}",
          checkpoint.path().string(), one.name);
  const std::string metadata = Json(checkpoint.metadata()).dump();
  write_safetensors(
      path, tensors,
      {{"format", std::string(kFormat)},
       {"version", std::string(kVersion)},
       {"tensors", entries.dump()},
       {"checkpoint", metadata},
       {"checkpoint_crc32", std::to_string(checksum_of(metadata.data(), metadata.size()))}});
}

CompactFile::CompactFile(const fs::path& path) : file_(path) {
  const auto says = [&](const char* key) {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? std::string() : found->second;
  };
  check(says("format") == kFormat,
        "{}: is a safetensors file, but no compact file of concord-compress: its format is \"{}\"",
        path.string(), says("format").substr(0, 40));
  check(says("version") == kVersion,
        "{}: is a compact file of version \"{}\", this program reads version {}", path.string(),
        says("version").substr(0, 40), kVersion);
  const Json checkpoint = object_in(file_, "checkpoint");
  const std::string& text = file_.metadata().at("checkpoint");
  check(std::to_string(checksum_of(text.data(), text.size())) == says("checkpoint_crc32"),
        "{}: the checkpoint's metadata do not have the checksum that they were written with; the "
        "file is damaged",
        path.string());
  for (const auto& [key, value] : checkpoint.items()) {
    check(value.is_string(), "{}: \"{}\" of the checkpoint's metadata is no text", path.string(),
          key.substr(0, 100));
    checkpoint_[key] = value.get<std::string>();
  }
  read_entries();
}

void CompactFile::read_entries() {
  const Json described = object_in(file_, "tensors");
  const std::string path = file_.path().string();
  std::set<std::string> expected;
  std::int64_t elements = 0;
  for (const auto& [name, object] : described.items()) {
    const std::string where = fmt::format("{}: tensor {}", path, name.substr(0, 200));
    check(name.find(':') == std::string::npos, "{}: a name without a colon is expected", where);
    check(object.is_object() && object.contains("crc32"), "{}: has no crc32", where);
    Entry entry;
    entry.checksum = checksum_in(object["crc32"], where);
    entry.is_coded = object.contains("shape");
    if (entry.is_coded) {
      check(file_.contains(name + kCodes), "{}: its codes are missing", where);
      expected.insert(name + kCodes);
      if (file_.contains(name + kCodebook)) expected.insert(name + kCodebook);
      entry.shape = shape_in(object["shape"], where);
    } else {
      check(file_.contains(name), "{}: is missing", where);
      expected.insert(name);
      entry.shape = file_.shape(name);
    }
    elements += entry.shape.numel();
    check(elements <= kMostElements, "{}: the tensors up to it have more than {} elements", where,
          kMostElements);
    entries_[name] = entry;
  }
  // In the order of their data, the codes standing for their tensor.
  for (const std::string& name : file_.names()) {
    check(expected.contains(name), "{}: holds a tensor {} that its metadata do not tell of", path,
          name);
    if (name.ends_with(kCodebook)) continue;
    const bool is_codes = name.ends_with(kCodes);
    names_.push_back(is_codes ? name.substr(0, name.size() - std::strlen(kCodes)) : name);
  }
}

const CompactFile::Entry& CompactFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  check(found != entries_.end(), "{}: has no tensor {}; near it are {}", file_.path().string(),
        name, nearest_names(name, names_));
  return found->second;
}

Shape CompactFile::shape(const std::string& name) const { return entry(name).shape; }

std::uint64_t CompactFile::stored_bytes(const std::string& name) const {
  if (!entry(name).is_coded) return file_.tensor(name).bytes();
  std::uint64_t bytes = file_.tensor(name + kCodes).bytes();
  if (file_.contains(name + kCodebook)) bytes += file_.tensor(name + kCodebook).bytes();
  return bytes;
}

Tensor CompactFile::decoded(const std::string& name, const Entry& entry) const {
  std::vector<float> codebook;
  if (file_.contains(name + kCodebook)) {
    const Tensor values = file_.tensor(name + kCodebook);
    check(file_.dtype(name + kCodebook) == "F32" && values.shape().rank() == 1 &&
              values.numel() <= kMostSharedValues,
          "its codebook is {} {}, F32 [at most {}] is expected", file_.dtype(name + kCodebook),
          values.shape().to_string(), kMostSharedValues);
    codebook = values.to_vector<float>();
  }
  const Tensor bytes = file_.tensor(name + kCodes);
  check(bytes.dtype() == DType::kUInt8 && bytes.shape().rank() == 1,
        "its codes are {} {}, U8 [bytes] is expected", file_.dtype(name + kCodes),
        bytes.shape().to_string());
  return expanded(
      entry.shape, codebook,
      decode_codes({bytes.data<std::uint8_t>(), static_cast<std::size_t>(bytes.numel())},
                   static_cast<std::size_t>(entry.shape.numel()), codebook.size()));
}

Tensor CompactFile::tensor(const std::string& name) const {
  const Entry& found = entry(name);
  try {
    const Tensor result = found.is_coded ? decoded(name, found) : file_.tensor(name);
    check(checksum_of(result) == found.checksum,
          "does not have the checksum that it was written with; the file is damaged");
    return result;
  } catch (const Error& error) {
    fail("{}: tensor {}: {}", file_.path().string(), name, error.what());
  }
}

}  // namespace concord
