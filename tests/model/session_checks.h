/// What must hold for every model, whatever its weights.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "g4/model/text/session.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/tiny_variants.h"

namespace g4::test {

constexpr std::size_t window = 8;  // of every tiny variant's local layers

inline std::vector<token_id> some_ids(std::size_t count, int vocab) {
  std::vector<token_id> ids(count);
  for (std::size_t i = 0; i < count; ++i)
    ids[i] = static_cast<token_id>((i * 37 + i * i * 11 + 5) % static_cast<std::size_t>(vocab));
  return ids;
}

template <class S>
std::vector<std::vector<float>> logits_of_all(S& session, const std::vector<token_id>& ids) {
  std::vector<std::vector<float>> rows;
  const auto ran = session.run_all({ids}, [&](std::size_t t, auto logits) {
    EXPECT_EQ(t, rows.size());
    rows.emplace_back(logits.begin(), logits.end());
  });
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().message);
  return rows;
}

inline float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float d = std::abs(a[i] - b[i]);
    most = d > most || std::isnan(d) ? d : most;
  }
  return most;
}

template <class V, class B>
void expect_cutting_does_not_matter(B& on, float limit, const cache_choice& cache = {}) {
  const random_checkpoint checkpoint(V::spec);
  const auto w = checkpoint.load<V>(on);
  for (const std::size_t length : {window - 1, window, window + 1, 2 * window + 1}) {
    const auto ids = some_ids(length, V::vocab);
    auto whole = *session<V, B>::make(*w, on, {.context = 40, .batch = 40, .cache = cache});
    const auto expected = logits_of_all(whole, ids);
    ASSERT_EQ(expected.size(), length);
    for (const std::size_t batch : {std::size_t{1}, std::size_t{3}, window - 1, window, window + 1}) {
      auto chunked = *session<V, B>::make(*w, on, {.context = 40, .batch = batch, .cache = cache});
      const auto rows = logits_of_all(chunked, ids);
      for (std::size_t t = 0; t < length; ++t) {
        ASSERT_LE(largest_difference(rows[t], expected[t]), limit)
            << "length " << length << ", batch " << batch << ", token " << t;
      }
      // Only the last logits wanted: layers that share keys and values then run for one row.
      auto last = *session<V, B>::make(*w, on, {.context = 40, .batch = batch, .cache = cache});
      const auto logits = *last.run(ids);
      ASSERT_LE(largest_difference({logits.begin(), logits.end()}, expected.back()), limit)
          << "length " << length << ", batch " << batch;
    }
    auto decoded = *session<V, B>::make(*w, on, {.context = 40, .batch = 16, .cache = cache});
    for (std::size_t t = 0; t < length; ++t) {
      const auto logits = *decoded.run(ids[t]);
      ASSERT_LE(largest_difference({logits.begin(), logits.end()}, expected[t]), limit) << "decoding token " << t;
    }
  }
}

/// The logits of a model with the weights of its `random_checkpoint` in double; compiled in double_session_test.cc alone.
template <class V>
std::vector<std::vector<float>> logits_in_double(const std::vector<token_id>& ids);

using decoders = testing::Types<tiny_gemma3, tiny_e2b, tiny_a4b, tiny_3n, tiny_odd>;

}  // namespace g4::test
