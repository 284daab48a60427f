/// Grouped-query attention: heads, norms of queries, keys and values, and the scale of the scores.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

/// H query heads share K key/value heads: query head h reads key/value head h / (H / K).
struct heads {
  int query = 0;
  int key_value = 0;
  constexpr void describe(stack_spec& m) const {
    m.query_heads = query;
    m.key_value_heads = key_value;
  }
};

/// Queries and keys are normed per head, with a weight, before they are rotated.
inline constexpr struct qk_norm_t {
  constexpr void describe(stack_spec& m) const { m.qk_norm = true; }
} qk_norm{};

/// Values are normed per head, without a weight.
inline constexpr struct v_norm_t {
  constexpr void describe(stack_spec& m) const { m.v_norm = true; }
} v_norm{};

/// Scores are query · key: the query norm's weight carries the scale (Gemma 3n, Gemma 4).
inline constexpr struct unscaled_t {
  constexpr void describe(stack_spec& m) const { m.query_scale = 1.0f; }
} unscaled{};

/// Scores are query · key / √divisor (Gemma 3's query_pre_attn_scalar, which need not be the head size).
struct scaled_by_root_of {
  float divisor = 1.0f;
  constexpr void describe(stack_spec& m) const {
    // Newton's method: std::sqrt is not constexpr. From above it falls until rounding stops it.
    double root = divisor > 1 ? divisor : 1;
    for (double next = root;; root = next) {
      next = (root + divisor / root) / 2;
      if (!(next < root)) break;
    }
    m.query_scale = static_cast<float>(1 / root);
  }
};

/// The four projections add a bias. With keys as values the value is the biased key projection.
inline constexpr struct biased_t {
  constexpr void describe(stack_spec& m) const { m.attention_bias = true; }
} biased{};

/// Scores are bounded smoothly before the softmax: s = cap·tanh(s / cap).
struct score_cap {
  float cap = 0;
  constexpr void describe(stack_spec& m) const { m.score_cap = cap; }
};

template <auto... Parts>
struct attention_t {
  using slot = slots::attention;
  constexpr void describe(stack_spec& m) const { (Parts.describe(m), ...); }
};

/// `attention<heads{.query = 8, .key_value = 1}, qk_norm, v_norm, unscaled>`
template <auto... Parts>
inline constexpr attention_t<Parts...> attention{};

}  // namespace g4
