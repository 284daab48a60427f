/// The tile unit of x86 (AMX; Sapphire Rapids and later), and whether this process may use it.
///
/// The environment variable G4_AMX=0 turns it off; results are the same bits with and without. That is for programs with
/// small alternate signal stacks: Linux refuses tiles to a process that has stacks too small to hold them (then vectors
/// multiply), and refuses such stacks to a process that has tiles.
#pragma once

#include "kernels/cpu/tiles.h"

// The processor's state of tiles has to be asked for, which is known here for Linux only. Older compilers know no tiles.
#if defined(__x86_64__) && defined(__LP64__) && defined(__linux__) && \
    ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 11))
#define G4_AMX_TILES 1

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#endif

namespace g4::cpu {

#if defined(G4_AMX_TILES)

/// Instructions that the processor refuses (the program dies of SIGILL) until `amx_is_usable` has said yes.
///
/// Inline assembly: the intrinsics of g++ 12 do not say that TILELOADD reads memory, so stores may be moved past it, and
/// clang inlines its own only into functions compiled for AMX. Tiles are no operands here, as nothing else uses them.
struct amx_instructions {
  template <int To>
  static void zero(tile_name<To>) {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(To));
  }
  template <int To>
  static void load(tile_name<To>, const void* from, std::size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(To) : "memory");
  }
  template <int From>
  static void store(tile_name<From>, void* to, std::size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(From) : "memory");
  }
  template <int Sums, int X, int W>
  static void add_uu(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    __asm__ volatile("tdpbuud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(W));
  }
  template <int Sums, int X, int W>
  static void add_us(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(W));
  }
  template <int Sums, int X, int W>
  static void add_su(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(W));
  }
  template <int Sums, int X, int W>
  static void add_ss(tile_name<Sums>, tile_name<X>, tile_name<W>) {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(W));
  }

  /// This thread's tiles: all eight of 16 rows of 64 bytes.
  static void configure() {
    struct alignas(64) configuration {
      std::uint8_t palette = 1;
      std::uint8_t first_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    static_assert(sizeof(configuration) == 64);
    const configuration all_at_their_largest;
    __asm__ volatile("ldtilecfg %0" : : "m"(all_at_their_largest));
  }
  /// Afterwards the thread has no tiles that the system would have to save.
  static void release() { __asm__ volatile("tilerelease"); }
};

namespace detail {

/// A small product of every kind.
template <class Tiles>
void try_tiles(Tiles& unit, std::int32_t (&sums)[4][tile_bytes / 4]) {
  std::uint8_t x[tile_bytes], w[tile_bytes];
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < tile_bytes; ++i) {
    state = state * 1664525u + 1013904223u;
    x[i] = static_cast<std::uint8_t>(state >> 24);
    w[i] = static_cast<std::uint8_t>(state >> 16);
  }
  constexpr tile_name<0> a;
  constexpr tile_name<1> b;
  unit.load(a, x, tile_row_bytes);
  unit.load(b, w, tile_row_bytes);
  const auto fill = [&](auto name, int which, auto&& add) {
    unit.zero(name);
    add(name);
    add(name);
    unit.store(name, sums[which], tile_row_bytes);
  };
  fill(tile_name<2>(), 0, [&](auto name) { unit.add_uu(name, a, b); });
  fill(tile_name<3>(), 1, [&](auto name) { unit.add_us(name, a, b); });
  fill(tile_name<4>(), 2, [&](auto name) { unit.add_su(name, a, b); });
  fill(tile_name<7>(), 3, [&](auto name) { unit.add_ss(name, a, b); });
}

/// What the processor says of itself, and the system of the registers it saves for us.
inline bool amx_is_there() {
  unsigned a, b, c, d;
  const auto ask = [&](unsigned leaf, unsigned part) { return __get_cpuid_count(leaf, part, &a, &b, &c, &d) != 0; };
  if (!ask(1, 0) || (c >> 27 & 1) == 0) return false;  // OSXSAVE: XGETBV may be asked
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3) != 3) return false;                                    // XTILECFG and XTILEDATA are saved
  if (!ask(7, 0) || (d >> 24 & 1) == 0 || (d >> 25 & 1) == 0) return false;  // AMX-TILE, AMX-INT8
  // Palette 1: eight tiles of 16 rows of 64 bytes.
  if (!ask(0x1d, 0) || a < 1 || !ask(0x1d, 1)) return false;
  return a >> 16 == tile_bytes && (b & 0xffff) == tile_row_bytes && b >> 16 == 8 && (c & 0xffff) == tile_rows;
}

/// Linux gives the state of tiles, 8 KB for every thread that uses them, to processes that ask. The answer holds for all
/// threads of the process.
inline bool amx_is_granted() {
#if defined(SYS_arch_prctl)
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

inline bool amx_gives_what_is_defined() {
  std::int32_t given[4][tile_bytes / 4], expected[4][tile_bytes / 4];
  defined_tiles definition;
  try_tiles(definition, expected);
  amx_instructions processor;
  amx_instructions::configure();
  try_tiles(processor, given);
  amx_instructions::release();
  return std::memcmp(given, expected, sizeof given) == 0;
}

}  // namespace detail

/// True where the processor has tiles, the system lets this process use them, and they compute what is defined. Found
/// out once per process.
[[nodiscard]] inline bool amx_is_usable() {
  static const bool usable = [] {
    const char* choice = std::getenv("G4_AMX");
    const bool refused = choice != nullptr && std::strcmp(choice, "0") == 0;
    return !refused && detail::amx_is_there() && detail::amx_is_granted() && detail::amx_gives_what_is_defined();
  }();
  return usable;
}

/// The processor's tiles, this thread's for as long as the object lives.
class amx_tiles : public amx_instructions {
 public:
  static constexpr bool possible = true;
  explicit amx_tiles(bool wanted) : on_(wanted && amx_is_usable()) {
    if (on_) configure();
  }
  ~amx_tiles() {
    if (on_) release();
  }
  amx_tiles(const amx_tiles&) = delete;
  amx_tiles& operator=(const amx_tiles&) = delete;
  [[nodiscard]] bool on() const { return on_; }

 private:
  bool on_;
};

#else

[[nodiscard]] constexpr bool amx_is_usable() { return false; }
using amx_tiles = no_tiles;

#endif

}  // namespace g4::cpu
