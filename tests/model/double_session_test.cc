// The same in double: what float sessions are compared with.
#include <gtest/gtest.h>

#include <vector>

#include "g4/backend/reference.h"
#include "tests/model/session_checks.h"

namespace g4::test {

template <class V>
std::vector<std::vector<float>> logits_in_double(const std::vector<token_id>& ids) {
  backend::reference<double> on;
  const random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.template load<V>(on);
  auto s = *session<V, backend::reference<double>>::make(*w, on, {.context = 40, .batch = 40});
  return logits_of_all(s, ids);
}
template std::vector<std::vector<float>> logits_in_double<tiny_gemma3>(const std::vector<token_id>&);
template std::vector<std::vector<float>> logits_in_double<tiny_e2b>(const std::vector<token_id>&);
template std::vector<std::vector<float>> logits_in_double<tiny_a4b>(const std::vector<token_id>&);
template std::vector<std::vector<float>> logits_in_double<tiny_3n>(const std::vector<token_id>&);
template std::vector<std::vector<float>> logits_in_double<tiny_odd>(const std::vector<token_id>&);

namespace {

template <class V>
class every_decoder_in_double : public testing::Test {};
TYPED_TEST_SUITE(every_decoder_in_double, decoders);

TYPED_TEST(every_decoder_in_double, prefill_decode_and_chunks_agree) {
  backend::reference<double> on;
  expect_cutting_does_not_matter<TypeParam>(on, 1e-6f);  // compared as floats
}

}  // namespace
}  // namespace g4::test
