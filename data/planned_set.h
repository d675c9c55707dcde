#pragma once
// Published data sets read where they lie: the images of a plan as sets, cropped as they are
// loaded, with no copy on the disk.

#include <functional>
#include <string>
#include <vector>

#include "data/file_source.h"
#include "data/image_plan.h"
#include "data/image_set.h"

namespace concord {

// The same samples, labels and order as read_image_folder gives of the plan's prepared folder;
// their names are the plan's targets. The pixels are those before that folder's JPEG compression.
// Throws Error when a source is an archive, and when a class has no image in a split.
ImageFolder image_folder_of(const ImagePlan& plan, const std::vector<const FileSource*>& sources);

// What --data names: KIND:PATH, where KIND is cub200, dogs120, voc-crop, voc-animals,
// voc-multilabel (PATH is the unpacked data set, read as it lies) or mix320 (PATH is
// CUB_FOLDER,DOGS_FOLDER); anything else is a folder for read_image_folder. `warn` is told what is
// odd about KIND:PATH, a line each: another number of images than published.
ImageFolder read_images(const std::string& data,
                        const std::function<void(const std::string&)>& warn = {});

// Whether read_images takes the text as KIND:PATH.
bool names_planned_set(const std::string& data);

}  // namespace concord
