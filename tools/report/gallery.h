#pragma once
// The feature gallery: maps of two networks, what a Trans-Net makes of one of them, and the orders,
// as data for the page's script (gallery.js).

#include <cstdint>
#include <string>
#include <vector>

#include "tools/report/gallery_sources.h"

namespace concord::report {

// The markup of the data: a JSON <script id="gallery-data"> and two of text for each block of maps,
// N its values and N-steps its steps (EncodedMaps::values_text, steps_text),
//
//   digits    those of base85
//   palette   colours of -1 .. 1, evenly apart
//   photos    {name, label, picture}; picture is a data: URI or empty
//   pairs     {name, a, b}: two networks
//   sides     {words, channels, of, width, height, energy, block}: one network on some images;
//             block side-N has maps [image][channel][y][x]
//   directions {name, pair, forward, from, to, photos, orders, gates, variance, block}: a
//             Trans-Net; `from` and `to` are sides; block maps-N has
//             [image][channel][part][y][x], the parts x(0) .. x(K-1), x_delta; the channels are
//             those of `to`, and y is B - x_delta
//
// No more than `bytes` of it: where it would be, fewer channels, images and Trans-Nets are taken,
// and findings.notes says so, as it does of what cannot be shown. Empty where nothing can. Throws
// Interrupted on a signal.
std::string make_gallery(const std::vector<GalleryDirection>& directions,
                         const GalleryOptions& options, std::int64_t bytes, Findings& findings);

}  // namespace concord::report
