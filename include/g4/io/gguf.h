/// Reads GGUF, versions 2 and 3: typed metadata, and tensors in plain or block storages.
///
///     "GGUF", version u32, number of tensors u64, number of keys u64
///     keys      each: name string, type u32, value      (string: length u64, bytes; array: type u32, length u64, values)
///     tensors   each: name string, rank u32, sizes u64… (innermost first), type u32, offset u64
///     padding to `general.alignment` (32 where the key is missing), then the data; offsets count from there
///
/// Source: the format's description in ggml (docs/gguf.md) and ggml's reader. Opening a file walks the keys once and
/// copies none of them: strings and arrays stay where they are and are read through views.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/mapped_file.h"
#include "g4/io/tensor_file.h"

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
[[nodiscard]] inline std::int64_t integer_at(gguf_type type, const std::byte* at) {
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

/// A list of whole numbers of any width, read where it lies.
class gguf_integers {
 public:
  gguf_integers() = default;
  gguf_integers(gguf_type element, std::size_t count, const std::byte* data)
      : element_(element), count_(count), data_(data) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::int64_t operator[](std::size_t i) const {
    return detail::integer_at(element_, data_ + i * size_of(element_));
  }

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
  [[nodiscard]] float operator[](std::size_t i) const {
    return wide_ ? static_cast<float>(detail::number_at<double>(data_ + i * 8))
                 : detail::number_at<float>(data_ + i * 4);
  }

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
    iterator& operator++() {
      at_ += 8 + length();
      return *this;
    }
    iterator operator++(int) {
      iterator before = *this;
      ++*this;
      return before;
    }
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
  [[nodiscard]] const gguf_value* find(std::string_view key) const {
    const auto at = std::lower_bound(values_.begin(), values_.end(), key,
                                     [](const gguf_value& v, std::string_view k) { return v.key < k; });
    return at != values_.end() && at->key == key ? &*at : nullptr;
  }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

  [[nodiscard]] result<std::string_view> string(std::string_view key) const {
    const auto value = want(key, "a string", [](const gguf_value& v) { return v.type == gguf_type::string; });
    if (!value) return unexpected(value.error());
    return *gguf_strings::iterator((*value)->bytes.data());
  }
  /// A whole number of any width.
  [[nodiscard]] result<std::int64_t> i64(std::string_view key) const {
    const auto value = want(key, "a whole number", [](const gguf_value& v) { return is_integer(v.type); });
    if (!value) return unexpected(value.error());
    if (auto fits = fit(**value); !fits) return unexpected(std::move(fits.error()));
    return detail::integer_at((*value)->type, (*value)->bytes.data());
  }
  /// A whole number of any width, not negative.
  [[nodiscard]] result<std::uint64_t> u64(std::string_view key) const {
    const auto value = i64(key);
    if (!value) return unexpected(value.error());
    if (*value < 0) return fail(name_, ": ", std::string(key), " is ", *value, "; expected no negative number");
    return static_cast<std::uint64_t>(*value);
  }
  /// A finite float.
  [[nodiscard]] result<float> f32(std::string_view key) const {
    const auto value = want(key, "a float", is_float);
    if (!value) return unexpected(value.error());
    const float number = gguf_floats((*value)->type, 1, (*value)->bytes.data())[0];
    if (!std::isfinite(number)) return fail(name_, ": ", std::string(key), " is not a finite number");
    return number;
  }
  [[nodiscard]] result<bool> boolean(std::string_view key) const {
    const auto value = want(key, "a bool", [](const gguf_value& v) { return v.type == gguf_type::boolean; });
    if (!value) return unexpected(value.error());
    return gguf_booleans(1, (*value)->bytes.data())[0];
  }

  /// A list of whole numbers; a single number is a list of one.
  [[nodiscard]] result<gguf_integers> integers(std::string_view key) const {
    const auto value = want(key, "a list of whole numbers", [](const gguf_value& v) { return is_integer(v.element); });
    if (!value) return unexpected(value.error());
    if (auto fits = fit(**value); !fits) return unexpected(std::move(fits.error()));
    return gguf_integers((*value)->element, (*value)->count, (*value)->bytes.data());
  }
  /// A list of floats; a single float is a list of one. They may be anything, infinite too.
  [[nodiscard]] result<gguf_floats> floats(std::string_view key) const {
    const auto value = want(key, "a list of floats", [](const gguf_value& v) {
      return v.element == gguf_type::f32 || v.element == gguf_type::f64;
    });
    if (!value) return unexpected(value.error());
    return gguf_floats((*value)->element, (*value)->count, (*value)->bytes.data());
  }
  /// A list of bools; a single bool is a list of one.
  [[nodiscard]] result<gguf_booleans> booleans(std::string_view key) const {
    const auto value =
        want(key, "a list of bools", [](const gguf_value& v) { return v.element == gguf_type::boolean; });
    if (!value) return unexpected(value.error());
    return gguf_booleans((*value)->count, (*value)->bytes.data());
  }
  /// A list of strings; a single string is a list of one.
  [[nodiscard]] result<gguf_strings> strings(std::string_view key) const {
    const auto value =
        want(key, "a list of strings", [](const gguf_value& v) { return v.element == gguf_type::string; });
    if (!value) return unexpected(value.error());
    return gguf_strings((*value)->count, (*value)->bytes);
  }

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
  [[nodiscard]] result<void> fit(const gguf_value& value) const {
    if (value.element != gguf_type::u64) return {};
    for (std::size_t i = 0; i < value.count; ++i) {
      if (detail::number_at<std::uint64_t>(value.bytes.data() + 8 * i) > std::numeric_limits<std::int64_t>::max()) {
        return fail(name_, ": the key ", std::string(value.key), " holds a number above 2^63");
      }
    }
    return {};
  }

  std::string name_;
  std::vector<gguf_value> values_;
};

/// A GGUF file: its keys and its tensors. Views in `metadata` stay valid as long as a copy of `tensors` is kept.
struct gguf_file {
  gguf_metadata metadata;
  tensor_file tensors;
  std::uint32_t version = 3;
  std::size_t alignment = 32;
};

/// The element type behind a number in the file; nothing for numbers that ggml has not given out (or has withdrawn).
[[nodiscard]] constexpr std::optional<element_type> ggml_type(std::uint32_t id) {
  struct row {
    std::uint32_t id;
    element_type type;
  };
  constexpr row known[] = {
      {0, element_of(storage::f32)},
      {1, element_of(storage::f16)},
      {2, element_of(storage::q4_0)},
      {3, element_of(storage::q4_1)},
      {6, element_of(storage::q5_0)},
      {7, element_of(storage::q5_1)},
      {8, element_of(storage::q8_0)},
      {9, {"Q8_1", 32, 36, std::nullopt}},
      {10, element_of(storage::q2_k)},
      {11, element_of(storage::q3_k)},
      {12, element_of(storage::q4_k)},
      {13, element_of(storage::q5_k)},
      {14, element_of(storage::q6_k)},
      {15, {"Q8_K", 256, 292, std::nullopt}},
      {16, {"IQ2_XXS", 256, 66, std::nullopt}},
      {17, {"IQ2_XS", 256, 74, std::nullopt}},
      {18, {"IQ3_XXS", 256, 98, std::nullopt}},
      {19, {"IQ1_S", 256, 50, std::nullopt}},
      {20, element_of(storage::iq4_nl)},
      {21, {"IQ3_S", 256, 110, std::nullopt}},
      {22, {"IQ2_S", 256, 82, std::nullopt}},
      {23, element_of(storage::iq4_xs)},
      {24, {"I8", 1, 1, std::nullopt}},
      {25, {"I16", 1, 2, std::nullopt}},
      {26, {"I32", 1, 4, std::nullopt}},
      {27, {"I64", 1, 8, std::nullopt}},
      {28, {"F64", 1, 8, std::nullopt}},
      {29, {"IQ1_M", 256, 56, std::nullopt}},
      {30, element_of(storage::bf16)},
      {34, {"TQ1_0", 256, 54, std::nullopt}},
      {35, {"TQ2_0", 256, 66, std::nullopt}},
      {39, element_of(storage::mxfp4)},
      {40, {"NVFP4", 64, 36, std::nullopt}},
      {41, {"Q1_0", 128, 18, std::nullopt}},
  };
  for (const row& r : known) {
    if (r.id == id) return r.type;
  }
  return std::nullopt;
}

namespace detail {

/// A place in the file that never passes its end: once something did not fit, nothing else does.
struct gguf_cursor {
  std::span<const std::byte> bytes;
  std::size_t at = 0;
  bool ended = false;

  [[nodiscard]] std::size_t left() const { return bytes.size() - at; }
  std::span<const std::byte> take(std::uint64_t count) {
    if (ended || count > left()) {
      ended = true;
      return {};
    }
    const auto part = bytes.subspan(at, static_cast<std::size_t>(count));
    at += part.size();
    return part;
  }
  template <class Number>
  Number number() {
    const auto part = take(sizeof(Number));
    return part.empty() ? Number{} : number_at<Number>(part.data());
  }
  std::string_view string() {
    const auto length = number<std::uint64_t>();
    const auto part = take(length);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
};

inline constexpr std::size_t most_keys = 65'536;

/// Reads one value's bytes; `in` stands behind the type. The sentence is without the file's name and the key.
[[nodiscard]] inline result<void> read_gguf_value(gguf_cursor& in, gguf_value& value) {
  value.element = value.type;
  if (value.type == gguf_type::array) {
    const auto element = in.number<std::uint32_t>();
    const auto count = in.number<std::uint64_t>();
    if (in.ended) return {};
    if (element > static_cast<std::uint32_t>(gguf_type::f64)) return fail("is an array of the unknown type ", element);
    value.element = static_cast<gguf_type>(element);
    if (value.element == gguf_type::array) return fail("is an array of arrays, which g4 does not read");
    // A string takes at least its length's 8 bytes.
    const std::size_t least = value.element == gguf_type::string ? 8 : size_of(value.element);
    if (count > in.left() / least) {
      in.ended = true;
      return {};
    }
    value.count = static_cast<std::size_t>(count);
  }
  const std::size_t start = in.at;
  if (value.element == gguf_type::string) {
    for (std::size_t i = 0; i < value.count && !in.ended; ++i) (void)in.string();
  } else {
    (void)in.take(value.count * size_of(value.element));
  }
  if (in.ended) return {};
  value.bytes = in.bytes.subspan(start, in.at - start);
  if (value.element == gguf_type::boolean) {
    for (const std::byte b : value.bytes) {
      if (b > std::byte{1}) return fail("holds the bool ", std::to_integer<unsigned>(b), "; expected 0 or 1");
    }
  }
  return {};
}

[[nodiscard]] inline result<std::vector<gguf_value>> read_gguf_values(gguf_cursor& in, std::uint64_t count,
                                                                      const std::string& name) {
  std::vector<gguf_value> values;
  for (std::uint64_t i = 0; i < count; ++i) {
    gguf_value value;
    value.key = in.string();
    const auto type = in.number<std::uint32_t>();
    if (!in.ended) {
      if (!is_tensor_name(value.key)) {
        return fail(name, ": key ", i, " is empty, longer than 1024 bytes or not printable ASCII: \"", shown(value.key),
                    "\"");
      }
      if (type > static_cast<std::uint32_t>(gguf_type::f64)) {
        return fail(name, ": the key ", std::string(value.key), " is of the unknown type ", type);
      }
      value.type = static_cast<gguf_type>(type);
      if (auto read = read_gguf_value(in, value); !read) {
        return fail(name, ": the key ", std::string(value.key), " ", read.error().message);
      }
    }
    if (in.ended) {
      return fail(name, ": ends within its metadata, in key ", i + 1, " of ", count, "; the file is cut short");
    }
    values.push_back(value);
  }
  std::sort(values.begin(), values.end(), [](const gguf_value& a, const gguf_value& b) { return a.key < b.key; });
  const auto twice = std::adjacent_find(values.begin(), values.end(),
                                        [](const gguf_value& a, const gguf_value& b) { return a.key == b.key; });
  if (twice != values.end()) return fail(name, ": holds the key ", std::string(twice->key), " twice");
  return values;
}

struct gguf_tensor {
  tensor_entry tensor;
  std::uint64_t offset = 0;
  std::size_t size = 0;
};

/// One tensor's description: name, sizes, type and offset.
[[nodiscard]] inline result<gguf_tensor> read_gguf_tensor(gguf_cursor& in, std::uint64_t i, std::uint64_t count,
                                                          const std::string& name) {
  const auto cut_short = [&] {
    return fail(name, ": ends within its list of tensors, in tensor ", i + 1, " of ", count, "; the file is cut short");
  };
  gguf_tensor out;
  const std::string_view tensor_name = in.string();
  const auto rank = in.number<std::uint32_t>();
  if (in.ended) return cut_short();
  if (!is_tensor_name(tensor_name)) {
    return fail(name, ": the name of tensor ", i, " is empty, longer than 1024 bytes or not printable ASCII: \"",
                shown(tensor_name), "\"");
  }
  out.tensor.name = tensor_name;
  if (rank > 4) return fail(name, ": ", out.tensor.name, " has ", rank, " dimensions; the format allows 4");
  std::array<std::size_t, 4> sizes{};
  for (std::uint32_t d = 0; d < rank; ++d) {
    const auto size = in.number<std::uint64_t>();
    if (!in.ended && size == 0) return fail(name, ": ", out.tensor.name, " has a dimension of size 0");
    if (size > SIZE_MAX) return fail(name, ": ", out.tensor.name, " has a size that does not fit this machine");
    sizes[d] = static_cast<std::size_t>(size);
  }
  const auto type = in.number<std::uint32_t>();
  out.offset = in.number<std::uint64_t>();
  if (in.ended) return cut_short();
  for (std::uint32_t d = rank; d > 0; --d) out.tensor.dims.push_back(sizes[d - 1]);
  const std::optional<element_type> known = ggml_type(type);
  if (!known) return fail(name, ": ", out.tensor.name, " has the element type ", type, ", which g4 does not know; convert the model to a type it reads, Q4_K_M or Q8_0 for example");
  out.tensor.type = *known;
  if (out.tensor.dims.columns() % known->block_elements != 0) {
    return fail(name, ": ", out.tensor.name, " is ", std::string(known->name), " ", to_string(out.tensor.dims),
                "; its rows must be a multiple of ", known->block_elements, " long");
  }
  const std::optional<std::size_t> size = bytes_of(*known, out.tensor.dims);
  if (!size) {
    return fail(name, ": ", out.tensor.name, " is ", to_string(out.tensor.dims), ", which is no possible size");
  }
  out.size = *size;
  return out;
}

/// Gives every tensor its bytes: aligned, within the file, and its own.
[[nodiscard]] inline result<void> place_gguf_tensors(std::vector<gguf_tensor>& tensors, std::span<const std::byte> data,
                                                     std::size_t alignment, const std::string& name) {
  for (gguf_tensor& t : tensors) {
    if (t.offset % alignment != 0) {
      return fail(name, ": ", t.tensor.name, " begins at offset ", t.offset, ", which is no multiple of the alignment ",
                  alignment);
    }
    if (t.offset > data.size() || t.size > data.size() - t.offset) {
      return fail(name, ": ", t.tensor.name, " has ", t.size, " bytes at offset ", t.offset,
                  " of the data, but the file holds ", data.size(), " bytes of data; it is cut short");
    }
    t.tensor.bytes = data.subspan(static_cast<std::size_t>(t.offset), t.size);
  }
  std::vector<const gguf_tensor*> order;
  order.reserve(tensors.size());
  for (const gguf_tensor& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const gguf_tensor& before = *order[i - 1];
    if (order[i]->offset < before.offset + before.size) {
      return fail(name, ": ", before.tensor.name, " and ", order[i]->tensor.name, " overlap: one ends at byte ",
                  before.offset + before.size, " of the data, the other begins at ", order[i]->offset);
    }
  }
  return {};
}

/// The whole of a file; `files` is what keeps `bytes` alive, if anything does.
[[nodiscard]] inline result<gguf_file> read_gguf(std::span<const std::byte> bytes, const std::string& name,
                                                 std::vector<std::shared_ptr<const mapped_file>> files) {
  gguf_cursor in{bytes};
  const auto magic = in.take(4);
  if (magic.empty() || std::memcmp(magic.data(), "GGUF", 4) != 0) {
    return fail(name, ": does not begin with \"GGUF\"; it is no GGUF file");
  }
  gguf_file out;
  out.version = in.number<std::uint32_t>();
  if (in.ended) return fail(name, ": ends within its first 24 bytes; the file is cut short");
  if (out.version != 0 && (out.version & 0xffffu) == 0) {
    return fail(name, ": is a big-endian GGUF file; g4 reads little-endian ones");
  }
  if (out.version != 2 && out.version != 3) {
    return fail(name, ": is GGUF version ", out.version, "; g4 reads versions 2 and 3");
  }
  const auto tensor_count = in.number<std::uint64_t>();
  const auto key_count = in.number<std::uint64_t>();
  if (in.ended) return fail(name, ": ends within its first 24 bytes; the file is cut short");
  if (tensor_count > most_tensors) {
    return fail(name, ": claims ", tensor_count, " tensors; g4 reads at most ", most_tensors);
  }
  if (key_count > most_keys) return fail(name, ": claims ", key_count, " keys; g4 reads at most ", most_keys);

  auto values = read_gguf_values(in, key_count, name);
  if (!values) return unexpected(std::move(values.error()));
  out.metadata = gguf_metadata(name, std::move(*values));
  if (out.metadata.has("general.alignment")) {
    const auto alignment = out.metadata.u64("general.alignment");
    if (!alignment) return unexpected(alignment.error());
    if (!std::has_single_bit(*alignment) || *alignment > (std::uint64_t{1} << 30)) {
      return fail(name, ": general.alignment is ", *alignment, "; expected a power of two up to 2^30");
    }
    out.alignment = static_cast<std::size_t>(*alignment);
  }
  if (out.metadata.has("split.count")) {
    const auto parts = out.metadata.u64("split.count");
    if (!parts) return unexpected(parts.error());
    if (*parts > 1) {
      return fail(name, ": is one of ", *parts,
                  " parts of a split model; join them with llama-gguf-split --merge first");
    }
  }

  std::vector<gguf_tensor> tensors;
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    auto tensor = read_gguf_tensor(in, i, tensor_count, name);
    if (!tensor) return unexpected(std::move(tensor.error()));
    tensors.push_back(std::move(*tensor));
  }
  std::vector<const std::string*> names;
  names.reserve(tensors.size());
  for (const gguf_tensor& t : tensors) names.push_back(&t.tensor.name);
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twice =
      std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
  if (twice != names.end()) return fail(name, ": holds two tensors called ", **twice);

  // A file without tensors (a vocabulary) may end before its padding does.
  const std::size_t padding = (out.alignment - in.at % out.alignment) % out.alignment;
  const std::size_t start = padding < in.left() ? in.at + padding : bytes.size();
  if (auto placed = place_gguf_tensors(tensors, bytes.subspan(start), out.alignment, name); !placed) {
    return unexpected(std::move(placed.error()));
  }
  std::vector<tensor_entry> entries;
  entries.reserve(tensors.size());
  for (gguf_tensor& t : tensors) entries.push_back(std::move(t.tensor));
  auto made = tensor_file::make(name, std::move(entries), std::move(files));
  if (!made) return unexpected(std::move(made.error()));
  out.tensors = std::move(*made);
  return out;
}

}  // namespace detail

/// Reads a GGUF file that is in memory already; `bytes` must outlive the result.
///
/// name   what errors call it
[[nodiscard]] inline result<gguf_file> read_gguf(std::span<const std::byte> bytes, const std::string& name) {
  return detail::read_gguf(bytes, name, {});
}

/// Opens a GGUF file. Takes a few milliseconds, whatever its size: only the metadata is touched.
[[nodiscard]] inline result<gguf_file> open_gguf(const std::string& path) {
  auto file = map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  const auto bytes = (*file)->bytes();
  std::vector<std::shared_ptr<const mapped_file>> files;
  files.push_back(std::move(*file));
  return detail::read_gguf(bytes, path, std::move(files));
}

}  // namespace g4::io
