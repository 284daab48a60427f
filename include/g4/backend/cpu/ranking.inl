#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

#include "g4/backend/cpu/rank.h"
#include "g4/backend/cpu/ranking.h"

namespace g4::cpu {

template <class Kernels>
void ranking<Kernels>::best(g4::cpu::products<Kernels>& products, const weight_view& w, const float* x, std::size_t k,
                            float cap, float* y, std::vector<std::int32_t>& guess) {
  panel_weight* const weight = products.in_panels(w);
  if (weight == nullptr || !weight->may_be_ranked || k == 0 || k > best_rows::most)
    return products.matmul(w, x, 1, y);
  if (!weight->settled()) {
    if (!weight->has(0)) keep_by_nibbles(*weight, x);
    return products.matmul(w, x, 1, y);
  }
  if (weight->order != panel_order::nibbles) return products.matmul(w, x, 1, y);
  const activations levels = products.round(x, w.columns, 1);
  std::byte* const memory = scratch_.take<std::byte>(room_for(w.columns));
  std::byte* const of_workers = memory + plan_bytes(w.columns);
  const std::size_t stride = ranking::stride(w.columns);
  rank_plan plan;
  plan.make(levels.levels, levels.step, w.columns, weight->groups.data(), memory);
  const auto best_of = [&](std::size_t worker) {
    return reinterpret_cast<best_rows*>(of_workers + worker * stride);
  };
  const auto rank = [&](std::size_t first, std::size_t count, std::size_t worker) {
    std::byte* const mine = of_workers + worker * stride;
    Kernels::rank({weight->panels, w.rows, w.columns, levels, &plan, unasked_, y, first, count, best_of(worker),
                   mine + ceil_div(sizeof(best_rows), 64) * 64});
  };

  // Rows that were among the greatest for the last token make a floor to begin with.
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  best_rows& first_best = *new (best_of(0)) best_rows;
  first_best.begin(k, cap, lowest);
  for (std::int32_t& row : guess) row /= static_cast<std::int32_t>(panel_rows);
  std::sort(guess.begin(), guess.end());
  guess.erase(std::unique(guess.begin(), guess.end()), guess.end());
  for (const std::int32_t panel : guess) {
    if (static_cast<std::size_t>(panel) < weight->count()) rank(static_cast<std::size_t>(panel), 1, 0);
  }
  const float floor = first_best.floor;
  for (std::size_t worker = 0; worker < tasks_.workers(); ++worker) {
    (new (best_of(worker)) best_rows)->begin(k, cap, floor);
  }
  const std::size_t batch = rank_batch(w.columns);
  const std::size_t panels = weight->count();
  tasks_.run(panels, tasks_.split(panels, panel_rows * w.columns, batch), rank);

  // Every worker knows its own greatest; all together know the k greatest.
  best_rows all;
  all.begin(k, cap, lowest);
  for (std::size_t worker = 0; worker < tasks_.workers(); ++worker) {
    const best_rows& some = *best_of(worker);
    for (std::size_t i = 0; i < some.count; ++i) all.add(some.entries[i].value, some.entries[i].row);
    all.checked += some.checked;
    all.kept += some.kept;
  }
  // A check costs as much as reading two stages' nibbles in passing: it is worth making where most panels are given up.
  if (2 * all.kept > all.checked && unasked_ < rank_plan::stages - 1) ++unasked_;
  if (8 * all.kept < all.checked && unasked_ > 0) --unasked_;
  guess.clear();
  for (std::size_t i = 0; i < all.count; ++i) guess.push_back(all.entries[i].row);
  // What was finished and is not among them depends on who came first.
  tasks_.run(w.rows, tasks_.split(w.rows, 1, 64), [&](std::size_t first, std::size_t count, std::size_t) {
    for (std::size_t r = first; r < first + count; ++r) y[r] = y[r] < all.floor ? lowest : y[r];
  });
}

template <class Kernels>
void ranking<Kernels>::keep_by_nibbles(panel_weight& weight, const float* x) {
  if (weight.moving.exchange(true, std::memory_order_acquire)) return;  // another session decides
  if (!weight.has(0) && weight.order != panel_order::nibbles) {
    weight.order = panel_order::nibbles;
    order_by_energy(x, weight.groups);
  }
  weight.moving.store(false, std::memory_order_release);
}

}  // namespace g4::cpu
