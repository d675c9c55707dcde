#pragma once
// The photographs that features were taken of.

#include <map>
#include <string>
#include <unordered_map>

#include "data/image_set.h"

namespace concord::report {

inline constexpr int kPhotograph = 256;  // side in pixels of one that is shown

class Photographs {
 public:
  // Of the folder or KIND:PATH that concord-features was given.
  explicit Photographs(std::string data);

  // The photograph of a row of features by the name that the store has for it, as a square, as
  // networks see it; of width 0 where it cannot be shown. A warning says why, for a data set that
  // is not there once.
  Image of(const std::string& name);

 private:
  std::string data_;
  std::unordered_map<std::string, ImageSample> planned_;
};

}  // namespace concord::report
