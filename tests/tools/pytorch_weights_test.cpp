// Weights from PyTorch in place of Concord's own: the networks that the programs build from them.

#include <gtest/gtest.h>

#include <cstring>

#include "engine/checkpoint.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tools/common/classification.h"
#include "tools/common/trans_net_file.h"

namespace concord::tool {
namespace {

using test::TemporaryFolder;
using namespace std::string_literals;

std::string number(std::int64_t value) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &value, 8);
  return bytes;
}
std::string whole(std::int64_t value) { return "\x8a\x08" + number(value); }
std::string text(const std::string& value) {
  return "X" + number(static_cast<std::int64_t>(value.size())).substr(0, 4) + value;
}

// {"state_dict": {prefix + name: tensor}} in the legacy form of torch.save.
void write_legacy(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                  const std::string& prefix) {
  std::string object = "}" + text("state_dict") + "}";
  std::string keys = "]";
  std::string storages;
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const auto& [name, tensor] = tensors[k];
    const bool floating = is_floating(tensor.dtype());
    const std::string key = text(std::to_string(k));
    std::string sizes, strides;
    for (std::size_t axis = 0; axis < tensor.shape().rank(); ++axis) {
      std::int64_t stride = 1;
      for (std::size_t next = axis + 1; next < tensor.shape().rank(); ++next)
        stride *= tensor.dim(next);
      sizes += whole(tensor.dim(axis));
      strides += whole(stride);
    }
    object += text(prefix + name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
              "ctorch\n" + (floating ? "Float" : "Long") + "Storage\n" + key + text("cpu") +
              whole(tensor.numel()) + "NtQK\0("s + sizes + "t(" + strides + "t\x89}tRs";
    keys += key + "a";
    storages += number(tensor.numel());
    const Tensor plain = tensor.to(floating ? DType::kFloat32 : DType::kInt64);
    storages.append(static_cast<const char*>(plain.view().data), plain.bytes());
  }
  test::write_bytes(
      path,
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}"s +
          text("little_endian") + "\x88s.\x80\x02" + object + "s.\x80\x02" + keys + "." + storages);
}

void expect_equal(const Module& a, const Module& b) {
  const auto left = a.named_state(), right = b.named_state();
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i)
    ASSERT_EQ(left[i].second.to_vector<double>(), right[i].second.to_vector<double>())
        << left[i].first;
}

TEST(PytorchWeights, AClassifierOfTorchvision) {
  const TemporaryFolder folder;
  random::Generator generator(3);
  const auto made = make_network("resnet18", 7, generator);
  write_legacy(folder / "a.pth", made->named_state(), "module.");
  const std::string path = (folder / "a.pth").string();
  const SavedNetwork saved = load_network(path, "resnet18");
  expect_equal(*saved.network, *made);  // with 7 classes, as its last layer has
  test::expect_error([&] { load_network(path); }, {path, "--arch"});
  test::expect_error([&] { load_network(path, "resnet34"); },
                     {path, "layer1.2.conv1.weight", "another architecture"});
}

TEST(PytorchWeights, ATransNet) {
  const TemporaryFolder folder;
  random::Generator generator(3);
  const TransNet made({.channels_in = 3, .channels_out = 5, .orders = 2}, generator);
  write_legacy(folder / "t.pt", made.named_state(), "module.");
  const SavedTransNet saved = load_trans_net((folder / "t.pt").string(), {});
  EXPECT_FALSE(saved.configured);
  EXPECT_EQ(saved.net->options().orders, 2);
  EXPECT_EQ(saved.net->options().channels_in, 3);
  expect_equal(*saved.net, made);
}

}  // namespace
}  // namespace concord::tool
