/// Operations made of operations: what a backend without a larger one of its own does, step by step.
///
/// Each of these reads numbers to decide what comes next, so it is an operation, not a part of a model: a backend whose
/// memory the host cannot read has its own (`on.experts`, `on.best_of_clusters`), and the model asks for that first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "g4/ops/top_k.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// A mixture of experts over T rows, behind its router: gather, run, scatter.
template <class Scalar>
struct experts_call {
  std::size_t experts = 0;
  std::size_t chosen = 0;                ///< k
  std::size_t hidden = 0;                ///< I
  std::size_t width = 0;                 ///< D
  std::size_t rows = 0;                  ///< T
  const Scalar* z = nullptr;             ///< [T, D]    what the experts read
  const Scalar* weight = nullptr;        ///< [T, k]    of the chosen, from `route`
  const std::int32_t* choice = nullptr;  ///< [T, k]
  Scalar* gathered = nullptr;            ///< [T, D]    rows of one expert
  Scalar* both = nullptr;                ///< [T, 2I]   gate first, up after it
  Scalar* gate = nullptr;                ///< [T, I]
  Scalar* out = nullptr;                 ///< [T, D]
  Scalar* y = nullptr;                   ///< [T, D]
};

/// Scores of tokens, of which only those of the best clusters are computed.
template <class Scalar>
struct clusters_call {
  std::size_t clusters = 0;                ///< C
  std::size_t chosen = 0;                  ///< k
  std::size_t vocab = 0;                   ///< V; every cluster has V / C tokens
  const Scalar* h = nullptr;               ///< [D]
  const Scalar* scores = nullptr;          ///< [C]    of the clusters
  const std::int32_t* ordering = nullptr;  ///< [V]    the tokens, cluster after cluster
  std::int32_t* choice = nullptr;          ///< [k]    the best clusters, descending
  Scalar* score = nullptr;                 ///< one number to work in
  token_id* best = nullptr;                ///< the greatest score's token, the smaller id of equals
  Scalar* logits = nullptr;                ///< [V]; null unless somebody looks at them
};

namespace composed {

/// A layer's heads behind their projections, in place, and into the cache.
///
///     v = rms_norm(raw v) or raw v      k = rope(rms_norm(k) · w_k)      cache ← k, v      q = rope(rms_norm(q) · w_q)
template <class B>
void turn_heads(B& on, const heads_call<typename B::scalar>& c) {
  const std::size_t T = c.rows, d = c.head_size;
  if (c.key != nullptr) {
    if (c.value_normed) {  // first: with K = V it is the raw projection of the key
      on.rms_norm(c.raw_value, nullptr, T * c.key_heads, d, c.eps, c.value);
    } else if (c.raw_value != c.value) {
      on.copy(c.raw_value, T * c.key_heads * d, c.value);
    }
    if (c.key_norm != nullptr) on.rms_norm(c.key, c.key_norm, T * c.key_heads, d, c.eps, c.key);
    on.rope(c.key, T, c.key_heads, d, c.cos, c.sin);
    on.store(cached_rows<typename B::scalar>{c.caches, c.layer, c.begun, T, c.key, c.value, c.texts});
  }
  if (c.query == nullptr) return;
  if (c.query_norm != nullptr) on.rms_norm(c.query, c.query_norm, T * c.heads, d, c.eps, c.query);
  on.rope(c.query, T, c.heads, d, c.cos, c.sin);
}

/// The closing half of a sandwich norm and the opening half of the next: x += rms_norm(delta) · closing, then
/// y = rms_norm(x) · opening. delta is left undefined.
template <class B>
void close_and_open(B& on, typename B::scalar* x, typename B::scalar* delta, const float* closing, const float* opening,
                    std::size_t rows, std::size_t width, float eps, typename B::scalar* y) {
  on.add_norm(x, delta, closing, rows, width, eps);
  on.rms_norm(x, opening, rows, width, eps, y);
}

/// gate = gelu_tanh(w_gate · x) ∘ (w_up · x); up [T, hidden] is room.
template <class B>
void gated_product(B& on, const weight_view& w_gate, const weight_view& w_up, const typename B::scalar* x,
                   std::size_t rows, typename B::scalar* gate, typename B::scalar* up) {
  on.matmul(w_gate, x, rows, gate);
  on.matmul(w_up, x, rows, up);
  on.gelu_gate(gate, up, rows * w_gate.rows);
}

/// y[t] = Σ_j weight_j · down_j · (activation(gate_j·z[t]) ∘ up_j·z[t]), j over the experts that token t chose.
///
/// gate_up, down   by expert: [2I, D] with gate above up, and [D, I]
/// Tokens are gathered by expert, so that each expert's weights are read once however many tokens chose it.
template <class B, class GateUp, class Down, class Gate>
void experts(B& on, const GateUp& gate_up, const Down& down, Gate&& apply_gate,
             const experts_call<typename B::scalar>& call) {
  const std::size_t width = call.width, hidden = call.hidden, k = call.chosen;
  const std::size_t slots = call.rows * k;
  for (std::size_t i = 0; i < call.rows * width; ++i) call.y[i] = 0;
  for (std::size_t e = 0; e < call.experts; ++e) {
    std::size_t n = 0;
    for (std::size_t slot = 0; slot < slots; ++slot) {
      if (call.choice[slot] != static_cast<std::int32_t>(e)) continue;
      std::copy_n(call.z + slot / k * width, width, call.gathered + n * width);
      ++n;
    }
    if (n == 0) continue;
    on.matmul(gate_up[e], call.gathered, n, call.both);
    for (std::size_t j = 0; j < n; ++j) {
      std::copy_n(call.both + j * 2 * hidden, hidden, call.gate + j * hidden);
      apply_gate(on, call.gate + j * hidden, call.both + (j * 2 + 1) * hidden, hidden);
    }
    on.matmul(down[e], call.gate, n, call.out);
    n = 0;
    for (std::size_t slot = 0; slot < slots; ++slot) {
      if (call.choice[slot] != static_cast<std::int32_t>(e)) continue;
      auto* const y = call.y + slot / k * width;
      for (std::size_t i = 0; i < width; ++i) y[i] += call.weight[slot] * call.out[n * width + i];
      ++n;
    }
  }
}

/// The best of the tokens of the best clusters. `score(i, id)` is the score of the ith of them, cluster after cluster.
template <class Scalar, class Score>
void best_of_scored_clusters(const clusters_call<Scalar>& call, Score&& score_of) {
  constexpr Scalar infinity = std::numeric_limits<Scalar>::infinity();
  const std::size_t per_cluster = call.vocab / call.clusters;
  Scalar most = -infinity, least = infinity;
  token_id guess = 0;
  if (call.logits != nullptr) std::fill_n(call.logits, call.vocab, -infinity);
  for (std::size_t c = 0; c < call.chosen; ++c) {
    for (std::size_t j = 0; j < per_cluster; ++j) {
      const token_id id = call.ordering[static_cast<std::size_t>(call.choice[c]) * per_cluster + j];
      const Scalar score = score_of(c * per_cluster + j, id);
      if (score > most || (score == most && id < guess)) {
        most = score;
        guess = id;
      }
      least = std::min(least, score);
      if (call.logits != nullptr) call.logits[id] = score;
    }
  }
  // The reference gives every token of the other clusters the smallest score minus 1.
  for (std::size_t i = 0; call.logits != nullptr && i < call.vocab; ++i) {
    if (call.logits[i] == -infinity) call.logits[i] = least - 1;
  }
  *call.best = guess;
}

/// Scores the tokens of the best clusters, row by row of `table` [V, D].
template <class B, class Table>
void best_of_clusters(B& on, const Table& table, const clusters_call<typename B::scalar>& call) {
  ops::top_k(call.scores, call.clusters, call.chosen, call.choice);
  best_of_scored_clusters(call, [&](std::size_t, token_id id) {
    on.matmul(table.slice(static_cast<std::size_t>(id), 1), call.h, 1, call.score);
    return *call.score;
  });
}

/// A soft cap over what is known of x [n]: −∞ stands for numbers that nobody needed, and stays.
template <class B>
void cap_known(B& on, typename B::scalar* x, std::size_t n, float cap) {
  const auto unknown = [](auto number) { return number == -std::numeric_limits<decltype(number)>::infinity(); };
  for (auto *at = x, *end = x + n; at != end;) {
    auto* const known = std::find_if_not(at, end, unknown);
    at = std::find_if(known, end, unknown);
    if (known != at) on.soft_cap(known, static_cast<std::size_t>(at - known), cap);
  }
}

}  // namespace composed
}  // namespace g4
