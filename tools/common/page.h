#pragma once
// The result as one self-contained HTML page that reads well on a desktop and on a phone, light or
// dark.

#include <nlohmann/json.hpp>
#include <string>

#include "tools/common/feature_maps.h"

namespace concord::tool {

// A network as the page introduces it.
struct PageNetwork {
  std::string name;     // "resnet18"
  std::string layer;    // where its features were taken
  std::string weights;  // its file
  double top1 = -1;     // share on these images; negative when not known
};

struct PageContent {
  MapSheet sheet;
  PageNetwork a;
  PageNetwork b;
  std::int64_t images = 0;  // that the features are of
  nlohmann::json variance;  // of concord-variance; null when not given
};

std::string make_page(const PageContent& content);

}  // namespace concord::tool
