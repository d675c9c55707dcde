#include "tools/report/gallery_features.h"

#include <algorithm>

#include "data/feature_store.h"
#include "data/loader.h"
#include "data/planned_set.h"
#include "engine/autograd.h"
#include "tools/common/classification.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/report/comparison.h"

namespace concord::report {
namespace {

Tensor plain_maps(const Tensor& features) {
  return tool::as_maps(features).to(Device{}).in_format(MemoryFormat::kPlain);
}

void choose_images(GalleryFeatures& features, const std::vector<std::string>& names,
                   const ChooseImages& choose) {
  features.images = choose(features.size, names);
  for (const std::int64_t image : features.images)
    features.names.push_back(names.empty() ? "" : names[static_cast<std::size_t>(image)]);
}

GalleryFeatures from_store(const GallerySide& side, const GalleryDirection& direction,
                           const RunPaths& paths, const ChooseImages& choose) {
  const FeatureStore store(side.store);
  GalleryFeatures features;
  features.size = store.size();
  choose_images(features, store.names(), choose);
  features.data = direction.data.empty() ? paths.now(store.info().dataset) : direction.data;
  features.words =
      side.words.empty()
          ? describe_network({{"arch", store.info().arch}, {"layer", store.info().layer}})
          : side.words;
  features.maps = plain_maps(store.gather(features.images));
  return features;
}

GalleryFeatures from_network(const GallerySide& side, const GalleryDirection& direction,
                             Device device, const ChooseImages& choose) {
  check(!side.weights.empty() && !side.layer.empty() && !direction.data.empty(),
        "its features are not on the disk, and it is not known which network, layer and images "
        "they were of");
  ImageFolder folder = read_images(direction.data);
  const bool held_out = direction.split != "train" && folder.validation.has_value();
  ImageSet set = std::move(held_out ? *folder.validation : folder.train);
  const tool::SavedNetwork saved = tool::load_network(side.weights);
  saved.network->to(device);

  GalleryFeatures features;
  features.size = static_cast<std::int64_t>(set.samples.size());
  std::vector<std::string> names;
  for (const ImageSample& sample : set.samples)
    names.push_back(name_of_sample(sample, direction.data));
  choose_images(features, names, choose);
  features.data = direction.data;
  features.words = side.words.empty()
                       ? describe_network({{"arch", saved.network->arch()}, {"layer", side.layer}})
                       : side.words;

  const NoGradGuard no_gradients;
  const int size = direction.image_size > 0 ? direction.image_size : std::max(saved.image_size, 1);
  LoaderOptions options{.image_size = size, .batch_size = 1, .strict = true, .device = device};
  options.subset = features.images;
  Loader loader(std::move(set), std::move(options));
  loader.start(0);
  std::int64_t row = 0;
  for (Batch batch; loader.next(batch); ++row) {
    tool::stop_if_interrupted();
    const Tensor one = plain_maps(saved.network->features(batch.images, side.layer));
    if (row == 0)
      features.maps = Tensor::empty(
          {static_cast<std::int64_t>(features.images.size()), one.dim(1), one.dim(2), one.dim(3)});
    std::copy_n(one.data<float>(), one.numel(), features.maps.data<float>() + row * one.numel());
  }
  return features;
}

}  // namespace

GalleryFeatures read_features(const GallerySide& side, const GalleryDirection& direction,
                              const RunPaths& paths, Device device, const ChooseImages& choose) {
  return side.store.empty() ? from_network(side, direction, device, choose)
                            : from_store(side, direction, paths, choose);
}

}  // namespace concord::report
