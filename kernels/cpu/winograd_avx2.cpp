// Winograd's inner loops for AVX2 (16 registers); cmake/targets.cmake has this file's flags.

#include "kernels/cpu/winograd_vector.h"

namespace concord::kernels::winograd {

constinit const LoopTable kAvx2Loops = Loops<8, 6, 2, 4, 3>::kTable;

}  // namespace concord::kernels::winograd
