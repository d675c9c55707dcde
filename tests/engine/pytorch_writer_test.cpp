// Files for torch.load: what the format promises, byte by byte, and the way back. That PyTorch
// itself reads them, tools/check_interchange.py shows.

#include "engine/pytorch_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/stored_zip.h"
#include "engine/weights_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;

std::vector<Named<Tensor>> some_tensors() {
  return {{"conv.weight", Tensor::of<float>({2, 1, 2}, {1, -2, 3.5F, NAN})},
          {"conv.bias", Tensor::of<float>({2}, {0.25F, -0.0F})},
          {"bn.running_mean", Tensor::of<float>({1}, {7})},
          {"bn.num_batches_tracked", Tensor::of<std::int64_t>({}, {5000000000})},
          {"empty", Tensor::empty({0, 3})}};
}

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  ASSERT_EQ(a.dtype(), b.dtype());
  EXPECT_EQ(a.numel() == 0 ? 0 : std::memcmp(a.view().data, b.view().data, a.bytes()), 0);
}

// libarchive compares the checksums, which our own reader does not.
std::vector<std::string> names_by_libarchive(const std::filesystem::path& path) {
  std::vector<std::string> names;
  archive* reader = archive_read_new();
  archive_read_support_format_zip_seekable(reader);
  EXPECT_EQ(archive_read_open_filename(reader, path.c_str(), 1 << 16), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    names.emplace_back(archive_entry_pathname(entry));
    std::vector<char> bytes(static_cast<std::size_t>(archive_entry_size(entry)) + 1);
    EXPECT_EQ(archive_read_data(reader, bytes.data(), bytes.size()),
              static_cast<la_ssize_t>(bytes.size() - 1))
        << archive_error_string(reader);
  }
  EXPECT_EQ(archive_errno(reader), 0);
  archive_read_free(reader);
  return names;
}

TEST(PytorchWriter, AStateDictComesBack) {
  const TemporaryFolder folder;
  const auto tensors = some_tensors();
  const std::map<std::string, std::string> metadata = {{"epoch", "3"}, {"configuration", "{}"}};
  write_pytorch(folder / "a.pth", tensors, nullptr, metadata);
  const WeightsFile file(folder / "a.pth");
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_TRUE(file.notes().empty());
  ASSERT_EQ(file.names().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.names()[i], tensors[i].first);
    expect_same(file.tensor(tensors[i].first), tensors[i].second);
  }
}

TEST(PytorchWriter, TheArchiveIsAsTorchSaveWritesIt) {
  const TemporaryFolder folder;
  write_pytorch(folder / "a.pth", some_tensors());
  EXPECT_EQ(names_by_libarchive(folder / "a.pth"),
            (std::vector<std::string>{"archive/data.pkl", "archive/byteorder", "archive/data/0",
                                      "archive/data/1", "archive/data/2", "archive/data/3",
                                      "archive/data/4", "archive/version"}));
  const std::string bytes = read_bytes(folder / "a.pth");
  const StoredZip zip(bytes, "a.pth");
  EXPECT_EQ(zip.member("archive/version"), "3\n");
  EXPECT_EQ(zip.member("archive/byteorder"), "little");
  for (const auto& [name, member] : zip.members())
    EXPECT_EQ((zip.member(name).data() - bytes.data()) % 64, 0) << name;
  // Twice the same bytes: no times, no random ids.
  write_pytorch(folder / "b.pth", some_tensors());
  EXPECT_EQ(read_bytes(folder / "b.pth"), bytes);
}

TEST(PytorchWriter, ACheckpointComesBackWithItsOptimiser) {
  const TemporaryFolder folder;
  for (const bool adam : {false, true}) {
    auto tensors = some_tensors();
    const std::vector<std::string> kinds = adam ? std::vector<std::string>{"exp_avg", "exp_avg_sq"}
                                                : std::vector<std::string>{"momentum_buffer"};
    // The first parameter is frozen.
    tensors.erase(tensors.end() - 1);
    for (const std::string& kind : kinds)
      tensors.emplace_back("optimizer/" + kind + "/conv.bias", Tensor::of<float>({2}, {4, 5}));
    tensors.emplace_back("optimizer/step", Tensor::of<std::int64_t>({}, {12}));
    const PytorchCheckpoint checkpoint = {
        .epoch = 4,
        .arch = "resnet18",
        .best_acc1 = 55.5,
        .optimizer = PytorchOptimizerGroup{.learning_rate = 0.1, .momentum = 0.9}};
    write_pytorch(folder / "c.pth", tensors, &checkpoint);
    const WeightsFile file(folder / "c.pth");
    EXPECT_EQ(file.metadata().at("epoch"), "4");
    EXPECT_EQ(file.metadata().at("configuration"), R"({"arch":"resnet18"})");
    ASSERT_EQ(file.names().size(), tensors.size());
    for (const auto& [name, tensor] : tensors) expect_same(file.tensor(name), tensor);
    // Without being asked for, the optimiser's state stays out.
    write_pytorch(folder / "d.pth", tensors);
    EXPECT_EQ(WeightsFile(folder / "d.pth").names().size(), 4U);
  }
}

TEST(PytorchWriter, FailuresLeaveNothing) {
  const TemporaryFolder folder;
  expect_error([&] { write_pytorch(folder / "none/a.pth", some_tensors()); },
               {"none/a.pth", "cannot be written"});
  auto twice = some_tensors();
  twice.push_back(twice[0]);
  expect_error([&] { write_pytorch(folder / "a.pth", twice); }, {"two tensors", "conv.weight"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace concord
