#pragma once
// --images of the programs that show some: which of a row of images are wanted.

#include <cstdint>
#include <string>
#include <vector>

namespace concord::tool {

// The digits of a whole number below a thousand million as such; -1 for any other text.
std::int64_t whole_number(const std::string& text);

// Indices below `size`: of each wanted text the number that it is, or the image of that name or
// with a name that ends in "/" and it ("0012.jpg" for "val/ring/0012.jpg"). `names` has `size`
// names, or none where they are not known. Without wanted texts three spread over all. Throws for
// an image that is not there, naming those near it, and `where` they should be.
std::vector<std::int64_t> chosen_images(const std::vector<std::string>& wanted, std::int64_t size,
                                        const std::vector<std::string>& names,
                                        const std::string& where);

}  // namespace concord::tool
