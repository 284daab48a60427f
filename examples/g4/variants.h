// What differs between `g4` and `g4-<variant>`: which variants a program was built with. Defined in variants.cc.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "g4/backend/cpu.h"
#include "g4/backend/reference.h"
#include "g4/generate/any_drafter.h"
#include "g4/generate/any_model.h"

namespace program {

struct known_variant {
  std::string_view name;
  const g4::text_spec* spec;
  std::string_view drafts_for;  ///< of a drafter: its target
};

/// Every variant this program knows, those that only `inspect` can show included.
[[nodiscard]] std::span<const known_variant> known_variants();

[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::cpu& on,
                                                                       const g4::open_options& options);
[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from,
                                                                       g4::backend::reference<float>& on,
                                                                       const g4::open_options& options);
/// For a model that runs on the cpu backend.
[[nodiscard]] g4::result<std::unique_ptr<g4::any_drafter>> open_compiled_drafter(const g4::checkpoint& from,
                                                                                 const g4::any_session& target,
                                                                                 g4::backend::cpu& on,
                                                                                 const g4::open_options& options);

}  // namespace program
