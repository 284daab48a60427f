/// gguf.h, defined.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/gguf.h"

namespace g4::io {

namespace detail {

G4_INLINE std::span<const std::byte> gguf_cursor::take(std::uint64_t count) {
  if (ended || count > left()) {
    ended = true;
    return {};
  }
  const auto part = bytes.subspan(at, static_cast<std::size_t>(count));
  at += part.size();
  return part;
}

G4_INLINE std::string_view gguf_cursor::string() {
  const auto length = number<std::uint64_t>();
  const auto part = take(length);
  return {reinterpret_cast<const char*>(part.data()), part.size()};
}

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

G4_INLINE result<std::vector<gguf_value>> read_gguf_values(gguf_cursor& in, std::uint64_t count,
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
  stored_tensor tensor;
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
  if (!known) {
    return fail(name, ": ", out.tensor.name, " has the element type ", type,
                ", which g4 does not know; convert the model to a type it reads, Q4_K_M or Q8_0 for example");
  }
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
[[nodiscard]] inline result<gguf_file> read_gguf_bytes(std::span<const std::byte> bytes, const std::string& name,
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
  std::vector<stored_tensor> entries;
  entries.reserve(tensors.size());
  for (gguf_tensor& t : tensors) entries.push_back(std::move(t.tensor));
  auto made = tensor_file::make(name, std::move(entries), std::move(files));
  if (!made) return unexpected(std::move(made.error()));
  out.tensors = std::move(*made);
  return out;
}

}  // namespace detail

G4_INLINE result<gguf_file> read_gguf(std::span<const std::byte> bytes, const std::string& name) {
  return detail::read_gguf_bytes(bytes, name, {});
}

G4_INLINE result<gguf_file> open_gguf(const std::string& path) {
  auto file = map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  const auto bytes = (*file)->bytes();
  std::vector<std::shared_ptr<const mapped_file>> files;
  files.push_back(std::move(*file));
  return detail::read_gguf_bytes(bytes, path, std::move(files));
}

}  // namespace g4::io
