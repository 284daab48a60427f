/// sampler.h, defined.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "g4/sample/sampler.h"

namespace g4::sample {

G4_INLINE result<token_id> sampler::choose(std::span<const float> logits) {
  if (vocabulary_ == 0 && logits.size() <= max_vocabulary) prepare(logits.size());
  if (logits.size() != vocabulary_) {
    return fail("sample: ", logits.size(), " logits for a vocabulary of ", vocabulary_);
  }
  const auto chosen = pick(logits);
  if (chosen) accept(*chosen);
  return chosen;
}

G4_INLINE void sampler::accept(token_id id) {
  if (!penalises() || id < 0 || static_cast<std::size_t>(id) >= max_vocabulary) return;
  if (counts_.size() <= static_cast<std::size_t>(id)) {
    if (vocabulary_ != 0) return;
    counts_.resize(static_cast<std::size_t>(id) + 1, 0);
  }
  if (!recent_.empty()) {
    token_id& oldest = recent_[next_recent_];
    if (oldest >= 0) --counts_[static_cast<std::size_t>(oldest)];
    oldest = id;
    next_recent_ = (next_recent_ + 1) % recent_.size();
  }
  ++counts_[static_cast<std::size_t>(id)];
}

G4_INLINE void sampler::accept(std::span<const token_id> ids) {
  for (const token_id id : ids) accept(id);
}

G4_INLINE void sampler::restart() {
  random_ = generator(options_.seed);
  std::fill(counts_.begin(), counts_.end(), 0u);
  std::fill(recent_.begin(), recent_.end(), -1);
  next_recent_ = 0;
}

G4_INLINE sampler::sampler(const sampler_options& options, std::size_t vocabulary)
    : options_(options), random_(options.seed) {
  if (penalises()) recent_.assign(options.repetition_window, -1);
  if (vocabulary > 0) prepare(vocabulary);
}

G4_INLINE void sampler::prepare(std::size_t vocabulary) {
  vocabulary_ = vocabulary;
  if (penalises()) {
    counts_.resize(vocabulary, 0);
    penalised_.resize(vocabulary);
  }
  if (options_.temperature == 0 || (options_.top_k == 0 && options_.top_p == 1)) return;
  const std::size_t k = options_.top_k > 0 ? static_cast<std::size_t>(options_.top_k) : vocabulary;
  room_.resize(k <= few ? std::min(k, vocabulary) : vocabulary);
}

G4_INLINE result<token_id> sampler::pick(std::span<const float> logits) {
  if (penalises()) {
    for (std::size_t id = 0; id < vocabulary_; ++id) {
      penalised_[id] = counts_[id] > 0 ? penalised(logits[id], options_.repetition_penalty) : logits[id];
    }
    logits = penalised_;
  }
  const auto best = greedy(logits);
  if (!best || options_.temperature == 0) return best;
  const float highest = logits[static_cast<std::size_t>(*best)];
  if (std::isinf(highest)) return fail("sample: the logit of id ", *best, " is infinite");
  if (options_.top_k > 0 || options_.top_p < 1) return draw_sorted(logits, highest);
  return draw_all(logits, highest);
}

G4_INLINE token_id sampler::draw_sorted(std::span<const float> logits, float highest) {
  std::span<candidate> kept;
  double total = 0;
  if (options_.top_k > 0) {
    kept = top_k(logits, static_cast<std::size_t>(options_.top_k), room_);
    weigh(kept, options_.temperature);
    total = total_weight(kept);
  } else {
    for (const float logit : logits) total += weight_of(logit, highest, options_.temperature);
    // The share p mostly lies in a few ids: sort no more than needed.
    for (std::size_t k = few;; k *= 16) {
      kept = top_k(logits, k, room_);
      weigh(kept, options_.temperature);
      if (kept.size() == vocabulary_ || total_weight(kept) >= static_cast<double>(options_.top_p) * total) break;
    }
  }
  if (options_.top_p < 1) kept = kept.first(count_top_p(kept, static_cast<double>(options_.top_p), total));
  kept = kept.first(count_min_p(kept, static_cast<double>(options_.min_p)));
  return draw(kept, random_);
}

G4_INLINE token_id sampler::draw_all(std::span<const float> logits, float highest) {
  const auto weight = [&](float logit) {
    const double w = weight_of(logit, highest, options_.temperature);
    return w >= static_cast<double>(options_.min_p) ? w : 0.0;
  };
  double total = 0;
  for (const float logit : logits) total += weight(logit);
  double left = random_.uniform() * total;
  token_id chosen = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double w = weight(logits[id]);
    if (w <= 0) continue;
    chosen = static_cast<token_id>(id);
    left -= w;
    if (left < 0) break;
  }
  return chosen;
}

G4_INLINE result<sampler> make_sampler(const sampler_options& o, std::size_t vocabulary) {
  const auto wrong = [](const char* option, float found, const char* expected) {
    char digits[32];
    const int length = std::snprintf(digits, sizeof digits, "%g", static_cast<double>(found));
    return fail("sample: ", option, " is ", std::string(digits, static_cast<std::size_t>(std::max(length, 0))),
                "; expected ", expected);
  };
  constexpr std::size_t max_window = std::size_t{1} << 24;
  if (vocabulary > sampler::max_vocabulary) {
    return fail("sample: a vocabulary of ", vocabulary, " ids; expected at most ", sampler::max_vocabulary);
  }
  if (!(o.temperature >= 0) || std::isinf(o.temperature)) {
    return wrong("temperature", o.temperature, "0 for the likeliest id or a positive number");
  }
  if (o.top_k < 0) return fail("sample: top_k is ", o.top_k, "; expected 0 for all ids or how many to keep");
  if (!(o.top_p > 0 && o.top_p <= 1)) return wrong("top_p", o.top_p, "a share above 0 and at most 1");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return wrong("min_p", o.min_p, "a share from 0 to 1");
  if (!(o.repetition_penalty > 0) || std::isinf(o.repetition_penalty)) {
    return wrong("repetition_penalty", o.repetition_penalty, "a positive number, 1 for none");
  }
  if (o.repetition_window > max_window) {
    return fail("sample: repetition_window is ", o.repetition_window, "; expected at most ", max_window);
  }
  return sampler(o, vocabulary);
}

}  // namespace g4::sample
