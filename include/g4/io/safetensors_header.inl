/// The header of a safetensors file, read and checked. A part of safetensors.inl.
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

#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

namespace detail {

inline constexpr std::size_t most_header_bytes = 100'000'000;

/// A tensor as the header describes it; [begin, end) counts from the end of the header.
struct header_entry {
  stored_tensor tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The header's events, straight into entries.
struct header_reader : json_reader {
  enum class place { outside, names, metadata, tensor, shape, offsets, done };
  enum class field { none, dtype, shape, offsets };

  std::vector<header_entry> entries;
  place at = place::outside;
  field next = field::none;
  bool next_is_metadata = false;
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
  bool has_metadata = false;
  std::size_t offsets = 0;  // how many of the two have been read

  header_entry& entry() { return entries.back(); }
  bool refuse_tensor(const std::string& why) { return refuse(entry().tensor.name + " " + why); }

  bool start_object() override {
    if (at == place::outside) {
      at = place::names;
      return true;
    }
    if (at == place::names) {
      at = next_is_metadata ? place::metadata : place::tensor;
      has_dtype = has_shape = has_offsets = false;
      next = field::none;
      return true;
    }
    return refuse("the header holds an object where none is expected");
  }

  bool key(std::string& name) override {
    if (at == place::metadata) return true;
    if (at == place::names) {
      next_is_metadata = name == "__metadata__";
      if (next_is_metadata) {
        if (has_metadata) return refuse("the header holds __metadata__ twice");
        has_metadata = true;
        return true;
      }
      if (!is_tensor_name(name)) {
        return refuse(
            "the header holds a tensor name that is empty, longer than 1024 bytes or not printable ASCII: \"" +
            shown(name) + "\"");
      }
      if (entries.size() == most_tensors) {
        return refuse("holds more than " + std::to_string(most_tensors) + " tensors");
      }
      entries.emplace_back();
      entry().tensor.name = std::string_view(name);  // a copy: the lexer's buffer may be far larger than its content
      return true;
    }
    const auto once = [this, &name](bool& seen, field f) {
      if (seen) return refuse_tensor("has two fields called " + name);
      seen = true;
      next = f;
      return true;
    };
    if (name == "dtype") return once(has_dtype, field::dtype);
    if (name == "shape") return once(has_shape, field::shape);
    if (name == "data_offsets") return once(has_offsets, field::offsets);
    return refuse_tensor("has a field called " + shown(name) + "; expected dtype, shape and data_offsets");
  }

  bool string(std::string& value) override {
    if (at == place::metadata) return true;
    if (at == place::tensor && next == field::dtype) {
      const std::optional<element_type> type = safetensors_type(value);
      if (!type) return refuse_tensor("has the unknown dtype " + shown(value));
      entry().tensor.type = *type;
      next = field::none;
      return true;
    }
    return wrong("a string");
  }

  bool start_array() override {
    if (at == place::tensor && next == field::shape) {
      at = place::shape;
      return true;
    }
    if (at == place::tensor && next == field::offsets) {
      at = place::offsets;
      offsets = 0;
      return true;
    }
    return wrong("a list");
  }

  bool number_unsigned(std::uint64_t value) override {
    if (at == place::shape) {
      if (entry().tensor.dims.rank() == extents::most) {
        return refuse_tensor("has more than " + std::to_string(extents::most) + " dimensions");
      }
      if (value > SIZE_MAX) return refuse_tensor("has a size that does not fit this machine");
      entry().tensor.dims.push_back(static_cast<std::size_t>(value));
      return true;
    }
    if (at == place::offsets) {
      if (offsets == 2) return refuse_tensor("has more than two data_offsets");
      (offsets == 0 ? entry().begin : entry().end) = value;
      ++offsets;
      return true;
    }
    return wrong("a number");
  }

  bool end_array() override {
    if (at == place::offsets && offsets != 2) return refuse_tensor("has fewer than two data_offsets");
    at = place::tensor;
    next = field::none;
    return true;
  }

  bool end_object() override {
    if (at == place::tensor) {
      if (!has_dtype) return refuse_tensor("has no dtype");
      if (!has_shape) return refuse_tensor("has no shape");
      if (!has_offsets) return refuse_tensor("has no data_offsets");
      at = place::names;
    } else if (at == place::metadata) {
      at = place::names;
    } else {
      at = place::done;
    }
    return true;
  }

  bool null() override { return wrong("null"); }
  bool boolean(bool) override { return wrong("true or false"); }
  bool number_integer(std::int64_t value) override { return wrong("the negative number " + std::to_string(value)); }
  bool number_float(double) override { return wrong("a fraction"); }

  bool wrong(const std::string& what) {
    if (at == place::metadata) return refuse("__metadata__ holds " + what + "; expected strings only");
    if (at == place::outside) return refuse("the header is " + what + "; expected an object");
    if (at == place::names) {
      if (next_is_metadata) return refuse("__metadata__ is " + what + "; expected an object");
      return refuse_tensor("is described by " + what + "; expected an object");
    }
    if (at == place::shape) return refuse_tensor("has " + what + " in its shape; expected whole numbers");
    if (at == place::offsets) return refuse_tensor("has " + what + " in its data_offsets; expected whole numbers");
    switch (next) {
      case field::dtype: return refuse_tensor("has " + what + " as dtype; expected a string");
      case field::shape: return refuse_tensor("has " + what + " as shape; expected a list of whole numbers");
      case field::offsets: return refuse_tensor("has " + what + " as data_offsets; expected two whole numbers");
      case field::none: break;
    }
    return refuse_tensor("has " + what + " where a field is expected");
  }
};

/// Size = shape × dtype for every tensor, then: nothing beyond the file, no overlap, no hole, nothing left over.
/// Puts the entries into the order of their data.
[[nodiscard]] inline result<void> place_tensors(std::vector<header_entry>& entries, std::span<const std::byte> data,
                                                const std::string& name) {
  for (const header_entry& e : entries) {
    const std::optional<std::size_t> bytes = bytes_of(e.tensor.type, e.tensor.dims);
    const auto described = [&e] {
      return e.tensor.name + " is " + std::string(e.tensor.type.name) + " " + to_string(e.tensor.dims);
    };
    if (!bytes) return fail(name, ": ", described(), ", which is no possible size");
    if (e.begin > e.end) {
      return fail(name, ": ", e.tensor.name, " ends at offset ", e.end, ", before it begins at ", e.begin);
    }
    if (e.end - e.begin != *bytes) {
      return fail(name, ": ", described(), " and needs ", *bytes, " bytes; its data_offsets give it ", e.end - e.begin);
    }
    if (e.end > data.size()) {
      return fail(name, ": ", e.tensor.name, " ends at byte ", e.end, " of the data, but the file holds ", data.size(),
                  " bytes of data; it is cut short");
    }
  }
  std::sort(entries.begin(), entries.end(), [](const header_entry& a, const header_entry& b) {
    // Tensors without elements come before the one that begins where they lie.
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t at = 0;
  const header_entry* before = nullptr;
  for (header_entry& e : entries) {
    if (e.begin < at) {
      return fail(name, ": ", before->tensor.name, " and ", e.tensor.name, " overlap: one ends at byte ", at,
                  " of the data, the other begins at ", e.begin);
    }
    if (e.begin > at) {
      return fail(name, ": nothing describes bytes ", at, " to ", e.begin, " of the data, before ", e.tensor.name,
                  "; the format allows no holes");
    }
    at = e.end;
    before = &e;
    e.tensor.bytes = data.subspan(static_cast<std::size_t>(e.begin), static_cast<std::size_t>(e.end - e.begin));
  }
  if (at != data.size()) {
    return fail(name, ": nothing describes the last ", data.size() - static_cast<std::size_t>(at),
                " bytes of the file; the format allows no trailing bytes");
  }
  return {};
}

/// The tensors of one file, in the order of their data.
[[nodiscard]] inline result<std::vector<stored_tensor>> read_safetensors_entries(std::span<const std::byte> bytes,
                                                                                 const std::string& name,
                                                                                 std::uint32_t file) {
  if (bytes.size() < 8) {
    return fail(name, ": has ", bytes.size(), " bytes; a safetensors file begins with the 8-byte length of its header");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > most_header_bytes) {
    return fail(name, ": claims a header of ", length, " bytes; the format allows ", most_header_bytes,
                " (is it a safetensors file?)");
  }
  if (length > bytes.size() - 8) {
    return fail(name, ": claims a header of ", length, " bytes, but only ", bytes.size() - 8,
                " follow; the file is cut short");
  }
  const std::string_view header = text_of(bytes.subspan(8, static_cast<std::size_t>(length)));
  if (header.empty() || header.front() != '{') return fail(name, ": has a header that does not begin with '{'");
  header_reader reader;
  const json_limits limits{.bytes = most_header_bytes, .depth = 3, .token = 1u << 20};
  if (auto read = read_json(header, name, limits, reader); !read) return unexpected(std::move(read.error()));

  std::vector<const std::string*> names;
  names.reserve(reader.entries.size());
  for (const header_entry& e : reader.entries) names.push_back(&e.tensor.name);
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twice =
      std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
  if (twice != names.end()) return fail(name, ": holds two tensors called ", **twice);

  const auto data = bytes.subspan(8 + static_cast<std::size_t>(length));
  if (auto placed = place_tensors(reader.entries, data, name); !placed) return unexpected(std::move(placed.error()));
  std::vector<stored_tensor> tensors;
  tensors.reserve(reader.entries.size());
  for (header_entry& e : reader.entries) {
    e.tensor.file = file;
    tensors.push_back(std::move(e.tensor));
  }
  return tensors;
}

}  // namespace detail

}  // namespace g4::io
