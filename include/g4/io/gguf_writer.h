/// Writes a GGUF file, version 3 (layout: see gguf.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/gguf.h"
#include "g4/io/tensor_file.h"
#include "g4/io/tensor_writer.h"

namespace g4::io {

/// The metadata of a file in the making. Keys are written in the order they were added; a repeated one is refused by
/// `write_gguf`.
class gguf_keys {
 public:
  gguf_keys& string(std::string_view key, std::string_view value) { return begin(key, gguf_type::string).text(value); }
  gguf_keys& u32(std::string_view key, std::uint32_t value) { return begin(key, gguf_type::u32).number(value); }
  gguf_keys& u64(std::string_view key, std::uint64_t value) { return begin(key, gguf_type::u64).number(value); }
  gguf_keys& i32(std::string_view key, std::int32_t value) { return begin(key, gguf_type::i32).number(value); }
  gguf_keys& f32(std::string_view key, float value) { return begin(key, gguf_type::f32).number(value); }
  gguf_keys& boolean(std::string_view key, bool value);
  gguf_keys& strings(std::string_view key, std::span<const std::string> values);
  gguf_keys& u32s(std::string_view key, std::span<const std::uint32_t> values);
  gguf_keys& i32s(std::string_view key, std::span<const std::int32_t> values);
  gguf_keys& f32s(std::string_view key, std::span<const float> values) { return numbers(key, gguf_type::f32, values); }
  gguf_keys& booleans(std::string_view key, std::span<const bool> values);
  /// A key of another file, as it is.
  gguf_keys& copy(const gguf_value& value);

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// The keys as they stand in the file.
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  gguf_keys& begin(std::string_view key, gguf_type type);
  gguf_keys& list(gguf_type element, std::size_t count);
  gguf_keys& text(std::string_view value);
  template <class Number>
  gguf_keys& number(Number value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
    return *this;
  }
  template <class Number>
  gguf_keys& numbers(std::string_view key, gguf_type element, std::span<const Number> values) {
    begin(key, gguf_type::array).list(element, values.size());
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    return *this;
  }

  std::string bytes_;
  std::vector<std::string> names_;
};

/// Keys as a reader of the file will have them. They point into `keys`.
///
/// name   what errors call the file
[[nodiscard]] G4_INLINE result<gguf_metadata> metadata_of(const gguf_keys& keys, const std::string& name);

/// The number of an element type in the file; nothing for a type that GGUF does not have.
[[nodiscard]] constexpr std::optional<std::uint32_t> ggml_type_id(const element_type& type) {
  for (std::uint32_t id = 0; id < 64; ++id) {
    const std::optional<element_type> known = ggml_type(id);
    if (known && known->name == type.name) return id;
  }
  return std::nullopt;
}

/// Starts a GGUF file: keys and the list of tensors are written, the tensors' bytes are to follow in the plan's order.
///
///     auto out = write_gguf(path, keys, plan);
///     for (...) out->write(name, bytes);
///     out->finish();
///
/// Refuses repeated or impossible names, more than four dimensions, one of size 0, rows that are no whole number of
/// blocks, and a `general.alignment` (tensors are aligned to 32 bytes, the format's own choice).
[[nodiscard]] G4_INLINE result<tensor_writer> write_gguf(const std::string& path, const gguf_keys& keys,
                                                         std::span<const tensor_plan> plan);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/gguf_writer.inl"  // IWYU pragma: keep
#endif
