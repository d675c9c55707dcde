#include "data/object_annotation.h"

#include <charconv>
#include <cmath>
#include <pugixml.hpp>
#include <string_view>

#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 22;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// One <object>, for the messages.
struct Place {
  const std::string& file;
  std::size_t object;  // from 1

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: object {}: {}", file, object, fmt::format(format, std::forward<Args>(args)...));
  }
};

double coordinate(const pugi::xml_node& box, const char* field, const Place& place) {
  const pugi::xml_node node = box.child(field);
  if (!node) place.refuse("<bndbox> has no <{}>", field);
  const std::string_view text = trimmed(node.child_value());
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    place.refuse("<{}> is '{}', not a number", field, text.substr(0, 40));
  return value;
}

AnnotatedObject read_object(const pugi::xml_node& node, const Place& place) {
  AnnotatedObject object;
  object.name = trimmed(node.child("name").child_value());
  if (object.name.empty()) place.refuse("has no <name>");
  const std::string_view difficult = trimmed(node.child("difficult").child_value());
  if (!difficult.empty() && difficult != "0" && difficult != "1")
    place.refuse("<difficult> is '{}', neither 0 nor 1", difficult.substr(0, 40));
  object.difficult = difficult == "1";
  const pugi::xml_node box = node.child("bndbox");
  if (!box) place.refuse("{} has no <bndbox>", object.name);
  const double left = coordinate(box, "xmin", place), right = coordinate(box, "xmax", place);
  const double top = coordinate(box, "ymin", place), bottom = coordinate(box, "ymax", place);
  if (right < left || bottom < top)
    place.refuse("the box of {} ends before it begins (xmin {}, ymin {}, xmax {}, ymax {})",
                 object.name, left, top, right, bottom);
  const double x = std::trunc(left), y = std::trunc(top);
  object.box = {x, y, std::trunc(right) - x, std::trunc(bottom) - y};
  return object;
}

}  // namespace

std::vector<AnnotatedObject> read_annotation(std::span<const std::uint8_t> bytes,
                                             const std::string& file) {
  check(bytes.size() <= kMostBytes, "{}: an annotation of {} bytes, more than the cap of {}", file,
        bytes.size(), kMostBytes);
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(bytes.data(), bytes.size());
  check(parsed, "{}: not XML: {} at byte {}", file, parsed.description(), parsed.offset);
  const pugi::xml_node root = document.child("annotation");
  check(static_cast<bool>(root), "{}: holds no <annotation>", file);
  std::vector<AnnotatedObject> objects;
  for (const pugi::xml_node& node : root.children("object"))
    objects.push_back(read_object(node, {file, objects.size() + 1}));
  return objects;
}

}  // namespace concord
