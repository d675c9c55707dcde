#pragma once
// The archives of the published data sets and the published weights: where they are, and what they
// must be byte for byte.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace concord {

struct PublishedFile {
  std::string name;         // "CUB_200_2011.tgz"
  std::string url;          // http or https
  std::string sha256;       // 64 hexadecimal digits, or of weights the first 8
  std::int64_t bytes = -1;  // -1: not known
};

// The archives of a data set: "cub200", "dogs120", "voc" (all of its tasks). Throws Error for
// another word.
std::vector<PublishedFile> published_archives(const std::string& data_set);

// The published archive of this name, of any data set.
std::optional<PublishedFile> find_published_archive(std::string_view name);

// torchvision's weights for an architecture ("resnet18"), which are trained on ImageNet. Throws
// Error naming those that there are.
PublishedFile published_weights(const std::string& arch);
std::vector<std::string> published_architectures();

}  // namespace concord
