/// A picture's patches, or a sound's frames, through a tower.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/model/stack/arena.h"
#include "g4/model/stack/tap.h"
#include "g4/model/tower/weights.h"
#include "g4/tensor/work_limits.h"

namespace g4 {

/// What a tower is given: rows of its first width, as `media/` cuts them, on the host.
struct tower_input {
  std::span<const float> rows;      ///< [n, input_width]
  std::span<const place> places{};  ///< [n]; of pictures
  std::size_t padding = 0;          ///< so many of the rows, the last, are padding: nothing is made of them
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

namespace detail {

/// Refuses places that are not those of a whole picture, each once, whose sides are multiples of `side`.
template <int Side>
[[nodiscard]] result<void> check_squares(std::span<const place> places) {
  std::size_t across = 0, down = 0;
  for (const place& p : places) {
    if (p.column < 0 || p.row < 0) return fail("tower: a patch at column ", p.column, " and row ", p.row);
    across = std::max(across, static_cast<std::size_t>(p.column) + 1);
    down = std::max(down, static_cast<std::size_t>(p.row) + 1);
  }
  const auto refuse = [&]() -> result<void> {
    return fail("tower: ", places.size(), " patches in ", across, " columns and ", down,
                " rows; they must fill the picture, each once, and both sides be multiples of ", Side);
  };
  if (across > places.size() || down > places.size() || across * down != places.size()) return refuse();
  if (across % Side != 0 || down % Side != 0) return refuse();
  std::vector<bool> taken(places.size());
  for (const place& p : places) {
    const std::size_t at = static_cast<std::size_t>(p.row) * across + static_cast<std::size_t>(p.column);
    if (taken[at]) return refuse();
    taken[at] = true;
  }
  return {};
}

}  // namespace detail

namespace detail {

template <class Stage>
[[nodiscard]] constexpr std::size_t rows_behind(std::size_t n) {
  if constexpr (requires { Stage::rows_of(n); }) return Stage::rows_of(n);
  return n;
}

}  // namespace detail

/// Rows that a tower makes of n patches or frames.
template <Tower T>
[[nodiscard]] constexpr std::size_t rows_made(std::size_t n) {
  [&]<class... Stage>(std::type_identity<std::tuple<Stage...>>) {
    ((n = detail::rows_behind<Stage>(n)), ...);
  }(std::type_identity<typename tower_weights<T, 1>::list>{});
  return n;
}

/// The memory that a tower takes of its backend for n patches or frames, known before anything is taken.
struct tower_plan {
  std::size_t rows = 0;     ///< that it makes
  std::size_t working = 0;  ///< bytes to work in, given back with the last stage
  std::size_t out = 0;      ///< bytes of the rows that it makes
  work_limits limits;       ///< the largest calls of its layers: a backend may need memory of its own for them
  std::size_t x = 0, y = 0, room = 0, ids = 0, memory = 0;  ///< where its parts lie, from the start of what it works in

  [[nodiscard]] std::size_t total() const { return arena::sum(working, out); }
};

/// Plans tower T for n rows of its input, for a backend with numbers of `scalar_bytes` that keeps keys as `keys_as`.
/// `arena::too_much` stands for more than can be counted.
template <Tower T, int Text>
[[nodiscard]] constexpr tower_plan plan_tower(std::size_t n, std::size_t scalar_bytes, storage keys_as) {
  constexpr auto widest = static_cast<std::size_t>(*std::max_element(T::widths.begin(), T::widths.end()));
  // Rows behind each stage, the most numbers of any, and the most memory that one asks for.
  std::size_t count = n, most = arena::product(n, T::input_width), largest = 0;
  work_limits limits;
  [&]<class... Stage>(std::type_identity<std::tuple<Stage...>>) {
    auto stage = static_cast<std::size_t>(T::first_on_rows);
    const auto through = [&]<class One>(std::type_identity<One>) {
      if constexpr (requires { One::room(count, scalar_bytes, keys_as); }) {
        largest = std::max(largest, One::room(count, scalar_bytes, keys_as));
      }
      if constexpr (requires { One::limit(count, limits); }) One::limit(count, limits);
      count = detail::rows_behind<One>(count);
      most = std::max(most, arena::product(count, static_cast<std::size_t>(T::widths[++stage])));
    };
    (through(std::type_identity<Stage>{}), ...);
  }(std::type_identity<typename tower_weights<T, Text>::list>{});
  arena needed;
  tower_plan plan;
  plan.rows = count;
  plan.limits = limits;
  plan.x = needed.take(most, scalar_bytes);
  plan.y = needed.take(most, scalar_bytes);
  plan.room = needed.take(widest, scalar_bytes);
  plan.ids = needed.take(n, sizeof(token_id));
  plan.memory = needed.take(largest, 1);
  plan.working = needed.total();
  plan.out = arena::product(arena::product(count, Text), scalar_bytes);
  return plan;
}

/// Runs a tower.
///
///     rows [n, input_width]  →  [n, D], or fewer where a stage makes fewer
///
/// see   is shown what each stage leaves, and what each layer of a stack does
/// Fails when there are no rows, a patch has no place or one beyond the table, patches that are to be pooled do not fill
/// the picture, or the memory cannot be had.
template <Tower T, int Text, TowerBackend B>
[[nodiscard]] result<soft_rows<B, Text>> run_tower(B& on, const tower_weights<T, Text>& w, const tower_input& in,
                                                   tap<typename B::scalar> see = {}) {
  using scalar = typename B::scalar;
  const std::size_t n = in.rows.size() / T::input_width;
  if (n == 0 || in.rows.size() % T::input_width != 0) {
    return fail("tower: ", in.rows.size(), " numbers are no rows of ", T::input_width);
  }
  if (in.padding >= n || (in.padding != 0 && T::of_pictures)) {
    return fail("tower: ", in.padding, " of ", n, " rows are padding; ",
                T::of_pictures ? "a picture has none" : "a sound has at least one that is not");
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
    if constexpr (constexpr auto table = T::spec.template find<stage::learned>(); table.has_value()) {
      if (n != static_cast<std::size_t>(table->places)) {
        return fail("tower: ", n, " patches; a picture has ", table->places);
      }
    }
    if constexpr (constexpr auto net = T::spec.template find<stage::mobilenet>(); net.has_value()) {
      if (auto fits = stage_weights<*net, T::input_width, Text>::fits(in.places); !fits)
        return unexpected(fits.error());
    }
    if constexpr (T::spec.template find<stage::mean_pooled>().has_value()) {
      if (auto whole = detail::check_squares<T::spec.template find<stage::mean_pooled>()->side>(in.places); !whole) {
        return unexpected(std::move(whole.error()));
      }
    }
  }

  // Padding passes through the first stages and is left out of what they make.
  const tower_plan plan = plan_tower<T, Text>(n, sizeof(scalar), on.cache_storage());
  const std::size_t count = rows_made<T>(n - in.padding);
  if (auto ready = make_ready(on, plan.limits); !ready) return unexpected(std::move(ready.error()));
  auto scratch = on.take(plan.working);
  if (!scratch) return unexpected(std::move(scratch.error()));
  auto out = on.take(plan.out);
  if (!out) return unexpected(std::move(out.error()));

  std::byte* const block = scratch->data();
  std::vector<token_id> host_ids(n);
  stage_pass<scalar> p{n - in.padding,
                       in.padding,
                       reinterpret_cast<scalar*>(block + plan.x),
                       reinterpret_cast<scalar*>(block + plan.y),
                       block + plan.memory,
                       reinterpret_cast<scalar*>(block + plan.room),
                       reinterpret_cast<token_id*>(block + plan.ids),
                       reinterpret_cast<scalar*>(out->data()),
                       in.places.data(),
                       host_ids.data()};
  const std::vector<scalar> given(in.rows.begin(), in.rows.end());
  on.put(given.data(), given.size(), p.x);

  watcher<B> show(see);
  std::size_t stage = static_cast<std::size_t>(T::first_on_rows);
  w.each([&](const stage_names& names, const auto& weights) {
    // A stage with layers shows them by their number, or by names of its own as well.
    const auto show_inner = [&](const auto&... what) {
      if constexpr (sizeof...(what) == 4) {
        show(on, names.shown, what...);
      } else {
        show(on, what...);
      }
    };
    if constexpr (requires { weights.run(on, p, show_inner); }) {
      weights.run(on, p, show_inner);
      ++stage;
      return;
    } else {
      weights.run(on, p);
    }
    const auto behind = static_cast<std::size_t>(T::widths[++stage]);  // 0 behind the last: the text's
    if (*names.shown == 0) return;                                     // a stage between two that are looked at
    show(on, names.shown, -1, behind != 0 ? p.x : p.out, p.rows, behind != 0 ? behind : Text);
  });
  if (auto sound = failure_of(on); !sound) return unexpected(std::move(sound.error()));
  return soft_rows<B, Text>(std::move(*out), count);
}

}  // namespace g4
