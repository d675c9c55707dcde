#pragma once
// The feature gallery: maps of two networks, what a Trans-Net makes of one of them, and the orders,
// as data for the page's script (gallery.js).

#include <cstdint>
#include <string>
#include <vector>

#include "tools/report/findings.h"
#include "tools/report/gallery_plan.h"

namespace concord::report {

struct GalleryOptions {
  std::vector<std::string> images;  // numbers or names; empty: up to image_count over all
  std::int64_t image_count = 20;
  std::string channels = "best:64";  // numbers apart by commas, or those that vary most
  Device device = {};
};

// Throws UsageError unless the text is best:N or numbers apart by commas.
void check_channels(const std::string& wanted);

// The markup of the data: a JSON <script id="gallery"> and one of base64 for each block of maps,
//
//   palette   colours of -1 .. 1, evenly apart
//   photos    {name, label, picture}; picture is a data: URI or empty
//   pairs     {name, a, b}: two networks
//   sides     {channels, of, width, height, energy, block}: one network on some images;
//             block side-N has maps [image][channel][y][x]
//   directions {name, pair, forward, from, to, photos, orders, gates, variance, block}: a
//   Trans-Net;
//             `from` and `to` are sides; block maps-N has [image][channel][part][y][x], the parts
//             y, x(0) .. x(K-1), x_delta; the channels are those of `to`
//
// and with each block its steps (EncodedMaps). No more than `bytes` of it: where it would be, fewer
// channels, images and Trans-Nets are taken, and findings.notes says so, as it does of what cannot
// be shown. Empty where nothing can. Throws Interrupted on a signal.
std::string make_gallery(const std::vector<GalleryDirection>& directions,
                         const GalleryOptions& options, std::int64_t bytes, Findings& findings);

}  // namespace concord::report
