/// The steps between logits and a choice, each on its own. All work in room that the caller owns.
///
/// Source: the logits processors of transformers 5.23, in the order of its generate(): repetition penalty, temperature,
/// top k, top p, min p. Where two logits are equal the lower id goes first, so exactly k survive top k.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "g4/core/compiled.h"
#include "g4/core/token_id.h"
#include "g4/sample/random.h"

namespace g4::sample {

/// An id that may be chosen. Weights are unnormalised probabilities; the likeliest id has 1.
struct candidate {
  token_id id = 0;
  float logit = 0;
  double weight = 0;
};

/// The likelier first; of equals the lower id.
[[nodiscard]] constexpr bool ahead(const candidate& a, const candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// eˣ for x ≤ 0, within 2⁻⁵⁰ of the value. Sums and products only, so that a seed draws the same ids on every machine;
/// the library's exp differs between libraries. Below −700 it is 0.
///
///     x = k·ln 2 + r, |r| ≤ ln 2 / 2;   eˣ = 2ᵏ · Σ rⁿ/n!  (n ≤ 13)
[[nodiscard]] constexpr double exp_of(double x) {
  if (!(x > -700.0)) return 0;
  const double scaled = x * 1.4426950408889634;
  const auto k = static_cast<std::int64_t>(scaled - 0.5);
  const double exponent = static_cast<double>(k);
  const double r = (x - exponent * 6.93147180369123816490e-01) - exponent * 1.90821492927058770002e-10;
  double sum = 1.0;
  for (int n = 13; n > 0; --n) sum = 1.0 + r * sum / n;
  return sum * std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

/// Repetition penalty for one logit: positive ones are divided, negative ones multiplied.
/// Source: Keskar et al. 2019, as transformers has it.
[[nodiscard]] constexpr float penalised(float logit, float penalty) {
  return logit < 0 ? logit * penalty : logit / penalty;
}

/// The `k` likeliest of `logits` [V], in order, into room [≥ min(k, V), and ≥ V for k above 1024]. No logit is a NaN.
[[nodiscard]] G4_INLINE std::span<candidate> top_k(std::span<const float> logits, std::size_t k,
                                                   std::span<candidate> room);

/// Weight of a logit whose likeliest neighbour has `highest`: e^((logit − highest)/T). In double, where no
/// temperature a float can hold overflows.
[[nodiscard]] constexpr double weight_of(float logit, float highest, float temperature) {
  return exp_of((static_cast<double>(logit) - static_cast<double>(highest)) / static_cast<double>(temperature));
}

/// Gives every candidate its weight; the first is the likeliest.
G4_INLINE void weigh(std::span<candidate> sorted, float temperature);

[[nodiscard]] G4_INLINE double total_weight(std::span<const candidate> candidates);

/// How many of `sorted` stay for top p: those before which less than `p` of `total` lies. At least one; all of them
/// when even they have less than `p`.
[[nodiscard]] G4_INLINE std::size_t count_top_p(std::span<const candidate> sorted, double p, double total);

/// How many of `sorted` stay for min p: those with at least `p` times the weight of the first.
[[nodiscard]] G4_INLINE std::size_t count_min_p(std::span<const candidate> sorted, double p);

/// One of `candidates` (not empty), each as likely as its weight.
[[nodiscard]] G4_INLINE token_id draw(std::span<const candidate> candidates, generator& random);

}  // namespace g4::sample

#if !defined(G4_COMPILED)
#include "g4/sample/candidates.inl"  // IWYU pragma: keep
#endif
