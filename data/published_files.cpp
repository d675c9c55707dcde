#include "data/published_files.h"

#include "kernels/error.h"

namespace concord {
namespace {

struct Archive {
  const char* data_set;
  const char* name;
  std::int64_t bytes;
  const char* sha256;
  const char* url;
};

constexpr Archive kArchives[] = {
    {"cub200", "CUB_200_2011.tgz", 1'150'585'339,
     "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
     "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1"},
    {"dogs120", "images.tar", 793'579'520,
     "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
     "http://vision.stanford.edu/aditya86/ImageNetDogs/images.tar"},
    {"dogs120", "annotation.tar", 21'852'160,
     "662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd",
     "http://vision.stanford.edu/aditya86/ImageNetDogs/annotation.tar"},
    {"dogs120", "lists.tar", 481'280,
     "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
     "http://vision.stanford.edu/aditya86/ImageNetDogs/lists.tar"},
    {"voc", "VOCtrainval_11-May-2012.tar", 1'999'639'040,
     "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
     "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"},
};

struct Weights {
  const char* arch;
  const char* sum;  // the first 8 digits of the file's SHA-256, which stand in its name
  const char* name;
};

constexpr Weights kWeights[] = {
    {"alexnet", "7be5be79", "alexnet-owt-7be5be79.pth"},
    {"vgg16", "397923af", "vgg16-397923af.pth"},
    {"vgg16_bn", "6c64b313", "vgg16_bn-6c64b313.pth"},
    {"resnet18", "f37072fd", "resnet18-f37072fd.pth"},
    {"resnet34", "b627a593", "resnet34-b627a593.pth"},
    {"resnet50", "0676ba61", "resnet50-0676ba61.pth"},
};

PublishedFile published(const Archive& archive) {
  return {archive.name, archive.url, archive.sha256, archive.bytes};
}

}  // namespace

std::vector<PublishedFile> published_archives(const std::string& data_set) {
  std::vector<PublishedFile> files;
  for (const Archive& archive : kArchives)
    if (archive.data_set == data_set) files.push_back(published(archive));
  check(!files.empty(), "{}: no published data set is called so; there are cub200, dogs120, voc",
        data_set);
  return files;
}

std::optional<PublishedFile> find_published_archive(std::string_view name) {
  for (const Archive& archive : kArchives)
    if (archive.name == name) return published(archive);
  return std::nullopt;
}

std::vector<std::string> published_architectures() {
  std::vector<std::string> names;
  for (const Weights& weights : kWeights) names.emplace_back(weights.arch);
  return names;
}

PublishedFile published_weights(const std::string& arch) {
  std::string known;
  for (const Weights& weights : kWeights) {
    if (weights.arch == arch)
      return {weights.name, fmt::format("https://download.pytorch.org/models/{}", weights.name),
              weights.sum, -1};
    known += (known.empty() ? "" : ", ") + std::string(weights.arch);
  }
  fail("{}: no weights are known for this architecture; there are {}", arch, known);
}

}  // namespace concord
