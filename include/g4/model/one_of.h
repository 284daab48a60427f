/// Lists to choose from at run time: variants, and on how many ranks.
#pragma once

namespace g4 {

/// `open_any<one_of<gemma3_270m, gemma3_1b>>(…)`: only the listed variants are compiled.
template <class... Variants>
struct one_of {};

/// `open_over<…, rank_counts<1, 2, 4>>(…)`: only these are compiled.
template <int... Ranks>
struct rank_counts {};

}  // namespace g4
