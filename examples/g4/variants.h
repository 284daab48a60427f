// What differs between `g4` and `g4-<variant>`: which variants a program was built with. Defined in variants.cc.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "g4/load/tower_tensors.h"
#include "g4/spec/text.h"
#include "g4/spec/tower.h"

namespace program {

struct known_variant {
  std::string_view name;
  const g4::text_spec* spec;
  std::string_view drafts_for;  ///< of a drafter: its target
};

/// Every variant this program knows, those that only `inspect` can show included.
[[nodiscard]] std::span<const known_variant> known_variants();

/// The towers of a model this program can open.
struct known_senses {
  std::string_view name;
  const g4::tower_spec* sees = nullptr;
  const g4::tower_spec* hears = nullptr;
  int width = 0;  ///< of the text's rows
  std::vector<g4::tower_tensors> (*tensors)() = nullptr;
};
/// Defined in variants_senses.cc, or no_senses.cc.
[[nodiscard]] std::span<const known_senses> all_known_senses();

}  // namespace program
