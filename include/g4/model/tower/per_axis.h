/// The stage `positions::per_axis`.
#pragma once

#include <array>
#include <cstddef>

#include "g4/model/tower/part.h"

namespace g4 {

/// x[p] += table[column of p, 0] + table[row of p, 1]
template <stage::per_axis S, int In, int Text>
struct stage_weights<S, In, Text> {
  static constexpr int places = S.places;

  matrix<2 * S.places, In> table;
  bool by_axis = false;  ///< the file has all columns first and all rows of the picture after them: [2, places, In]

  template <class Visit>
  void each(Visit&& visit) {
    const std::array<int, 4> by_place{S.places, 2, In}, by_axes{2, S.places, In};
    visit(stage_tensor{"", ".weight", stage_role::table, 3, by_axis ? by_axes : by_place, by_axes}, table);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    using scalar = typename B::scalar;
    for (const int axis : {0, 1}) {
      for (std::size_t i = 0; i < p.rows; ++i) {
        const int at = axis == 0 ? p.places[i].column : p.places[i].row;
        p.host_ids[i] = by_axis ? axis * S.places + at : 2 * at + axis;
      }
      on.put(p.host_ids, p.rows, p.ids);
      on.mix_embedded(table, p.ids, p.rows, 1.0f, scalar(1), p.room, p.x);
    }
  }
};

}  // namespace g4
