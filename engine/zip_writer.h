#pragma once
// Zip archives of stored members as torch.save writes them: each member's bytes begin at a multiple
// of 64, so that the file can be mapped. Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3 (records)
// and 4.5.3 (zip64); torch/csrc: caffe2/serialize/inline_container.cc (padding).

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace concord {

// A member: its name and bytes.
using ZipMember = std::pair<std::string, std::string_view>;

// Writes the archive whole or not at all (engine/replaced_file.h), with zip64 records only where a
// size or an offset needs them. Names are used as they are. Throws Error naming the file.
void write_stored_zip(const std::filesystem::path& path, const std::vector<ZipMember>& members);

}  // namespace concord
