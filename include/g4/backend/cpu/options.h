/// What a host chooses when it makes a cpu backend.
#pragma once

#include "g4/backend/numeric.h"
#include "g4/backend/pool.h"

namespace g4::backend {

/// When weights move into panels, the kernels' own order.
enum class weights_move {
  in_use,   ///< from its second use on, some of it with each: the first token comes soonest
  at_load,  ///< at once (a head, whose first use says how it is kept, with that): every token takes as long as the next
};

struct simd_options {
  numeric mode = numeric::exact;
  g4::pool* pool = nullptr;  ///< the host's; null runs everything on the calling thread
  weights_move move = weights_move::in_use;
};

}  // namespace g4::backend
