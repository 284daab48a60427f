/// A list of variants to choose from at run time.
#pragma once

namespace g4 {

/// `open_any<one_of<gemma3_270m, gemma3_1b>>(…)`: only the listed variants are compiled.
template <class... Variants>
struct one_of {};

}  // namespace g4
