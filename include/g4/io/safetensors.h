/// Reads safetensors: one file, several with an index, or the folder that holds them.
///
///     8 bytes   n, length of the header (little-endian)
///     n bytes   JSON: {"name": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]}, ...}
///     the rest  the tensors, back to back; offsets count from here
///
/// Source: the format's description in the safetensors repository. Everything it forbids is refused: holes, overlaps,
/// trailing bytes, repeated names, headers above 100 MB.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/io/tensor_file.h"

namespace g4::io {

/// The element type of a dtype's name; nothing for an unknown name.
[[nodiscard]] constexpr std::optional<element_type> safetensors_type(std::string_view name) {
  constexpr element_type known[] = {
      element_of(storage::f32),        element_of(storage::f16),        element_of(storage::bf16),
      {"F64", 1, 8, std::nullopt},     {"I64", 1, 8, std::nullopt},     {"I32", 1, 4, std::nullopt},
      {"I16", 1, 2, std::nullopt},     {"I8", 1, 1, std::nullopt},      {"U64", 1, 8, std::nullopt},
      {"U32", 1, 4, std::nullopt},     {"U16", 1, 2, std::nullopt},     {"U8", 1, 1, std::nullopt},
      {"BOOL", 1, 1, std::nullopt},    {"C64", 1, 8, std::nullopt},     {"F8_E4M3", 1, 1, std::nullopt},
      {"F8_E5M2", 1, 1, std::nullopt}, {"F8_E8M0", 1, 1, std::nullopt}, {"F6_E2M3", 4, 3, std::nullopt},
      {"F6_E3M2", 4, 3, std::nullopt}, {"F4", 2, 1, std::nullopt},
  };
  for (const element_type& type : known) {
    if (type.name == name) return type;
  }
  return std::nullopt;
}

namespace detail {

inline constexpr std::size_t most_header_bytes = 100'000'000;

/// A tensor as the header describes it; [begin, end) counts from the end of the header.
struct header_entry {
  tensor_entry tensor;
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
[[nodiscard]] inline result<std::vector<tensor_entry>> read_safetensors_entries(std::span<const std::byte> bytes,
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
  std::vector<tensor_entry> tensors;
  tensors.reserve(reader.entries.size());
  for (header_entry& e : reader.entries) {
    e.tensor.file = file;
    tensors.push_back(std::move(e.tensor));
  }
  return tensors;
}

/// One line of an index: which shard holds a tensor.
struct index_entry {
  std::string tensor;
  std::uint32_t shard = 0;
};

/// {"metadata": anything, "weight_map": {"name": "model-00001-of-00002.safetensors", ...}}
struct index_reader : json_reader {
  std::vector<index_entry> entries;
  std::vector<std::string> shards;               // distinct, in order of appearance
  std::map<std::string, std::uint32_t> numbers;  // where each is in `shards`
  std::size_t depth = 0;
  bool in_map = false;
  bool has_map = false;
  bool has_metadata = false;

  bool start_object() override {
    if (in_map && depth == 2) return refuse("weight_map holds an object; expected the name of a file");
    ++depth;
    return true;
  }
  bool end_object() override {
    --depth;
    return true;
  }
  bool key(std::string& name) override {
    if (depth == 1) {
      bool& seen = name == "weight_map" ? has_map : has_metadata;
      if (name != "weight_map" && name != "metadata") {
        return refuse("holds the key " + shown(name) + "; expected metadata and weight_map");
      }
      if (seen) return refuse("holds the key " + name + " twice");
      seen = true;
      in_map = name == "weight_map";
      return true;
    }
    if (!in_map) return true;
    if (!is_tensor_name(name)) {
      return refuse("weight_map holds a tensor name that is empty, longer than 1024 bytes or not printable ASCII: \"" +
                    shown(name) + "\"");
    }
    if (entries.size() == most_tensors) return refuse("lists more than " + std::to_string(most_tensors) + " tensors");
    entries.push_back({name, 0});
    return true;
  }
  bool string(std::string& value) override {
    if (!in_map) return value_outside_map("a string");
    if (depth != 2) return refuse("weight_map is a string; expected an object");
    // The name of a neighbour and nothing else: an index must not be able to point elsewhere on the machine.
    if (!is_tensor_name(value) || value.find_first_of("/\\") != std::string::npos || value == "." || value == "..") {
      return refuse(entries.back().tensor + " is said to be in \"" + shown(value) +
                    "\"; expected the name of a file beside the index");
    }
    const auto [number, is_new] = numbers.emplace(value, static_cast<std::uint32_t>(shards.size()));
    if (is_new && shards.size() == most_shards) {
      return refuse("lists more than " + std::to_string(most_shards) + " files");
    }
    if (is_new) shards.push_back(value);
    entries.back().shard = number->second;
    return true;
  }
  bool null() override { return value_outside_map("null"); }
  bool boolean(bool) override { return value_outside_map("true or false"); }
  bool number_integer(std::int64_t) override { return value_outside_map("a number"); }
  bool number_unsigned(std::uint64_t) override { return value_outside_map("a number"); }
  bool number_float(double) override { return value_outside_map("a number"); }
  bool start_array() override {
    if (!value_outside_map("a list")) return false;
    ++depth;
    return true;
  }
  bool end_array() override { return end_object(); }

  bool value_outside_map(const std::string& what) {
    if (depth == 0) return refuse("is " + what + "; expected an object");
    if (in_map) return refuse("weight_map holds " + what + "; expected the name of a file");
    return true;
  }

 private:
  static constexpr std::size_t most_shards = 1024;
};

[[nodiscard]] inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// All shards of an index, each tensor where the index says and none besides.
[[nodiscard]] inline result<tensor_file> open_index(const std::string& path) {
  auto index_file = mapped_file::open(path);
  if (!index_file) return unexpected(std::move(index_file.error()));
  index_reader index;
  const json_limits limits{.bytes = most_header_bytes, .depth = 16, .token = 1u << 20};
  if (auto read = read_json(text_of(index_file->bytes()), path, limits, index); !read) {
    return unexpected(std::move(read.error()));
  }
  if (!index.has_map) return fail(path, ": has no weight_map");
  std::vector<std::shared_ptr<const mapped_file>> files;
  std::vector<tensor_entry> tensors;
  for (const std::string& shard : index.shards) {
    const std::string shard_path = folder_of(path) + shard;
    auto file = map_file(shard_path);
    if (!file) return fail(path, ": names the file ", shard, ": ", file.error().message);
    auto entries = read_safetensors_entries((*file)->bytes(), shard_path, static_cast<std::uint32_t>(files.size()));
    if (!entries) return unexpected(std::move(entries.error()));
    if (entries->size() > most_tensors - tensors.size()) {
      return fail(path, ": its files hold more than ", most_tensors, " tensors");
    }
    files.push_back(std::move(*file));
    std::move(entries->begin(), entries->end(), std::back_inserter(tensors));
  }
  const auto by_name = [](const index_entry& a, const index_entry& b) { return a.tensor < b.tensor; };
  std::sort(index.entries.begin(), index.entries.end(), by_name);
  for (std::size_t i = 1; i < index.entries.size(); ++i) {
    if (index.entries[i].tensor == index.entries[i - 1].tensor) {
      return fail(path, ": lists ", index.entries[i].tensor, " twice");
    }
  }
  for (const tensor_entry& tensor : tensors) {
    const std::string& shard = index.shards[tensor.file];
    const auto listed =
        std::lower_bound(index.entries.begin(), index.entries.end(), index_entry{tensor.name, 0}, by_name);
    if (listed == index.entries.end() || listed->tensor != tensor.name) {
      return fail(path, ": does not list ", tensor.name, ", which is in ", shard);
    }
    if (listed->shard != tensor.file) {
      return fail(path, ": lists ", tensor.name, " in ", index.shards[listed->shard], ", but it is in ", shard);
    }
  }
  auto out = tensor_file::make(path, std::move(tensors), std::move(files));
  if (!out) return out;
  for (const index_entry& entry : index.entries) {
    if (out->find(entry.tensor) == nullptr) {
      return fail(path, ": lists ", entry.tensor, " in ", index.shards[entry.shard], ", where it is not");
    }
  }
  return out;
}

}  // namespace detail

/// Reads a safetensors file that is in memory already; `bytes` must outlive the result.
///
/// name   what errors call it
[[nodiscard]] inline result<tensor_file> read_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  auto tensors = detail::read_safetensors_entries(bytes, name, 0);
  if (!tensors) return unexpected(std::move(tensors.error()));
  return tensor_file::make(name, std::move(*tensors), {});
}

/// Opens a checkpoint.
///
/// path   a .safetensors file, a .index.json file, or a folder that holds model.safetensors or
///        model.safetensors.index.json (looked for in this order)
[[nodiscard]] inline result<tensor_file> open_safetensors(const std::string& path) {
  if (kind_of(path) == path_kind::folder) {
    const std::string stem = path + (path.ends_with('/') ? "" : "/") + "model.safetensors";
    if (kind_of(stem) == path_kind::file) return open_safetensors(stem);
    if (kind_of(stem + ".index.json") == path_kind::file) return open_safetensors(stem + ".index.json");
    return fail(path, ": holds neither model.safetensors nor model.safetensors.index.json");
  }
  if (path.ends_with(".json")) return detail::open_index(path);
  auto file = map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  auto tensors = detail::read_safetensors_entries((*file)->bytes(), path, 0);
  if (!tensors) return unexpected(std::move(tensors.error()));
  std::vector<std::shared_ptr<const mapped_file>> files;
  files.push_back(std::move(*file));
  return tensor_file::make(path, std::move(*tensors), std::move(files));
}

}  // namespace g4::io
