/// What a specification is made of: fields that are listed once, and parts that a model may have or not.
#pragma once

#include <cstdint>

namespace g4 {

/// When a field tells two models apart.
enum class compared : std::uint8_t {
  always,
  by_layer,  ///< layer by layer where two models have as many; as one number where they do not
  never,     ///< it follows from others, or no file says it
};

/// A field of a specification: what people call it, and where it is. Each struct lists its own in `each_field(visit)`,
/// and whoever compares, prints or checks a specification walks that list; nobody else names all fields.
template <class Struct, class T>
struct field {
  const char* name;
  T Struct::*member;
  compared when = compared::always;
};
template <class Struct, class T>
field(const char*, T Struct::*) -> field<Struct, T>;
template <class Struct, class T>
field(const char*, T Struct::*, compared) -> field<Struct, T>;

/// A part that a model has or has not, as std::optional; but reading a part that is not there reads its defaults, so that
/// sums and extents over parts need no question first.
template <class Part>
struct maybe {
  bool has = false;
  Part part{};

  constexpr maybe() = default;
  constexpr maybe(const Part& given) : has(true), part(given) {}  // NOLINT: a part is one that may be there

  [[nodiscard]] constexpr bool has_value() const { return has; }
  constexpr explicit operator bool() const { return has; }
  constexpr const Part* operator->() const { return &part; }
  constexpr const Part& operator*() const { return part; }
  friend constexpr bool operator==(const maybe&, const maybe&) = default;
};

}  // namespace g4
