#pragma once
// The maps of a gallery in 8 bits: of as many images and channels as may be shown, from which the
// page takes as many as it has room for.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/report/encoded_maps.h"
#include "tools/report/gallery_sources.h"

namespace concord::report {

// At most so many of each network.
struct GalleryAmount {
  std::int64_t images = 0;
  std::int64_t channels = 0;
};

// GalleryOptions::channels. Throws UsageError unless it is best:N or numbers apart by commas.
struct WantedChannels {
  explicit WantedChannels(const std::string& text);

  std::int64_t count = 0;
  std::optional<std::vector<std::int64_t>> listed;  // absent for best:N
  // Those of the network that are shown where there is room for `room`: the listed ones that it has
  // or, where it has none of them, half that vary most and half of which most is missing. Those for
  // less room are among those for more.
  std::vector<std::int64_t> of(const GalleryNetwork& network, std::int64_t room) const;
};

// Maps [image][channel], or of a Trans-Net [image][channel][part] with the parts x(0) .. x(K-1),
// x_delta and the channels of its target.
struct GalleryMaps {
  std::int64_t images = 0;
  std::vector<std::int64_t> channels;
  std::int64_t parts = 1;
  EncodedMaps maps;

  // The numbers in `maps` of the first images and of some of the channels.
  std::vector<std::size_t> numbers(std::int64_t first_images,
                                   const std::vector<std::int64_t>& some) const;
};

struct TransNetMaps {
  GalleryMaps parts;
  std::vector<double> gates;
  // Over these images, of each part and channel of the target: [part][channel].
  std::vector<std::vector<double>> variances;
};

// y is not among them: it is B - x_delta.
GalleryMaps network_maps(const GalleryNetwork& network, const WantedChannels& wanted,
                         const GalleryAmount& amount);
// Throws Interrupted on a signal.
TransNetMaps trans_net_maps(const GalleryTransNet& trans_net, const GallerySources& sources,
                            const WantedChannels& wanted, const GalleryAmount& amount,
                            Device device);

}  // namespace concord::report
