// What differs between `g4` and `g4-<variant>`: which variants a program was built with. Defined in variants.cc.
#pragma once

#include <span>
#include <string_view>

#include "g4/spec/text.h"

namespace program {

struct known_variant {
  std::string_view name;
  const g4::text_spec* spec;
  std::string_view drafts_for;  ///< of a drafter: its target
};

/// Every variant this program knows, those that only `inspect` can show included.
[[nodiscard]] std::span<const known_variant> known_variants();

}  // namespace program
