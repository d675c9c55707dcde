#include "engine/pytorch_object.h"

#include <cstring>
#include <optional>
#include <utility>

#include "engine/stored_zip.h"
#include "kernels/error.h"

namespace concord {

using Kind = PickleValue::Kind;
using Index = Pickle::Index;

namespace {

constexpr std::string_view kZipStart("PK\3\4", 4);
// 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::int64_t kLegacyProtocol = 1001;
constexpr std::size_t kMaxKey = 1024;

// The part behind the last dot.
std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

bool is_tar(std::string_view bytes) {
  return bytes.size() > 262 && bytes.substr(257, 5) == "ustar";
}

}  // namespace

bool PytorchObject::recognises(std::string_view bytes) {
  // A safetensors header may be as long as a number that begins like one of the others.
  if (bytes.size() > 8 && bytes[8] == '{') return false;
  const bool pickle = bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
  return bytes.starts_with(kZipStart) || pickle || is_tar(bytes);
}

PytorchObject::PytorchObject(std::string_view bytes, std::shared_ptr<void> owner, std::string where)
    : owner_(std::move(owner)), where_(std::move(where)) {
  if (bytes.starts_with(kZipStart)) {
    read_zip(bytes);
    return;
  }
  check(!is_tar(bytes),
        "{}: the tar form of PyTorch before 0.1.10, which is not read; load it with an old "
        "PyTorch and save it again",
        where_);
  read_legacy(bytes);
}

std::string_view PytorchObject::extra(const std::string& name) const {
  const auto found = extras_.find(name);
  return found == extras_.end() ? std::string_view{} : found->second;
}

void PytorchObject::read_zip(std::string_view file) {
  const StoredZip zip(file, where_);
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
  const std::string extra = prefix + "/extra/";
  for (const auto& [name, member] : zip.members())
    if (name.starts_with(extra)) extras_[name.substr(extra.size())] = zip.member(name);
  find_storages();
  for (auto& [key, storage] : storages_) {
    storage.data = zip.member(prefix + "/data/" + key);
    const std::uint64_t bytes = bytes_of(key, storage);
    check(storage.data.size() == bytes, "{}: storage {} has {} bytes, {} are expected: damaged",
          where_, key, storage.data.size(), bytes);
  }
}

void PytorchObject::read_legacy(std::string_view file) {
  std::string_view rest = file;
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
    check(storage.data.data() == nullptr, "{}: holds storage {} twice: damaged", where_, key.text);
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
}

std::uint64_t PytorchObject::bytes_of(const std::string& key, const Storage& storage) const {
  const std::uint64_t width = storage.dtype ? concord::bytes_of(*storage.dtype) : 1;
  std::uint64_t bytes = 0;
  check(!__builtin_mul_overflow(storage.count, width, &bytes),
        "{}: storage {} has {} elements, more than any file: damaged", where_, key, storage.count);
  return bytes;
}

// The parts of a persistent id ("storage", type, key, location, count[, view]).
const std::vector<Index>& PytorchObject::storage_id(const PickleValue& persistent) const {
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

void PytorchObject::find_storages() {
  for (const PickleValue& value : pickle_->values()) {
    if (value.kind != Kind::kPersistent) continue;
    const std::vector<Index>& id = storage_id(value);
    const std::string_view type = last_part(pickle_->at(id[1]).text);
    Storage storage;
    if (type != "UntypedStorage") {
      const auto dtype = stored_dtype_of_storage(type);
      check(dtype.has_value(), "{}: a storage of type {}, which is not known", where_, type);
      storage.dtype = dtype;
    }
    storage.count = static_cast<std::uint64_t>(pickle_->at(id[4]).integer);
    const std::string& key = pickle_->at(id[2]).text;
    check(key.size() <= kMaxKey, "{}: the key of a storage has {} bytes, at most {} are read",
          where_, key.size(), kMaxKey);
    const auto [entry, added] = storages_.emplace(key, storage);
    check(added || (entry->second.dtype == storage.dtype && entry->second.count == storage.count),
          "{}: storage {} is described in two ways: damaged", where_, key);
  }
}

// The call that makes the tensor, behind a Parameter too, or null when the value is no tensor.
const PickleValue* PytorchObject::tensor_call(Index index) const {
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

std::int64_t PytorchObject::whole_number(const std::string& name, Index index,
                                         const char* what) const {
  const PickleValue& value = pickle_->at(index);
  check(value.kind == Kind::kInteger && value.integer >= 0,
        "{}: tensor {}: its {} is {}, a number that is not negative is expected", where_, name,
        what,
        value.kind == Kind::kInteger ? std::to_string(value.integer)
                                     : std::string(name_of(value.kind)));
  return value.integer;
}

std::vector<std::int64_t> PytorchObject::whole_numbers(const std::string& name, Index index,
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

// From the arguments (storage, offset, size, stride, ...) of the call.
StoredTensor PytorchObject::tensor(Index index, const std::string& name) const {
  const PickleValue* made_by = tensor_call(index);
  check(made_by != nullptr, "{}: {} is {}, a tensor is expected", where_, name,
        name_of(pickle_->at(index).kind));
  const PickleValue& call = *made_by;
  const bool names_dtype = call.text.ends_with("_v3");
  const std::size_t metadata = names_dtype ? 7 : 6;
  check(call.items.size() >= (names_dtype ? 7U : 4U) && call.items.size() <= metadata + 1,
        "{}: tensor {}: {} has {} arguments: damaged", where_, name, call.text, call.items.size());
  const PickleValue& persistent = pickle_->at(call.items[0]);
  check(persistent.kind == Kind::kPersistent, "{}: tensor {}: its storage is {}: damaged", where_,
        name, name_of(persistent.kind));
  if (call.items.size() > metadata) {
    const PickleValue& value = pickle_->at(call.items[metadata]);
    check(value.kind == Kind::kNone || (value.kind == Kind::kDict && value.items.empty()),
          "{}: tensor {} is conjugated, negated or otherwise put off; save tensor.clone()", where_,
          name);
  }
  const std::vector<Index>& id = storage_id(persistent);
  const Storage& storage = storages_.at(pickle_->at(id[2]).text);

  StoredTensor entry;
  entry.owner = owner_;
  std::optional<StoredDtype> dtype = storage.dtype;
  if (names_dtype) {
    const PickleValue& value = pickle_->at(call.items[6]);
    const auto named = stored_dtype(last_part(value.text));
    check(value.kind == Kind::kGlobal && named.has_value(),
          "{}: tensor {}: its dtype {} is not known", where_, name,
          value.kind == Kind::kGlobal ? value.text : name_of(value.kind));
    check(!storage.dtype || storage.dtype == named,
          "{}: tensor {} and its storage differ in dtype: damaged", where_, name);
    dtype = named;
  }
  check(dtype.has_value(), "{}: tensor {}: its dtype is not stated: damaged", where_, name);
  entry.dtype = *dtype;
  const std::uint64_t width = concord::bytes_of(entry.dtype);
  const std::uint64_t count = storage.dtype ? storage.count : storage.count / width;

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
    check(!__builtin_add_overflow(begin, size, &end) && static_cast<std::uint64_t>(end) <= count &&
              !__builtin_add_overflow(offset, begin, &offset),
          "{}: tensor {} passes the end of its storage of {} elements: damaged", where_, name,
          count);
    room = static_cast<std::uint64_t>(end);
  }

  const std::vector<std::int64_t> sizes = whole_numbers(name, call.items[2], "size");
  entry.strides = whole_numbers(name, call.items[3], "stride");
  check(sizes.size() == entry.strides.size(), "{}: tensor {} has {} sizes and {} strides: damaged",
        where_, name, sizes.size(), entry.strides.size());
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

}  // namespace concord
