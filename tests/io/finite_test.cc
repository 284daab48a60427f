#include "g4/io/finite.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "g4/io/safetensors.h"
#include "g4/ops/dequantise.h"
#include "tests/io/files.h"

namespace {

using g4::storage;

/// One tensor of a storage with bytes of its own.
struct one_tensor {
  std::vector<std::byte> bytes;
  g4::io::tensor_file file;

  one_tensor(storage s, std::size_t rows, std::size_t columns) : bytes(rows * g4::row_bytes(s, columns)) {
    std::vector<g4::io::stored_tensor> entries;
    entries.push_back({"w", g4::io::element_of(s), {rows, columns}, bytes, 0});
    file = *g4::io::tensor_file::make("m.gguf", std::move(entries), {});
  }
  void set_u16(std::size_t at, std::uint16_t bits) { std::memcpy(bytes.data() + at, &bits, 2); }
  [[nodiscard]] const g4::io::stored_tensor& w() const { return *file.find("w"); }
  [[nodiscard]] auto finite() const { return g4::io::check_finite(file, w()); }
  [[nodiscard]] auto not_zero() const { return g4::io::check_not_all_zero(file, w()); }
};

TEST(finite, infinities_and_nans_of_plain_floats_at_every_place) {
  for (const std::size_t columns : {1u, 3u, 7u, 33u}) {
    for (std::size_t i = 0; i < 2 * columns; ++i) {
      one_tensor f(storage::f32, 2, columns);
      const float numbers[] = {-std::numeric_limits<float>::max(), std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN()};
      for (const float x : numbers) {
        std::memcpy(f.bytes.data() + 4 * i, &x, 4);
        if (std::isfinite(x)) {
          EXPECT_TRUE(f.finite());
        } else {
          EXPECT_REFUSED(f.finite(), "m.gguf",
                         "w holds a number that is not finite at row " + std::to_string(i / columns) + ", column " +
                             std::to_string(i % columns) + "; the file is damaged");
        }
      }
      one_tensor h(storage::f16, 2, columns);
      h.set_u16(2 * i, 0xfbff);
      EXPECT_TRUE(h.finite());
      h.set_u16(2 * i, 0x7c00);
      EXPECT_REFUSED(h.finite(), "m.gguf", "not finite");
      one_tensor b(storage::bf16, 2, columns);
      b.set_u16(2 * i, 0xff7f);
      EXPECT_TRUE(b.finite());
      b.set_u16(2 * i, 0xff80);
      EXPECT_REFUSED(b.finite(), "m.gguf", "not finite");
    }
  }
}

TEST(finite, the_powers_of_two_of_mxfp4) {
  one_tensor t(storage::mxfp4, 3, 64);
  std::memset(t.bytes.data(), 0xff, t.bytes.size());
  for (std::size_t at = 0; at < t.bytes.size(); at += 17) t.bytes[at] = std::byte{252};
  EXPECT_TRUE(t.finite());
  t.bytes[17 * 3] = std::byte{253};
  EXPECT_REFUSED(t.finite(), "m.gguf", "w holds a block whose scale is not finite at row 1, column 32");
  std::vector<float> row(64);
  g4::dequantise(storage::mxfp4, t.bytes.data() + 34, 64, row.data());
  EXPECT_TRUE(std::any_of(row.begin(), row.end(), [](float x) { return !std::isfinite(x); }));
}

TEST(finite, the_scales_of_every_block_storage) {
  const std::pair<storage, std::vector<std::size_t>> scales[] = {
      {storage::q4_0, {0}},      {storage::q4_1, {0, 2}}, {storage::q5_0, {0}},    {storage::q5_1, {0, 2}},
      {storage::q8_0, {0}},      {storage::q4_k, {0, 2}}, {storage::q5_k, {0, 2}}, {storage::q6_k, {208}},
      {storage::q2_k, {80, 82}}, {storage::q3_k, {108}},  {storage::iq4_nl, {0}},  {storage::iq4_xs, {0}}};
  for (const auto& [s, places] : scales) {
    const g4::storage_facts facts = g4::facts_of(s);
    one_tensor t(s, 3, 2 * facts.block_elements);
    std::memset(t.bytes.data(), 0x7b, t.bytes.size());
    EXPECT_TRUE(t.finite()) << facts.name;
    // Anything may stand where no scale is.
    for (std::size_t i = 0; i < facts.block_bytes; ++i) {
      const bool in_scale =
          std::any_of(places.begin(), places.end(), [i](std::size_t p) { return i == p || i == p + 1; });
      if (!in_scale) t.bytes[3 * facts.block_bytes + i] = std::byte{0xff};
    }
    EXPECT_TRUE(t.finite()) << facts.name;
    for (const std::size_t place : places) {
      one_tensor spoilt(s, 3, 2 * facts.block_elements);
      spoilt.set_u16(3 * facts.block_bytes + place, 0x7e00);
      EXPECT_REFUSED(
          spoilt.finite(), "m.gguf",
          "w holds a block whose scale is not finite at row 1, column " + std::to_string(facts.block_elements));
      // As bad as the bits are, they must be what dequantising makes of them.
      std::vector<float> row(2 * facts.block_elements);
      g4::dequantise(s, spoilt.bytes.data() + g4::row_bytes(s, row.size()), row.size(), row.data());
      EXPECT_TRUE(std::any_of(row.begin(), row.end(), [](float x) { return !std::isfinite(x); })) << facts.name;
    }
  }
}

TEST(all_zero, one_number_enough) {
  for (const storage s : {storage::f32, storage::bf16, storage::q4_0, storage::q8_0, storage::q6_k}) {
    one_tensor t(s, 5, 512);
    EXPECT_REFUSED(t.not_zero(), "m.gguf", "w is zero throughout; the file was not written to its end");
    t.bytes.back() = t.bytes[t.bytes.size() - 2] = std::byte{0x3c};
    if (s == storage::q4_0 || s == storage::q8_0) {
      t.set_u16(t.bytes.size() - g4::facts_of(s).block_bytes, 0x3c00);
    }
    if (s == storage::q6_k) t.bytes[t.bytes.size() - 3] = std::byte{1};  // the last sub-block's scale
    EXPECT_TRUE(t.not_zero()) << g4::facts_of(s).name;
  }
}

TEST(all_zero, zeros_that_have_bits) {
  one_tensor negative(storage::f32, 1, 3);
  const float nil = -0.0f;
  std::memcpy(negative.bytes.data() + 4, &nil, 4);
  EXPECT_REFUSED(negative.not_zero(), "m.gguf", "w is zero throughout");
  one_tensor no_scale(storage::q8_0, 1, 32);
  std::memset(no_scale.bytes.data() + 2, 0x55, 32);
  EXPECT_REFUSED(no_scale.not_zero(), "m.gguf", "w is zero throughout");
  one_tensor no_steps(storage::q4_0, 1, 32);
  std::memset(no_steps.bytes.data(), 0x88, 18);
  EXPECT_REFUSED(no_steps.not_zero(), "m.gguf", "w is zero throughout");
}

}  // namespace
