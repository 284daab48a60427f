/// AVX-VNNI: dot products of pairs and fours in 256 bits, on Intel's processors without AVX-512 since 2021 (Alder Lake).
///
/// Highway has no target for it, so kernels for AVX2 ask when they run. The environment variable G4_AVX_VNNI=0 turns it off;
/// results are the same bits with and without.
///
/// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: CPUID leaf 7.1, VPDPWSSD, VPDPBUSD.
#pragma once

#if defined(__x86_64__) && \
    ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 11))
#define G4_AVX_VNNI 1

#include <cpuid.h>

#include <cstdlib>
#include <cstring>
#endif

namespace g4::cpu {

/// True where the processor has it and nobody has turned it off. To be asked where AVX2 is known to be usable: its registers
/// are the same. Found out once per process.
[[nodiscard]] inline bool avx_vnni_is_usable() {
#if defined(G4_AVX_VNNI)
  static const bool usable = [] {
    const char* choice = std::getenv("G4_AVX_VNNI");
    if (choice != nullptr && std::strcmp(choice, "0") == 0) return false;
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
  }();
  return usable;
#else
  return false;
#endif
}

}  // namespace g4::cpu
