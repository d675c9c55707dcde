#include "analysis/compression/compact_file.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "analysis/compression/pruning.h"
#include "engine/checkpoint.h"
#include "engine/ops/arithmetic.h"
#include "tests/analysis/compression/support.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using Json = nlohmann::ordered_json;

// A pruned network that shares its weights, as a checkpoint and as a compact file.
class Compact : public ::testing::Test {
 protected:
  Compact() {
    for (LayerWeight& layer : layer_weights(*network_)) prune(layer, 0.3);
    SharedWeights shared(*network_, 4, false);
    shared.share();
    coded_ = shared.coded();
    save_checkpoint(checkpoint_, *network_, nullptr,
                    {.epoch = 3, .configuration = R"({"arch":"small \"quoted\""})"});
    write_compact(compact_, SafetensorsFile(checkpoint_), coded_);
  }

  // The checkpoint once more, from the compact file.
  void restore() const {
    const CompactFile file(compact_);
    std::vector<Named<Tensor>> tensors;
    for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
    write_safetensors(restored_, tensors, file.metadata());
  }

  // Reads all of it; whether that is what the checkpoint holds, bit for bit.
  bool gives_the_checkpoint(const std::filesystem::path& from) const {
    const CompactFile file(from);
    const SafetensorsFile expected(checkpoint_);
    bool same = file.names() == expected.names() && file.metadata() == expected.metadata();
    for (const std::string& name : file.names()) {
      const Tensor tensor = file.tensor(name);
      same =
          same && tensor.shape() == expected.shape(name) &&
          std::memcmp(tensor.view().data, expected.tensor(name).view().data, tensor.bytes()) == 0;
    }
    return same;
  }

  // The compact file with these metadata and tensors changed.
  void write_changed(const std::function<void(std::map<std::string, std::string>&,
                                              std::vector<Named<Tensor>>&)>& change) const {
    const SafetensorsFile file(compact_);
    auto metadata = file.metadata();
    std::vector<Named<Tensor>> tensors;
    for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
    change(metadata, tensors);
    write_safetensors(changed_, tensors, metadata);
  }
  void expect_refused(const std::function<void(std::map<std::string, std::string>&,
                                               std::vector<Named<Tensor>>&)>& change,
                      std::vector<std::string> parts) const {
    write_changed(change);
    parts.push_back(changed_.string());
    test::expect_error([&] { gives_the_checkpoint(changed_); }, parts);
  }
  // With one value of the metadata's "tensors".
  void expect_refused(const Json::json_pointer& place, const Json& value,
                      const std::vector<std::string>& parts) const {
    expect_refused(
        [&](auto& metadata, auto&) {
          Json tensors = Json::parse(metadata["tensors"]);
          tensors[place] = value;
          metadata["tensors"] = tensors.dump();
        },
        parts);
  }

  std::shared_ptr<Sequential> network_ = test::small_network(1);
  std::vector<CodedWeight> coded_;
  test::TemporaryFolder folder_;
  std::filesystem::path checkpoint_ = folder_ / "checkpoint.safetensors";
  std::filesystem::path compact_ = folder_ / "compact.safetensors";
  std::filesystem::path changed_ = folder_ / "changed.safetensors";
  std::filesystem::path restored_ = folder_ / "restored.safetensors";
};

TEST_F(Compact, RestoresTheCheckpointToTheBit) {
  restore();
  EXPECT_EQ(test::read_bytes(restored_), test::read_bytes(checkpoint_));
  const CompactFile file(compact_);
  EXPECT_EQ(file.names(), SafetensorsFile(checkpoint_).names());
  EXPECT_EQ(file.shape("0.weight"), (Shape{3, 2, 3, 3}));
  EXPECT_TRUE(file.is_coded("0.weight"));
  EXPECT_FALSE(file.is_coded("1.weight"));
  EXPECT_EQ(file.stored_bytes("1.running_mean"), 12U);
  EXPECT_EQ(
      file.stored_bytes("0.weight"),
      SafetensorsFile(compact_).tensor("0.weight:codes").bytes() + 4 * coded_[0].codebook.size());
  EXPECT_LT(file.stored_bytes("0.weight"), 54U * 4);
  EXPECT_EQ(nlohmann::json::parse(file.metadata().at("configuration"))["arch"], "small \"quoted\"");
}

TEST_F(Compact, ALayerOfZerosAndOneOfASingleValue) {
  layer_weights(*network_)[0].weight.fill(0);
  layer_weights(*network_)[1].weight.fill(0.25);
  SharedWeights shared(*network_, 4, false);
  shared.share();
  save_checkpoint(checkpoint_, *network_, nullptr, {});
  write_compact(compact_, SafetensorsFile(checkpoint_), shared.coded());
  restore();
  EXPECT_EQ(test::read_bytes(restored_), test::read_bytes(checkpoint_));
  EXPECT_LT(CompactFile(compact_).stored_bytes("0.weight"), 16U);
}

TEST_F(Compact, RefusesCodesThatAreNotTheCheckpoints) {
  coded_[1].codebook[0] += 1e-7F;
  test::expect_error([&] { write_compact(changed_, SafetensorsFile(checkpoint_), coded_); },
                     {"3.weight", "do not give"});
  coded_.pop_back();
  coded_[0].name = "0.wait";
  test::expect_error([&] { write_compact(changed_, SafetensorsFile(checkpoint_), coded_); },
                     {"no tensor 0.wait"});
  EXPECT_FALSE(std::filesystem::exists(changed_));
}

// Bits from all over the file: an error, or the checkpoint as it was (a space of the header's
// padding that became another one).
TEST_F(Compact, ADamagedBitIsAnErrorOrNothing) {
  const std::string bytes = test::read_bytes(compact_);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); bit += 41) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    test::write_bytes(changed_, damaged);
    try {
      ASSERT_TRUE(gives_the_checkpoint(changed_)) << "bit " << bit << " of " << bytes.size() * 8;
    } catch (const Error& error) {
      ++refused;
      ASSERT_NE(std::string(error.what()).find(changed_.string()), std::string::npos)
          << error.what();
    }
  }
  EXPECT_GT(refused, static_cast<int>(8 * bytes.size() / 41 * 9 / 10));
}

TEST_F(Compact, ATruncatedFileIsAnError) {
  const std::string bytes = test::read_bytes(compact_);
  for (std::size_t length = 0; length < bytes.size(); length += 29) {
    test::write_bytes(changed_, bytes.substr(0, length));
    test::expect_error([&] { gives_the_checkpoint(changed_); }, {changed_.string()});
  }
}

// Codes that lie, under checksums of the header that do not tell: what they give is compared too.
TEST_F(Compact, DamagedCodesAreNamed) {
  expect_refused(
      [](auto&, auto& tensors) {
        for (auto& [name, tensor] : tensors)
          if (name == "3.weight:codes") {
            tensor = tensor.clone();
            tensor.template data<std::uint8_t>()[tensor.bytes() / 2] ^= 4;
          }
      },
      {"3.weight"});
  expect_refused(
      [](auto&, auto& tensors) {
        for (auto& [name, tensor] : tensors)
          if (name == "0.weight:codebook") tensor = scale(tensor, 2);
      },
      {"tensor 0.weight", "checksum", "damaged"});
  expect_refused(
      [](auto&, auto& tensors) {
        for (auto& [name, tensor] : tensors)
          if (name == "1.running_var") tensor = Tensor::zeros({3});
      },
      {"tensor 1.running_var", "checksum"});
}

TEST_F(Compact, RefusesHostileDescriptions) {
  const auto codes = Json::json_pointer("/0.weight/shape");
  expect_refused(codes, {3, 2, 3, 4}, {"0.weight"});
  expect_refused(codes, {1LL << 32, 2}, {"0.weight", "8589934592", "at most"});
  expect_refused(codes, {1LL << 32, 1LL << 32}, {"0.weight"});
  expect_refused(codes, {1LL << 40}, {"0.weight", "sizes up to"});
  expect_refused(codes, {-3, -2, 3, 3}, {"0.weight", "sizes up to"});
  expect_refused(codes, {1, 1, 1, 1, 1, 1, 54}, {"0.weight", "at most 6"});
  expect_refused(codes, "54", {"0.weight", "shape is no list"});
  expect_refused(codes, {3, 2, 3, 2.5}, {"0.weight", "shape is no list"});
  expect_refused(Json::json_pointer("/0.weight/crc32"), -1, {"0.weight", "32 bits"});
  expect_refused(Json::json_pointer("/0.weight/crc32"), 1LL << 32, {"0.weight", "32 bits"});
  expect_refused(Json::json_pointer("/0.weight"), 7, {"0.weight", "no crc32"});
  expect_refused(Json::json_pointer("/2.weight/crc32"), 7, {"2.weight", "missing"});
  expect_refused(Json::json_pointer("/0.weight:codes/crc32"), 7, {"0.weight:codes", "colon"});
  const auto without = [](const char* key) {
    return [key](auto& metadata, auto&) { metadata.erase(key); };
  };
  expect_refused(without("format"), {"no compact file"});
  expect_refused(without("tensors"), {"\"tensors\""});
  expect_refused(without("checkpoint"), {"\"checkpoint\""});
  expect_refused([](auto& metadata, auto&) { metadata["version"] = "2"; },
                 {"version \"2\"", "reads version 1"});
  expect_refused([](auto& metadata, auto&) { metadata["tensors"] = "[1]"; }, {"no JSON object"});
  expect_refused([](auto& metadata, auto&) { metadata["checkpoint"] += " "; }, {"checksum"});
  expect_refused([](auto&, auto& tensors) { tensors.emplace_back("4.weight", Tensor::zeros({2})); },
                 {"4.weight", "do not tell"});
  expect_refused(
      [](auto&, auto& tensors) {
        std::erase_if(tensors, [](const auto& one) { return one.first == "0.weight:codes"; });
      },
      {"0.weight", "codes are missing"});
  expect_refused(
      [](auto&, auto& tensors) {
        for (auto& [name, tensor] : tensors)
          if (name == "0.weight:codebook") tensor = Tensor::zeros({2, 2});
      },
      {"0.weight", "codebook is"});
  expect_refused(
      [](auto&, auto& tensors) {
        for (auto& [name, tensor] : tensors)
          if (name == "0.weight:codes") tensor = Tensor::zeros({9});
      },
      {"0.weight", "codes are F32"});
  test::expect_error([&] { CompactFile file(checkpoint_); }, {"no compact file", "concord"});
  test::expect_error([&] { CompactFile(compact_).tensor("0.wait"); }, {"0.wait", "0.weight"});
}

}  // namespace
}  // namespace concord
