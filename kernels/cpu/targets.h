// Which of Highway's targets the kernels are built for; before any other Highway header.
#pragma once

// Ice Lake's 16-bit dot products are wanted even where the baseline is SSE2.
#ifndef HWY_WANT_AVX3_DL
#define HWY_WANT_AVX3_DL
#endif

// Left out is a target whose code is another's once more, and takes as long to compile. x86: Zen 4's and Sapphire Rapids'
// are Ice Lake's (no kernel uses their 16-bit floats; tiles of AMX ask the CPU themselves), and every CPU that has SSSE3 and
// came after 2007 has SSE4. Arm: AES makes no difference. Nor are tiles, which are arrays of vectors, possible with vectors
// whose length is known when they run; NEON serves those machines.
#ifndef HWY_DISABLED_TARGETS
#if defined(__aarch64__)
#define HWY_DISABLED_TARGETS (HWY_NEON | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_ZEN4 | HWY_AVX3_SPR)
#endif
#endif
