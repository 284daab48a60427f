/// candidates.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "g4/sample/candidates.h"

namespace g4::sample {

G4_INLINE std::span<candidate> top_k(std::span<const float> logits, std::size_t k, std::span<candidate> room) {
  k = std::min(k, logits.size());
  const auto at = [&](std::size_t id) { return candidate{static_cast<token_id>(id), logits[id], 0}; };
  const auto middle = room.begin() + static_cast<std::ptrdiff_t>(k);
  if (k > 1024) {
    for (std::size_t id = 0; id < logits.size(); ++id) room[id] = at(id);
    const auto end = room.begin() + static_cast<std::ptrdiff_t>(logits.size());
    if (middle != end) std::nth_element(room.begin(), middle, end, ahead);
    std::sort(room.begin(), middle, ahead);
  } else {
    // A heap of the best so far with the worst of them on top: few logits ever enter it.
    for (std::size_t id = 0; id < k; ++id) room[id] = at(id);
    std::make_heap(room.begin(), middle, ahead);
    for (std::size_t id = k; id < logits.size(); ++id) {
      if (!(logits[id] > room[0].logit)) continue;
      std::pop_heap(room.begin(), middle, ahead);
      room[k - 1] = at(id);
      std::push_heap(room.begin(), middle, ahead);
    }
    std::sort_heap(room.begin(), middle, ahead);
  }
  return room.first(k);
}

G4_INLINE void weigh(std::span<candidate> sorted, float temperature) {
  for (candidate& c : sorted) c.weight = weight_of(c.logit, sorted[0].logit, temperature);
}

G4_INLINE double total_weight(std::span<const candidate> candidates) {
  double sum = 0;
  for (const candidate& c : candidates) sum += c.weight;
  return sum;
}

G4_INLINE std::size_t count_top_p(std::span<const candidate> sorted, double p, double total) {
  double before = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0 && before >= p * total) return i;
    before += sorted[i].weight;
  }
  return sorted.size();
}

G4_INLINE std::size_t count_min_p(std::span<const candidate> sorted, double p) {
  std::size_t count = 1;
  while (count < sorted.size() && sorted[count].weight >= p * sorted[0].weight) ++count;
  return count;
}

G4_INLINE token_id draw(std::span<const candidate> candidates, generator& random) {
  double left = random.uniform() * total_weight(candidates);
  token_id chosen = candidates[0].id;
  for (const candidate& c : candidates) {
    if (c.weight <= 0) continue;
    chosen = c.id;  // rounding may leave a little beyond the last one: that one it is
    left -= c.weight;
    if (left < 0) break;
  }
  return chosen;
}

}  // namespace g4::sample
