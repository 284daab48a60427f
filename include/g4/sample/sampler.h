/// From the logits of a step to the next id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/core/token_id.h"
#include "g4/sample/candidates.h"
#include "g4/sample/greedy.h"
#include "g4/sample/random.h"

namespace g4::sample {

/// How ids are chosen. As they stand: the likeliest, always.
struct sampler_options {
  float temperature = 0.0f;           ///< 0 is greedy, no chance involved; 1 is the model's own distribution
  std::int64_t top_k = 0;             ///< only the k likeliest ids; 0 is all
  float top_p = 1.0f;                 ///< only the likeliest ids that make up this share; 1 is all
  float min_p = 0.0f;                 ///< only ids at least this share as likely as the likeliest; 0 is all
  float repetition_penalty = 1.0f;    ///< above 1 ids that were accepted before become less likely
  std::size_t repetition_window = 0;  ///< how many of the last accepted ids that means; 0 is all of them
  std::uint64_t seed = 0;             ///< the same seed and logits give the same ids
};

/// How many of the greatest logits decide: what a session's `best_logits` may be for these options. 0: all of them.
[[nodiscard]] constexpr std::size_t logits_that_decide(const sampler_options& o) {
  if (o.repetition_penalty != 1) return 0;  // a lesser one may be the greatest once others are made less
  if (o.temperature == 0) return 1;
  return o.top_k > 0 ? static_cast<std::size_t>(o.top_k) : 0;
}

/// Chooses ids; one per session. Allocates on construction only, or at the first choice where the size of the
/// vocabulary was not known before.
class sampler {
 public:
  /// The next id, which is then among those the repetition penalty knows. Fails on logits that are not one per id of
  /// the vocabulary, hold a NaN or plus infinity, or are all minus infinity, and then changes nothing.
  ///
  /// logits   [V]
  [[nodiscard]] result<token_id> choose(std::span<const float> logits);

  /// Notes an id for the repetition penalty: one of the prompt, or one that somebody else chose. Negative ids are
  /// ignored.
  void accept(token_id id);
  void accept(std::span<const token_id> ids);

  /// As after construction.
  void restart();

  [[nodiscard]] const sampler_options& options() const { return options_; }

  static constexpr std::size_t max_vocabulary = std::size_t{1} << 24;

 private:
  friend result<sampler> make_sampler(const sampler_options& o, std::size_t vocabulary);

  sampler(const sampler_options& options, std::size_t vocabulary);

  void prepare(std::size_t vocabulary);

  [[nodiscard]] bool penalises() const { return options_.repetition_penalty != 1; }

  [[nodiscard]] result<token_id> pick(std::span<const float> logits);

  /// Few enough for a heap; see top_k.
  static constexpr std::size_t few = 1024;

  [[nodiscard]] token_id draw_sorted(std::span<const float> logits, float highest);

  /// Without an order to keep: two passes in the order of the ids.
  [[nodiscard]] token_id draw_all(std::span<const float> logits, float highest);

  sampler_options options_;
  std::size_t vocabulary_ = 0;  // 0 until it is known
  generator random_;
  std::vector<std::uint32_t> counts_;  // how often each id was accepted, in the window; empty without a penalty
  std::vector<float> penalised_;
  std::vector<token_id> recent_;  // a ring; −1 where nothing is yet
  std::size_t next_recent_ = 0;
  std::vector<candidate> room_;
};

/// A sampler, or which option is wrong.
///
/// vocabulary   logits per choice; 0 where only the first choice will tell
[[nodiscard]] G4_INLINE result<sampler> make_sampler(const sampler_options& o, std::size_t vocabulary = 0);

}  // namespace g4::sample

#if !defined(G4_COMPILED)
#include "g4/sample/sampler.inl"  // IWYU pragma: keep
#endif
