#include "variants.h"

#include <array>

#include "backends.h"
#include "g4/generate/any_batch.h"
#include "g4/model/drafter.h"
#include "g4/open/any_drafter.h"
#include "g4/open/any_model.h"

#include "program_variants.h"  // made by g4_add_program: compiled_variants, compiled_drafters, shown_variants, …

namespace program {

namespace {

template <class V>
constexpr known_variant describe() {
  std::string_view target;
  if constexpr (g4::Drafter<V>) target = g4::load::variant_name<typename V::target>();
  return {g4::load::variant_name<V>(), &V::spec, target};
}

template <class... V>
constexpr std::array<known_variant, sizeof...(V)> describe_all(g4::one_of<V...>) {
  return {describe<V>()...};
}

}  // namespace

std::span<const known_variant> known_variants() {
  static constexpr auto all = describe_all(shown_variants{});
  return all;
}

g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::cpu& on,
                                                         const g4::open_options& options) {
  return g4::open_any<compiled_variants>(from, on, options);
}

g4::result<std::unique_ptr<g4::any_batch>> open_compiled_batch(const g4::any_model& of, g4::backend::cpu& on,
                                                               const g4::batch_options& options) {
  return g4::open_batch<compiled_variants>(of, on, options);
}

g4::result<std::unique_ptr<g4::any_drafter>> open_compiled_drafter(const g4::checkpoint& from,
                                                                   const g4::any_session& target, g4::backend::cpu& on,
                                                                   const g4::open_options& options) {
  return g4::open_any_drafter<compiled_drafters>(from, target, on, options);
}

}  // namespace program
