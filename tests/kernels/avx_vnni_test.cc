// Kernels for AVX2 give the same bits with the dot products of AVX-VNNI as without.
#if defined(__x86_64__)

// For that target alone, before any header of Highway's: the others know nothing of it.
#undef HWY_COMPILE_ONLY_STATIC
#undef HWY_BASELINE_TARGETS
#define HWY_COMPILE_ONLY_STATIC
#define HWY_BASELINE_TARGETS HWY_AVX2

#include <algorithm>
#include <cmath>

#include "g4/backend/cpu.h"
#include "hwy/highway.h"
#include "kernels/cpu/avx_vnni.h"
#include "kernels/cpu/panel_matmul-inl.h"  // after highway.h
#include "tests/kernels/helpers.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace {

template <class Dots, storage S>
void multiply_levels(const cpu::product_call& call) {
  matmul_tiles none(false);
  blocked_matmul<panel_facts<S>::minima, levels_are_bytes<S>, Dots>(call, widen<S>, none);
}
template <storage S>
void multiply(const cpu::product_call& call, bool vnni) {
  if (call.bytes.levels != nullptr) {
    if (vnni) return bytes_matmul_of<S, one_byte_at_once>(call);
    if constexpr (S == storage::q8_0 || S == storage::iq4_nl) {
      return cpu::kernels::panel_matmul_bytes(call);  // of another target: AVX2 alone has none for levels this large
    } else {
      return bytes_matmul_of<S, one_byte>(call);
    }
  }
  return vnni ? multiply_levels<dots_of_vnni, S>(call) : multiply_levels<dots_of_target, S>(call);
}

}  // namespace

// Storages without and with minima, with levels too large for pairs of bytes, and with half-blocks that are scaled.
bool multiply_by_choice(const cpu::product_call& call, bool vnni) {
  switch (call.origin) {
    case storage::q4_k: return multiply<storage::q4_k>(call, vnni), true;
    case storage::q5_0: return multiply<storage::q5_0>(call, vnni), true;
    case storage::q8_0: return multiply<storage::q8_0>(call, vnni), true;
    case storage::iq4_nl: return multiply<storage::iq4_nl>(call, vnni), true;
    case storage::q6_k:
      if (call.bytes.levels != nullptr) return false;  // there the scales' products come in pairs
      vnni ? multiply_levels<dots_of_vnni, storage::q6_k>(call) : multiply_levels<dots_of_target, storage::q6_k>(call);
      return true;
    default: return false;
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace g4::test {
namespace {

// One product with its rounded activations.
template <class Level>
struct rounded {
  std::vector<Level> levels;
  std::vector<float> step, total;
  std::vector<std::int32_t> sum;

  rounded(std::size_t tokens, std::size_t columns)
      : levels(tokens * columns), step(tokens * columns / 32), total(step.size()), sum(2 * step.size()) {}
  [[nodiscard]] cpu::rounded_activations<Level> view(std::size_t columns) {
    return {levels.data(), step.data(), sum.data(), total.data(), columns / 32};
  }
};

void expect_the_same(storage type, bool bytes, const std::vector<float>& x, std::size_t tokens, std::size_t columns,
                     const random_matrix& w) {
  SCOPED_TRACE(std::string(facts_of(type).name) + (bytes ? ", bytes, " : ", ") + std::to_string(tokens) + " tokens");
  rounded<std::int16_t> levels(tokens, columns);
  rounded<std::int8_t> small(tokens, columns);
  cpu::kernels::quantise({x.data(), columns, 0, tokens, levels.view(columns)});
  cpu::kernels::quantise_bytes({x.data(), columns, 0, tokens, small.view(columns)});
  const std::size_t rows = w.view.rows, panels = (rows + 15) / 16;
  std::vector<std::byte> packed(panels * cpu::panel_size(type, columns)), scratch(cpu::product_scratch + 64);
  cpu::kernels::to_panels({w.view, 0, panels, packed.data()});
  std::vector<float> y[2];
  for (const bool vnni : {false, true}) {
    y[vnni].resize(tokens * rows);
    auto* const room = reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(scratch.data()) + 63) / 64 * 64);
    cpu::product_call call{packed.data(), type, rows, columns, levels.view(columns), tokens, y[vnni].data(), 0,
                           panels,        room, {}};
    if (bytes) call.bytes = small.view(columns);
    if (!HWY_NAMESPACE::multiply_by_choice(call, vnni)) return;
  }
  if (!bytes || (type != storage::q8_0 && type != storage::iq4_nl)) {
    EXPECT_EQ(y[0], y[1]);
    return;
  }
  // The other target's sums are the same integers, but need not be multiplied and added at once.
  float largest = 0;
  for (const float v : y[0]) largest = std::max(largest, std::abs(v));
  EXPECT_GT(largest, 0);
  for (std::size_t i = 0; i < y[0].size(); ++i) EXPECT_NEAR(y[0][i], y[1][i], 1e-5f * largest) << i;
}

}  // namespace

TEST(avx_vnni, the_bits_of_avx2) {
  if ((hwy::SupportedTargets() & HWY_AVX2) == 0 || !cpu::avx_vnni_is_usable()) GTEST_SKIP() << "not on this machine";
  constexpr std::size_t columns = 768;
  for (const storage type : {storage::q4_k, storage::q5_0, storage::q8_0, storage::iq4_nl, storage::q6_k}) {
    const random_matrix w(type, 37, columns);
    for (const std::size_t tokens : {std::size_t{1}, std::size_t{7}, std::size_t{33}}) {
      std::vector<float> x = random_floats(tokens * columns, 5);
      for (std::size_t i = 0; i < columns; ++i) x[i] = i % 2 == 0 ? 1.0f : -1.0f;  // the largest levels
      for (const bool bytes : {false, true}) expect_the_same(type, bytes, x, tokens, columns, w);
    }
  }
}

}  // namespace g4::test

#endif
