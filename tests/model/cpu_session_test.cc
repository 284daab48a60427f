// The same properties on the cpu backend, its agreement with float64, and its independence of threads.
#if defined(G4_WITH_CPU)

#include <gtest/gtest.h>

#include "g4/backend/cpu.h"
#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
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
  if (TypeParam::spec.experts > 0)
    GTEST_SKIP() << "where two experts nearly tie, rounding chooses; exact mode is compared above";
  backend::cpu on({.mode = backend::numeric::fast});
  // These weights are plain floats, which are rounded to 12 bits for 16 tokens and more.
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
  backend::cpu fast;
  backend::reference<double> exact;
  const auto w = checkpoint.template load<V>(fast);
  const auto w64 = checkpoint.template load<V>(exact);
  const auto ids = some_ids(30, V::vocab);
  auto a = *session<V, backend::cpu>::make(*w, fast, {.context = 40, .batch = 7});
  auto b = *session<V, backend::reference<double>>::make(*w64, exact, {.context = 40, .batch = 40});
  const auto rows = logits_of_all(a, ids);
  const auto expected = logits_of_all(b, ids);
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

}  // namespace

#endif
