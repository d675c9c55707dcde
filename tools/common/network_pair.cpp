#include "tools/common/network_pair.h"

#include "tools/common/terminal.h"

namespace concord::tool {

void add_network_pair_options(CommandLine& line, NetworkPairOptions& options) {
  line.option("--weights-a", options.weights_a, "network A, to compute features when needed");
  line.option("--weights-b", options.weights_b, "network B");
  line.option("--layer", options.layer, "of both networks");
  line.option("--layer-a", options.layer_a, "of network A");
  line.option("--layer-b", options.layer_b, "of network B");
}

void settle_image_size(const SavedNetwork& a, const SavedNetwork& b, const std::string& weights_b,
                       ImageOptions& images, const CommandLine& line) {
  if (a.image_size > 0 && !line.given("--image-size")) images.image_size = a.image_size;
  if (b.image_size > 0 && b.image_size != images.image_size)
    note("{} was trained at {} px, and both networks see images of {} px", weights_b, b.image_size,
         images.image_size);
}

NetworkPair NetworkPair::load(const NetworkPairOptions& options, ImageOptions& images,
                              const DeviceOptions& device, const CommandLine& line) {
  check_usage(!options.weights_a.empty() && !options.weights_b.empty() && !images.data.empty(),
              "give --features-a and --features-b, or --weights-a, --weights-b and --data");
  NetworkPair pair;
  pair.layer_a = options.layer_a.empty() ? options.layer : options.layer_a;
  pair.layer_b = options.layer_b.empty() ? options.layer : options.layer_b;
  check_usage(!pair.layer_a.empty() && !pair.layer_b.empty(),
              "--weights-a and --weights-b need --layer, or --layer-a and --layer-b");
  pair.a = load_network(options.weights_a);
  pair.b = load_network(options.weights_b);
  pair.a.network->to(device.place);
  pair.b.network->to(device.place);
  settle_image_size(pair.a, pair.b, options.weights_b, images, line);
  return pair;
}

std::unique_ptr<FeaturePairs> NetworkPair::features_on(ImageSet set, const ImageOptions& images,
                                                       Device device, bool shuffle,
                                                       std::uint64_t seed) const {
  // The networks' own generators must live as long as they.
  const auto keep = [](const SavedNetwork& saved) {
    return std::shared_ptr<Network>(
        saved.network.get(), [network = saved.network,
                              generator = saved.generator](Network*) mutable { network.reset(); });
  };
  LoaderOptions loader = loader_options(images, device);
  loader.shuffle = shuffle;
  loader.seed = seed;
  const std::string print = fingerprint(set) + ", " + layer_a + ", " + layer_b;
  return pairs_from_networks(keep(a), layer_a, keep(b), layer_b,
                             std::make_unique<Loader>(std::move(set), std::move(loader)), print);
}

}  // namespace concord::tool
