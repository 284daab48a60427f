/// Rows of the ids that a tower embeds itself.
#pragma once

#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/model/stack/arena.h"
#include "g4/model/tower/run.h"
#include "g4/tensor/own_rows.h"

namespace g4 {

/// Ids of the vocabulary whose rows are a tower's and not the text's, with those rows [count, D]. They live as long as this.
template <class B, int Text>
struct embedded_ids {
  int first = 0;
  soft_rows<B, Text> rows;

  [[nodiscard]] own_rows<typename B::scalar> view() const {
    return {static_cast<token_id>(first), rows.count(), rows.count() != 0 ? rows.view().data : nullptr};
  }
};

/// The rows, and copies of the last of `own` behind them, so that there are `most`.
/// Fails when there are more already, or the memory cannot be had.
template <int Text, TowerBackend B>
[[nodiscard]] result<soft_rows<B, Text>> filled_up(B& on, const soft_rows<B, Text>& rows, std::size_t most,
                                                   const own_rows<typename B::scalar>& own) {
  using scalar = typename B::scalar;
  if (rows.count() > most) return fail("tower: ", rows.count(), " rows; a prompt has places for ", most);
  auto memory = on.take(arena::product(most * Text, sizeof(scalar)));
  if (!memory) return unexpected(std::move(memory.error()));
  auto* const to = reinterpret_cast<scalar*>(memory->data());
  on.copy(rows.view().data, rows.count() * Text, to);
  for (std::size_t i = rows.count(); i < most; ++i) on.copy(own.rows + (own.count - 1) * Text, Text, to + i * Text);
  return soft_rows<B, Text>(std::move(*memory), most);
}

/// The rows of a tower's own ids, made once; none where it has no such ids.
/// Fails when the memory cannot be had.
template <Tower T, int Text, TowerBackend B>
[[nodiscard]] result<embedded_ids<B, Text>> embed_own_ids(B& on, const tower_weights<T, Text>& w) {
  if constexpr (constexpr auto end = T::spec.template find<stage::into_text_with_ids>(); end.has_value()) {
    using scalar = typename B::scalar;
    constexpr auto width = static_cast<std::size_t>(T::widths[static_cast<std::size_t>(T::stages) - 1]);
    constexpr auto count = static_cast<std::size_t>(end->count);
    arena needed;
    const std::size_t x = needed.take(count, width, sizeof(scalar));
    const std::size_t ids = needed.take(count, sizeof(token_id));
    auto scratch = on.take(needed.total());
    if (!scratch) return unexpected(std::move(scratch.error()));
    auto out = on.take(arena::product(count * Text, sizeof(scalar)));
    if (!out) return unexpected(std::move(out.error()));
    std::vector<token_id> numbers(count);
    std::iota(numbers.begin(), numbers.end(), 0);
    auto* const numbered = reinterpret_cast<token_id*>(scratch->data() + ids);
    on.put(numbers.data(), count, numbered);
    std::get<std::tuple_size_v<typename tower_weights<T, Text>::list> - 1>(w.stages).embed(
        on, numbered, reinterpret_cast<scalar*>(scratch->data() + x), reinterpret_cast<scalar*>(out->data()));
    return embedded_ids<B, Text>{end->first, soft_rows<B, Text>(std::move(*out), count)};
  } else {
    return embedded_ids<B, Text>{};
  }
}

}  // namespace g4
