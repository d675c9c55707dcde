#pragma once
// Zip archives whose members are stored uncompressed, as PyTorch writes them, read in place.
// Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3 (records) and 4.5.3 (zip64).

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace concord {

class StoredZip {
 public:
  // Reads the central directory, of zip64 too. Throws, naming `where`, for anything that is not a
  // whole archive in one part, or has two members of one name. `bytes` must outlive the object.
  StoredZip(std::string_view bytes, const std::string& where);

  bool contains(const std::string& name) const { return members_.contains(name); }
  // The member's bytes, within those of the archive. Throws when there is none of this name, it is
  // compressed or encrypted, or does not lie within the archive. Checksums are not compared:
  // PyTorch itself writes files without true ones.
  std::string_view member(const std::string& name) const;

  struct Member {
    std::uint16_t flags = 0;
    std::uint16_t method = 0;
    std::uint64_t compressed = 0;
    std::uint64_t size = 0;
    std::uint64_t header = 0;  // offset of the local header
  };
  const std::map<std::string, Member>& members() const { return members_; }

 private:
  std::string_view bytes_;
  std::string where_;
  std::map<std::string, Member> members_;
};

}  // namespace concord
