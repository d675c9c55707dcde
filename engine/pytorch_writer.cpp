#include "engine/pytorch_writer.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "engine/pytorch_file.h"
#include "engine/pytorch_optimizer.h"
#include "engine/zip_writer.h"
#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::string_view kOptimizerPrefix = "optimizer/";

// A pickle of protocol 2, written value by value in the order in which Python's machine reads them.
// Source: CPython's Lib/pickletools.py.
class PickleWriter {
 public:
  PickleWriter() { code("\x80\x02"); }
  void global(std::string_view module, std::string_view name) {
    text_ += 'c';
    text_.append(module).append("\n").append(name).append("\n");
  }
  void none() { code("N"); }
  void boolean(bool value) { code(value ? "\x88" : "\x89"); }
  void integer(std::int64_t value) {
    if (value == static_cast<std::int32_t>(value)) {
      code("J");
      number(static_cast<std::uint64_t>(value), 4);
    } else {
      code("\x8a\x08");
      number(static_cast<std::uint64_t>(value), 8);
    }
  }
  void real(double value) {
    code("G");
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8)
      text_ += static_cast<char>((bits >> shift) & 0xFFU);
  }
  void string(std::string_view value) {
    code("X");
    number(value.size(), 4);
    text_ += value;
  }
  void mark() { code("("); }
  void tuple_from_mark() { code("t"); }
  void empty_tuple() { code(")"); }
  void empty_list() { code("]"); }
  void empty_dict() { code("}"); }
  void append_from_mark() { code("e"); }
  void set_items_from_mark() { code("u"); }
  void reduce() { code("R"); }
  void persistent_id() { code("Q"); }
  std::string finish() {
    code(".");
    return std::move(text_);
  }

  void empty_ordered_dict() {
    global("collections", "OrderedDict");
    empty_tuple();
    reduce();
  }
  void integers(const std::vector<std::int64_t>& values) {
    mark();
    for (const std::int64_t value : values) integer(value);
    tuple_from_mark();
  }

 private:
  void code(std::string_view opcodes) { text_ += opcodes; }
  void number(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xFFU);
  }
  std::string text_;
};

const char* storage_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "FloatStorage";
    case DType::kBFloat16:
      return "BFloat16Storage";
    case DType::kFloat64:
      return "DoubleStorage";
    case DType::kInt64:
      return "LongStorage";
    case DType::kUInt8:
      return "ByteStorage";
  }
  fail("unknown dtype {}", static_cast<int>(dtype));
}

// Writes the object, and keeps the tensors that it refers to.
class ObjectWriter {
 public:
  void state_dict(const std::vector<Named<Tensor>>& tensors) {
    pickle_.empty_ordered_dict();
    pickle_.mark();
    for (const auto& [name, tensor] : tensors) {
      pickle_.string(name);
      add(tensor);
    }
    pickle_.set_items_from_mark();
  }

  void checkpoint(const PytorchCheckpoint& checkpoint, const std::vector<Named<Tensor>>& tensors,
                  const std::map<std::string, Tensor>& optimizer) {
    pickle_.empty_dict();
    pickle_.mark();
    if (checkpoint.epoch) {
      pickle_.string("epoch");
      pickle_.integer(*checkpoint.epoch);
    }
    if (!checkpoint.arch.empty()) {
      pickle_.string("arch");
      pickle_.string(checkpoint.arch);
    }
    pickle_.string("state_dict");
    state_dict(tensors);
    if (checkpoint.best_acc1) {
      pickle_.string("best_acc1");
      pickle_.real(*checkpoint.best_acc1);
    }
    if (checkpoint.optimizer) {
      pickle_.string("optimizer");
      optimizer_state(*checkpoint.optimizer, tensors, optimizer);
    }
    pickle_.set_items_from_mark();
  }

  // The members of the archive; the views are into this object.
  std::vector<ZipMember> finish(const std::string& prefix) {
    text_ = pickle_.finish();
    std::vector<ZipMember> members = {{prefix + "data.pkl", text_},
                                      {prefix + "byteorder", "little"}};
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      members.emplace_back(
          fmt::format("{}data/{}", prefix, i),
          std::string_view(static_cast<const char*>(tensors_[i].view().data), tensors_[i].bytes()));
    members.emplace_back(prefix + "version", "3\n");
    return members;
  }

 private:
  void add(const Tensor& given) {
    const Tensor tensor = given.detach().to(Device{}).in_format(MemoryFormat::kPlain);
    pickle_.global("torch._utils", "_rebuild_tensor_v2");
    pickle_.mark();
    pickle_.mark();
    pickle_.string("storage");
    pickle_.global("torch", storage_of(tensor.dtype()));
    pickle_.string(std::to_string(tensors_.size()));
    pickle_.string("cpu");
    pickle_.integer(tensor.numel());
    pickle_.tuple_from_mark();
    pickle_.persistent_id();
    pickle_.integer(0);  // offset
    std::vector<std::int64_t> sizes, strides(tensor.shape().rank());
    for (std::size_t axis = 0; axis < tensor.shape().rank(); ++axis)
      sizes.push_back(tensor.shape()[axis]);
    std::int64_t stride = 1;
    for (std::size_t axis = sizes.size(); axis-- > 0;) {
      strides[axis] = stride;
      stride *= std::max<std::int64_t>(1, sizes[axis]);
    }
    pickle_.integers(sizes);
    pickle_.integers(strides);
    pickle_.boolean(false);  // requires_grad
    pickle_.empty_ordered_dict();
    pickle_.tuple_from_mark();
    pickle_.reduce();
    tensors_.push_back(tensor);
  }

  void item(const char* key, double value) {
    pickle_.string(key);
    pickle_.real(value);
  }
  void item(const char* key, bool value) {
    pickle_.string(key);
    pickle_.boolean(value);
  }
  void item(const char* key) {
    pickle_.string(key);
    pickle_.none();
  }

  void optimizer_state(const PytorchOptimizerGroup& group,
                       const std::vector<Named<Tensor>>& tensors,
                       const std::map<std::string, Tensor>& state) {
    const bool adam = std::any_of(state.begin(), state.end(), [](const auto& entry) {
      return entry.first.starts_with("exp_avg/");
    });
    const std::vector<std::string> kinds = adam ? std::vector<std::string>{"exp_avg", "exp_avg_sq"}
                                                : std::vector<std::string>{"momentum_buffer"};
    const bool has_buffers = std::any_of(state.begin(), state.end(), [&](const auto& entry) {
      return entry.first.starts_with(kinds.front() + "/");
    });
    // The parameters that were trained: frozen ones have no buffers.
    std::vector<std::string> trained;
    for (const auto& [name, tensor] : tensors)
      if (!is_buffer_name(name) && (!has_buffers || state.contains(kinds.front() + "/" + name)))
        trained.push_back(name);

    // PyTorch's SGD counts no updates and passes the count over; it is there for the way back.
    const auto step = state.find("step");
    pickle_.empty_dict();
    pickle_.mark();
    pickle_.string("state");
    pickle_.empty_dict();
    pickle_.mark();
    for (std::size_t i = 0; (has_buffers || step != state.end()) && i < trained.size(); ++i) {
      pickle_.integer(static_cast<std::int64_t>(i));
      pickle_.empty_dict();
      pickle_.mark();
      if (step != state.end()) {
        pickle_.string("step");
        add(Tensor::full({}, step->second.to_vector<double>()[0]));
      }
      for (const std::string& kind : kinds) {
        if (!has_buffers) continue;
        pickle_.string(kind);
        add(state.at(kind + "/" + trained[i]));
      }
      pickle_.set_items_from_mark();
    }
    pickle_.set_items_from_mark();
    pickle_.string("param_groups");
    pickle_.empty_list();
    pickle_.mark();
    param_group(group, adam, trained.size());
    pickle_.append_from_mark();
    pickle_.set_items_from_mark();
  }

  // Every key that torch.optim.SGD or Adam reads back.
  void param_group(const PytorchOptimizerGroup& group, bool adam, std::size_t parameters) {
    pickle_.empty_dict();
    pickle_.mark();
    item("lr", group.learning_rate);
    item("weight_decay", group.weight_decay);
    item("maximize", false);
    item("foreach");
    item("differentiable", false);
    item("fused");
    if (adam) {
      pickle_.string("betas");
      pickle_.mark();
      pickle_.real(0.9);
      pickle_.real(0.999);
      pickle_.tuple_from_mark();
      item("eps", 1e-8);
      item("amsgrad", false);
      item("capturable", false);
      item("decoupled_weight_decay", false);
    } else {
      item("momentum", group.momentum);
      item("dampening", 0.0);
      item("nesterov", false);
    }
    pickle_.string("params");
    pickle_.empty_list();
    pickle_.mark();
    for (std::size_t i = 0; i < parameters; ++i) pickle_.integer(static_cast<std::int64_t>(i));
    pickle_.append_from_mark();
    pickle_.set_items_from_mark();
  }

  PickleWriter pickle_;
  std::string text_;
  std::vector<Tensor> tensors_;
};

}  // namespace

void write_pytorch(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                   const PytorchCheckpoint* checkpoint,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<Named<Tensor>> state;
  std::map<std::string, Tensor> optimizer;
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    check(names.insert(name).second, "{}: two tensors are named {}", path.string(), name);
    if (name.starts_with(kOptimizerPrefix))
      optimizer[name.substr(kOptimizerPrefix.size())] = tensor;
    else
      state.emplace_back(name, tensor);
  }
  ObjectWriter writer;
  if (checkpoint != nullptr)
    writer.checkpoint(*checkpoint, state, optimizer);
  else
    writer.state_dict(state);
  const std::string prefix = "archive/";
  std::vector<ZipMember> members = writer.finish(prefix);
  std::string json;
  if (!metadata.empty()) {
    json = nlohmann::ordered_json(metadata).dump(-1, ' ', false,
                                                 nlohmann::ordered_json::error_handler_t::replace);
    members.emplace_back(fmt::format("{}extra/{}", prefix, kConcordMember), json);
  }
  write_stored_zip(path, members);
}

}  // namespace concord
