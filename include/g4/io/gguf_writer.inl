/// gguf_writer.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/gguf_writer.h"

namespace g4::io {

G4_INLINE gguf_keys& gguf_keys::boolean(std::string_view key, bool value) {
  return begin(key, gguf_type::boolean).number(static_cast<std::uint8_t>(value));
}

G4_INLINE gguf_keys& gguf_keys::strings(std::string_view key, std::span<const std::string> values) {
  begin(key, gguf_type::array).list(gguf_type::string, values.size());
  for (const std::string& value : values) text(value);
  return *this;
}

G4_INLINE gguf_keys& gguf_keys::u32s(std::string_view key, std::span<const std::uint32_t> values) {
  return numbers(key, gguf_type::u32, values);
}

G4_INLINE gguf_keys& gguf_keys::i32s(std::string_view key, std::span<const std::int32_t> values) {
  return numbers(key, gguf_type::i32, values);
}

G4_INLINE gguf_keys& gguf_keys::booleans(std::string_view key, std::span<const bool> values) {
  static_assert(sizeof(bool) == 1);
  return numbers(key, gguf_type::boolean, values);
}

G4_INLINE gguf_keys& gguf_keys::copy(const gguf_value& value) {
  begin(value.key, value.type);
  if (value.type == gguf_type::array) list(value.element, value.count);
  bytes_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  return *this;
}

G4_INLINE gguf_keys& gguf_keys::begin(std::string_view key, gguf_type type) {
  names_.emplace_back(key);
  return text(key).number(static_cast<std::uint32_t>(type));
}

G4_INLINE gguf_keys& gguf_keys::list(gguf_type element, std::size_t count) {
  return number(static_cast<std::uint32_t>(element)).number(static_cast<std::uint64_t>(count));
}

G4_INLINE gguf_keys& gguf_keys::text(std::string_view value) {
  number(static_cast<std::uint64_t>(value.size()));
  bytes_ += value;
  return *this;
}

G4_INLINE result<gguf_metadata> metadata_of(const gguf_keys& keys, const std::string& name) {
  detail::gguf_cursor in{std::as_bytes(std::span(keys.bytes()))};
  auto values = detail::read_gguf_values(in, keys.names().size(), name);
  if (!values) return unexpected(std::move(values.error()));
  return gguf_metadata(name, std::move(*values));
}

G4_INLINE result<tensor_writer> write_gguf(const std::string& path, const gguf_keys& keys,
                                           std::span<const tensor_plan> plan) {
  constexpr std::size_t alignment = 32;
  if (auto checked = tensor_writer::check(path, plan); !checked) return unexpected(std::move(checked.error()));
  std::vector<std::string> names = keys.names();
  std::sort(names.begin(), names.end());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!is_tensor_name(names[i])) return fail(path, ": no key can be called \"", shown(names[i]), "\"");
    if (i > 0 && names[i] == names[i - 1]) return fail(path, ": is to hold the key ", names[i], " twice");
    if (names[i] == "general.alignment") {
      return fail(path, ": general.alignment cannot be chosen; tensors are aligned to 32 bytes");
    }
  }
  std::string head = "GGUF";
  const auto put = [&head](auto value) {
    const std::size_t at = head.size();
    head.resize(at + sizeof value);
    std::memcpy(head.data() + at, &value, sizeof value);
  };
  put(std::uint32_t{3});
  put(static_cast<std::uint64_t>(plan.size()));
  put(static_cast<std::uint64_t>(names.size()));
  head += keys.bytes();
  std::size_t offset = 0;
  for (const tensor_plan& tensor : plan) {
    const std::optional<std::uint32_t> id = ggml_type_id(tensor.type);
    if (!id) {
      return fail(path, ": ", tensor.name, " is to be ", std::string(tensor.type.name), ", which GGUF does not have");
    }
    if (tensor.dims.rank() > 4) {
      return fail(path, ": ", tensor.name, " is to have ", tensor.dims.rank(), " dimensions; the format allows 4");
    }
    put(static_cast<std::uint64_t>(tensor.name.size()));
    head += tensor.name;
    put(static_cast<std::uint32_t>(tensor.dims.rank()));
    for (std::size_t d = tensor.dims.rank(); d > 0; --d) {
      if (tensor.dims[d - 1] == 0) return fail(path, ": ", tensor.name, " is to have a dimension of size 0");
      put(static_cast<std::uint64_t>(tensor.dims[d - 1]));
    }
    put(*id);
    put(static_cast<std::uint64_t>(offset));
    const std::size_t bytes = *bytes_of(tensor.type, tensor.dims);
    if (bytes > SIZE_MAX - offset - alignment) return fail(path, ": is to be larger than any file");
    offset += (bytes + alignment - 1) / alignment * alignment;
  }
  head.append((alignment - head.size() % alignment) % alignment, '\0');
  return tensor_writer::start(path, head, plan, alignment);
}

}  // namespace g4::io
