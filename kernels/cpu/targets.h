// Which of Highway's targets the kernels are built for; before any other Highway header.
#pragma once

// Ice Lake's and Zen 4's 16-bit dot products are wanted even where the baseline is SSE2.
#ifndef HWY_WANT_AVX3_DL
#define HWY_WANT_AVX3_DL
#endif
#ifndef HWY_WANT_AVX3_ZEN4
#define HWY_WANT_AVX3_ZEN4
#endif

// Tiles are arrays of vectors, and vectors of run-time length cannot be put in arrays; NEON serves those machines.
#if defined(__aarch64__) && !defined(HWY_DISABLED_TARGETS)
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
