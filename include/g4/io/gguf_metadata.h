/// The keys of a GGUF file: typed values, read where they lie.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"

namespace g4::io {

static_assert(std::endian::native == std::endian::little,
              "g4: checkpoint files are read in place, so g4 needs a little-endian machine.");

/// Types of metadata values; the numbers are the file's.
enum class gguf_type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// How errors call a type.
[[nodiscard]] constexpr std::string_view name_of(gguf_type type) {
  constexpr std::string_view names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
  const auto i = static_cast<std::size_t>(type);
  return i < std::size(names) ? names[i] : "unknown";
}

/// Bytes of a number or bool; 0 for strings and arrays.
[[nodiscard]] constexpr std::size_t size_of(gguf_type type) {
  switch (type) {
    case gguf_type::u8:
    case gguf_type::i8:
    case gguf_type::boolean: return 1;
    case gguf_type::u16:
    case gguf_type::i16: return 2;
    case gguf_type::u32:
    case gguf_type::i32:
    case gguf_type::f32: return 4;
    case gguf_type::u64:
    case gguf_type::i64:
    case gguf_type::f64: return 8;
    case gguf_type::string:
    case gguf_type::array: break;
  }
  return 0;
}

[[nodiscard]] constexpr bool is_integer(gguf_type type) {
  return size_of(type) != 0 && type != gguf_type::boolean && type != gguf_type::f32 && type != gguf_type::f64;
}

namespace detail {

template <class Number>
[[nodiscard]] inline Number number_at(const std::byte* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// An integer of any width; a u64 above the greatest i64 has been refused before.
[[nodiscard]] G4_INLINE std::int64_t integer_at(gguf_type type, const std::byte* at);

}  // namespace detail

/// A list of whole numbers of any width, read where it lies.
class gguf_integers {
 public:
  gguf_integers() = default;
  gguf_integers(gguf_type element, std::size_t count, const std::byte* data)
      : element_(element), count_(count), data_(data) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::int64_t operator[](std::size_t i) const;

 private:
  gguf_type element_ = gguf_type::u8;
  std::size_t count_ = 0;
  const std::byte* data_ = nullptr;
};

/// A list of floats, read where it lies.
class gguf_floats {
 public:
  gguf_floats() = default;
  gguf_floats(gguf_type element, std::size_t count, const std::byte* data)
      : wide_(element == gguf_type::f64), count_(count), data_(data) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] float operator[](std::size_t i) const;

 private:
  bool wide_ = false;
  std::size_t count_ = 0;
  const std::byte* data_ = nullptr;
};

/// A list of bools, read where it lies.
class gguf_booleans {
 public:
  gguf_booleans() = default;
  gguf_booleans(std::size_t count, const std::byte* data) : count_(count), data_(data) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool operator[](std::size_t i) const { return data_[i] != std::byte{0}; }

 private:
  std::size_t count_ = 0;
  const std::byte* data_ = nullptr;
};

/// A list of strings, read where it lies. Strings have different lengths, so they can be walked in order but not
/// reached by number; whoever needs that keeps the views (which stay valid as long as the file is mapped). Give the list
/// a name before walking it: `for (auto s : *meta.strings(key))` lets the list go before the walk begins.
class gguf_strings {
 public:
  class iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using reference = std::string_view;
    using pointer = void;
    using iterator_category = std::input_iterator_tag;

    iterator() = default;
    explicit iterator(const std::byte* at) : at_(at) {}
    [[nodiscard]] std::string_view operator*() const { return {reinterpret_cast<const char*>(at_ + 8), length()}; }
    iterator& operator++();
    iterator operator++(int);
    [[nodiscard]] bool operator==(const iterator&) const = default;

   private:
    [[nodiscard]] std::size_t length() const { return static_cast<std::size_t>(detail::number_at<std::uint64_t>(at_)); }
    const std::byte* at_ = nullptr;
  };

  gguf_strings() = default;
  gguf_strings(std::size_t count, std::span<const std::byte> bytes) : count_(count), bytes_(bytes) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] iterator begin() const { return iterator(bytes_.data()); }
  [[nodiscard]] iterator end() const { return iterator(bytes_.data() + bytes_.size()); }

 private:
  std::size_t count_ = 0;
  std::span<const std::byte> bytes_;
};

/// One key of the metadata, checked: its bytes lie within the file and are what the type says.
struct gguf_value {
  std::string_view key;
  gguf_type type = gguf_type::u8;
  gguf_type element = gguf_type::u8;  ///< of an array; the type itself for anything else
  std::size_t count = 1;              ///< of an array; 1 for anything else
  std::span<const std::byte> bytes;   ///< the elements (strings with their lengths)
};

/// The keys of a file. Every accessor gives the value, or one sentence: the key is missing, or of another type.
class gguf_metadata {
 public:
  gguf_metadata() = default;
  /// `values` sorted by key, without repeats; `name` is what errors call the file.
  gguf_metadata(std::string name, std::vector<gguf_value> values)
      : name_(std::move(name)), values_(std::move(values)) {}

  [[nodiscard]] std::span<const gguf_value> values() const { return values_; }
  [[nodiscard]] const gguf_value* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

  [[nodiscard]] result<std::string_view> string(std::string_view key) const;
  /// A whole number of any width.
  [[nodiscard]] result<std::int64_t> i64(std::string_view key) const;
  /// A whole number of any width, not negative.
  [[nodiscard]] result<std::uint64_t> u64(std::string_view key) const;
  /// A finite float.
  [[nodiscard]] result<float> f32(std::string_view key) const;
  [[nodiscard]] result<bool> boolean(std::string_view key) const;

  /// A list of whole numbers; a single number is a list of one.
  [[nodiscard]] result<gguf_integers> integers(std::string_view key) const;
  /// A list of floats; a single float is a list of one. They may be anything, infinite too.
  [[nodiscard]] result<gguf_floats> floats(std::string_view key) const;
  /// A list of bools; a single bool is a list of one.
  [[nodiscard]] result<gguf_booleans> booleans(std::string_view key) const;
  /// A list of strings; a single string is a list of one.
  [[nodiscard]] result<gguf_strings> strings(std::string_view key) const;

 private:
  static bool is_float(const gguf_value& v) { return v.type == gguf_type::f32 || v.type == gguf_type::f64; }

  template <class Accept>
  [[nodiscard]] result<const gguf_value*> want(std::string_view key, const char* expected, Accept accept) const {
    const gguf_value* value = find(key);
    if (value == nullptr) return fail(name_, ": the key ", std::string(key), " is missing; expected ", expected);
    if (accept(*value)) return value;
    std::string found(name_of(value->type));
    if (value->type == gguf_type::array) found += " of " + std::string(name_of(value->element));
    return fail(name_, ": the key ", std::string(key), " is of type ", found, "; expected ", expected);
  }

  /// Only a u64 can be too large for an i64.
  [[nodiscard]] result<void> fit(const gguf_value& value) const;

  std::string name_;
  std::vector<gguf_value> values_;
};

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/gguf_metadata.inl"  // IWYU pragma: keep
#endif
