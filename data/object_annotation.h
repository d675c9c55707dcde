#pragma once
// Annotations of the objects in a picture, in the XML of Pascal VOC, which Stanford Dogs has too.
// Source: Everingham and Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit".

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/bounding_box.h"

namespace concord {

struct AnnotatedObject {
  std::string name;        // of its class
  bool difficult = false;  // marked as hard to recognise
  // In whole pixels, which some published coordinates are not: x = int(xmin), y = int(ymin), width
  // = int(xmax) - x, height = int(ymax) - y. Its pixels are those that Pillow's crop((int(xmin),
  // int(ymin), int(xmax), int(ymax))) takes, as experiments in Python have it. VOC counts from 1
  // and includes xmax and ymax, so that of such a box the first column and row are left out.
  BoundingBox box;
};

// The objects of an annotation, in its order; parts of objects are passed over. `file` stands in
// the messages. Throws Error with file and object for what is not XML of an <annotation>, is larger
// than 4 MiB, an object without <name> or <bndbox>, coordinates that are missing or no finite
// numbers, xmax < xmin or ymax < ymin, and a <difficult> that is neither 0 nor 1. No entity is
// expanded but those of single characters, and no other file is read.
std::vector<AnnotatedObject> read_annotation(std::span<const std::uint8_t> bytes,
                                             const std::string& file);

}  // namespace concord
