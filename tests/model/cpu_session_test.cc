// The same properties on the cpu backend, its agreement with float64, and its independence of threads.
#if defined(G4_WITH_CPU)

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <limits>
#include <vector>

#include "g4/backend/cpu.h"
#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
#include "g4/ops/dequantise.h"
#include "g4/ops/quantise.h"
#include "tests/model/session_checks.h"

namespace {

using namespace g4;
using test::expect_cutting_does_not_matter;
using test::largest_difference;
using test::logits_of_all;
using test::some_ids;

template <class V>
class every_decoder_on_cpu : public testing::Test {};
TYPED_TEST_SUITE(every_decoder_on_cpu, test::decoders);

TYPED_TEST(every_decoder_on_cpu, prefill_decode_and_chunks_agree_on_the_cpu_backend) {
  backend::cpu on;
  expect_cutting_does_not_matter<TypeParam>(on, 2e-4f);
}

TYPED_TEST(every_decoder_on_cpu, prefill_decode_and_chunks_agree_in_fast_mode) {
  if (TypeParam::spec.experts.has_value())
    GTEST_SKIP() << "where two experts nearly tie, rounding chooses; exact mode is compared above";
  backend::cpu on({.mode = backend::numeric::fast});
  // These weights are plain floats, which are rounded to 13 bits for 16 tokens and more.
  expect_cutting_does_not_matter<TypeParam>(on, 3e-2f);
}

// However keys and values are kept, a text gives the same logits cut in any way: they are rounded once, when stored.
TYPED_TEST(every_decoder_on_cpu, prefill_decode_and_chunks_agree_with_each_cache) {
  backend::cpu on;
  expect_cutting_does_not_matter<TypeParam>(on, 3e-3f, {.local = storage::i16, .global = storage::i16});
}

TEST(decoder_on_cpu, prefill_decode_and_chunks_agree_with_a_cache_in_q8_0) {
  backend::cpu on;
  backend::reference<float> definition;
  for (const cache_choice& choice : {cache_choice{storage::q8_0, storage::q8_0}, cache_choice{{}, storage::q8_0},
                                     cache_choice{storage::q8_0, storage::i16}}) {
    expect_cutting_does_not_matter<test::tiny_wide_heads>(on, 3e-2f, choice);
    if (choice.global != storage::i16) expect_cutting_does_not_matter<test::tiny_wide_heads>(definition, 3e-2f, choice);
  }
}

TEST(decoder_on_cpu, a_cache_as_it_cannot_be_is_refused) {
  using V = test::tiny_gemma3;  // heads of 16
  const test::random_checkpoint checkpoint(V::spec);
  backend::cpu on;
  backend::reference<float> definition;
  const auto message = [&](auto& backend, cache_choice choice) {
    const auto w = checkpoint.template load<V>(backend);
    const auto made =
        session<V, std::remove_cvref_t<decltype(backend)>>::make(*w, backend, {.context = 40, .cache = choice});
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(message(on, {.global = storage::q8_0}),
            "session: layer 2 has heads of 16 numbers; to keep keys and values in Q8_0 they must be a multiple of 32");
  EXPECT_EQ(message(on, {.local = storage::q4_0}),
            "session: keys and values were asked for in Q4_0; this backend keeps them in F32 or Q8_0");
  EXPECT_EQ(message(definition, {.local = storage::i16}),
            "session: keys and values were asked for in I16; this backend keeps them in F32 or Q8_0");
  EXPECT_EQ(message(on, {.local = storage::i16, .global = storage::f32}), "");
}

TEST(decoder_on_cpu, the_plan_follows_the_cache) {
  using V = test::tiny_wide_heads;
  constexpr auto cache = [](cache_choice choice) {
    return plan_session(V::spec, V::kinds, {.context = 1024, .batch = 6, .cache = choice}, 4, storage::f32).cache;
  };
  // 4 local layers of 8 − 1 + 2 + 6 slots, 2 global ones of 1024; one key/value head of 32.
  static_assert(cache({}) == 2 * 32 * 4 * (4 * 15 + 2 * 1024));
  static_assert(cache({.global = storage::q8_0}) == 2 * 32 * 4 * 4 * 15 + 2 * 34 * 2 * 1024);
  static_assert(cache({storage::i16, storage::i16}) == 2 * (4 * (15 * 68 + 4) + 2 * 1024 * 68));
}

TYPED_TEST(every_decoder_on_cpu, the_cpu_backend_agrees_with_float64) {
  using V = TypeParam;
  const test::random_checkpoint checkpoint(V::spec);
  backend::cpu on;
  const auto w = checkpoint.template load<V>(on);
  const auto ids = some_ids(30, V::vocab);
  auto s = *session<V, backend::cpu>::make(*w, on, {.context = 40, .batch = 7});
  const auto rows = logits_of_all(s, ids);
  const auto expected = test::logits_in_double<V>(ids);
  for (std::size_t t = 0; t < ids.size(); ++t) ASSERT_LE(largest_difference(rows[t], expected[t]), 5e-4f) << t;
}

TYPED_TEST(every_decoder_on_cpu, threads_do_not_change_a_bit) {
  using V = TypeParam;
  const test::random_checkpoint checkpoint(V::spec);
  thread_pool pool(3);
  backend::cpu one;
  backend::cpu three({.pool = &pool});
  const auto w = checkpoint.template load<V>(one);
  const auto ids = some_ids(30, V::vocab);
  auto a = *session<V, backend::cpu>::make(*w, one, {.context = 40, .batch = 16});
  auto b = *session<V, backend::cpu>::make(*w, three, {.context = 40, .batch = 16});
  const auto rows = logits_of_all(a, ids);
  const auto expected = logits_of_all(b, ids);
  for (std::size_t t = 0; t < ids.size(); ++t) ASSERT_EQ(rows[t], expected[t]) << t;
}

struct wide_vocabulary
    : transformer<shape{.layers = 3, .width = 64, .vocab = 3000}, embed::tied_scaled, norm::sandwich<one_plus_weight>,
                  attention<heads{.query = 2, .key_value = 1}, qk_norm, scaled_by_root_of{32}>,
                  repeat<times<1, global<head{32}, rope{.theta = 1e4f}>>>, feed::gated<gelu_tanh, hidden{64}>,
                  logits::uncapped> {};

/// The k greatest logits of a head by nibbles are those of a whole head, bit by bit, and the rest are −∞ or right.
template <class V>
void expect_the_greatest_logits(std::initializer_list<std::size_t> counts) {
  const test::random_checkpoint checkpoint(V::spec);
  backend::cpu whole({.mode = backend::numeric::fast});
  weights<V> w = *checkpoint.template load<V>(whole);
  const std::size_t width = w.embed.columns;
  std::vector<std::byte> table(w.embed.rows * row_bytes(storage::q8_0, width));
  std::vector<float> row(width);
  for (std::size_t r = 0; r < w.embed.rows; ++r) {
    dequantise(w.embed.type, w.embed.row(r), width, row.data());
    ASSERT_TRUE(quantise(storage::q8_0, row.data(), width, table.data() + r * row_bytes(storage::q8_0, width)));
  }
  const matrix_view stored{table.data(), w.embed.rows, width, storage::q8_0};
  panel_store store;
  w.head = *whole.prepare(stored, store);
  auto every = *session<V, backend::cpu>::make(w, whole, {.context = 60, .batch = 8});
  const auto ids = some_ids(50, V::vocab);
  const auto expected = logits_of_all(every, ids);

  for (const std::size_t k : counts) {
    backend::cpu on({.mode = backend::numeric::fast});
    weights<V> ranked = w;
    ranked.head = *on.prepare(stored, store, {}, weight_use::head);
    auto few = *session<V, backend::cpu>::make(ranked, on, {.context = 60, .batch = 8, .best_logits = k});
    std::size_t unknown = 0;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const auto logits = *few.run(ids[t]);
      std::vector<float> sorted = expected[t];
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k - 1), sorted.end(),
                       std::greater<>());
      for (std::size_t id = 0; id < logits.size(); ++id) {
        if (expected[t][id] >= sorted[k - 1] || logits[id] > -std::numeric_limits<float>::infinity()) {
          ASSERT_EQ(logits[id], expected[t][id]) << "token " << t << ", id " << id << ", k = " << k;
        } else {
          ++unknown;
        }
      }
    }
    EXPECT_GT(unknown, 0u);
  }
}

TEST(ranked_head, the_greatest_logits_of_a_session) { expect_the_greatest_logits<wide_vocabulary>({1, 5, 64}); }
TEST(ranked_head, the_greatest_logits_under_a_soft_cap) { expect_the_greatest_logits<test::tiny_3n>({1, 5}); }

}  // namespace

#endif
