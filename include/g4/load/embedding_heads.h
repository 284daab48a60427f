/// The heads that turn a text embedder's last layer into one vector, from the folder or file they were published in.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/gguf.h"
#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/io/tensor_file.h"
#include "g4/tensor/matrix.h"

namespace g4::load {

/// Linear maps without bias, applied one after the other to the mean of all rows.
struct embedding_heads {
  std::vector<matrix_view> dense;
  std::vector<io::tensor_file> keep;  ///< files that `dense` points into
};

namespace detail {

/// Adds a head and checks that it takes what the one before it gives.
[[nodiscard]] inline result<bool> add_head(embedding_heads& heads, const io::tensor_file& file, std::string_view name,
                                           std::size_t width) {
  const io::tensor_entry* found = file.find(name);
  if (found == nullptr) return fail(file.name(), ": the tensor ", std::string(name), " is missing");
  const auto type = io::storage_of(file, *found);
  if (!type) return unexpected(type.error());
  const std::size_t in = heads.dense.empty() ? width : heads.dense.back().rows;
  if (found->dims.rank() != 2 || found->dims[1] != in) {
    return fail(file.file_name(*found), ": ", found->name, " is ", io::to_string(found->dims), "; expected rows of ",
                in);
  }
  heads.dense.push_back({found->bytes.data(), found->dims[0], found->dims[1], *type});
  return true;
}

[[nodiscard]] inline result<io::json> read_json_file(const std::string& path) {
  auto file = io::map_file(path);
  if (!file) return unexpected(std::move(file.error()));
  return io::parse_json(io::text_of((*file)->bytes()), path);
}

/// The string at `key`, or nothing.
[[nodiscard]] inline std::string_view string_at(const io::json& object, const char* key) {
  const io::json* found = object.find(key);
  const auto* text = found == nullptr ? nullptr : found->as<std::string>();
  return text == nullptr ? std::string_view{} : std::string_view(*text);
}

[[nodiscard]] inline bool truth_at(const io::json& object, const char* key) {
  const io::json* found = object.find(key);
  const auto* flag = found == nullptr ? nullptr : found->as<bool>();
  return flag != nullptr && *flag;
}

/// One module of a sentence-transformers folder.
[[nodiscard]] inline result<bool> read_module(const std::string& folder, const io::json& module, std::size_t width,
                                              embedding_heads& heads) {
  std::string_view type = string_at(module, "type");
  type.remove_prefix(type.rfind('.') == std::string_view::npos ? 0 : type.rfind('.') + 1);
  const std::string_view path = string_at(module, "path");
  if (path.find("..") != std::string_view::npos || path.starts_with('/')) {
    return fail(folder, "/modules.json: the path '", io::shown(path), "' leads out of the folder");
  }
  if (type == "Transformer" || type == "Normalize") return true;
  const std::string place = folder + "/" + std::string(path);
  auto config = read_json_file(place + "/config.json");
  if (!config) return unexpected(std::move(config.error()));
  if (type == "Pooling") {
    const bool others = truth_at(*config, "pooling_mode_cls_token") || truth_at(*config, "pooling_mode_max_tokens") ||
                        truth_at(*config, "pooling_mode_mean_sqrt_len_tokens") ||
                        truth_at(*config, "pooling_mode_weightedmean_tokens") ||
                        truth_at(*config, "pooling_mode_lasttoken");
    if (truth_at(*config, "pooling_mode_mean_tokens") && !others) return true;
    return fail(place, "/config.json: asks for another pooling than the mean of all tokens, which is the one g4 has");
  }
  if (type != "Dense")
    return fail(folder, "/modules.json: a module of type '", io::shown(type), "' is none that g4 knows");
  const std::string_view activation = string_at(*config, "activation_function");
  if (truth_at(*config, "bias") || !activation.ends_with("Identity")) {
    return fail(place, "/config.json: expected a linear map without bias or activation, found bias ",
                truth_at(*config, "bias") ? "true" : "false", " and activation '", io::shown(activation), "'");
  }
  auto tensors = io::open_safetensors(place + "/model.safetensors");
  if (!tensors) return unexpected(std::move(tensors.error()));
  heads.keep.push_back(std::move(*tensors));
  return add_head(heads, heads.keep.back(), "linear.weight", width);
}

}  // namespace detail

/// From a folder in the layout of sentence-transformers (modules.json and the folders it names). A folder without
/// modules.json has no heads: its embedding is the mean itself.
///
/// width   of the rows that are pooled
[[nodiscard]] inline result<embedding_heads> read_embedding_heads(const std::string& folder, std::size_t width) {
  embedding_heads heads;
  const std::string name = folder + "/modules.json";
  if (io::kind_of(name) != io::path_kind::file) return heads;
  const auto modules = detail::read_json_file(name);
  if (!modules) return unexpected(modules.error());
  if (!modules->is_array()) return fail(name, ": expected a list of modules");
  for (const io::json& module : *modules) {
    if (auto read = detail::read_module(folder, module, width, heads); !read)
      return unexpected(std::move(read.error()));
  }
  return heads;
}

/// From the tensors of a GGUF file, which calls them dense_2 and dense_3 and may leave both out.
[[nodiscard]] inline result<embedding_heads> read_embedding_heads(const io::tensor_file& gguf, std::size_t width) {
  embedding_heads heads;
  for (const char* name : {"dense_2.weight", "dense_3.weight"}) {
    if (gguf.find(name) == nullptr) continue;
    if (auto added = detail::add_head(heads, gguf, name, width); !added) return unexpected(std::move(added.error()));
  }
  heads.keep.push_back(gguf);
  return heads;
}

}  // namespace g4::load
