#pragma once
// CUB-200-2011 as published, and what is laid out like it.
// Source: Wah, Branson, Welinder, Perona, Belongie, "The Caltech-UCSD Birds-200-2011 Dataset".

#include "data/file_source.h"
#include "data/image_plan.h"

namespace concord {

// Reads images.txt, classes.txt, image_class_labels.txt, train_test_split.txt and, if `boxes`,
// bounding_boxes.txt, wherever in the source the first of them lies. Splits train and test, classes
// in the order of classes.txt, images in that of images.txt. Throws Error with file and line for
// malformed lines, ids that are missing, unknown or given twice, paths that leave images/, and
// boxes that are not numbers with positive sides.
ImagePlan plan_cub200(const FileSource& source, bool boxes = true);

}  // namespace concord
