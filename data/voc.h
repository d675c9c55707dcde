#pragma once
// Pascal VOC 2012 as published, and what is laid out like it: three data sets of one source.
// Source: Everingham, Van Gool, Williams, Winn, Zisserman, "The PASCAL Visual Object Classes
// Challenge 2012"; spec section 6 for the order of the classes.

#include <string>
#include <vector>

#include "data/file_source.h"
#include "data/image_plan.h"

namespace concord {

// The twenty classes in the order of the original experiments: their labels are its labels.
const std::vector<std::string>& voc_classes();
// The six of them that are the classes of the animals' task, in the same order.
const std::vector<std::string>& voc_animals();

enum class VocTask : std::uint8_t {
  kCrop,        // every object is a sample, cropped to its box; the twenty classes
  kAnimals,     // the same of the six animals alone
  kMultiLabel,  // whole images, each with the classes of its objects
};

struct VocOptions {
  bool boxes = true;  // false: the whole image for every object
  // Of a source in this layout with classes of its own, in the order of their labels; empty for
  // VOC's. Not for kAnimals.
  std::vector<std::string> classes = {};
};

// Reads ImageSets/Main/train.txt and val.txt and Annotations/NAME.xml of every image they name.
// Splits train and val, images in the order of the lists, objects in that of the annotation.
//
// Objects marked as difficult are left out: the published counts (13,609 and 13,841 objects) are
// of the others. In the multi-label task a class counts as shown if an object of it that is not
// difficult is in the image; an image may show none.
//
// Folders of classes are called NN.CLASS ("00.cow" ... "19.car"), so that whatever numbers class
// folders by name, here and elsewhere, arrives at the order above, with no list beside them; in the
// animals' set they keep those names. Classes that no image has are left out. A sample is
// SPLIT/NN.CLASS/IMAGE_KK.jpg, KK counting all objects of the annotation from 01; of the
// multi-label task SPLIT/images/IMAGE.jpg.
//
// Throws Error with file and entry for lists or annotations that are missing or malformed, an image
// that is listed twice, a name that is no file name, and an object of a class that is none of them.
ImagePlan plan_voc(const FileSource& source, VocTask task, const VocOptions& options = {});

}  // namespace concord
