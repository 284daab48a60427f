/// Which variant a file is: what the file says, compared with each variant's type field by field.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/model/kinds.h"
#include "g4/spec/text.h"

namespace g4::load {

/// What a file may leave unsaid. Everything else must agree.
struct laxity {
  /// A GGUF of Gemma 3 has no key for which image tokens see each other. Encoders and decoders are still told apart.
  bool images = false;
  /// A GGUF of Gemma 3 may hold fewer rows of the token table than config.json names: the tokenizer has no others.
  bool fewer_rows = false;
};

namespace detail {

/// A float as people write it: 1e6, 0.25, 30.
[[nodiscard]] G4_INLINE std::string number_text(float value);
[[nodiscard]] G4_INLINE std::string value_text(reach value);
[[nodiscard]] G4_INLINE std::string value_text(visibility value);

}  // namespace detail

/// Every field in which a file is not the variant, one readable line each; empty where it is. Layers that differ alike
/// share a line. Floats agree to one part in a million. What a file never says (an embedder's heads) is not compared.
///
/// name   of the variant, as the lines call it
[[nodiscard]] G4_INLINE std::vector<std::string> differences(const text_spec& file, const text_spec& variant,
                                                             std::string_view name = "the variant", laxity lax = {});

/// A field of a specification as people read it: "experts", "count 128, chosen 8, width 704".
struct shown_field {
  std::string_view name;
  std::string value;
  bool usual = false;  ///< as in a model that says nothing of it
};

/// Every field of a text but its layers, in the order of the specification.
[[nodiscard]] G4_INLINE std::vector<shown_field> shown_fields(const text_spec& m);

/// A type's own name at compile time: "gemma3_270m", without its namespaces. The text of a model that also sees or
/// hears goes by the model's name: "gemma4_12b" of `gemma4_12b_text`.
template <class V>
[[nodiscard]] constexpr std::string_view variant_name() {
  std::string_view name = __PRETTY_FUNCTION__;  // "… [V = g4::gemma3_270m]", with g++ "… [with V = g4::gemma3_270m; …]"
  name.remove_prefix(name.find("V = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  if (const auto colon = name.rfind(':'); colon != std::string_view::npos) name.remove_prefix(colon + 1);
  if (name.ends_with("_text")) name.remove_suffix(5);
  return name;
}

/// The variant of a list that is closest to a file: the first with the fewest differences.
struct nearest_variant {
  std::size_t index = 0;
  std::string_view name;
  std::vector<std::string> differences;  ///< empty: the file is this variant
};

template <class First, class... Rest>
[[nodiscard]] nearest_variant nearest(const text_spec& file, laxity lax = {}) {
  nearest_variant best{0, variant_name<First>(), differences(file, First::spec, variant_name<First>(), lax)};
  std::size_t index = 0;
  // A list of one has no use for it.
  [[maybe_unused]] const auto consider = [&](std::string_view name, const text_spec& spec) {
    ++index;
    auto found = differences(file, spec, name, lax);
    if (found.size() < best.differences.size()) best = {index, name, std::move(found)};
  };
  (consider(variant_name<Rest>(), Rest::spec), ...);
  return best;
}

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/match.inl"  // IWYU pragma: keep
#endif
