/// gguf_metadata.h, defined.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "g4/io/gguf_metadata.h"

namespace g4::io {

namespace detail {

G4_INLINE std::int64_t integer_at(gguf_type type, const std::byte* at) {
  switch (type) {
    case gguf_type::u8: return number_at<std::uint8_t>(at);
    case gguf_type::i8: return number_at<std::int8_t>(at);
    case gguf_type::u16: return number_at<std::uint16_t>(at);
    case gguf_type::i16: return number_at<std::int16_t>(at);
    case gguf_type::u32: return number_at<std::uint32_t>(at);
    case gguf_type::i32: return number_at<std::int32_t>(at);
    default: return number_at<std::int64_t>(at);
  }
}

}  // namespace detail

G4_INLINE std::int64_t gguf_integers::operator[](std::size_t i) const {
  return detail::integer_at(element_, data_ + i * size_of(element_));
}

G4_INLINE float gguf_floats::operator[](std::size_t i) const {
  return wide_ ? static_cast<float>(detail::number_at<double>(data_ + i * 8)) : detail::number_at<float>(data_ + i * 4);
}

G4_INLINE gguf_strings::iterator& gguf_strings::iterator::operator++() {
  at_ += 8 + length();
  return *this;
}

G4_INLINE gguf_strings::iterator gguf_strings::iterator::operator++(int) {
  iterator before = *this;
  ++*this;
  return before;
}

G4_INLINE const gguf_value* gguf_metadata::find(std::string_view key) const {
  const auto at = std::lower_bound(values_.begin(), values_.end(), key,
                                   [](const gguf_value& v, std::string_view k) { return v.key < k; });
  return at != values_.end() && at->key == key ? &*at : nullptr;
}

G4_INLINE result<std::string_view> gguf_metadata::string(std::string_view key) const {
  const auto value = want(key, "a string", [](const gguf_value& v) { return v.type == gguf_type::string; });
  if (!value) return unexpected(value.error());
  return *gguf_strings::iterator((*value)->bytes.data());
}

G4_INLINE result<std::int64_t> gguf_metadata::i64(std::string_view key) const {
  const auto value = want(key, "a whole number", [](const gguf_value& v) { return is_integer(v.type); });
  if (!value) return unexpected(value.error());
  if (auto fits = fit(**value); !fits) return unexpected(std::move(fits.error()));
  return detail::integer_at((*value)->type, (*value)->bytes.data());
}

G4_INLINE result<std::uint64_t> gguf_metadata::u64(std::string_view key) const {
  const auto value = i64(key);
  if (!value) return unexpected(value.error());
  if (*value < 0) return fail(name_, ": ", std::string(key), " is ", *value, "; expected no negative number");
  return static_cast<std::uint64_t>(*value);
}

G4_INLINE result<float> gguf_metadata::f32(std::string_view key) const {
  const auto value = want(key, "a float", is_float);
  if (!value) return unexpected(value.error());
  const float number = gguf_floats((*value)->type, 1, (*value)->bytes.data())[0];
  if (!std::isfinite(number)) return fail(name_, ": ", std::string(key), " is not a finite number");
  return number;
}

G4_INLINE result<bool> gguf_metadata::boolean(std::string_view key) const {
  const auto value = want(key, "a bool", [](const gguf_value& v) { return v.type == gguf_type::boolean; });
  if (!value) return unexpected(value.error());
  return gguf_booleans(1, (*value)->bytes.data())[0];
}

G4_INLINE result<gguf_integers> gguf_metadata::integers(std::string_view key) const {
  const auto value = want(key, "a list of whole numbers", [](const gguf_value& v) { return is_integer(v.element); });
  if (!value) return unexpected(value.error());
  if (auto fits = fit(**value); !fits) return unexpected(std::move(fits.error()));
  return gguf_integers((*value)->element, (*value)->count, (*value)->bytes.data());
}

G4_INLINE result<gguf_floats> gguf_metadata::floats(std::string_view key) const {
  const auto value = want(key, "a list of floats", [](const gguf_value& v) {
    return v.element == gguf_type::f32 || v.element == gguf_type::f64;
  });
  if (!value) return unexpected(value.error());
  return gguf_floats((*value)->element, (*value)->count, (*value)->bytes.data());
}

G4_INLINE result<gguf_booleans> gguf_metadata::booleans(std::string_view key) const {
  const auto value = want(key, "a list of bools", [](const gguf_value& v) { return v.element == gguf_type::boolean; });
  if (!value) return unexpected(value.error());
  return gguf_booleans((*value)->count, (*value)->bytes.data());
}

G4_INLINE result<gguf_strings> gguf_metadata::strings(std::string_view key) const {
  const auto value = want(key, "a list of strings", [](const gguf_value& v) { return v.element == gguf_type::string; });
  if (!value) return unexpected(value.error());
  return gguf_strings((*value)->count, (*value)->bytes);
}

G4_INLINE result<void> gguf_metadata::fit(const gguf_value& value) const {
  if (value.element != gguf_type::u64) return {};
  for (std::size_t i = 0; i < value.count; ++i) {
    if (detail::number_at<std::uint64_t>(value.bytes.data() + 8 * i) > std::numeric_limits<std::int64_t>::max()) {
      return fail(name_, ": the key ", std::string(value.key), " holds a number above 2^63");
    }
  }
  return {};
}

}  // namespace g4::io
