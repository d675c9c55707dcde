// Changes what is in a zip archive and packs it anew, for an archive whose directory no longer fits
// is refused before the pickle in it is looked at.

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/stored_zip.h"
#include "kernels/error.h"
#include "tests/fuzz/mutation.h"

namespace {

using concord::fuzz::append_number;

struct Member {
  std::string name;
  std::string content;
};

std::string pack(const std::vector<Member>& members) {
  std::string archive, directory;
  for (const Member& member : members) {
    const std::size_t at = archive.size();
    // What a local header and a directory entry share: flags, method, time, date, checksum (which
    // nobody compares), sizes, length of the name, of the extra field.
    std::string shared;
    append_number(shared, 0, 12);
    append_number(shared, member.content.size(), 4);
    append_number(shared, member.content.size(), 4);
    append_number(shared, member.name.size(), 2);
    append_number(shared, 0, 2);
    archive += "PK\3\4";
    append_number(archive, 20, 2);
    archive += shared + member.name + member.content;
    directory += "PK\1\2";
    append_number(directory, 20, 2);
    append_number(directory, 20, 2);
    directory += shared;
    append_number(directory, 0, 10);  // comment, disk, attributes
    append_number(directory, at, 4);
    directory += member.name;
  }
  const std::size_t at = archive.size();
  archive += directory + "PK\5\6";
  append_number(archive, 0, 4);
  append_number(archive, members.size(), 2);
  append_number(archive, members.size(), 2);
  append_number(archive, directory.size(), 4);
  append_number(archive, at, 4);
  append_number(archive, 0, 2);
  return archive;
}

std::vector<Member> unpack(const std::string& archive) {
  try {
    const concord::StoredZip zip(archive, "zip");
    std::vector<Member> members;
    for (const auto& [name, member] : zip.members())
      members.push_back({name, std::string(zip.member(name))});
    return members;
  } catch (const concord::Error&) {
    return {};
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<Member> members = unpack(std::string(reinterpret_cast<const char*>(data), size));
  if (members.empty() || random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  // The pickle as often as all others, for there is the most to find.
  const auto pickle = std::find_if(members.begin(), members.end(), [](const Member& member) {
    return member.name.ends_with("data.pkl");
  });
  Member& chosen =
      pickle != members.end() && random() % 2 == 0 ? *pickle : members[random() % members.size()];
  std::string& text = random() % 16 == 0 ? chosen.name : chosen.content;
  text = concord::fuzz::mutated(text, text.size() + 64);
  if (random() % 32 == 0)
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(random() % members.size()));
  return concord::fuzz::hand_back(pack(members), data, size, max_size);
}
