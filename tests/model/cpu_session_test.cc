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
  backend::cpu on({.mode = backend::numeric::fast});
  // These weights are plain floats, which are rounded to 12 bits for 16 tokens and more.
  expect_cutting_does_not_matter<TypeParam>(on, 3e-2f);
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
