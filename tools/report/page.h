#pragma once
// A report as one HTML page that needs nothing but itself: style, scripts, pictures and maps lie in
// it, and its policy lets it load nothing.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/report/findings.h"
#include "tools/report/gallery.h"

namespace concord::report {

struct PageOptions {
  std::string title;
  GalleryOptions gallery;
  std::int64_t max_bytes = 15'000'000;
  std::string picture;  // a file beside the page to link to, "panel.png"; may be empty
};

// The page of what was found, with a gallery of these Trans-Nets. The same inputs give the same
// bytes on the same machine. Throws Interrupted on a signal.
std::string make_page(Findings& findings, const std::vector<GalleryDirection>& gallery,
                      const PageOptions& options);

}  // namespace concord::report
