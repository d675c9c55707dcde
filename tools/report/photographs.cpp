#include "tools/report/photographs.h"

#include <filesystem>

#include "data/planned_set.h"
#include "data/resize.h"
#include "kernels/error.h"
#include "tools/common/terminal.h"

namespace concord::report {
namespace fs = std::filesystem;

Photographs::Photographs(std::string data) : data_(std::move(data)) {
  if (data_.empty()) return;
  if (!names_planned_set(data_)) {
    std::error_code error;
    if (fs::is_directory(data_, error)) return;
    tool::warn("{}: is no folder of images; the maps are shown without photographs", data_);
    data_.clear();
    return;
  }
  ImageFolder folder = read_images(data_);
  const auto add = [&](ImageSet& set) {
    for (ImageSample& sample : set.samples) {
      std::string name = sample.name;
      planned_.emplace(std::move(name), std::move(sample));
    }
  };
  add(folder.train);
  if (folder.validation) add(*folder.validation);
}

Image Photographs::of(const std::string& name) {
  if (data_.empty() || name.empty()) return {};
  try {
    const auto planned = planned_.find(name);
    const Image image = planned == planned_.end() ? load_image(fs::path(data_) / name)
                                                  : load_sample(planned->second);
    return resize_bilinear(image, kPhotograph, kPhotograph);
  } catch (const Error& error) {
    tool::warn("{}; the row is shown without its photograph", error.what());
    return {};
  }
}

}  // namespace concord::report
