#include "tests/kernels/helpers.h"

#include "g4/backend/cpu.h"
#include "g4/backend/cpu/to_panels.h"
#include "g4/backend/reference.h"

#include <thread>

namespace g4::test {
namespace {

constexpr storage panel_storages[] = {storage::q4_0,   storage::q4_1,   storage::q5_0, storage::q5_1, storage::q8_0,
                                      storage::q4_k,   storage::q5_k,   storage::q6_k, storage::q2_k, storage::q3_k,
                                      storage::iq4_nl, storage::iq4_xs, storage::mxfp4};

backend::cpu fast_backend(pool* threads = nullptr) {
  return backend::cpu({backend::numeric::fast, threads, backend::weights_move::at_load});
}

weight_view in_panels(backend::cpu& on, const random_matrix& w, panel_store& store) {
  const result<weight_view> out = on.prepare(w.view, store);
  EXPECT_TRUE(out.has_value());
  return *out;
}

// What the kernel should give but for float32 rounding of the sums: activations rounded as documented in calls.h.
std::vector<double> rounded_by_block(const std::vector<float>& x, std::size_t columns, int most = cpu::activation_top) {
  std::vector<double> out(x.begin(), x.end());
  for (std::size_t row = 0; row < x.size(); row += columns) {
    for (std::size_t b = 0; b < columns; b += 32) {
      const std::size_t n = std::min<std::size_t>(32, columns - b);
      double top = 0;
      for (std::size_t i = 0; i < n; ++i) top = std::max(top, std::abs(out[row + b + i]));
      for (std::size_t i = 0; i < n && top > 0; ++i) {
        out[row + b + i] = std::round(out[row + b + i] * most / top) * top / most;
      }
    }
  }
  return out;
}

void check_fast(storage type, std::size_t rows, std::size_t columns, std::size_t tokens, double limit = 2e-6) {
  SCOPED_TRACE(std::string(facts_of(type).name) + " [" + std::to_string(rows) + ", " + std::to_string(columns) +
               "] x " + std::to_string(tokens));
  const random_matrix w(type, rows, columns);
  const std::vector<float> x = random_floats(tokens * columns, 2);
  const std::vector<double> rounded = rounded_by_block(x, columns);
  for_each_target([&] {
    backend::cpu on = fast_backend();
    panel_store store;
    const weight_view fast = in_panels(on, w, store);
    EXPECT_EQ(fast.prepared != nullptr, cpu::has_panels(type));
    std::vector<float> y(tokens * rows, 1e9f);
    on.matmul(fast, x.data(), tokens, y.data());
    // A level half-way between two may be rounded either way: one step of one activation.
    expect_products(w, rounded, y, limit);
  });
}

// Sixteen rows of 256 at their extremes, which activations at their largest meet: level −32 (all bits nought), scale −128.
exact_bytes extreme_q6_k() {
  exact_bytes bytes(16 * 210);
  for (std::size_t r = 0; r < 16; ++r) {
    std::byte* p = bytes.data() + 210 * r;
    std::memset(p, 0, 192);
    std::memset(p + 192, 0x80, 16);
    const std::uint16_t one = f16_from_float(1.0f);
    std::memcpy(p + 208, &one, 2);
  }
  return bytes;
}

}  // namespace

TEST(panel_matmul, products_of_rounded_activations_for_every_storage) {
  for (const storage type : panel_storages) {
    for (const std::size_t tokens : {1u, 2u, 12u, 17u}) check_fast(type, 37, 512, tokens);
    check_fast(type, 3, 256, 1);
  }
}

TEST(panel_matmul, one_block_of_columns) {
  for (const storage type : panel_storages) {
    if (facts_of(type).block_elements != 32) continue;
    for (const std::size_t tokens : {1u, 13u}) check_fast(type, 17, 32, tokens);
    for (const std::size_t tokens : {1u, 13u}) check_fast(type, 17, 96, tokens);
  }
}

TEST(panel_matmul, plain_floats_of_any_width_for_many_tokens) {
  for (const storage type : {storage::f32, storage::f16, storage::bf16}) {
    // Weights of 13 bits: half a step of 1/8191 of the block's largest.
    for (const std::size_t columns : {1u, 32u, 100u, 257u}) check_fast(type, 19, columns, 17, 1.3e-4);
    check_fast(type, 16, 64, 2, 2e-4);
  }
}

TEST(panel_matmul, largest_levels_of_plain_floats_within_int32) {
  const std::vector<float> weights(16 * 256, -1.0f), x(256 * 17, 1.0f);
  for_each_target([&] {
    backend::cpu on = fast_backend();
    std::vector<float> y(16 * 17);
    on.matmul(weight_view{matrix_view{reinterpret_cast<const std::byte*>(weights.data()), 16, 256, storage::f32}},
              x.data(), 17, y.data());
    for (const float v : y) ASSERT_FLOAT_EQ(v, -256.0f);
  });
}

TEST(panel_matmul, largest_levels_and_scales_within_int32) {
  const exact_bytes bytes = extreme_q6_k();
  const std::vector<float> x(256 * 3, 1.0f);
  for_each_target([&] {
    backend::cpu on = fast_backend();
    panel_store store;
    const result<weight_view> w = on.prepare(matrix_view{bytes.data(), 16, 256, storage::q6_k}, store);
    ASSERT_TRUE(w.has_value());
    for (const std::size_t tokens : {1u, 3u}) {
      std::vector<float> y(16 * tokens);
      on.matmul(*w, x.data(), tokens, y.data());
      for (const float v : y) ASSERT_FLOAT_EQ(v, 256.0f * 4096.0f);
    }
  });
}

TEST(panel_matmul, the_same_bits_for_a_token_alone_and_among_others_and_for_any_pool) {
  thread_pool threads(3);
  for (const storage type : panel_storages) {
    SCOPED_TRACE(facts_of(type).name);
    const random_matrix w(type, 300, 768);
    const std::vector<float> x = random_floats(29 * 768, 3);
    for_each_target([&] {
      backend::cpu on = fast_backend();
      backend::cpu many = fast_backend(&threads);
      panel_store store;
      const weight_view fast = in_panels(on, w, store);
      std::vector<float> together(29 * 300), pooled(29 * 300), alone(300);
      on.matmul(fast, x.data(), 29, together.data());
      many.matmul(in_panels(many, w, store), x.data(), 29, pooled.data());
      EXPECT_EQ(together, pooled);
      for (std::size_t t = 0; t < 29; ++t) {
        (t % 2 == 0 ? on : many).matmul(fast, x.data() + t * 768, 1, alone.data());
        for (std::size_t r = 0; r < 300; ++r) ASSERT_EQ(alone[r], together[t * 300 + r]);
      }
    });
  }
}

// Few tokens are multiplied by the digits of their levels, more by the levels: the sums are the same integers.
TEST(panel_matmul, the_same_bits_for_any_number_of_tokens) {
  for (const storage type : panel_storages) {
    SCOPED_TRACE(facts_of(type).name);
    const random_matrix w(type, 21, 768);
    const std::vector<float> x = random_floats(41 * 768, 4);
    for_each_target([&] {
      backend::cpu on = fast_backend();
      panel_store store;
      const weight_view fast = in_panels(on, w, store);
      std::vector<float> all(41 * 21);
      on.matmul(fast, x.data(), 41, all.data());
      for (std::size_t tokens = 1; tokens <= 33; ++tokens) {
        std::vector<float> y(tokens * 21);
        on.matmul(fast, x.data(), tokens, y.data());
        ASSERT_TRUE(std::equal(y.begin(), y.end(), all.begin())) << tokens << " tokens";
      }
    });
  }
}

TEST(panel_matmul, the_file_s_bytes_back_from_the_panels) {
  for (const storage type : panel_storages) {
    const random_matrix w(type, 19, 512);
    backend::cpu on = fast_backend();
    panel_store store;
    const weight_view fast = in_panels(on, w, store);
    const cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(fast);
    const storage_facts facts = facts_of(type);
    std::vector<std::byte> block(facts.block_bytes);
    for (std::size_t r = 0; r < 19; ++r) {
      for (std::size_t b = 0; b < 512 / facts.block_elements; ++b) {
        cpu::block_from_panel(weight, r, b, block.data());
        ASSERT_EQ(0, std::memcmp(block.data(), w.view.row(r) + b * facts.block_bytes, facts.block_bytes))
            << facts.name << " row " << r;
      }
    }
    std::vector<float> stored(512), rearranged(512);
    on.embed(w.view, 18, 2.5f, stored.data());
    on.embed(fast, 18, 2.5f, rearranged.data());
    EXPECT_EQ(stored, rearranged);
  }
}

TEST(moving, the_kernel_s_panels_are_those_of_its_definition) {
  for (const storage type : panel_storages) {
    const random_matrix w(type, 37, 512);
    const std::size_t bytes = cpu::panel_size(type, 512);
    for_each_target([&] {
      std::vector<std::byte> defined(3 * bytes), found(3 * bytes, std::byte{0x5a});
      for (std::size_t p = 0; p < 3; ++p) cpu::to_panel(w.view, p, defined.data() + p * bytes);
      cpu::kernels::to_panels({w.view, 0, 1, found.data()});
      cpu::kernels::to_panels({w.view, 1, 2, found.data() + bytes});
      EXPECT_EQ(defined, found) << facts_of(type).name;
    });
  }
}

// What a `let_go` was told, in order.
struct told {
  std::vector<std::span<const std::byte>> stretches;
  [[nodiscard]] let_go teller() {
    return {this, [](const void* self, std::span<const std::byte> bytes) {
              static_cast<told*>(const_cast<void*>(self))->stretches.push_back(bytes);
            }};
  }
};

TEST(moving, the_same_bits_while_a_weight_moves) {
  thread_pool threads(3);
  for (const storage type : panel_storages) {
    SCOPED_TRACE(facts_of(type).name);
    const random_matrix w(type, 16 * 60 + 5, 256);
    for (const std::size_t tokens : {1u, 7u}) {
      const std::vector<float> x = random_floats(tokens * 256, 6);
      backend::cpu settled = fast_backend();
      panel_store store;
      std::vector<float> expected(tokens * w.view.rows), found(tokens * w.view.rows), row(256), stored(256);
      settled.matmul(in_panels(settled, w, store), x.data(), tokens, expected.data());
      for (pool* over : {static_cast<pool*>(nullptr), static_cast<pool*>(&threads)}) {
        backend::cpu on({backend::numeric::fast, over});
        told heard;
        const result<weight_view> moving = on.prepare(w.view, store, heard.teller());
        ASSERT_TRUE(moving.has_value());
        cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(*moving);
        weight.used = true;
        for (const std::size_t moved : {0u, 1u, 30u, 60u, 61u}) {
          // Some panels have moved; another session holds the weight, so that no more of them do.
          for (std::size_t p = weight.moved; p < moved; ++p) {
            cpu::to_panel(w.view, p, weight.panels + p * cpu::panel_size(type, 256));
          }
          weight.moved = moved;
          weight.moving = true;
          on.matmul(*moving, x.data(), tokens, found.data());
          ASSERT_EQ(found, expected) << moved << " panels moved";
          ASSERT_EQ(weight.moved, moved);
          for (const std::size_t id : {std::size_t{0}, std::size_t{500}, w.view.rows - 1}) {
            on.embed(*moving, id, 1.5f, row.data());
            on.embed(w.view, id, 1.5f, stored.data());
            ASSERT_EQ(row, stored) << moved << " panels moved, row " << id;
          }
        }
        EXPECT_TRUE(heard.stretches.empty());
      }
    }
  }
}

TEST(moving, nothing_moves_at_the_first_use_and_all_within_nine_more) {
  const random_matrix w(storage::q4_0, 16 * 4096, 1024);  // 36 MB: an eighth is less than 16 MB
  const std::vector<float> x = random_floats(1024, 7);
  std::vector<float> y(w.view.rows), first(w.view.rows);
  backend::cpu on({backend::numeric::fast, nullptr});
  panel_store store;
  told heard;
  const result<weight_view> moving = on.prepare(w.view, store, heard.teller());
  ASSERT_TRUE(moving.has_value());
  const cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(*moving);
  on.matmul(*moving, x.data(), 1, first.data());
  EXPECT_EQ(weight.moved, 0u);
  on.matmul(*moving, x.data(), 1, y.data());
  EXPECT_EQ(first, y);
  EXPECT_GT(weight.moved, 0u);
  EXPECT_LT(weight.moved, weight.count());
  for (int use = 0; use < 8; ++use) {
    on.matmul(*moving, x.data(), 1, y.data());
    EXPECT_EQ(first, y);
  }
  EXPECT_TRUE(weight.settled());
  // Every byte of the file was let go once, in order.
  const std::byte* next = w.view.data;
  for (const std::span<const std::byte> bytes : heard.stretches) {
    EXPECT_EQ(bytes.data(), next);
    next = bytes.data() + bytes.size();
  }
  EXPECT_EQ(next, w.view.row(w.view.rows));
}

TEST(moving, sessions_of_two_threads_share_a_moving_weight) {
  const random_matrix w(storage::q8_0, 16 * 512, 640);
  const std::vector<float> x = random_floats(640, 8);
  panel_store store;
  backend::cpu loader({backend::numeric::fast, nullptr});
  const result<weight_view> moving = loader.prepare(w.view, store);
  ASSERT_TRUE(moving.has_value());
  std::vector<float> y[2];
  const auto session = [&](std::size_t which) {
    backend::cpu on({backend::numeric::fast, nullptr});
    std::vector<float> again(w.view.rows);
    y[which].resize(w.view.rows);
    on.matmul(*moving, x.data(), 1, y[which].data());
    for (int use = 0; use < 12; ++use) {
      on.matmul(*moving, x.data(), 1, again.data());
      EXPECT_EQ(again, y[which]);
    }
  };
  std::thread other(session, 1);
  session(0);
  other.join();
  EXPECT_EQ(y[0], y[1]);
  EXPECT_TRUE(prepared_as<cpu::panel_weight>(*moving)->settled());
}

TEST(matmul, rows_with_room_for_more_are_written_as_far_as_the_weight_goes) {
  constexpr std::size_t rows = 37, columns = 256, room = 41;
  for (const storage type : {storage::f32, storage::bf16, storage::q4_0, storage::q8_0, storage::q4_k, storage::q6_k}) {
    const random_matrix w(type, rows, columns);
    for (const std::size_t tokens : {1u, 2u, 5u, 16u, 40u}) {
      SCOPED_TRACE(std::string(facts_of(type).name) + " x " + std::to_string(tokens));
      const std::vector<float> x = random_floats(tokens * columns, 6);
      for_each_target([&] {
        for (const auto mode : {backend::numeric::exact, backend::numeric::fast, backend::numeric::fast8}) {
          backend::cpu on({mode, nullptr, backend::weights_move::at_load});
          panel_store store;
          const weight_view weight = in_panels(on, w, store);
          std::vector<float> close(tokens * rows), apart(tokens * room, 7.0f);
          on.matmul(weight, x.data(), tokens, close.data());
          on.matmul(weight, x.data(), tokens, apart.data(), room);
          for (std::size_t t = 0; t < tokens; ++t) {
            for (std::size_t r = 0; r < rows; ++r) ASSERT_EQ(apart[t * room + r], close[t * rows + r]);
            for (std::size_t r = rows; r < room; ++r) ASSERT_EQ(apart[t * room + r], 7.0f);
          }
        }
      });
    }
  }
}

TEST(panel_matmul, noughts_in_and_noughts_out) {
  const random_matrix w(storage::q4_k, 16, 256);
  const std::vector<float> x(256, 0.0f);
  backend::cpu on = fast_backend();
  panel_store store;
  std::vector<float> y(16, 1.0f);
  on.matmul(in_panels(on, w, store), x.data(), 1, y.data());
  for (const float v : y) EXPECT_EQ(v, 0.0f);
}

TEST(matmuls, several_products_as_if_one_by_one) {
  thread_pool threads(2);
  const random_matrix q(storage::q5_0, 100, 256), k(storage::q8_0, 33, 256, 2), v(storage::bf16, 40, 256, 3);
  for (const backend::numeric mode : {backend::numeric::exact, backend::numeric::fast}) {
    for (const std::size_t tokens : {1u, 20u}) {
      backend::cpu on({mode, &threads});
      panel_store store;
      const weight_view w[] = {in_panels(on, q, store), in_panels(on, k, store), in_panels(on, v, store)};
      const std::vector<float> x = random_floats(tokens * 256, 4);
      std::vector<float> together[3], alone[3];
      std::vector<backend::projection> products;
      for (std::size_t i = 0; i < 3; ++i) {
        together[i].resize(tokens * w[i].rows);
        alone[i].resize(tokens * w[i].rows);
        products.push_back({w[i], together[i].data()});
        on.matmul(w[i], x.data(), tokens, alone[i].data());
      }
      on.matmuls(products, x.data(), tokens);
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(together[i], alone[i]);
    }
  }
}

TEST(fast8_mode, products_of_activations_in_8_bits_for_every_storage) {
  thread_pool threads(3);
  for (const storage type : panel_storages) {
    for (const std::size_t tokens : {16u, 29u}) {
      for (const std::size_t columns : {std::size_t{256}, std::size_t{tokens == 16 ? 2304u : 512u}}) {
        SCOPED_TRACE(std::string(facts_of(type).name) + ", " + std::to_string(tokens) + " tokens");
        const random_matrix w(type, 53, columns);
        const std::vector<float> x = random_floats(tokens * columns, 9);
        const std::vector<double> in_8_bits = rounded_by_block(x, columns, 127), in_16 = rounded_by_block(x, columns);
        for_each_target([&] {
          backend::cpu on({backend::numeric::fast8, nullptr}), many({backend::numeric::fast8, &threads});
          panel_store store;
          const weight_view laid = in_panels(on, w, store);
          std::vector<float> y(tokens * 53, 1e9f), pooled(tokens * 53);
          on.matmul(laid, x.data(), tokens, y.data());
          many.matmul(laid, x.data(), tokens, pooled.data());
          EXPECT_EQ(y, pooled);
          expect_products(w, cpu::kernels::bytes_pay(type) ? in_8_bits : in_16, y, 1e-4);  // here too a level may be rounded either way
        });
      }
    }
  }
}

void expect_products_of_extremes(backend::numeric mode, std::initializer_list<std::size_t> counts) {
  for (const storage type : panel_storages) {
    for (const unsigned fill : {0x00u, 0xffu, 0x80u, 0x7fu, 0x08u, 0xf0u}) {
      SCOPED_TRACE(std::string(facts_of(type).name) + ", " + std::to_string(fill));
      random_matrix w(type, 21, 256);
      const cpu::block_words at = cpu::words_of(type);
      const storage_facts facts = facts_of(type);
      for (std::size_t b = 0; b < w.bytes.size(); b += facts.block_bytes) {
        std::memset(w.bytes.data() + b + at.words_at, static_cast<int>(fill), 4 * at.words);
        std::memset(w.bytes.data() + b + at.upper_at, static_cast<int>(fill), 4 * at.upper);
      }
      std::vector<float> x(17 * 256);  // whole steps of a block: nothing is rounded
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = i / 256 % 3 == 0 ? 1.0f : i / 256 % 3 == 1 ? -1.0f : i % 2 == 0 ? 1.0f : -1.0f;
      for_each_target([&] {
        backend::cpu on({mode, nullptr});
        panel_store store;
        const weight_view laid = in_panels(on, w, store);
        for (const std::size_t tokens : counts) {
          std::vector<float> y(tokens * 21);
          on.matmul(laid, x.data(), tokens, y.data());
          expect_products(w, std::vector<float>(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(tokens * 256)), y,
                          2e-6);
        }
      });
    }
  }
}

TEST(fast8_mode, the_largest_levels_times_the_largest_activations) {
  expect_products_of_extremes(backend::numeric::fast8, {17});
}

TEST(panel_matmul, the_largest_levels_times_the_largest_activations) {
  expect_products_of_extremes(backend::numeric::fast, {1, 3, 5, 17});
}

TEST(fast8_mode, few_tokens_as_in_fast_mode) {
  const random_matrix w(storage::q4_k, 40, 512);
  const std::vector<float> x = random_floats(15 * 512, 5);
  backend::cpu fast({backend::numeric::fast, nullptr}), fast8({backend::numeric::fast8, nullptr});
  panel_store store;
  const weight_view laid = in_panels(fast, w, store);
  std::vector<float> y(15 * 40), expected(15 * 40);
  fast.matmul(laid, x.data(), 15, expected.data());
  fast8.matmul(laid, x.data(), 15, y.data());
  EXPECT_EQ(y, expected);
}

TEST(fast8_mode, largest_levels_within_int32_and_noughts) {
  const exact_bytes bytes = extreme_q6_k();
  std::vector<float> x(256 * 17, 1.0f);
  std::fill(x.begin() + 256 * 16, x.end(), 0.0f);
  for_each_target([&] {
    backend::cpu on({backend::numeric::fast8, nullptr});
    panel_store store;
    const result<weight_view> w = on.prepare(matrix_view{bytes.data(), 16, 256, storage::q6_k}, store);
    ASSERT_TRUE(w.has_value());
    std::vector<float> y(16 * 17);
    on.matmul(*w, x.data(), 17, y.data());
    for (std::size_t i = 0; i < y.size(); ++i) ASSERT_FLOAT_EQ(y[i], i < 256 ? 256.0f * 4096.0f : 0.0f);
  });
}

TEST(prepared_weights, multiplied_as_stored_by_a_backend_that_keeps_to_that) {
  backend::cpu fast = fast_backend(), exact({backend::numeric::exact, nullptr});
  backend::reference<float> reference;
  backend::reference<double> reference64;
  for (const storage type : panel_storages) {
    SCOPED_TRACE(facts_of(type).name);
    const random_matrix w(type, 40, 256);
    panel_store store;
    const weight_view prepared = in_panels(fast, w, store);
    ASSERT_NE(prepared.prepared, nullptr);
    for (const std::size_t tokens : {1u, 17u}) {
      const std::vector<float> x = random_floats(tokens * 256, 5);
      const std::vector<double> wide(x.begin(), x.end());
      std::vector<float> y(tokens * 40), expected(tokens * 40);
      exact.matmul(prepared, x.data(), tokens, y.data());
      exact.matmul(w.view, x.data(), tokens, expected.data());
      EXPECT_EQ(y, expected);
      reference.matmul(prepared, x.data(), tokens, y.data());
      reference.matmul(w.view, x.data(), tokens, expected.data());
      EXPECT_EQ(y, expected);
      std::vector<double> y64(tokens * 40), expected64(tokens * 40);
      reference64.matmul(prepared, wide.data(), tokens, y64.data());
      reference64.matmul(w.view, wide.data(), tokens, expected64.data());
      EXPECT_EQ(y64, expected64);
    }
    std::vector<float> row(256), stored(256);
    exact.embed(prepared, 39, 1.5f, row.data());
    exact.embed(w.view, 39, 1.5f, stored.data());
    EXPECT_EQ(row, stored);
  }
}

TEST(prepared_weights, another_layout_is_not_read) {
  static constexpr weight_layout strange{"of a backend that is not here"};
  struct other : prepared_weight {
    other() : prepared_weight(strange) {}
  } made;
  const random_matrix w(storage::q4_k, 40, 256);
  backend::cpu on = fast_backend();
  const std::vector<float> x = random_floats(256, 5);
  std::vector<float> y(40), expected(40);
  on.matmul(weight_view{w.view, &made}, x.data(), 1, y.data());
  on.matmul(w.view, x.data(), 1, expected.data());
  EXPECT_EQ(y, expected);
}

TEST(fast_mode, blocks_that_were_not_prepared_as_in_exact_mode) {
  backend::cpu fast({backend::numeric::fast, nullptr}), exact({backend::numeric::exact, nullptr});
  for (const storage type : panel_storages) {
    const random_matrix w(type, 40, 256);
    for (const std::size_t tokens : {1u, 40u}) {
      const std::vector<float> x = random_floats(tokens * 256, 5);
      std::vector<float> y(tokens * 40), expected(tokens * 40);
      fast.matmul(w.view, x.data(), tokens, y.data());
      exact.matmul(w.view, x.data(), tokens, expected.data());
      EXPECT_EQ(y, expected) << facts_of(type).name << ", " << tokens << " tokens";
    }
  }
}

}  // namespace g4::test
