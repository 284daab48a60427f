#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"
#include "g4/load/dense_modules.h"

namespace g4::load {

namespace detail {

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

struct dense_modules {
  std::vector<io::stored_tensor> tensors;
  std::vector<std::shared_ptr<const io::mapped_file>> files;
};

/// One module of the folder.
[[nodiscard]] inline result<void> read_module(const std::string& folder, const io::json& module, dense_modules& read) {
  std::string_view type = string_at(module, "type");
  type.remove_prefix(type.rfind('.') == std::string_view::npos ? 0 : type.rfind('.') + 1);
  const std::string_view path = string_at(module, "path");
  if (path.find("..") != std::string_view::npos || path.starts_with('/')) {
    return fail(folder, "/modules.json: the path '", io::shown(path), "' leads out of the folder");
  }
  if (type == "Transformer" || type == "Normalize") return {};
  const std::string place = folder + "/" + std::string(path);
  auto config = io::parse_json_file(place + "/config.json");
  if (!config) return unexpected(std::move(config.error()));
  if (type == "Pooling") {
    const bool others = truth_at(*config, "pooling_mode_cls_token") || truth_at(*config, "pooling_mode_max_tokens") ||
                        truth_at(*config, "pooling_mode_mean_sqrt_len_tokens") ||
                        truth_at(*config, "pooling_mode_weightedmean_tokens") ||
                        truth_at(*config, "pooling_mode_lasttoken");
    if (truth_at(*config, "pooling_mode_mean_tokens") && !others) return {};
    return fail(place, "/config.json: asks for another pooling than the mean of all tokens, which is the one g4 has");
  }
  if (type != "Dense")
    return fail(folder, "/modules.json: a module of type '", io::shown(type), "' is none that g4 knows");
  const std::string_view activation = string_at(*config, "activation_function");
  if (truth_at(*config, "bias") || !activation.ends_with("Identity")) {
    return fail(place, "/config.json: expected a linear map without bias or activation, found bias ",
                truth_at(*config, "bias") ? "true" : "false", " and activation '", io::shown(activation), "'");
  }
  auto file = io::open_safetensors(place + "/model.safetensors");
  if (!file) return unexpected(std::move(file.error()));
  const io::stored_tensor* found = file->find("linear.weight");
  if (found == nullptr) return fail(file->name(), ": the tensor linear.weight is missing");
  io::stored_tensor added = *found;
  added.name = "dense." + std::to_string(read.tensors.size()) + ".weight";
  added.file += static_cast<std::uint32_t>(read.files.size());
  read.tensors.push_back(std::move(added));
  read.files.insert(read.files.end(), file->files().begin(), file->files().end());
  return {};
}

}  // namespace detail

G4_INLINE result<io::tensor_file> open_dense_modules(const std::string& folder) {
  detail::dense_modules read;
  const std::string name = folder + "/modules.json";
  if (io::kind_of(name) == io::path_kind::file) {
    const auto modules = io::parse_json_file(name);
    if (!modules) return unexpected(modules.error());
    if (!modules->is_array()) return fail(name, ": expected a list of modules");
    for (const io::json& module : *modules) {
      if (auto done = detail::read_module(folder, module, read); !done) return unexpected(std::move(done.error()));
    }
  }
  return io::tensor_file::make(name, std::move(read.tensors), std::move(read.files));
}

G4_INLINE result<maybe<pooled_spec>> pooled_of(const io::tensor_file& modules, int width) {
  const auto tensors = modules.tensors();
  if (tensors.empty()) return maybe<pooled_spec>{};
  if (tensors.size() != 2) {
    return fail(modules.name(), ": names ", tensors.size(), " dense modules; g4's text embedders have two");
  }
  std::size_t in = static_cast<std::size_t>(width);
  for (const io::stored_tensor& t : tensors) {
    if (t.dims.rank() != 2 || t.dims[1] != in || t.dims[0] == 0 || t.dims[0] > 1 << 20) {
      return fail(modules.file_name(t), ": linear.weight is ", io::to_string(t.dims), "; expected rows of ", in);
    }
    in = t.dims[0];
  }
  return maybe<pooled_spec>{pooled_spec{static_cast<int>(tensors[0].dims[0]), static_cast<int>(tensors[1].dims[0])}};
}

}  // namespace g4::load
