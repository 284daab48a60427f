// The model touches no number itself: it gives the reference backend's bits over memory that the host cannot reach.
#include <gtest/gtest.h>

#include <vector>

#include "g4/backend/reference.h"
#include "g4/model/text/encoder.h"
#include "tests/model/session_checks.h"
#include "tests/support/faraway.h"

namespace {

using namespace g4;
using test::logits_of_all;
using test::some_ids;

template <class V>
class faraway_decoder : public testing::Test {};
// Between them they have every branch of a layer; conformance runs all models of the family on this backend.
using far_decoders = testing::Types<test::tiny_e2b, test::tiny_a4b, test::tiny_3n>;
TYPED_TEST_SUITE(faraway_decoder, far_decoders);

template <class V, class B>
std::vector<std::vector<float>> everything(B& on) {
  const test::random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  const auto ids = some_ids(24, V::vocab);
  auto s = *session<V, B>::make(*w, on, {.context = 40, .batch = 7});
  auto rows = logits_of_all(s, ids);
  EXPECT_TRUE(s.rewind(20));
  const auto last = *s.run(some_ids(9, V::vocab));
  rows.emplace_back(last.begin(), last.end());
  rows.emplace_back(s.hidden().begin(), s.hidden().end());
  return rows;
}

TYPED_TEST(faraway_decoder, gives_the_bits_of_the_reference_backend) {
  backend::reference<float> near;
  test::faraway<float> far;
  EXPECT_EQ((everything<TypeParam>(far)), (everything<TypeParam>(near)));
}

TEST(faraway_encoder, gives_the_bits_of_the_reference_backend) {
  using V = test::tiny_encoder;
  backend::reference<float> near;
  test::faraway<float> far;
  const test::random_checkpoint checkpoint(V::spec);
  const auto ids = some_ids(13, V::vocab);
  const auto w = checkpoint.load<V>(near);
  const auto far_w = checkpoint.load<V>(far);
  auto a = *text_encoder<V, backend::reference<float>>::make(*w, near, 20);
  auto b = *text_encoder<V, test::faraway<float>>::make(*far_w, far, 20);
  EXPECT_EQ(logits_of_all(a, ids), logits_of_all(b, ids));
}

TEST(faraway_memory, cannot_be_read_by_the_host) {
  test::faraway<float> far;
  const auto memory = *far.take(64);
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile std::byte*>(memory.data())), "");
}

TEST(faraway_memory, holds_the_weights_too) {
  using V = test::tiny_e2b;
  test::faraway<float> far;
  const auto w = test::random_checkpoint(V::spec).load<V>(far);
  EXPECT_DEATH(static_cast<void>(*static_cast<const volatile float*>(w->final_norm.data)), "");
  EXPECT_DEATH(static_cast<void>(*static_cast<const volatile std::byte*>(w->per_layer_model_projection.data)), "");
}

}  // namespace
