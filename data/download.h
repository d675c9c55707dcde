#pragma once
// Fetching published archives and weights.

#include <filesystem>
#include <functional>
#include <string>

#include "data/published_files.h"
#include "data/workers.h"

namespace concord {

struct DownloadOptions {
  // Another place that has the files under their published names: "https://example.org/data".
  // Empty: the published address.
  std::string mirror = {};
  ProgressCallback progress = {};  // in bytes; throwing from it stops, and what came is kept
  std::function<void(const std::string&)> notice = {};  // what the user should know, a line each
};

// Fetches a file into `folder`, which is made if need be, under its published name, and returns its
// path. A file that is there and is the published one is kept, and the network is not touched. What
// is on its way is called NAME.partial; a later call goes on from there where the server can. The
// file takes its name only when its size and SHA-256 are those published.
//
// Only http and https, also where the server refers to another address, and from https only https.
// Throws Error: another file under the name (which is left alone), an address or mirror of another
// kind, no network or no such file (the message says how to fetch by hand), wrong size or checksum
// (the partial file is then removed, for going on from it would be in vain), a full disk.
std::filesystem::path download(const PublishedFile& file, const std::filesystem::path& folder,
                               const DownloadOptions& options = {});

}  // namespace concord
