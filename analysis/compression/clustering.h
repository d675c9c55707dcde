#pragma once
// k-means of numbers.

#include <vector>

namespace concord {

struct Clusters {
  std::vector<double> centroids;  // ascending, each with at least one value
  int iterations = 0;
  bool converged = false;  // no value changed its cluster in the last iteration
};

// Lloyd's algorithm on finite numbers, in double, from `count` centroids spaced evenly from the
// least value to the greatest: each value belongs to the nearest centroid (of two equally near, the
// lower), each centroid becomes the mean of its values, until no value changes its cluster or
// kMostLloydIterations have passed. A centroid without values stays where it is, may gain some
// later, and is left out of the result if it never does. Where there are no more than `count`
// distinct values they are the centroids. No values: no centroids. The order of the values makes no
// difference. Throws unless 1 <= count, and for a value that is not finite.
//
// Source: Han, Mao, Dally, "Deep Compression", ICLR 2016, section 3 (linear initialisation).
//
// Values are sorted once (in place) and summed once; an iteration then takes count * log(values).
inline constexpr int kMostLloydIterations = 10'000;
Clusters cluster_values(std::vector<float> values, int count);

}  // namespace concord
