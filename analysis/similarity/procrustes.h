#pragma once

#include "analysis/similarity/cka.h"

namespace concord::similarity {

// How well an orthogonal map brings one network's features onto the other's, each centred and
// divided by its Frobenius norm. Where the widths differ the narrower is filled up with zeros.
struct Procrustes {
  // |A^T B|_* (sum of singular values): 1 for features that differ by an orthogonal map, shift and
  // scale, 0 for features without correlation. The cosine of Williams et al., Generalized Shape
  // Metrics on Neural Representations, NeurIPS 2021.
  double similarity = 0;
  // min over orthogonal Q of |A - B Q|_F^2 = 2 - 2 similarity, in 0..2. Source: Ding, Denain,
  // Steinhardt, Grounding Representation Similarity, NeurIPS 2021, eq. 5.
  double distance = 0;
};

// `sums` of the two linear kernels, and the nuclear norm of X^T Y (pair_moments.h). Throws naming
// the features that are constant.
Procrustes procrustes(const KernelSums& sums, double nuclear_norm);

}  // namespace concord::similarity
