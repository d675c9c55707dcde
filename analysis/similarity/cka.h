#pragma once
// Centred kernel alignment: how alike two networks see the similarities between samples.
//
// With K and L the n x n kernel matrices of A's and B's samples,
//   CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).
// Biased: HSIC_0 = tr(K H L H) / (n - 1)^2, H = I - 1/n (Kornblith et al., Similarity of Neural
// Network Representations Revisited, ICML 2019); above 0 for unrelated features, the more the fewer
// samples. Debiased: the unbiased estimate HSIC_1 (Song et al., Feature Selection via Dependence
// Maximization, JMLR 2012, eq. 5; Nguyen, Raghu, Kornblith, ICLR 2021, eq. 3), around 0 for
// unrelated features and so at times a little below; at most 1.

#include <cstdint>

#include "analysis/similarity/matrix.h"

namespace concord::similarity {

enum class Hsic : std::uint8_t { kBiased, kUnbiased };

// The least number of samples: 2, and 4 for the unbiased estimate, which divides by n - 3.
std::int64_t least_samples(Hsic estimate);

// The three HSIC of a pair. They may be averaged over batches (Nguyen et al., eq. 2).
struct HsicTerms {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  // Throws naming the features that are constant, over which nothing varies.
  double cka() const;
};

// What both estimates are made of, for kernels that are centred (their rows sum to 0).
struct KernelSums {
  std::int64_t samples = 0;
  double ab = 0, aa = 0, bb = 0;                             // tr(K L), tr(K K), tr(L L)
  double diagonal_ab = 0, diagonal_aa = 0, diagonal_bb = 0;  // sum_i K_ii L_ii, ...
  double trace_a = 0, trace_b = 0;
  // Throws below least_samples(), and where a sum is not finite.
  HsicTerms hsic(Hsic estimate) const;
};

// k, l: centred kernels [n,n]. Throws unless they are square and equally large.
KernelSums kernel_sums(const Matrix& k, const Matrix& l);

// The linear kernel of the rows, centred: X X^T with every column of X less its mean.
Matrix linear_kernel(const Matrix& rows);
// H k H for a symmetric kernel.
Matrix centred_kernel(Matrix k);
// exp(-|x_i - x_j|^2 / (2 (bandwidth m)^2)), not centred, from the centred linear kernel; m^2 is
// the median of the n^2 squared distances (those of a sample to itself among them, as in Kornblith
// et al.'s published code). Throws where m is 0: half of all pairs of samples are equal. `what`
// names the features in messages ("features A").
Matrix rbf_kernel(const Matrix& linear, double bandwidth, const char* what);

// HSIC averaged over batches of samples, which never needs more than one batch: CKA of the averages
// (Nguyen et al., eq. 2). Batches must be drawn at random; with the unbiased estimate the averages
// are unbiased whatever the batch size.
class MinibatchCka {
 public:
  explicit MinibatchCka(Hsic estimate) : estimate_(estimate) {}
  // The same samples of A and B, linear kernels. Throws for fewer than least_samples(), and where
  // the two have different numbers of rows.
  void add(const Matrix& a, const Matrix& b);
  // Throws before any batch, and where features are constant within every batch.
  double result() const;
  std::int64_t batches() const { return batches_; }

 private:
  Hsic estimate_;
  HsicTerms sums_;
  std::int64_t batches_ = 0;
};

}  // namespace concord::similarity
