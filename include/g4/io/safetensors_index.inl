/// The index of a checkpoint in several safetensors files. A part of safetensors.inl.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/io/safetensors_header.inl"
#include "g4/io/tensor_file.h"

namespace g4::io {

namespace detail {

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
  std::vector<stored_tensor> tensors;
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
  for (const stored_tensor& tensor : tensors) {
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

}  // namespace g4::io
