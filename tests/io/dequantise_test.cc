#include "g4/ops/dequantise.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "g4/io/safetensors.h"

namespace {

using g4::storage;

const storage all[] = {storage::f32,  storage::f16,    storage::bf16,   storage::q4_0, storage::q4_1, storage::q5_0,
                       storage::q5_1, storage::q8_0,   storage::q4_k,   storage::q5_k, storage::q6_k, storage::q2_k,
                       storage::q3_k, storage::iq4_nl, storage::iq4_xs, storage::mxfp4};

/// data/blocks.safetensors (see make_blocks.py): random blocks, and their numbers as the gguf package computes them.
class dequantise : public testing::TestWithParam<storage> {
 protected:
  void SetUp() override {
    auto opened = g4::io::open_safetensors(G4_SOURCE_DIR "/tests/io/data/blocks.safetensors");
    ASSERT_TRUE(opened) << opened.error().message;
    file = std::move(*opened);
    const std::string name(g4::facts_of(GetParam()).name);
    blocks = file.find(name + ".blocks");
    values = file.find(name + ".values");
    ASSERT_NE(blocks, nullptr);
    ASSERT_NE(values, nullptr);
    ASSERT_EQ(g4::row_bytes(GetParam(), values->dims[1]), blocks->dims[1]);
  }
  g4::io::tensor_file file;
  const g4::io::stored_tensor* blocks = nullptr;
  const g4::io::stored_tensor* values = nullptr;
};

TEST_P(dequantise, the_same_bits_as_ggml) {
  const std::size_t columns = values->dims[1];
  for (std::size_t r = 0; r < values->dims[0]; ++r) {
    // One byte further than aligned, as a row may be.
    std::vector<std::byte> row(blocks->dims[1] + 1);
    std::memcpy(row.data() + 1, blocks->bytes.data() + r * blocks->dims[1], blocks->dims[1]);
    std::vector<float> got(columns);
    g4::dequantise(GetParam(), row.data() + 1, columns, got.data());
    for (std::size_t i = 0; i < columns; ++i) {
      std::uint32_t want = 0;
      std::memcpy(&want, values->bytes.data() + 4 * (r * columns + i), 4);
      EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]), want) << "row " << r << ", element " << i;
    }
  }
}

TEST_P(dequantise, double_as_exact_as_float) {
  const std::size_t columns = values->dims[1];
  std::vector<float> narrow(columns);
  std::vector<double> wide(columns);
  g4::dequantise(GetParam(), blocks->bytes.data(), columns, narrow.data());
  g4::dequantise(GetParam(), blocks->bytes.data(), columns, wide.data());
  for (std::size_t i = 0; i < columns; ++i) EXPECT_EQ(wide[i], static_cast<double>(narrow[i]));
}

TEST_P(dequantise, nothing_beyond_the_elements_asked_for) {
  const std::size_t elements = g4::facts_of(GetParam()).block_elements;
  std::vector<float> out(elements + 1, 12345.0f);
  g4::dequantise(GetParam(), blocks->bytes.data(), elements, out.data());
  EXPECT_EQ(out[elements], 12345.0f);
  EXPECT_NE(out[elements - 1], 12345.0f);
}

INSTANTIATE_TEST_SUITE_P(storages, dequantise, testing::ValuesIn(all),
                         [](const auto& made) { return std::string(g4::facts_of(made.param).name); });

TEST(dequantise_f64, rounding_to_float_and_nothing_for_double) {
  const double in[] = {1.0 / 3.0, -2.5};
  float narrow[2] = {};
  double wide[2] = {};
  g4::dequantise(storage::f64, reinterpret_cast<const std::byte*>(in), 2, narrow);
  g4::dequantise(storage::f64, reinterpret_cast<const std::byte*>(in), 2, wide);
  EXPECT_EQ(narrow[0], 1.0f / 3.0f);
  EXPECT_EQ(wide[0], 1.0 / 3.0);
  EXPECT_EQ(wide[1], -2.5);
}

TEST(dequantise_i16, no_meaning_outside_its_backend) {
  const std::byte row[8]{};
  float out[2] = {7.0f, 7.0f};
  g4::dequantise(storage::i16, row, 2, out);
  EXPECT_EQ(out[0], 7.0f);
}

}  // namespace
