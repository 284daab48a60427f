// Products by tiles give the same bits as products by vectors: on tiles as they are defined, on every machine and SIMD
// target, and on the processor's own where there are any.
#include "kernels/cpu/targets.h"

#include "tests/kernels/helpers.h"

#include <algorithm>
#include <cstring>

#include "g4/backend/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/amx_matmul_test.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/panel_matmul-inl.h"  // after highway.h

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace {

// Compiled for the baseline and for the first target whose kernels use tiles: the rest would test nothing more.
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_STATIC_TARGET

template <storage S>
void multiply_panels(const cpu::product_call& call) {
  cpu::defined_tiles unit;
  blocked_matmul<panel_facts<S>::minima, levels_are_bytes<S>>(call, &widen<S>, unit);
}

void multiply_floats(const cpu::product_call& call) {
  cpu::defined_tiles unit;
  blocked_matmul<0, false>(call, &widen_floats, unit);
}

}  // namespace

bool multiply_as_defined(const cpu::product_call& call) {
  switch (call.origin) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // three of them have every path, and compile in a minute
    case storage::q4_1: return multiply_panels<storage::q4_1>(call), true;
    case storage::q6_k: return multiply_panels<storage::q6_k>(call), true;
    case storage::f32: return multiply_floats(call), true;
    default: return false;
#else
    case storage::q4_0: return multiply_panels<storage::q4_0>(call), true;
    case storage::q4_1: return multiply_panels<storage::q4_1>(call), true;
    case storage::q5_0: return multiply_panels<storage::q5_0>(call), true;
    case storage::q5_1: return multiply_panels<storage::q5_1>(call), true;
    case storage::q8_0: return multiply_panels<storage::q8_0>(call), true;
    case storage::q4_k: return multiply_panels<storage::q4_k>(call), true;
    case storage::q5_k: return multiply_panels<storage::q5_k>(call), true;
    case storage::q6_k: return multiply_panels<storage::q6_k>(call), true;
    case storage::q2_k: return multiply_panels<storage::q2_k>(call), true;
    case storage::q3_k: return multiply_panels<storage::q3_k>(call), true;
    case storage::iq4_nl: return multiply_panels<storage::iq4_nl>(call), true;
    case storage::iq4_xs: return multiply_panels<storage::iq4_xs>(call), true;
    case storage::mxfp4: return multiply_panels<storage::mxfp4>(call), true;
    default: return multiply_floats(call), true;
#endif
  }
}

#else

}  // namespace

bool multiply_as_defined(const cpu::product_call& /*call*/) { return false; }

#endif

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(multiply_as_defined);
}  // namespace g4

namespace g4::test {
namespace {

// One product: weights as kernels want them, rounded activations, and room for y.
class product {
 public:
  product(const matrix_view& w, const std::vector<float>& x, std::size_t tokens)
      : rows_(w.rows),
        levels_((w.columns + 31) / 32 * 32 * tokens),
        floats_(4 * levels_.size() / 32),
        scratch_(cpu::product_scratch) {
    const result<weight_view> packed =
        backend::cpu({backend::numeric::fast, nullptr, backend::weights_move::at_load}).prepare(w, store_);
    EXPECT_TRUE(packed.has_value());
    const std::size_t blocks = (w.columns + 31) / 32;
    sums_.resize(2 * tokens * blocks);
    call_.w = cpu::has_panels(w.type) ? prepared_as<cpu::panel_weight>(*packed)->panels : w.data;
    call_.origin = w.type;
    call_.rows = w.rows;
    call_.columns = w.columns;
    call_.x = {levels_.data(), floats_.data(), sums_.data(), floats_.data() + tokens * blocks, blocks};
    call_.tokens = tokens;
    call_.count = (w.rows + cpu::panel_rows - 1) / cpu::panel_rows;
    call_.scratch = scratch_.data();
    cpu::kernels::quantise({x.data(), w.columns, 0, tokens, call_.x});
  }

  // In parts of fewer tokens than a tile has rows: by vectors.
  [[nodiscard]] std::vector<float> by_vectors() {
    std::vector<float> y(call_.tokens * rows_, 1e9f);
    for (std::size_t token = 0; token < call_.tokens; token += 15) {
      cpu::product_call part = call_;
      const std::size_t block = token * call_.x.blocks;
      part.x = {call_.x.levels + 32 * block, call_.x.step + block, call_.x.sum + 2 * block, call_.x.total + block,
                call_.x.blocks};
      part.tokens = std::min<std::size_t>(15, call_.tokens - token);
      part.y = y.data() + token * rows_;
      kernel(part);
    }
    return y;
  }

  // At once: by the processor's tiles, where it has any.
  [[nodiscard]] std::vector<float> at_once() {
    std::vector<float> y(call_.tokens * rows_, -1e9f);
    call_.y = y.data();
    kernel(call_);
    return y;
  }

  // By tiles as they are defined; nothing where that is not compiled.
  [[nodiscard]] std::vector<float> by_definition() {
    std::vector<float> y(call_.tokens * rows_, -1e9f);
    call_.y = y.data();
    if (!HWY_DYNAMIC_DISPATCH(multiply_as_defined)(call_)) y.clear();
    return y;
  }

 private:
  static void kernel(const cpu::product_call& call) { cpu::panel_matmul<cpu::kernels>(call); }

  std::size_t rows_;
  panel_store store_;
  std::vector<std::int16_t> levels_;
  std::vector<float> floats_;
  std::vector<std::int32_t> sums_;
  exact_bytes scratch_;
  cpu::product_call call_;
};

void check_tiles(const matrix_view& w, const std::vector<float>& x, std::size_t tokens) {
  SCOPED_TRACE(std::string(facts_of(w.type).name) + " [" + std::to_string(w.rows) + ", " + std::to_string(w.columns) +
               "] x " + std::to_string(tokens));
  for_each_target([&] {
    product p(w, x, tokens);
    const std::vector<float> expected = p.by_vectors();
    EXPECT_EQ(p.at_once(), expected);
    const std::vector<float> defined = p.by_definition();
    if (!defined.empty()) {
      EXPECT_EQ(defined, expected);
    }
  });
}

void check_tiles(storage type, std::size_t rows, std::size_t columns, std::size_t tokens) {
  check_tiles(random_matrix(type, rows, columns).view, random_floats(tokens * columns, 2), tokens);
}

}  // namespace

TEST(amx_matmul, the_same_bits_as_vectors_for_every_storage) {
  for (const storage type : all_storages) {
    check_tiles(type, 16, 256, 16);
    check_tiles(type, 37, 512, 35);  // three panels, the last of five rows; three tokens left over
  }
}

TEST(amx_matmul, sums_carried_from_one_piece_of_a_panel_to_the_next) {
  // 72 blocks: 64 are widened at a time, and 8 or 4 of them split.
  for (const storage type : {storage::q4_1, storage::q4_k, storage::q6_k, storage::bf16})
    check_tiles(type, 20, 2304, 33);
}

TEST(amx_matmul, blocks_left_over) {
  for (const storage type : {storage::q4_0, storage::q4_1, storage::q5_0, storage::q5_1, storage::q8_0}) {
    for (const std::size_t columns : {32u, 96u, 288u}) check_tiles(type, 17, columns, 16);
  }
  for (const storage type : {storage::f32, storage::f16, storage::bf16}) {
    for (const std::size_t columns : {1u, 32u, 100u, 257u}) check_tiles(type, 19, columns, 17);
  }
}

TEST(amx_matmul, fewer_tokens_than_a_tile_has_rows) {
  for (const std::size_t tokens : {2u, 15u}) check_tiles(storage::q4_k, 32, 256, tokens);
}

TEST(amx_matmul, batches_of_many_tokens) {
  check_tiles(storage::q4_k, 16, 2048, 200);  // more than share a second-level cache
  check_tiles(storage::f16, 16, 32, 530);
}

TEST(amx_matmul, extremes_of_levels_and_scales) {
  // All activations at their largest or least; level −32 times scale −128 for Q6_K, the least level elsewhere.
  for (const float sign : {1.0f, -1.0f}) {
    for (const storage type : {storage::q6_k, storage::q8_0, storage::q4_0, storage::f32}) {
      random_matrix w(type, 16, 256);
      const storage_facts facts = facts_of(type);
      const std::size_t blocks = 16 * 256 / facts.block_elements;
      for (std::size_t b = 0; b < blocks; ++b) {
        std::byte* p = w.bytes.data() + b * facts.block_bytes;
        if (type == storage::q6_k) {
          std::memset(p, 0, 192);
          std::memset(p + 192, 0x80, 16);
        } else if (type != storage::f32) {
          std::memset(p + 2, type == storage::q8_0 ? 0x80 : 0, facts.block_bytes - 2);
        } else {
          const float least = -3.0f;
          std::memcpy(p, &least, sizeof least);
        }
      }
      check_tiles(w.view, std::vector<float>(16 * 256, sign), 16);
    }
  }
}

TEST(amx, products_of_bytes_of_every_kind_by_hand) {
  std::uint8_t x[cpu::tile_bytes] = {}, w[cpu::tile_bytes] = {};
  x[64 * 2 + 7] = 0xff;          // row 2, column 7 = 4·1 + 3
  w[64 * 1 + 4 * 5 + 3] = 0xfe;  // the same column for row 5 of the weights
  cpu::defined_tiles unit;
  constexpr cpu::tile_name<0> a;
  constexpr cpu::tile_name<1> b;
  constexpr cpu::tile_name<2> sums;
  unit.load(a, x, 64);
  unit.load(b, w, 64);
  const auto check = [&](auto add, std::int32_t expected) {
    std::int32_t y[256];
    unit.zero(sums);
    add();
    unit.store(sums, y, 64);
    for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(y[i], i == 16 * 2 + 5 ? expected : 0) << i;
  };
  check([&] { unit.add_uu(sums, a, b); }, 255 * 254);
  check([&] { unit.add_us(sums, a, b); }, 255 * -2);
  check([&] { unit.add_su(sums, a, b); }, -1 * 254);
  check([&] { unit.add_ss(sums, a, b); }, -1 * -2);
}

}  // namespace g4::test
#endif
