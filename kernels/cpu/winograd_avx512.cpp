// Winograd's inner loops for AVX-512 (32 registers); cmake/targets.cmake has this file's flags.

#include "kernels/cpu/winograd_vector.h"

namespace concord::kernels::winograd {

constinit const LoopTable kAvx512Loops = Loops<16, 6, 4, 8, 3>::kTable;

}  // namespace concord::kernels::winograd
