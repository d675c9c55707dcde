#include "engine/pickle_globals.h"

#include <algorithm>
#include <iterator>

namespace concord {
namespace {

using Use = GlobalUse;

struct Global {
  std::string_view name;
  Use use;
};

constexpr Global kGlobals[] = {
    {"collections.OrderedDict", Use::kDict},
    {"collections.Counter", Use::kDict},
    {"torch.Size", Use::kSize},
    {"torch._utils._rebuild_tensor", Use::kCall},
    {"torch._utils._rebuild_tensor_v2", Use::kCall},
    {"torch._utils._rebuild_tensor_v3", Use::kCall},
    {"torch._utils._rebuild_parameter", Use::kCall},
    {"torch._utils._rebuild_parameter_with_state", Use::kCall},
    {"torch.device", Use::kCall},
    {"argparse.Namespace", Use::kCall},
    {"_codecs.encode", Use::kCall},
    {"numpy.dtype", Use::kCall},
    {"numpy.core.multiarray.scalar", Use::kCall},
    {"numpy._core.multiarray.scalar", Use::kCall},
    {"builtins.set", Use::kCall},
    {"builtins.frozenset", Use::kCall},
    {"builtins.bytearray", Use::kCall},
    {"builtins.complex", Use::kCall},
    {"__builtin__.set", Use::kCall},
    {"__builtin__.frozenset", Use::kCall},
    {"__builtin__.bytearray", Use::kCall},
    {"__builtin__.complex", Use::kCall},
};

// Names in torch that stand for themselves.
constexpr std::string_view kTorchNames[] = {"FloatStorage",
                                            "DoubleStorage",
                                            "HalfStorage",
                                            "BFloat16Storage",
                                            "LongStorage",
                                            "IntStorage",
                                            "ShortStorage",
                                            "CharStorage",
                                            "ByteStorage",
                                            "BoolStorage",
                                            "ComplexFloatStorage",
                                            "ComplexDoubleStorage",
                                            "float32",
                                            "float64",
                                            "float16",
                                            "bfloat16",
                                            "int64",
                                            "int32",
                                            "int16",
                                            "int8",
                                            "uint8",
                                            "uint16",
                                            "uint32",
                                            "uint64",
                                            "bool",
                                            "complex64",
                                            "complex128",
                                            "float",
                                            "double",
                                            "half",
                                            "long",
                                            "int",
                                            "short",
                                            "float8_e4m3fn",
                                            "float8_e5m2",
                                            "UntypedStorage",
                                            "TypedStorage",
                                            "storage.TypedStorage",
                                            "storage.UntypedStorage"};

}  // namespace

std::optional<GlobalUse> use_of_global(std::string_view name) {
  for (const Global& global : kGlobals)
    if (global.name == name) return global.use;
  constexpr std::string_view kTorch = "torch.";
  if (!name.starts_with(kTorch)) return std::nullopt;
  name.remove_prefix(kTorch.size());
  // Files of before PyTorch 0.4 name the storages of a GPU.
  constexpr std::string_view kCuda = "cuda.";
  if (name.starts_with(kCuda) && name.ends_with("Storage")) name.remove_prefix(kCuda.size());
  if (std::find(std::begin(kTorchNames), std::end(kTorchNames), name) != std::end(kTorchNames))
    return Use::kName;
  return std::nullopt;
}

}  // namespace concord
