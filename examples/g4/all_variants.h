// The lists of the program `g4`.
#pragma once

#include "g4/generate/prebuilt_batch.h"
#include "g4/open/prebuilt.h"

using compiled_variants = g4::all_variants;
using compiled_drafters = g4::all_drafters;
using reference_variants = g4::one_of<g4::gemma3_270m>;  // the definitions are compiled here, for this one only

namespace program_detail {
template <class... A, class... B, class... C>
g4::one_of<A..., B..., C...> joined(g4::one_of<A...>, g4::one_of<B...>, g4::one_of<C...>);
}
using shown_variants = decltype(program_detail::joined(g4::all_variants{}, g4::all_embedders{}, g4::all_drafters{}));
