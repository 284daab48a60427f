#include "tests/kernels/helpers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "g4/backend/cpu.h"
#include "g4/backend/cpu/to_panels.h"

namespace g4::test {
namespace {

constexpr float nothing = -std::numeric_limits<float>::infinity();

struct ranked_head {
  panel_store store;
  weight_view whole, ranked;

  explicit ranked_head(const matrix_view& w) {
    backend::cpu plain({backend::numeric::fast, nullptr, backend::weights_move::at_load});
    backend::cpu by_nibbles({backend::numeric::fast, nullptr});
    whole = *plain.prepare(w, store);
    ranked = *by_nibbles.prepare(w, store, {}, weight_use::head);
    const cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(ranked);
    // The first token's energies give the order of lower nibbles.
    std::vector<float> x = random_floats(w.columns, 21), y(w.rows), expected(w.rows);
    x[w.columns - 1] = 100;
    plain.matmul(whole, x.data(), 1, expected.data());
    std::vector<std::int32_t> guess;
    while (!weight.settled()) {
      by_nibbles.best_products(ranked, x.data(), 1, 0, y.data(), guess);
      EXPECT_EQ(y, expected);
    }
    EXPECT_EQ(weight.order, cpu::panel_order::nibbles);
    EXPECT_EQ(weight.groups.front(), w.columns / 8 - 1);
  }
};

// Rows that a token's hidden state tells apart: some point its way, as a trained head's do.
std::vector<float> plant_likely_rows(random_matrix& w, std::size_t columns, unsigned seed) {
  std::vector<float> x = random_floats(columns, seed);
  for (std::size_t i = 0; i < columns; i += 37) x[i] *= 12;  // a few large activations, as after a final norm
  std::mt19937 random(seed);
  for (int i = 0; i < 90; ++i) {
    std::byte* row = w.bytes.data() + random() % w.view.rows * w.view.stride();
    const float share = 0.2f + 0.01f * static_cast<float>(i);
    for (std::size_t c = 0; c < columns; ++c) {
      const float toward = share * 127 * std::clamp(x[c] / 12, -1.0f, 1.0f);
      const float noise = (1 - share) * static_cast<float>(static_cast<int>(random() % 255) - 127);
      row[c / 32 * 34 + 2 + c % 32] = static_cast<std::byte>(static_cast<std::int8_t>(toward + noise));
    }
  }
  return x;
}

std::vector<std::size_t> by_value(const std::vector<float>& y) {
  std::vector<std::size_t> order(y.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return y[a] > y[b]; });
  return order;
}

// The k greatest and their ties with the bits of the whole product; −∞ elsewhere.
void expect_best(const std::vector<float>& found, const std::vector<float>& whole, std::size_t k, float least) {
  for (std::size_t r = 0; r < whole.size(); ++r) {
    if (whole[r] >= least) {
      ASSERT_EQ(found[r], whole[r]) << "row " << r << " of the " << k << " greatest";
    } else {
      ASSERT_EQ(found[r], nothing) << "row " << r;
    }
  }
}

}  // namespace

TEST(ranked_head, the_file_s_bytes_back_and_norms_that_are_never_too_small) {
  const random_matrix w(storage::q8_0, 37, 640);
  for_each_target([&] {
    ranked_head head(w.view);
    const cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(head.ranked);
    const cpu::nibble_panel at = cpu::nibble_panel_of(640);
    for (std::size_t r = 0; r < 37; ++r) {
      for (std::size_t b = 0; b < 20; ++b) {
        std::byte block[34];
        cpu::block_from_panel(weight, r, b, block);
        ASSERT_EQ(0, std::memcmp(block, w.view.row(r) + 34 * b, 34)) << "row " << r << ", block " << b;
        double squares = 0;
        for (std::size_t i = 0; i < 32; ++i) {
          const int rest = (static_cast<int>(block[2 + i]) & 15) - 8;
          squares += rest * rest;
        }
        const std::byte* panel = weight.panels + r / 16 * weight.panel_bytes();
        const double norm = static_cast<double>(panel[at.norms + 16 * b + r % 16]) / 5.5;
        ASSERT_GE(norm, std::sqrt(squares));
        ASSERT_LE(norm, std::sqrt(squares) + 0.19);
      }
    }
  });
}

TEST(ranked_head, all_products_have_the_bits_of_the_usual_order) {
  const random_matrix w(storage::q8_0, 300, 640);
  ranked_head head(w.view);
  for (const std::size_t tokens : {1u, 2u, 19u}) {
    const std::vector<float> x = random_floats(tokens * 640, 3);
    std::vector<float> expected(tokens * 300), found(tokens * 300);
    for_each_target([&] {
      backend::cpu on({backend::numeric::fast, nullptr});
      on.matmul(head.whole, x.data(), tokens, expected.data());
      on.matmul(head.ranked, x.data(), tokens, found.data());
      EXPECT_EQ(found, expected);
    });
  }
  std::vector<float> a(640), b(640);
  backend::cpu on({backend::numeric::fast, nullptr});
  on.embed(head.whole, 299, 2, a.data());
  on.embed(head.ranked, 299, 2, b.data());
  EXPECT_EQ(a, b);
}

TEST(ranked_head, the_greatest_products_with_their_bits_and_nothing_else) {
  thread_pool threads(3);
  for (const std::size_t columns : {std::size_t{32}, std::size_t{640}, std::size_t{1152}}) {
    random_matrix w(storage::q8_0, 16 * 200 + 9, columns);
    const std::vector<float> x = plant_likely_rows(w, columns, 11);
    ranked_head head(w.view);
    for_each_target([&] {
      std::vector<float> whole(w.view.rows), found(w.view.rows);
      backend::cpu plain({backend::numeric::fast, nullptr});
      plain.matmul(head.whole, x.data(), 1, whole.data());
      const std::vector<std::size_t> order = by_value(whole);
      for (pool* over : {static_cast<pool*>(nullptr), static_cast<pool*>(&threads)}) {
        backend::cpu on({backend::numeric::fast, over});
        for (const std::size_t k : {1u, 2u, 64u, 256u}) {
          SCOPED_TRACE(std::to_string(columns) + " columns, k = " + std::to_string(k));
          std::vector<std::int32_t> guess;
          for (int time = 0; time < 2; ++time) {  // without a guess, and with the best one
            std::fill(found.begin(), found.end(), 7.0f);
            on.best_products(head.ranked, x.data(), k, 0, found.data(), guess);
            expect_best(found, whole, k, whole[order[k - 1]]);
            ASSERT_EQ(guess.size(), k);
          }
          // A guess of rows that are small, or not there, changes nothing.
          guess.assign({static_cast<std::int32_t>(order.back()), 5, 6, 1 << 30});
          on.best_products(head.ranked, x.data(), k, 0, found.data(), guess);
          expect_best(found, whole, k, whole[order[k - 1]]);
        }
      }
    });
  }
}

TEST(ranked_head, what_its_first_use_asks_for_says_how_a_head_is_kept) {
  const random_matrix w(storage::q8_0, 16 * 9, 64), other(storage::q4_k, 16, 256);
  const std::vector<float> x = random_floats(64, 5);
  std::vector<float> y(w.view.rows), expected(w.view.rows);
  std::vector<std::int32_t> guess;
  panel_store store;
  backend::cpu on({backend::numeric::fast, nullptr, backend::weights_move::at_load});
  const weight_view whole = *on.prepare(w.view, store, {}, weight_use::head);
  const weight_view ranked = *on.prepare(w.view, store, {}, weight_use::head);
  const weight_view layer = *on.prepare(w.view, store);
  EXPECT_TRUE(prepared_as<cpu::panel_weight>(layer)->settled());
  on.matmul(whole, x.data(), 1, expected.data());
  on.best_products(ranked, x.data(), 1, 0, y.data(), guess);
  EXPECT_EQ(y, expected);
  EXPECT_TRUE(prepared_as<cpu::panel_weight>(whole)->settled());
  EXPECT_TRUE(prepared_as<cpu::panel_weight>(ranked)->settled());
  EXPECT_EQ(prepared_as<cpu::panel_weight>(whole)->order, cpu::panel_order::words);
  EXPECT_EQ(prepared_as<cpu::panel_weight>(ranked)->order, cpu::panel_order::nibbles);
  // Asked the other way, either gives what the other gives.
  on.best_products(whole, x.data(), 1, 0, y.data(), guess);
  EXPECT_EQ(y, expected);
  on.matmul(ranked, x.data(), 1, y.data());
  EXPECT_EQ(y, expected);
  // Other storages and other weights are kept in one way.
  EXPECT_FALSE(prepared_as<cpu::panel_weight>(*on.prepare(other.view, store, {}, weight_use::head))->may_be_ranked);
  EXPECT_FALSE(prepared_as<cpu::panel_weight>(layer)->may_be_ranked);
}

TEST(ranked_head, few_rows_are_read_to_their_end) {
  random_matrix w(storage::q8_0, 16 * 400, 640);
  const std::vector<float> x = plant_likely_rows(w, 640, 12);
  ranked_head head(w.view);
  exact_bytes levels(20 * 64), plan_memory(cpu::rank_plan::bytes(640)), scratch(cpu::rank_scratch(640));
  float step[20], total[20];
  std::int32_t sum[40];
  const cpu::panel_weight& weight = *prepared_as<cpu::panel_weight>(head.ranked);
  const cpu::activations rounded{reinterpret_cast<std::int16_t*>(levels.data()), step, sum, total, 20};
  for_each_target([&] {
    cpu::kernels::quantise({x.data(), 640, 0, 1, rounded});
    cpu::rank_plan plan;
    plan.make(rounded.levels, step, 640, weight.groups.data(), plan_memory.data());
    for (const std::size_t k : {1u, 64u}) {
      cpu::best_rows best;
      best.begin(k, 0, nothing);
      std::vector<float> y(w.view.rows, 7.0f);
      cpu::kernels::rank({weight.panels, w.view.rows, 640, rounded, &plan, 1, y.data(), 0, 400, &best, scratch.data()});
      const auto ended =
          static_cast<std::size_t>(std::count_if(y.begin(), y.end(), [](float v) { return v > nothing; }));
      EXPECT_GE(ended, k);
      EXPECT_LT(ended, w.view.rows * 2 / 3) << "k = " << k;  // without a guess, the first batch ends whole
      EXPECT_EQ(best.count, k);
    }
  });
}

TEST(ranked_head, ties_are_all_kept) {
  const random_matrix one(storage::q8_0, 1, 64);
  random_matrix w(storage::q8_0, 16 * 40, 64);
  for (const std::size_t r : {std::size_t{3}, std::size_t{77}, std::size_t{639}}) {
    std::memcpy(w.bytes.data() + r * 68, one.bytes.data(), 68);
  }
  std::vector<float> x(64);
  const std::vector<float> row = one.row(0);
  for (std::size_t i = 0; i < 64; ++i) x[i] = row[i];  // nothing is more like a row than the row itself
  ranked_head head(w.view);
  std::vector<float> whole(w.view.rows), found(w.view.rows);
  backend::cpu on({backend::numeric::fast, nullptr});
  on.matmul(head.whole, x.data(), 1, whole.data());
  std::vector<std::int32_t> guess;
  for (const std::size_t k : {1u, 2u, 3u}) {
    on.best_products(head.ranked, x.data(), k, 0, found.data(), guess);
    expect_best(found, whole, k, whole[by_value(whole)[k - 1]]);
    EXPECT_EQ(found[3], found[77]);
    EXPECT_EQ(found[3], found[639]);
  }
}

TEST(ranked_head, all_equal_or_nought_or_not_a_number_is_all_returned) {
  random_matrix w(storage::q8_0, 16 * 20 + 1, 64);
  ranked_head head(w.view);
  backend::cpu on({backend::numeric::fast, nullptr});
  std::vector<float> found(w.view.rows), x(64, 0.0f);
  std::vector<std::int32_t> guess;
  on.best_products(head.ranked, x.data(), 4, 0, found.data(), guess);
  for (const float y : found) EXPECT_EQ(y, 0.0f);
}

TEST(ranked_head, what_a_soft_cap_could_exchange_is_kept) {
  // Products far beyond the cap: tanh is 1 for all of them, so each may be the first.
  EXPECT_EQ(cpu::best_rows::below(3.0f, 0), 3.0f);
  for (const float value : {-200.0f, -40.0f, -1.0f, 0.0f, 0.5f, 25.0f, 60.0f, 150.0f, 1e4f}) {
    const float below = cpu::best_rows::below(value, 30);
    EXPECT_LT(below, value);
    if (std::isinf(below)) continue;
    // A float just below the result is still told apart after the cap.
    const float cut = std::nextafter(below, -1e9f);
    EXPECT_LT(30 * std::tanh(cut / 30), 30 * std::tanh(value / 30)) << value;
  }
}

}  // namespace g4::test
