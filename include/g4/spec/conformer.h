/// A stack of conformer layers: the numbers of the stage `conformer<…>`.
#pragma once

#include <string_view>

#include "g4/spec/field.h"

namespace g4::stage {

/// `layers` times half a feed-forward, an attention among neighbours, a light convolution and the other half.
struct conformer {
  int layers = 0;
  int heads = 0;
  int past = 12;             ///< keys a row sees up to itself
  int ahead = 0;             ///< a row sees keys less than so many ahead of itself
  int chunk = 12;            ///< rows the reference computes at a time, which bounds what distances have a term; 0: all
  bool scaled_keys = true;   ///< keys are scaled by softplus(1) / softplus(0)
  float cap = 50.0f;         ///< soft cap of scores
  int side = 5;              ///< of the light convolution
  int wider = 4;             ///< a feed-forward's inner width, in widths
  float residual = 0.5f;     ///< factor on what a feed-forward adds
  float limit = 1e10f;       ///< numbers between the parts are kept within ± this
  float conv_eps = 1e-6f;    ///< of the norms of the light convolution; all others have 1e-6
  bool clipped = false;      ///< what goes into a linear map, and what comes out, is kept within bounds
  static constexpr std::string_view word = "conformer";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"layers", &conformer::layers});
    visit(field{"heads", &conformer::heads});
    visit(field{"past", &conformer::past});
    visit(field{"ahead", &conformer::ahead});
    visit(field{"chunk", &conformer::chunk});
    visit(field{"scaled_keys", &conformer::scaled_keys});
    visit(field{"cap", &conformer::cap});
    visit(field{"side", &conformer::side});
    visit(field{"wider", &conformer::wider});
    visit(field{"residual", &conformer::residual});
    visit(field{"limit", &conformer::limit});
    visit(field{"conv_eps", &conformer::conv_eps});
    visit(field{"clipped", &conformer::clipped});
  }
  /// P, the rows of the table of distances. By chunks it reaches over half of what a chunk sees, from the furthest on;
  /// else it has a row for every key that is seen.
  [[nodiscard]] constexpr int distances() const {
    if (chunk == 0) return past + (ahead > 0 ? ahead - 1 : 0);
    return (chunk + past + ahead) / 2 + 1;
  }
  /// The row of that table for a row and itself, and how far away its first row is.
  [[nodiscard]] constexpr int self() const { return chunk == 0 ? past - 1 : past; }
  [[nodiscard]] constexpr int furthest() const { return chunk == 0 ? past - 1 : distances() - 1; }
  friend constexpr bool operator==(const conformer&, const conformer&) = default;
};

}  // namespace g4::stage
