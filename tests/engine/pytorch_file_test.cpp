// Files that tests/engine/pytorch/make_files.py wrote with PyTorch, and hostile ones.

#include "engine/pytorch_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/checkpoint.h"
#include "engine/layers.h"
#include "engine/weights_file.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;
using namespace std::string_literals;

using Doubles = std::vector<double>;
const std::vector<std::string> kForms = {"zip", "legacy"};

std::filesystem::path path_of(const std::string& name, const std::string& form) {
  return std::filesystem::path(CONCORD_SOURCE_DIR) / "tests/engine/pytorch" /
         (name + "." + form + ".pt");
}

bool has_note(const std::vector<std::string>& notes, const std::string& part) {
  return std::any_of(notes.begin(), notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST(PytorchFile, EveryDtypeAndLayout) {
  for (const std::string& form : kForms) {
    SCOPED_TRACE(form);
    const PytorchFile file(path_of("tensors", form));
    const auto expect = [&](const char* name, const Shape& shape, DType dtype,
                            const Doubles& values) {
      const Tensor tensor = file.tensor(name);
      EXPECT_EQ(tensor.shape(), shape) << name;
      EXPECT_EQ(tensor.dtype(), dtype) << name;
      EXPECT_EQ(tensor.to_vector<double>(), values) << name;
    };
    EXPECT_EQ(file.names().size(), 24U);
    // 1e-3 as each dtype has it.
    const std::vector<std::pair<const char*, double>> floats = {
        {"float64", static_cast<double>(1e-3F)},
        {"float32", static_cast<double>(1e-3F)},
        {"float16", 0x1.064p-10},
        {"bfloat16", 0x1.06p-10}};
    for (const auto& [name, last] : floats)
      expect(name, {2, 2}, DType::kFloat32, {0.5, -1.25, 3, last});
    for (const char* name : {"int64", "int32", "int16", "int8"})
      expect(name, {3}, DType::kInt64, {-5, 0, 100});
    for (const char* name : {"uint8", "uint16", "uint32"})
      expect(name, {3}, DType::kInt64, {0, 7, 200});
    expect("bool", {3}, DType::kInt64, {1, 0, 1});
    expect("scalar", {}, DType::kFloat32, {2.5});
    expect("empty", {3, 0}, DType::kFloat32, {});
    expect("base", {12}, DType::kFloat32, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    expect("view", {2, 3}, DType::kFloat32, {4, 5, 6, 7, 8, 9});
    expect("transposed", {4, 3}, DType::kFloat32, {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
    expect("strided", {3}, DType::kFloat32, {1, 6, 11});
    expect("expanded", {2, 3}, DType::kFloat32, {2, 2, 2, 2, 2, 2});
    expect("permuted_half", {3, 1, 2}, DType::kFloat32, {0, 3, 1, 4, 2, 5});
    expect("parameter", {2}, DType::kFloat32, {1, 2});
    expect("attributed", {1}, DType::kFloat32, {3});
    const auto special = file.tensor("special").to_vector<float>();
    EXPECT_TRUE(std::isnan(special[0]));
    EXPECT_EQ(special[1], std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::signbit(special[2]));
    EXPECT_EQ(special[3], 1e-45F);
    const auto half = file.tensor("half_special").to_vector<float>();
    EXPECT_TRUE(std::isnan(half[0]));
    EXPECT_EQ(half[1], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(half[2], 0x1p-24F);
    EXPECT_EQ(half[3], 65504.0F);

    EXPECT_EQ(file.dtype("bfloat16"), "bfloat16");
    EXPECT_TRUE(
        has_note(file.notes(), "3 of its tensors are float16 and were converted to float32"));
    EXPECT_TRUE(has_note(file.notes(), "1 of its tensors is float64 and was converted to float32"));
    EXPECT_TRUE(has_note(file.notes(), "1 of its tensors is int32 and was converted to int64"));
    EXPECT_FALSE(has_note(file.notes(), "is float32"));
    EXPECT_EQ(file.notes().size(), 10U);
    expect_error([&] { file.tensor("vieww"); }, {"no tensor vieww", "near it are view"});
  }
}

TEST(PytorchFile, TheTensorOutlivesTheFile) {
  Tensor base;
  {
    const PytorchFile file(path_of("tensors", "zip"));
    base = file.tensor("base");
    EXPECT_TRUE(file.tensor("base").to_vector<double>() == base.to_vector<double>());
  }
  EXPECT_EQ(base.to_vector<double>()[11], 11);
}

// The network of make_files.py.
std::shared_ptr<Sequential> network(random::Generator& generator) {
  const Conv2dLayer conv = {
      .in_channels = 3, .out_channels = 2, .kernel = {3, 3}, .options = {.padding = {1, 1}}};
  return std::make_shared<Sequential>(std::vector<ModulePtr>{
      std::make_shared<Conv2d>(conv, generator),
      std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 2}), std::make_shared<ReLU>(),
      std::make_shared<Dropout>(0.3, generator), std::make_shared<Flatten>(),
      std::make_shared<Linear>(40, 5, generator)});
}

TEST(PytorchFile, AnyFormOfCheckpointLoads) {
  // In state_dict()'s order.
  const std::vector<std::string> names = {"0.weight",
                                          "0.bias",
                                          "1.weight",
                                          "1.bias",
                                          "1.running_mean",
                                          "1.running_var",
                                          "1.num_batches_tracked",
                                          "5.weight",
                                          "5.bias"};
  for (const char* name : {"bare", "checkpoint", "protocol4"})
    for (const std::string& form : kForms) {
      SCOPED_TRACE(path_of(name, form).string());
      random::Generator generator(3);
      const auto net = network(generator);
      const std::vector<std::string> notes = load_parameters(path_of(name, form), *net);
      EXPECT_EQ(has_note(notes, "8 of its tensors are float16"), name == "protocol4"s);
      EXPECT_EQ(notes.size(), name == "protocol4"s ? 1U : 0U);
      std::size_t seen = 0;
      for (const auto& [parameter, tensor] : net->named_state()) {
        const auto k = std::find(names.begin(), names.end(), parameter) - names.begin();
        ASSERT_LT(k, 9) << parameter;
        const Doubles values = tensor.to_vector<double>();
        for (std::size_t i = 0; i < values.size(); ++i)
          ASSERT_EQ(values[i],
                    k == 6 ? 7 : static_cast<double>(i % 17) / 8 + static_cast<double>(k) / 4)
              << parameter << " " << i;
        ++seen;
      }
      EXPECT_EQ(seen, names.size());
    }
}

TEST(PytorchFile, MisfitsAreNamedAsForOtherFiles) {
  random::Generator generator(3);
  auto other = std::make_shared<Sequential>(
      std::vector<ModulePtr>{std::make_shared<Linear>(4, 5, generator)});
  for (const std::string& form : kForms) {
    expect_error([&] { load_parameters(path_of("bare", form), *other); },
                 {path_of("bare", form).string(), "0.weight is 2x3x3x3 in the file and 5x4 here"});
    expect_error([&] { read_training_state(path_of("bare", form)); },
                 {"not a checkpoint of a run"});
  }
}

TEST(PytorchFile, TheStateDictIsFoundOrTheAmbiguityNamed) {
  for (const std::string& form : kForms) {
    SCOPED_TRACE(form);
    const auto refused = [&](const char* name, std::vector<std::string> parts) {
      parts.push_back(path_of(name, form).string());
      expect_error([&] { PytorchFile file(path_of(name, form)); }, parts);
    };
    refused("two", {"several state dicts", "generator, discriminator"});
    refused("no_tensors", {"no state dict", "epoch, args"});
    refused("tensor", {"no state dict", "a tensor"});
    const PytorchFile average(path_of("average", form));
    EXPECT_EQ(average.tensor("w").to_vector<double>(), Doubles{1});
    EXPECT_TRUE(has_note(average.notes(), "state_dict, state_dict_ema"));
    EXPECT_EQ(PytorchFile(path_of("nested", form)).tensor("w").to_vector<double>(), Doubles{1});
    const PytorchFile mixed(path_of("mixed", form));
    EXPECT_EQ(mixed.names(), std::vector<std::string>{"w"});
    EXPECT_TRUE(has_note(mixed.notes(), "epoch, lr"));
    const PytorchFile complex(path_of("complex", form));
    EXPECT_EQ(complex.tensor("w").to_vector<double>(), Doubles{1});
    expect_error([&] { complex.tensor("z"); }, {"z is complex64"});
  }
  expect_error([] { PytorchFile file(path_of("whole_network", "zip")); },
               {"torch.nn.modules.container.Sequential", "could run code", "state_dict()"});
}

TEST(WeightsFile, KnowsAFileByItsContent) {
  const TemporaryFolder folder;
  const auto copy = [&](const std::filesystem::path& from) {
    write_bytes(folder / "weights", read_bytes(from));
    return WeightsFile(folder / "weights");
  };
  EXPECT_TRUE(copy(path_of("bare", "zip")).contains("0.weight"));
  EXPECT_TRUE(copy(path_of("bare", "legacy")).contains("0.weight"));
  EXPECT_EQ(copy(path_of("checkpoint", "zip")).original("0.weight"), "module.0.module.weight");
  EXPECT_EQ(copy(path_of("checkpoint", "zip")).metadata(),
            (std::map<std::string, std::string>{{"configuration", R"({"arch":"small"})"},
                                                {"epoch", "3"}}));
  EXPECT_TRUE(copy(path_of("bare", "zip")).metadata().empty());
  // A safetensors header of 0x280 bytes begins as a pickle of protocol 2 does.
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(0x280, ' ');
  write_bytes(folder / "s", "\x80\x02\0\0\0\0\0\0"s + header + "\0\0\x80\x3F"s);
  EXPECT_EQ(WeightsFile(folder / "s").tensor("w").to_vector<double>(), Doubles{1});
  write_bytes(folder / "text", "no weights, but some text");
  expect_error([&] { WeightsFile file(folder / "text"); }, {"not a safetensors file"});
  write_bytes(folder / "empty", "");
  expect_error([&] { WeightsFile file(folder / "empty"); }, {"0 bytes"});
  write_bytes(folder / "tar",
              "sys_info" + std::string(249, '\0') + "ustar" + std::string(300, '\0'));
  expect_error([&] { WeightsFile file(folder / "tar"); }, {"tar form", "save it again"});
}

// --- the optimiser's state ---

// The tensors under "optimizer/", without that.
std::map<std::string, Doubles> optimizer_of(const WeightsFile& file) {
  std::map<std::string, Doubles> result;
  for (const std::string& name : file.names())
    if (name.starts_with("optimizer/"))
      result[name.substr(10)] = file.tensor(name).to_vector<double>();
  return result;
}

// v = 0.5 v + g, twice, of the gradients 1, 2, 3.
const std::map<std::string, Doubles> kSgd = {{"momentum_buffer/first.weight", {1.5, 3}},
                                             {"momentum_buffer/first.bias", {1.5, 3}},
                                             {"momentum_buffer/norm.weight", {1.5, 3}},
                                             {"momentum_buffer/norm.bias", {1.5, 3}},
                                             {"momentum_buffer/last.weight", {1.5, 3, 4.5}},
                                             {"momentum_buffer/last.bias", {1.5}},
                                             {"step", {0}}};

TEST(PytorchOptimizer, OfSgd) {
  for (const std::string& form : kForms) {
    const WeightsFile file(path_of("sgd", form));
    EXPECT_EQ(optimizer_of(file), kSgd);
    EXPECT_TRUE(file.notes().empty());
  }
}

TEST(PytorchOptimizer, OfAdam) {
  for (const std::string& form : kForms) {
    const auto state = optimizer_of(WeightsFile(path_of("adam", form)));
    EXPECT_EQ(state.size(), 13U);
    EXPECT_EQ(state.at("step"), Doubles{2});
    // m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 g^2, twice.
    for (std::size_t i = 0; i < 3; ++i) {
      const double g = static_cast<double>(i) + 1;
      EXPECT_NEAR(state.at("exp_avg/last.weight")[i], 0.19 * g, 1e-6 * g);
      EXPECT_NEAR(state.at("exp_avg_sq/last.weight")[i], 0.001999 * g * g, 1e-8 * g * g);
    }
  }
}

TEST(PytorchOptimizer, OfTheLastParametersWhereTheFirstAreFrozen) {
  for (const std::string& form : kForms)
    EXPECT_EQ(optimizer_of(WeightsFile(path_of("frozen", form))),
              (std::map<std::string, Doubles>{{"momentum_buffer/last.weight", {1.5, 3, 4.5}},
                                              {"momentum_buffer/last.bias", {1.5}},
                                              {"step", {0}}}));
}

TEST(PytorchOptimizer, OneThatIsNotUnderstoodIsPassedOverWithANote) {
  for (const std::string& form : kForms) {
    const auto passed_over = [&](const char* name, const std::string& why) {
      const WeightsFile file(path_of(name, form));
      EXPECT_TRUE(optimizer_of(file).empty()) << name;
      EXPECT_TRUE(file.contains("last.weight")) << name;
      EXPECT_TRUE(has_note(file.notes(), why)) << name;
    };
    passed_over("frozen_last", "momentum_buffer of norm.weight is 2x1, the parameter is 2");
    passed_over("amsgrad", "max_exp_avg_sq");
    passed_over("two_optimizers", "several optimisers (optimizer, optimizer_of_the_other)");
  }
}

TEST(PytorchOptimizer, ARunGoesOn) {
  for (const std::string& form : kForms) {
    random::Generator generator(3);
    const auto net = network(generator);
    const auto sgd = make_sgd(net->named_parameters(), {.momentum = 0.9});
    const Continuation from = continue_from(path_of("checkpoint", form), *net, *sgd);
    EXPECT_EQ(from.epoch, 3);
    EXPECT_TRUE(from.notes.empty());
    // The gradient of a sum with respect to the last bias is the batch's 2 images.
    const auto state = sgd->state();
    const auto bias = std::find_if(state.begin(), state.end(), [](const auto& entry) {
      return entry.first == "momentum_buffer/5.bias";
    });
    ASSERT_NE(bias, state.end());
    EXPECT_EQ(bias->second.to_vector<double>(), (Doubles{2, 2, 2, 2, 2}));

    const auto adam = make_adam(net->named_parameters(), {});
    expect_error([&] { continue_from(path_of("checkpoint", form), *net, *adam); },
                 {path_of("checkpoint", form).string(), "exp_avg", "another optimiser"});
    const Continuation bare = continue_from(path_of("bare", form), *net, *adam);
    EXPECT_EQ(bare.epoch, 0);
    EXPECT_TRUE(has_note(bare.notes, "no state of an optimiser"));
    EXPECT_TRUE(has_note(bare.notes, "how many epochs"));
  }
}

// --- damaged and hostile files ---

TEST(PytorchFile, TruncationAtEveryByte) {
  const TemporaryFolder folder;
  for (const std::string& form : kForms)
    for (const char* name : {"tensors", "checkpoint"}) {
      const std::string bytes = read_bytes(path_of(name, form));
      write_bytes(folder / "cut", bytes);
      for (std::size_t length = bytes.size(); length-- > 0;) {
        std::filesystem::resize_file(folder / "cut", length);
        ASSERT_THROW(PytorchFile(folder / "cut"), Error) << name << form << " " << length;
      }
    }
}

// Whatever a byte turns into, the file is read or refused; nothing else happens.
TEST(PytorchFile, AnyByteMayBeWrong) {
  const TemporaryFolder folder;
  random::Stream numbers(test::kSeed, 1);
  for (const std::string& form : kForms)
    for (const char* name : {"tensors", "checkpoint", "adam"}) {
      const std::string bytes = read_bytes(path_of(name, form));
      int refused = 0;
      for (int trial = 0; trial < 1500; ++trial) {
        std::string broken = bytes;
        for (std::uint64_t count = 1 + numbers.below(8); count > 0; --count)
          broken[numbers.below(broken.size())] = static_cast<char>(numbers.below(256));
        write_bytes(folder / "broken", broken);
        try {
          const WeightsFile file(folder / "broken");
          for (const std::string& tensor : file.names()) file.tensor(tensor).to_vector<double>();
        } catch (const Error&) {
          ++refused;
        }
      }
      EXPECT_GT(refused, 500) << name << form << " seed " << test::kSeed;
    }
}

// A legacy file around an object's pickle, with one storage "0".
struct LegacyFile {
  std::string little = "\x88";  // True
  std::string type = "ctorch\nFloatStorage\n";
  std::string count = "K\x04";
  std::string view = "N";
  std::string offset = "K\0"s;
  std::string size = "K\2K\2\x86";
  std::string stride = "K\2K\1\x86";
  std::string more;  // arguments after the stride
  std::string keys =
      "](\x8c\x01\x30"
      "e";
  std::uint64_t stored_count = 4;
  std::string data = std::string(16, '\0');

  std::string tensor() const {
    return "ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07storage" + type + "\x8c\x01\x30\x8c\x03" +
           "cpu" + count + view + "tQ" + offset + size + stride + (more.empty() ? "\x89}" : more) +
           "tR";
  }
  std::string bytes(const std::string& object) const {
    std::string stored(8, '\0');
    std::memcpy(stored.data(), &stored_count, 8);
    return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}"s +
           "\x8c\x0dlittle_endian" + little + "s.\x80\x02" + object + ".\x80\x02" + keys + "." +
           stored + data;
  }
  std::string bytes() const { return bytes("}\x8c\x01w" + tensor() + "s"); }
};

class Hostile : public ::testing::Test {
 protected:
  void expect_refused(const std::string& bytes, const std::vector<std::string>& parts) {
    write_bytes(folder_ / "bad", bytes);
    std::vector<std::string> all = parts;
    all.push_back((folder_ / "bad").string());
    expect_error([&] { PytorchFile file(folder_ / "bad"); }, all);
  }
  Tensor read(const LegacyFile& file) {
    write_bytes(folder_ / "good", file.bytes());
    return PytorchFile(folder_ / "good").tensor("w");
  }
  TemporaryFolder folder_;
};

TEST_F(Hostile, TheFileThatTheOthersChangeIsSound) {
  LegacyFile file;
  const float one = 1;
  std::memcpy(file.data.data() + 8, &one, 4);
  EXPECT_EQ(read(file).to_vector<double>(), (Doubles{0, 0, 1, 0}));
  // A view of elements 2 and 3 of the storage, as old files have it.
  file.view = "\x8c\x01vK\2K\2\x87";
  file.size = "K\2\x85";
  file.stride = "K\1\x85";
  EXPECT_EQ(read(file).to_vector<double>(), (Doubles{1, 0}));
  // The stride of a single element is any number.
  file = LegacyFile();
  file.size = "K\1K\2\x86";
  file.stride = "\x8a\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7FK\1\x86";
  EXPECT_EQ(read(file).shape(), Shape({1, 2}));
}

// One value may stand in a file any number of times: what is looked at once for each must stay
// small. Without limits each of these takes minutes or terabytes.
TEST_F(Hostile, ValuesThatAreSharedAMillionTimes) {
  constexpr int kMany = 1000000;
  const auto repeated = [](const std::string& text) {
    std::string all;
    for (int i = 0; i < kMany; ++i) all += text;
    return all;
  };
  const LegacyFile file;
  const std::string state_dict = "\x8c\x0astate_dict}\x8c\x01w" + file.tensor() + "s";
  const auto checkpoint = [&](const std::string& optimizer) {
    return file.bytes("}(" + state_dict + optimizer + "u");
  };
  const auto passed_over = [&](const std::string& bytes) {
    write_bytes(folder_ / "shared", bytes);
    const WeightsFile weights(folder_ / "shared");
    EXPECT_EQ(weights.names(), std::vector<std::string>{"w"});
  };
  const std::string numbers = "](" + repeated("K\0"s) + "e";
  // One group of a million parameters, a million times.
  passed_over(checkpoint("\x8c\x09optimizer}(\x8c\x05state}\x8c\x0cparam_groups](}\x8c\x06params" +
                         numbers + "sq\5" + repeated("h\5") + "eu"));
  // A million keys that name one optimiser of a million keys.
  passed_over(
      checkpoint("\x8c\x05optim}(" + repeated("K\0N"s) + "uq\5" + repeated("\x8c\x05optimh\5")));
  // A long name of a million dicts.
  LegacyFile bare;
  bare.keys = "]";
  expect_refused(
      bare.bytes("}(X\0\0\x10\0"s + std::string(1 << 20, 'x') + "q\5}" + repeated("h\5}") + "u"),
      {"no state dict"});
  // A long name of what is no tensor.
  expect_refused(file.bytes("}(\x8c\x01w" + file.tensor() + "X\0\0\x10\0"s +
                            std::string(1 << 20, 'x') + "q\5N" + repeated("h\5N") + "u"),
                 {"1048576 bytes"});
}

TEST_F(Hostile, TensorsBeyondTheirStorage) {
  const std::string most = "\x8a\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F";
  const auto with = [](auto change) {
    LegacyFile file;
    change(file);
    return file.bytes();
  };
  expect_refused(with([](auto& f) { f.offset = "K\1"; }), {"tensor w", "element 4", "has 4"});
  expect_refused(with([](auto& f) { f.offset = "J\xFF\xFF\xFF\xFF"; }), {"storage offset is -1"});
  expect_refused(with([&](auto& f) { f.offset = most; }), {"passes the end"});
  expect_refused(with([&](auto& f) { f.stride = most + "K\1\x86"; }), {"passes the end"});
  expect_refused(with([&](auto& f) { f.size = most + most + "\x86"; }), {"tensor w"});
  expect_refused(with([](auto& f) { f.stride = "J\xFF\xFF\xFF\xFFK\1\x86"; }), {"stride is -1"});
  expect_refused(with([](auto& f) { f.stride = "K\1\x85"; }), {"2 sizes and 1 strides"});
  expect_refused(with([](auto& f) { f.size = "K\2"; }), {"a tuple is expected"});
  expect_refused(with([](auto& f) { f.size = "(K\1K\1K\1K\1K\1K\1K\1t"; }), {"7 axes"});
  expect_refused(with([](auto& f) { f.view = "\x8c\x01vK\2K\3\x87"; }), {"passes the end"});
  expect_refused(with([](auto& f) { f.view = "\x8c\x01vK\1K\2\x87"; }), {"which has 3"});
  expect_refused(with([](auto& f) {
                   f.more =
                       "\x89}}\x8c\x04"
                       "conj\x88s";
                 }),
                 {"conjugated"});
  expect_refused(with([](auto& f) { f.more = "\x89}}}"; }), {"arguments"});
  // An expanded tensor of 2^40 elements is refused when it is asked for.
  LegacyFile file;
  file.size = "\x8a\x06\x00\x00\x00\x00\x00\x01\x85"s;
  file.stride = "K\0\x85"s;
  expect_error([&] { read(file); }, {"w of shape 1099511627776", "tensor.clone()"});
}

TEST_F(Hostile, StoragesThatDoNotFit) {
  const auto with = [](auto change) {
    LegacyFile file;
    change(file);
    return file.bytes();
  };
  expect_refused(with([](auto& f) { f.stored_count = 5; }), {"5 elements, 4 are expected"});
  expect_refused(with([](auto& f) { f.data.pop_back(); }), {"16 bytes, 15 are left"});
  expect_refused(with([](auto& f) {
                   f.count = "\x8a\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F";
                   f.stored_count = std::numeric_limits<std::int64_t>::max();
                 }),
                 {"more than any file"});
  expect_refused(with([](auto& f) { f.count = "J\xFF\xFF\xFF\xFF"; }), {"refers to a storage"});
  expect_refused(with([](auto& f) { f.type = "ctorch\nfloat32\n"; }), {"type float32"});
  expect_refused(with([](auto& f) { f.keys = "]"; }), {"storage 0 is missing"});
  expect_refused(with([](auto& f) {
                   f.keys =
                       "](\x8c\x01\x31"
                       "e";
                 }),
                 {"no tensor refers to"});
  expect_refused(with([](auto& f) {
                   f.keys =
                       "](\x8c\x01\x30\x8c\x01\x30"
                       "e";
                 }),
                 {"twice"});
  expect_refused(with([](auto& f) { f.keys = "N"; }), {"list of storages is None"});
  LegacyFile half;
  half.type = "ctorch\nHalfStorage\n";
  LegacyFile file;
  expect_refused(file.bytes("}\x8c\x01v" + half.tensor() + "s\x8c\x01w" + file.tensor() + "s"),
                 {"described in two ways"});
  expect_refused(file.bytes("}\x8c\x01w" + file.tensor() + "s\x8c\x01w" + file.tensor() + "s"),
                 {"tensor w twice"});
  // A missing member of a zip: its name is changed in the directory and in its own header.
  std::string zip = read_bytes(path_of("bare", "zip"));
  for (std::size_t at = zip.find("/data/1"); at != std::string::npos; at = zip.find("/data/1"))
    zip.replace(at, 7, "/data/x");
  expect_refused(zip, {"no member", "/data/1"});
}

TEST_F(Hostile, ForeignFiles) {
  LegacyFile file;
  file.little = "\x89";
  expect_refused(file.bytes(), {"big-endian"});
  file.little = "N";
  expect_refused(file.bytes(), {"byte order"});
  expect_refused("\x80\x04K\1.", {"magic number"});
  expect_refused(LegacyFile().bytes("cos\nsystem\n\x8c\x04"
                                    "true\x85R"),
                 {"os.system", "could run code"});
  std::string zip = read_bytes(path_of("two", "zip"));
  zip.replace(zip.find("little"), 6, "big...");
  expect_refused(zip, {"byte order", "big..."});
  zip = read_bytes(path_of("two", "zip"));
  for (std::size_t at = zip.find("PK\1\2"); at != std::string::npos;
       at = zip.find("PK\1\2", at + 1))
    zip[at + 10] = 8;  // deflated
  expect_refused(zip, {"compressed", "zip -0"});
  for (std::size_t at = zip.find("PK\1\2"); at != std::string::npos;
       at = zip.find("PK\1\2", at + 1))
    zip[at + 8] = 1;
  expect_refused(zip, {"encrypted"});
  zip = read_bytes(path_of("two", "zip"));
  for (std::size_t at = zip.find("data.pkl"); at != std::string::npos; at = zip.find("data.pkl"))
    zip.replace(at, 8, "data.txt");
  expect_refused(zip, {"without data.pkl"});
}

}  // namespace
}  // namespace concord
