#pragma once
// For the few formulas that host and device share, so that both give the same bits.

#if defined(__CUDACC__)
#define CONCORD_HOST_DEVICE __host__ __device__
#else
#define CONCORD_HOST_DEVICE
#endif
