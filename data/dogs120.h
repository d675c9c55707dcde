#pragma once
// Stanford Dogs as published, and what is laid out like it.
// Source: Khosla, Jayadevaprakash, Yao, Fei-Fei, "Novel Dataset for Fine-Grained Image
// Categorization".

#include "data/file_source.h"
#include "data/image_plan.h"

namespace concord {

// Reads the lists train_list.mat and test_list.mat (file_list), or train_list.txt and test_list.txt
// of one BREED/NAME.jpg a line where those are missing, and, if `boxes`, Annotation/BREED/NAME of
// every listed image. Splits train and test, classes are the breeds' folders in byte order (which
// is that of the published labels), images in the order of the lists.
//
// One image of the lists is one sample, so that the counts are the published ones. Where several
// dogs are annotated, all of one breed, the crop is the smallest rectangle that holds their boxes.
//
// Throws Error with file and entry for lists that are missing or malformed, an image that is listed
// twice, a path that is not BREED/NAME, and an annotation that is missing or names no object.
ImagePlan plan_dogs120(const FileSource& source, bool boxes = true);

}  // namespace concord
