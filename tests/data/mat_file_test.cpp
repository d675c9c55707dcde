#include "data/mat_file.h"

#include <random>

#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using Texts = std::vector<std::string>;

// Written by tests/data/mat/make_files.py, most of them with scipy.
std::vector<std::uint8_t> bytes_of(const std::string& name) {
  return read_file(std::string(CONCORD_SOURCE_DIR) + "/tests/data/mat/" + name);
}

Texts read(const std::string& name, const std::string& variable = "file_list") {
  return read_mat_texts(bytes_of(name), name, variable);
}

Texts dogs() {
  Texts names;
  for (const std::string breed :
       {"n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02110806-basenji"})
    for (const int number : {7, 5927, 10074})
      names.push_back(fmt::format("{}/{}_{}.jpg", breed, breed.substr(0, 9), number));
  return names;
}

TEST(ReadMatTexts, ReadsTheListsOfScipy) {
  EXPECT_EQ(read("list.mat"), dogs());
  EXPECT_EQ(read("compressed.mat"), dogs());
  EXPECT_EQ(read("list.mat", "annotation_list")[8], "n02110806-basenji/n02110806_10074");
}

TEST(ReadMatTexts, ReadsTheListsOfMatlabInBothByteOrders) {
  const Texts expected{"n02085620-Chihuahua/n02085620_5927.jpg", "a", "ab", "Löwchen.jpg"};
  EXPECT_EQ(read("little.mat"), expected);
  EXPECT_EQ(read("big.mat"), expected);
}

TEST(ReadMatTexts, ReadsTextsOfEveryLengthAndAlphabet) {
  EXPECT_EQ(read("unicode.mat"), (Texts{"Löwchen/ü.jpg", "犬/\U0001F436.jpg", "a", "abcd", ""}));
}

TEST(ReadMatTexts, TakesShapesAndRefusesOtherClassesByName) {
  EXPECT_EQ(read("shapes.mat", "one_text"), (Texts{"alone.jpg"}));
  EXPECT_EQ(read("shapes.mat", "matrix"), (Texts{"a", "b", "c", "d"})) << "by columns";
  EXPECT_EQ(read("shapes.mat", "none"), Texts());
  const auto fails = [](const std::string& variable, Texts parts) {
    parts.push_back("shapes.mat");
    expect_error([&] { read("shapes.mat", variable); }, parts);
  };
  fails("rows", {"2 rows"});
  fails("numbers", {"numbers", "class double", "cell array of texts"});
  fails("cells_of_numbers", {"cell 2 of cells_of_numbers", "class double"});
  fails("nested", {"cell 2 of nested", "class cell"});
  fails("structure", {"class struct"});
  fails("file_list", {"no variable file_list"});
}

TEST(ReadMatTexts, RefusesOtherFilesByWhatTheyAre) {
  const auto fails = [](const std::vector<std::uint8_t>& bytes, Texts parts) {
    parts.push_back("f.mat");
    expect_error([&] { read_mat_texts(bytes, "f.mat", "file_list"); }, parts);
  };
  fails({}, {"0 bytes", "too few"});
  fails(bytes_of("level4.mat"), {"too few"});
  fails(std::vector<std::uint8_t>(300, 7), {"not a .mat file of level 5"});
  std::vector<std::uint8_t> bytes = bytes_of("list.mat");
  bytes[125] = 2;
  fails(bytes, {"version 2"});
  const std::string hdf = "MATLAB 7.3 MAT-file, Platform: GLNXA64";
  fails({hdf.begin(), hdf.end()}, {"Matlab 7.3", "HDF5", "-v7", ".txt"});
}

TEST(ReadMatTexts, BoundsWhatACompressedFileUnpacksTo) {
  const auto bytes = bytes_of("bomb.mat");
  ASSERT_LT(bytes.size(), 20'000U);
  EXPECT_EQ(read_mat_texts(bytes, "bomb.mat", "file_list")[0].size(), 10'000'000U);
  expect_error(
      [&] {
        read_mat_texts(bytes, "bomb.mat", "file_list", {.inflated_bytes = std::size_t{1} << 20});
      },
      {"bomb.mat", "byte 128", "more than 1048576 bytes"});
  // The limit is of all variables together: of two that fit one by one, the second is too much.
  std::vector<std::uint8_t> twice = bytes;
  twice.insert(twice.end(), bytes.begin() + 128, bytes.end());
  expect_error([&] { read_mat_texts(twice, "t", "other", {.inflated_bytes = 15'000'000}); },
               {"t: byte ", "more than"});
}

// The texts of the file, or none where it was refused by an error that names it.
std::optional<Texts> try_read(const std::vector<std::uint8_t>& bytes) {
  try {
    return read_mat_texts(bytes, "f.mat", "file_list", {.inflated_bytes = std::size_t{1} << 20});
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("f.mat", 0), 0U) << error.what();
    return std::nullopt;
  }
}

TEST(ReadMatTexts, RefusesATruncatedFile) {
  for (const char* name : {"compressed.mat", "little.mat", "big.mat", "unicode.mat"}) {
    const std::vector<std::uint8_t> bytes = bytes_of(name);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(try_read({bytes.begin(), bytes.begin() + static_cast<long>(size)}))
          << name << " of " << size << " bytes";
  }
}

TEST(ReadMatTexts, ReadsOrRefusesAFileWithChangedBytes) {
  std::mt19937 random(26);
  for (const char* name : {"list.mat", "compressed.mat", "little.mat", "big.mat", "unicode.mat"}) {
    const std::vector<std::uint8_t> bytes = bytes_of(name);
    int refused = 0;
    for (std::size_t at = 124; at < bytes.size(); ++at)
      for (const int value : {0, 1, 4, 14, 127, 128, 255, static_cast<int>(random() % 256)}) {
        std::vector<std::uint8_t> changed = bytes;
        changed[at] = static_cast<std::uint8_t>(value);
        if (!try_read(changed)) ++refused;
      }
    EXPECT_GT(refused, 500) << name;
  }
}

}  // namespace
}  // namespace concord::test
