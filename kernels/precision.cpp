#include "kernels/precision.h"

#include <atomic>

namespace concord::kernels {
namespace {

std::atomic<Precision> chosen_precision{Precision::kFloat32};

}  // namespace

Precision precision() { return chosen_precision; }
void set_precision(Precision precision) { chosen_precision = precision; }

}  // namespace concord::kernels
