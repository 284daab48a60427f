/// A picture's patches, or a sound's frames, through a tower.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/model/stack/arena.h"
#include "g4/model/stack/tap.h"
#include "g4/model/tower/weights.h"

namespace g4 {

/// What a tower is given: rows of its first width, as `media/` cuts them, on the host.
struct tower_input {
  std::span<const float> rows;      ///< [n, input_width]
  std::span<const place> places{};  ///< [n]; of pictures
};

/// Rows of a text that a tower made: what an inlay shows in a prompt. They live as long as this.
template <class B, int Text>
class soft_rows {
 public:
  using scalar = typename B::scalar;

  soft_rows() = default;
  soft_rows(typename B::owned_memory memory, std::size_t count) : memory_(std::move(memory)), count_(count) {}

  /// [n, D] in the backend's memory.
  [[nodiscard]] rows<Text, scalar> view() const { return {reinterpret_cast<scalar*>(memory_.data()), count_}; }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  typename B::owned_memory memory_;
  std::size_t count_ = 0;
};

/// Runs a tower.
///
///     rows [n, input_width]  →  [n, D]
///
/// see   is shown what each stage leaves
/// Fails when there are no rows, a patch has no place or one beyond the table, or the memory cannot be had.
template <Tower T, int Text, TowerBackend B>
[[nodiscard]] result<soft_rows<B, Text>> run_tower(B& on, const tower_weights<T, Text>& w, const tower_input& in,
                                                   tap<typename B::scalar> see = {}) {
  using scalar = typename B::scalar;
  const std::size_t n = in.rows.size() / T::input_width;
  if (n == 0 || in.rows.size() % T::input_width != 0) {
    return fail("tower: ", in.rows.size(), " numbers are no rows of ", T::input_width);
  }
  if constexpr (T::of_pictures) {
    if (in.places.size() != n) return fail("tower: ", n, " patches and ", in.places.size(), " places");
    if constexpr (constexpr auto table = T::spec.template find<stage::per_axis>(); table.has_value()) {
      for (const place& p : in.places) {
        if (p.column < 0 || p.row < 0 || p.column >= table->places || p.row >= table->places) {
          return fail("tower: a patch at column ", p.column, " and row ", p.row, "; there are places for ",
                      table->places, " on each axis");
        }
      }
    }
  }

  constexpr auto widest = static_cast<std::size_t>(*std::max_element(T::widths.begin(), T::widths.end()));
  arena needed;
  const std::size_t x = needed.take(n, widest, sizeof(scalar));
  const std::size_t y = needed.take(n, widest, sizeof(scalar));
  const std::size_t room = needed.take(widest, sizeof(scalar));
  const std::size_t ids = needed.take(n, sizeof(token_id));
  auto scratch = on.take(needed.total());
  if (!scratch) return unexpected(std::move(scratch.error()));
  auto out = on.take(n * Text * sizeof(scalar));
  if (!out) return unexpected(std::move(out.error()));

  std::byte* const block = scratch->data();
  std::vector<token_id> host_ids(n);
  stage_pass<scalar> p{n,
                       reinterpret_cast<scalar*>(block + x),
                       reinterpret_cast<scalar*>(block + y),
                       reinterpret_cast<scalar*>(block + room),
                       reinterpret_cast<token_id*>(block + ids),
                       reinterpret_cast<scalar*>(out->data()),
                       in.places.data(),
                       host_ids.data()};
  const std::vector<scalar> given(in.rows.begin(), in.rows.end());
  on.put(given.data(), given.size(), p.x);

  watcher<B> show(see);
  std::size_t stage = static_cast<std::size_t>(T::first_on_rows);
  w.each([&](const stage_names& names, const auto& weights) {
    weights.run(on, p);
    const auto behind = static_cast<std::size_t>(T::widths[++stage]);  // 0 behind the last: the text's
    show(on, names.shown, -1, behind != 0 ? p.x : p.out, n, behind != 0 ? behind : Text);
  });
  return soft_rows<B, Text>(std::move(*out), n);
}

}  // namespace g4
