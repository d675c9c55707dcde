#pragma once
// Feature stores without networks and images, for measuring what reads them.

#include <cstdint>
#include <filesystem>

#include "data/stored_dtype.h"
#include "kernels/shape.h"

namespace concord::bench {

// Writes DIRECTORY/a and DIRECTORY/b, stores of shape [N,C,H,W] with names and labels. The features
// are normally distributed; a few drawn rows come again and again, for drawing all would take
// longer than writing.
void write_random_stores(const std::filesystem::path& directory, const Shape& shape,
                         StoredDType dtype, std::uint64_t seed);

}  // namespace concord::bench
