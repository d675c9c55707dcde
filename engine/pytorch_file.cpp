#include "engine/pytorch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "engine/half.h"
#include "engine/mapped_file.h"
#include "engine/pickle.h"
#include "engine/stored_zip.h"
#include "engine/text.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

using Kind = PickleValue::Kind;
using Index = Pickle::Index;

constexpr std::string_view kZipStart("PK\3\4", 4);
// 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::int64_t kLegacyProtocol = 1001;
constexpr std::size_t kMaxName = 1024;
constexpr std::int64_t kMaxExpanded = std::int64_t{1} << 28;

struct StoredDtype {
  std::string_view name;     // torch.NAME
  std::string_view storage;  // torch.STORAGE; empty where there is none
  std::uint64_t bytes;
};
enum : int {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool,
  kUInt16,
  kUInt32,
  kFirstUnread,
};
constexpr StoredDtype kDtypes[] = {
    {"float32", "FloatStorage", 4},
    {"float64", "DoubleStorage", 8},
    {"float16", "HalfStorage", 2},
    {"bfloat16", "BFloat16Storage", 2},
    {"int64", "LongStorage", 8},
    {"int32", "IntStorage", 4},
    {"int16", "ShortStorage", 2},
    {"int8", "CharStorage", 1},
    {"uint8", "ByteStorage", 1},
    {"bool", "BoolStorage", 1},
    {"uint16", "", 2},
    {"uint32", "", 4},
    {"uint64", "", 8},
    {"complex64", "ComplexFloatStorage", 8},
    {"complex128", "ComplexDoubleStorage", 16},
    {"float8_e4m3fn", "", 1},
    {"float8_e5m2", "", 1},
};
constexpr int kUntyped = -1;  // of a storage: bytes

const StoredDtype& dtype_at(int index) { return kDtypes[static_cast<std::size_t>(index)]; }

std::optional<int> find_dtype(std::string_view StoredDtype::*member, std::string_view name) {
  for (std::size_t i = 0; i < std::size(kDtypes); ++i)
    if (!name.empty() && kDtypes[i].*member == name) return static_cast<int>(i);
  return std::nullopt;
}

// The part behind the last dot.
std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

bool is_tar(std::string_view bytes) {
  return bytes.size() > 262 && bytes.substr(257, 5) == "ustar";
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

// Reads a file's object and what it refers to into the PytorchFile.
class PytorchFile::Reader {
 public:
  Reader(PytorchFile& file, std::string_view bytes)
      : file_(file), bytes_(bytes), where_(file.path_.string()) {}

  void read() {
    if (bytes_.starts_with(kZipStart)) return read_zip();
    check(!is_tar(bytes_),
          "{}: the tar form of PyTorch before 0.1.10, which is not read; load it with an old "
          "PyTorch and save it again",
          where_);
    read_legacy();
  }

 private:
  struct Storage {
    int dtype = kUntyped;
    std::uint64_t count = 0;  // elements, or bytes when untyped
    std::string_view data;
  };
  struct Found {
    std::string path;  // "state_dict"; empty for the object itself
    Index index;
    bool usual;  // every part of the path is a usual name
  };

  // --- the forms ---
  void read_zip() {
    const StoredZip zip(bytes_, where_);
    constexpr std::string_view kPickle = "/data.pkl";
    std::string prefix;
    for (const auto& [name, member] : zip.members()) {
      if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
      check(prefix.empty(), "{}: holds two objects, {} and {}", where_, prefix, name);
      prefix = name.substr(0, name.size() - kPickle.size());
    }
    check(!prefix.empty(), "{}: a zip archive without data.pkl: not a file of torch.save", where_);
    check(!zip.contains(prefix + "/constants.pkl"),
          "{}: a TorchScript program, which is not read because it holds code; save the module's "
          "state_dict() with torch.save",
          where_);
    if (zip.contains(prefix + "/byteorder")) {
      const std::string_view order = zip.member(prefix + "/byteorder");
      check(order == "little", "{}: its byte order is \"{}\"; only little-endian files are read",
            where_, order.substr(0, 20));
    }
    pickle_.emplace(zip.member(prefix + "/data.pkl"), where_);
    find_storages();
    for (auto& [key, storage] : storages_) {
      storage.data = zip.member(prefix + "/data/" + key);
      const std::uint64_t bytes = bytes_of(key, storage);
      check(storage.data.size() == bytes, "{}: storage {} has {} bytes, {} are expected: damaged",
            where_, key, storage.data.size(), bytes);
    }
    find_state_dict();
  }

  void read_legacy() {
    std::string_view rest = bytes_;
    const auto next = [&] {
      Pickle pickle(rest, where_);
      rest.remove_prefix(pickle.bytes_used());
      return pickle;
    };
    const Pickle magic = next();
    check(magic.root().kind == Kind::kLong && magic.root().text == kMagic,
          "{}: a pickle without PyTorch's magic number: not a file of torch.save", where_);
    const Pickle protocol = next();
    check(protocol.root().kind == Kind::kInteger && protocol.root().integer == kLegacyProtocol,
          "{}: its protocol version is not {}, the only one there is: damaged", where_,
          kLegacyProtocol);
    const Pickle system = next();
    const PickleValue* little = system.find(system.root(), "little_endian");
    check(little != nullptr && little->kind == Kind::kBool,
          "{}: does not state its byte order: damaged", where_);
    check(little->integer == 1, "{}: is big-endian; only little-endian files are read", where_);
    pickle_ = next();
    find_storages();
    const Pickle keys = next();
    check(keys.root().kind == Kind::kList, "{}: its list of storages is {}: damaged", where_,
          name_of(keys.root().kind));
    for (const Index index : keys.root().items) {
      const PickleValue& key = keys.at(index);
      check(key.kind == Kind::kString, "{}: the key of a storage is {}: damaged", where_,
            name_of(key.kind));
      const auto found = storages_.find(key.text);
      check(found != storages_.end(), "{}: holds a storage that no tensor refers to: damaged",
            where_);
      Storage& storage = found->second;
      check(storage.data.data() == nullptr, "{}: holds storage {} twice: damaged", where_,
            key.text);
      std::uint64_t count = 0;
      check(rest.size() >= sizeof(count), "{}: storage {} is missing: truncated", where_, key.text);
      std::memcpy(&count, rest.data(), sizeof(count));
      rest.remove_prefix(sizeof(count));
      check(count == storage.count, "{}: storage {} has {} elements, {} are expected: damaged",
            where_, key.text, count, storage.count);
      const std::uint64_t bytes = bytes_of(key.text, storage);
      check(bytes <= rest.size(), "{}: storage {} takes {} bytes, {} are left: truncated", where_,
            key.text, bytes, rest.size());
      storage.data = rest.substr(0, bytes);
      rest.remove_prefix(bytes);
    }
    for (const auto& [key, storage] : storages_)
      check(storage.data.data() != nullptr, "{}: storage {} is missing: damaged", where_, key);
    find_state_dict();
  }

  // --- storages ---
  std::uint64_t bytes_of(const std::string& key, const Storage& storage) const {
    const std::uint64_t width = storage.dtype == kUntyped ? 1 : dtype_at(storage.dtype).bytes;
    std::uint64_t bytes = 0;
    check(!__builtin_mul_overflow(storage.count, width, &bytes),
          "{}: storage {} has {} elements, more than any file: damaged", where_, key,
          storage.count);
    return bytes;
  }

  // The parts of a persistent id ("storage", type, key, location, count[, view]).
  const std::vector<Index>& storage_id(const PickleValue& persistent) const {
    const PickleValue& id = pickle_->at(persistent.items[0]);
    const auto is = [&](std::size_t i, Kind kind) { return pickle_->at(id.items[i]).kind == kind; };
    check(id.kind == Kind::kTuple && (id.items.size() == 5 || id.items.size() == 6) &&
              is(0, Kind::kString) && pickle_->at(id.items[0]).text == "storage" &&
              is(1, Kind::kGlobal) && is(2, Kind::kString) && is(4, Kind::kInteger) &&
              pickle_->at(id.items[4]).integer >= 0,
          "{}: refers to a storage by something else than (\"storage\", type, key, location, "
          "count): damaged",
          where_);
    return id.items;
  }

  void find_storages() {
    for (const PickleValue& value : pickle_->values()) {
      if (value.kind != Kind::kPersistent) continue;
      const std::vector<Index>& id = storage_id(value);
      const std::string_view type = last_part(pickle_->at(id[1]).text);
      Storage storage;
      if (type != "UntypedStorage") {
        const auto dtype = find_dtype(&StoredDtype::storage, type);
        check(dtype.has_value(), "{}: a storage of type {}, which is not known", where_, type);
        storage.dtype = *dtype;
      }
      storage.count = static_cast<std::uint64_t>(pickle_->at(id[4]).integer);
      const std::string& key = pickle_->at(id[2]).text;
      const auto [entry, added] = storages_.emplace(key, storage);
      check(added || (entry->second.dtype == storage.dtype && entry->second.count == storage.count),
            "{}: storage {} is described in two ways: damaged", where_, key);
    }
  }

  // --- tensors ---
  // The call that makes the tensor, behind a Parameter too, or null when the value is no tensor.
  const PickleValue* tensor_call(Index index) const {
    constexpr int kMostWraps = 4;  // a Parameter of a Parameter is none; the limit bounds the time
    for (int i = 0; i < kMostWraps; ++i) {
      const PickleValue& value = pickle_->at(index);
      if (value.kind != Kind::kCall) return nullptr;
      const std::string_view name = last_part(value.text);
      if (name.starts_with("_rebuild_tensor")) return &value;
      if (!name.starts_with("_rebuild_parameter") || value.items.empty()) return nullptr;
      index = value.items[0];
    }
    return nullptr;
  }

  std::int64_t whole_number(const std::string& name, Index index, const char* what) const {
    const PickleValue& value = pickle_->at(index);
    check(value.kind == Kind::kInteger && value.integer >= 0,
          "{}: tensor {}: its {} is {}, a number that is not negative is expected", where_, name,
          what,
          value.kind == Kind::kInteger ? std::to_string(value.integer)
                                       : std::string(name_of(value.kind)));
    return value.integer;
  }

  std::vector<std::int64_t> whole_numbers(const std::string& name, Index index,
                                          const char* what) const {
    const PickleValue& value = pickle_->at(index);
    check(value.kind == Kind::kTuple || value.kind == Kind::kList,
          "{}: tensor {}: its {} is {}, a tuple is expected", where_, name, what,
          name_of(value.kind));
    check(value.items.size() <= Shape::kMaxRank, "{}: tensor {} has {} axes, at most {} are read",
          where_, name, value.items.size(), Shape::kMaxRank);
    std::vector<std::int64_t> result;
    for (const Index item : value.items) result.push_back(whole_number(name, item, what));
    return result;
  }

  // From (storage, offset, size, stride, ...).
  Entry entry_of(const std::string& name, const PickleValue& call) const {
    const bool names_dtype = call.text.ends_with("_v3");
    const std::size_t metadata = names_dtype ? 7 : 6;
    check(call.items.size() >= (names_dtype ? 7U : 4U) && call.items.size() <= metadata + 1,
          "{}: tensor {}: {} has {} arguments: damaged", where_, name, call.text,
          call.items.size());
    const PickleValue& persistent = pickle_->at(call.items[0]);
    check(persistent.kind == Kind::kPersistent, "{}: tensor {}: its storage is {}: damaged", where_,
          name, name_of(persistent.kind));
    if (call.items.size() > metadata) {
      const PickleValue& value = pickle_->at(call.items[metadata]);
      check(value.kind == Kind::kNone || (value.kind == Kind::kDict && value.items.empty()),
            "{}: tensor {} is conjugated, negated or otherwise put off; save tensor.clone()",
            where_, name);
    }
    const std::vector<Index>& id = storage_id(persistent);
    const Storage& storage = storages_.at(pickle_->at(id[2]).text);

    Entry entry;
    entry.dtype = storage.dtype;
    if (names_dtype) {
      const PickleValue& value = pickle_->at(call.items[6]);
      const auto dtype = find_dtype(&StoredDtype::name, last_part(value.text));
      check(value.kind == Kind::kGlobal && dtype.has_value(),
            "{}: tensor {}: its dtype {} is not known", where_, name,
            value.kind == Kind::kGlobal ? value.text : name_of(value.kind));
      check(storage.dtype == kUntyped || storage.dtype == *dtype,
            "{}: tensor {} and its storage differ in dtype: damaged", where_, name);
      entry.dtype = *dtype;
    }
    check(entry.dtype != kUntyped, "{}: tensor {}: its dtype is not stated: damaged", where_, name);
    const std::uint64_t width = dtype_at(entry.dtype).bytes;
    const std::uint64_t count = storage.dtype == kUntyped ? storage.count / width : storage.count;

    std::int64_t offset = whole_number(name, call.items[1], "storage offset");
    std::uint64_t room = count;  // elements from the storage's start that belong to it
    if (id.size() == 6 && pickle_->at(id[5]).kind != Kind::kNone) {
      // A view of a part of the storage: (key, offset, count). Written before PyTorch 0.4.
      const PickleValue& view = pickle_->at(id[5]);
      check(view.kind == Kind::kTuple && view.items.size() == 3,
            "{}: tensor {}: the view of its storage is {}: damaged", where_, name,
            name_of(view.kind));
      const std::int64_t begin = whole_number(name, view.items[1], "view's offset");
      const std::int64_t size = whole_number(name, view.items[2], "view's size");
      std::int64_t end = 0;
      check(!__builtin_add_overflow(begin, size, &end) &&
                static_cast<std::uint64_t>(end) <= count &&
                !__builtin_add_overflow(offset, begin, &offset),
            "{}: tensor {} passes the end of its storage of {} elements: damaged", where_, name,
            count);
      room = static_cast<std::uint64_t>(end);
    }

    const std::vector<std::int64_t> sizes = whole_numbers(name, call.items[2], "size");
    entry.strides = whole_numbers(name, call.items[3], "stride");
    check(sizes.size() == entry.strides.size(),
          "{}: tensor {} has {} sizes and {} strides: damaged", where_, name, sizes.size(),
          entry.strides.size());
    try {
      entry.shape = Shape(sizes);
    } catch (const Error& error) {
      fail("{}: tensor {}: {}", where_, name, error.what());
    }
    if (entry.shape.numel() == 0) return entry;
    std::int64_t last = offset;
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
      std::int64_t span = 0;
      check(!__builtin_mul_overflow(sizes[axis] - 1, entry.strides[axis], &span) &&
                !__builtin_add_overflow(last, span, &last),
            "{}: tensor {} passes the end of its storage: damaged", where_, name);
      if (sizes[axis] == 1) entry.strides[axis] = 0;  // never walked; any number stands there
    }
    check(static_cast<std::uint64_t>(last) < room,
          "{}: tensor {} of shape {} reaches element {} of its storage, which has {}: damaged",
          where_, name, entry.shape.to_string(), last, room);
    entry.data = storage.data.substr(static_cast<std::size_t>(offset) * width);
    return entry;
  }

  // --- the state dict ---
  bool has_text_keys(const PickleValue& dict) const {
    for (std::size_t i = 0; i < dict.items.size(); i += 2)
      if (pickle_->at(dict.items[i]).kind != Kind::kString) return false;
    return !dict.items.empty();
  }
  // Extra state of a module is whatever the module likes.
  static bool is_extra(std::string_view name) { return name.ends_with("_extra_state"); }

  // Whether the dict holds tensors by name: and nothing else (`strict`) or only plain values
  // beside them.
  bool is_state_dict(Index index, bool strict) const {
    const PickleValue& dict = pickle_->at(index);
    if (dict.kind != Kind::kDict || !has_text_keys(dict)) return false;
    bool any = false;
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      if (is_extra(pickle_->at(dict.items[i]).text)) continue;
      if (tensor_call(dict.items[i + 1]) != nullptr) {
        any = true;
        continue;
      }
      const Kind kind = pickle_->at(dict.items[i + 1]).kind;
      if (strict || kind == Kind::kDict) return false;
    }
    return any;
  }

  static bool is_usual(std::string_view name) {
    static constexpr std::string_view kNames[] = {
        "state_dict", "model_state_dict", "model_state", "model",   "net",
        "network",    "net_state_dict",   "module",      "weights", "params"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }
  static bool is_of_training(std::string_view name) {
    return name.find("optim") != std::string_view::npos ||
           name.find("sched") != std::string_view::npos;
  }

  std::vector<Found> candidates(bool strict) const {
    constexpr int kLevels = 2;
    std::vector<Found> found;
    std::vector<Found> level = {{"", pickle_->root_index(), true}};
    std::set<Index> seen = {pickle_->root_index()};
    for (int depth = 0; depth <= kLevels; ++depth) {
      std::vector<Found> next;
      for (const Found& place : level) {
        if (is_state_dict(place.index, strict)) {
          found.push_back(place);
          continue;
        }
        const PickleValue& dict = pickle_->at(place.index);
        if (dict.kind != Kind::kDict || depth == kLevels) continue;
        for (std::size_t i = 0; i < dict.items.size(); i += 2) {
          const PickleValue& key = pickle_->at(dict.items[i]);
          if (key.kind != Kind::kString || is_of_training(key.text)) continue;
          if (pickle_->at(dict.items[i + 1]).kind != Kind::kDict) continue;
          if (!seen.insert(dict.items[i + 1]).second) continue;  // one dict under two names
          next.push_back({place.path.empty() ? key.text : place.path + "." + key.text,
                          dict.items[i + 1], place.usual && is_usual(key.text)});
        }
      }
      level = std::move(next);
    }
    return found;
  }

  // Of the names, the first few, for a message.
  static std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t kMost = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(kMost, names.size()); ++i)
      text += (i == 0 ? "" : ", ") + (names[i].empty() ? "the whole" : names[i].substr(0, 80));
    return names.size() > kMost ? text + ", ..." : text;
  }

  // "a dict with the keys epoch, args"
  std::string description_of_root() const {
    const PickleValue& root = pickle_->root();
    if (tensor_call(pickle_->root_index()) != nullptr) return "a tensor";
    if (root.kind != Kind::kDict) return std::string(name_of(root.kind));
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = pickle_->at(root.items[i]);
      keys.push_back(key.kind == Kind::kString ? key.text : std::string(name_of(key.kind)));
    }
    return keys.empty() ? "an empty dict" : "a dict with the keys " + listed(keys);
  }

  void find_state_dict() {
    std::vector<Found> found = candidates(/*strict=*/true);
    if (found.empty()) found = candidates(/*strict=*/false);
    check(!found.empty(),
          "{}: holds no state dict (tensors by name) but {}; save a network's state_dict() with "
          "torch.save",
          where_, description_of_root());
    if (found.size() > 1) {
      std::vector<std::string> paths;
      for (const Found& place : found) paths.push_back(place.path);
      const auto usual = [](const Found& place) { return place.usual; };
      const auto chosen = std::find_if(found.begin(), found.end(), usual);
      check(std::count_if(found.begin(), found.end(), usual) == 1,
            "{}: holds several state dicts and it is not clear which is meant: {}; save the one by "
            "itself",
            where_, listed(paths));
      file_.notes_.push_back(fmt::format("{}: holds several state dicts ({}); {} was read", where_,
                                         listed(paths), chosen->path));
      found = {Found(*chosen)};
    }
    take(pickle_->at(found.front().index));
  }

  void take(const PickleValue& dict) {
    std::vector<std::string> left_out;
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      const std::string& name = pickle_->at(dict.items[i]).text;
      check(name.size() <= kMaxName, "{}: a tensor's name of {} bytes, at most {} are read", where_,
            name.size(), kMaxName);
      const PickleValue* call = tensor_call(dict.items[i + 1]);
      if (call == nullptr) {
        left_out.push_back(name);
        continue;
      }
      check(file_.tensors_.emplace(name, entry_of(name, *call)).second,
            "{}: holds tensor {} twice: damaged", where_, name);
    }
    if (!left_out.empty())
      file_.notes_.push_back(
          fmt::format("{}: its state dict holds what is no tensor and was left out: {}", where_,
                      listed(left_out)));
    std::array<std::size_t, kFirstUnread> counts{};
    for (const auto& [name, entry] : file_.tensors_)
      if (entry.dtype < kFirstUnread) ++counts[static_cast<std::size_t>(entry.dtype)];
    for (int dtype = kFloat64; dtype < kFirstUnread; ++dtype) {
      const std::size_t count = counts[static_cast<std::size_t>(dtype)];
      if (dtype == kInt64 || count == 0) continue;
      file_.notes_.push_back(fmt::format("{}: {} of its tensors {} {} and {} converted to {}",
                                         where_, count, count == 1 ? "is" : "are",
                                         dtype_at(dtype).name, count == 1 ? "was" : "were",
                                         dtype < kInt64 ? "float32" : "int64"));
    }
  }

  PytorchFile& file_;
  std::string_view bytes_;
  std::string where_;
  std::optional<Pickle> pickle_;
  std::map<std::string, Storage> storages_;
};

bool PytorchFile::recognises(std::string_view bytes) {
  // A safetensors header may be as long as a number that begins like one of the others.
  if (bytes.size() > 8 && bytes[8] == '{') return false;
  const bool pickle = bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
  return bytes.starts_with(kZipStart) || pickle || is_tar(bytes);
}

PytorchFile::PytorchFile(const fs::path& path) : path_(path) {
  const MappedFile mapped(path, "a file of torch.save");
  owner_ = mapped.owner();
  Reader(*this, mapped.bytes()).read();
}

std::vector<std::string> PytorchFile::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : tensors_) result.push_back(name);
  return result;
}

const PytorchFile::Entry& PytorchFile::entry(const std::string& name) const {
  const auto found = tensors_.find(name);
  check(found != tensors_.end(), "{}: no tensor {} among its {}; near it are {}", path_.string(),
        name, tensors_.size(), nearest_names(name, names()));
  return found->second;
}

std::string PytorchFile::dtype(const std::string& name) const {
  return std::string(dtype_at(entry(name).dtype).name);
}

Tensor PytorchFile::tensor(const std::string& name) const {
  const Entry& from = entry(name);
  check(
      from.dtype < kFirstUnread,
      "{}: tensor {} is {}; floats of 16, 32 and 64 bits, whole numbers of up to 32 bits or int64, "
      "and bool can be read",
      path_.string(), name, dtype_at(from.dtype).name);
  const char* data = from.data.data();
  const DType dtype = from.dtype < kInt64 ? DType::kFloat32 : DType::kInt64;
  const std::int64_t numel = from.shape.numel();
  if (numel == 0) return Tensor::empty(from.shape, {.dtype = dtype});
  const bool as_it_is = from.dtype == kFloat32 || from.dtype == kInt64;
  if (as_it_is && is_contiguous(from.shape, from.strides) &&
      reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0)
    return Tensor::borrow(from.shape, dtype, const_cast<char*>(data), owner_);
  const std::uint64_t stored = from.data.size() / dtype_at(from.dtype).bytes;
  check(numel <= kMaxExpanded || static_cast<std::uint64_t>(numel) <= stored,
        "{}: tensor {} of shape {} repeats its {} elements more often than is allowed (to at most "
        "{}); save tensor.clone()",
        path_.string(), name, from.shape.to_string(), stored, kMaxExpanded);

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
    case kFloat32:
      floats(0.0F);
      break;
    case kFloat64:
      floats(0.0);
      break;
    case kFloat16:
      copy(std::uint16_t{0}, 0.0F, half_to_float);
      break;
    case kBFloat16:
      floats(BFloat16{});
      break;
    case kInt64:
      integers(std::int64_t{0});
      break;
    case kInt32:
      integers(std::int32_t{0});
      break;
    case kInt16:
      integers(std::int16_t{0});
      break;
    case kInt8:
      integers(std::int8_t{0});
      break;
    case kUInt8:
      integers(std::uint8_t{0});
      break;
    case kBool:
      copy(std::uint8_t{0}, std::int64_t{0},
           [](std::uint8_t value) { return std::int64_t{value != 0}; });
      break;
    case kUInt16:
      integers(std::uint16_t{0});
      break;
    case kUInt32:
      integers(std::uint32_t{0});
      break;
    default:
      fail("unknown dtype {}", from.dtype);
  }
  return result;
}

}  // namespace concord
