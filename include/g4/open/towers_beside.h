/// Where the towers of a text in a GGUF file are, when nobody says: in an mmproj file of the same folder.
#pragma once

#include <string>

#include "g4/core/compiled.h"
#include "g4/core/result.h"

namespace g4 {

/// The GGUF file beside `path` whose name has "mmproj" in it, as mmproj-*.gguf and *-mmproj-*.gguf do; "" where there is
/// none. Of several, the one whose name shares the longest beginning with the model's, "mmproj-" left aside.
/// Fails where several fit alike: guessing would be wrong half of the time.
[[nodiscard]] G4_INLINE result<std::string> towers_beside(const std::string& path);

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/open/towers_beside.inl"  // IWYU pragma: keep
#endif
