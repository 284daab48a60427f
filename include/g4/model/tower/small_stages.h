/// The stages that are one operation each: `centred`, `positions::learned`, `mean_pooled`, `scaled_by_root_of_width`,
/// `standardised` of pictures, `every` of sounds.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "g4/model/tower/part.h"

namespace g4 {

/// x = 2·(x − ½)
template <stage::centred S, int In, int Text>
struct stage_weights<S, In, Text> {
  template <class Visit>
  void each(Visit&&) {}

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    on.centre(p.x, p.rows * In);
  }
};

/// x[p] += table[p]
template <stage::learned S, int In, int Text>
struct stage_weights<S, In, Text> {
  matrix<S.places, In> table;

  template <class Visit>
  void each(Visit&& visit) {
    visit(stage_tensor{".weight", ".weight", stage_role::table, 2, {S.places, In}}, table);
  }

  /// Places of a square picture: `run_tower` has counted them.
  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    const std::int32_t across = columns_of({p.places, p.rows});
    for (std::size_t i = 0; i < p.rows; ++i) p.host_ids[i] = p.places[i].row * across + p.places[i].column;
    on.put(p.host_ids, p.rows, p.ids);
    on.mix_embedded(table, p.ids, p.rows, 1.0f, typename B::scalar(1), p.room, p.x);
  }
};

/// y[s] = mean over the side² rows whose patches lie in square s; squares stand in the order of reading.
///
/// Source: transformers 5.23.0, Gemma4VisionPooler of modeling_gemma4.py; Gemma3MultiModalProjector of modeling_gemma3.py.
template <stage::mean_pooled S, int In, int Text>
struct stage_weights<S, In, Text> {
  static constexpr std::size_t side = S.side;

  template <class Visit>
  void each(Visit&&) {}

  [[nodiscard]] static constexpr std::size_t rows_of(std::size_t n) { return n / (side * side); }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    const std::size_t across = static_cast<std::size_t>(columns_of({p.places, p.rows})) / side;
    for (std::size_t i = 0; i < p.rows; ++i) {
      const auto column = static_cast<std::size_t>(p.places[i].column), row = static_cast<std::size_t>(p.places[i].row);
      const std::size_t square = row / side * across + column / side;
      p.host_ids[square * side * side + row % side * side + column % side] = static_cast<token_id>(i);
    }
    on.put(p.host_ids, p.rows, p.ids);
    p.rows = rows_of(p.rows);
    on.mean_groups(p.x, p.ids, p.rows, side * side, In, p.y);
    std::swap(p.x, p.y);
  }
};

/// x = x · √width
template <stage::root_scaled S, int In, int Text>
struct stage_weights<S, In, Text> {
  template <class Visit>
  void each(Visit&&) {}

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    using scalar = typename B::scalar;
    on.scale(p.x, p.rows * In, static_cast<scalar>(std::sqrt(static_cast<double>(In))));
  }
};

/// x = (x − bias) · scale
template <stage::standardised S, int In, int Text>
struct stage_weights<S, In, Text> {
  vector<In> bias, scale;

  template <class Visit>
  void each(Visit&& visit) {
    visit(stage_tensor{"std_bias", "std_bias", stage_role::bias, 1, {In}}, bias);
    visit(stage_tensor{"std_scale", "std_scale", stage_role::numbers, 1, {In}}, scale);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    on.standardise(p.x, bias.data, scale.data, p.rows, In);
  }
};

/// y[i] = x[of · i]
template <stage::every S, int In, int Text>
struct stage_weights<S, In, Text> {
  template <class Visit>
  void each(Visit&&) {}

  [[nodiscard]] static constexpr std::size_t rows_of(std::size_t n) { return (n + S.of - 1) / S.of; }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    p.rows = rows_of(p.rows);
    for (std::size_t i = 1; i < p.rows; ++i) on.copy(p.x + i * S.of * In, In, p.x + i * In);
  }
};

}  // namespace g4
