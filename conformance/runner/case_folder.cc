#include "conformance/runner/case_folder.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "g4/io/mapped_file.h"
#include "g4/io/safetensors.h"

namespace g4::conformance {

namespace {

/// Where a tensor stands in the flow of data: (stage, layer, place within the layer).
std::tuple<int, int, int, std::string> place_of(const std::string& name) {
  static constexpr std::array in_layer{"altup.#.predicted", "laurel.#.out",   "attn.#.query",  "attn.#.key",
                                       "attn.#.value",      "attn.#.out",     "mlp.#.out",     "moe.#.dense",
                                       "router.#.weight",   "router.#.index", "moe.#.experts", "altup.#.corrected",
                                       "ple.#.out",         "hidden.#"};
  static constexpr std::array after{"final_norm", "pooled", "dense.0",       "dense.1",
                                    "embedding",  "logits", "greedy_logits", "greedy_ids"};
  const auto starts = [&](const char* prefix) { return name.rfind(prefix, 0) == 0; };
  if (starts("vision.") || starts("audio.")) {  // a tower's beginning, its layers, what leaves it, the rest
    const std::string_view inside = std::string_view(name).substr(name.find('.') + 1);
    if (inside == "patch_embed" || inside == "stem" || inside == "subsample") return {0, -3, 0, name};
    if (inside.starts_with("block.")) {  // of several sizes
      const int size = std::atoi(inside.data() + inside.find('.') + 1);
      return {0, -2, 1000 * size + std::atoi(name.c_str() + name.rfind('.') + 1), name};
    }
    if (inside.starts_with("layer.")) return {0, -2, std::atoi(name.c_str() + name.rfind('.') + 1), name};
    if (inside == "tower_out") return {0, -1, 0, name};
    return {0, 0, 0, name};
  }
  if (name == "per_layer_inputs") return {1, 0, 0, name};
  if (name == "embed") return {1, 0, 1, name};
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (name == after[i]) return {3, 0, static_cast<int>(i), name};
  }
  const std::size_t digit = name.find_first_of("0123456789");
  if (digit != std::string::npos && digit > 0 && name[digit - 1] == '.') {
    std::size_t end = digit;
    int layer = 0;
    while (end < name.size() && name[end] >= '0' && name[end] <= '9') layer = 10 * layer + (name[end++] - '0');
    const std::string pattern = name.substr(0, digit) + "#" + name.substr(end);
    for (std::size_t i = 0; i < in_layer.size(); ++i) {
      if (pattern == in_layer[i]) return {2, layer, static_cast<int>(i), name};
    }
  }
  return {4, 0, 0, name};
}

}  // namespace

result<json> read_json_file(const std::string& path) {
  const auto map = io::map_file(path);
  if (!map) return unexpected(map.error());
  json read = json::parse(io::text_of((*map)->bytes()), nullptr, false);
  if (read.is_discarded()) return fail(path, ": is not valid JSON");
  return read;
}

bool case_folder::has_file(std::string_view inside) const { return std::filesystem::exists(file(inside)); }

result<case_folder> case_folder::open(const std::string& path) {
  case_folder folder;
  folder.path_ = path;
  while (folder.path_.size() > 1 && folder.path_.back() == '/') folder.path_.pop_back();
  std::error_code ignored;
  folder.name_ = std::filesystem::weakly_canonical(folder.path_, ignored).filename().string();
  const bool described = folder.has_file("case.json");
  if (!described && !folder.has_file("cases.json")) {
    return fail(path, ": holds neither case.json nor cases.json, so it is not a conformance case");
  }
  auto about = read_json_file(folder.file(described ? "case.json" : "cases.json"));
  if (!about) return unexpected(about.error());
  folder.about_ = std::move(*about);
  if (folder.has_file("config.json")) {
    auto config = read_json_file(folder.file("config.json"));
    if (!config) return unexpected(config.error());
    folder.config_ = std::move(*config);
  }
  if (folder.has_file("expected.safetensors")) {
    auto expected = io::open_safetensors(folder.file("expected.safetensors"));
    if (!expected) return unexpected(expected.error());
    folder.expected_ = std::move(*expected);
  }
  return folder;
}

std::vector<std::string> case_folder::outputs() const {
  std::vector<std::string> names;
  if (const auto outputs = about_.find("outputs"); outputs != about_.end() && outputs->is_object()) {
    for (const auto& item : outputs->items()) names.push_back(item.key());
  }
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return place_of(a) < place_of(b); });
  return names;
}

bool case_folder::names(std::string_view tensor) const {
  const auto outputs = about_.find("outputs");
  return outputs != about_.end() && outputs->is_object() && outputs->contains(std::string(tensor));
}

std::vector<std::size_t> case_folder::shape(std::string_view tensor) const {
  if (const io::stored_tensor* e = entry(tensor); e != nullptr) return {e->dims.begin(), e->dims.end()};
  if (!names(tensor)) return {};
  return about_.at("outputs").at(std::string(tensor)).value("shape", std::vector<std::size_t>{});
}

namespace {

template <class Stored, class Wanted>
std::vector<Wanted> read_as(const io::stored_tensor& e) {
  std::vector<Wanted> out(e.bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, e.bytes.data() + i * sizeof value, sizeof value);
    out[i] = static_cast<Wanted>(value);
  }
  return out;
}

template <class Wanted>
std::vector<Wanted> read_any(const io::stored_tensor* e) {
  if (e == nullptr) return {};
  if (e->type.name == "F32") return read_as<float, Wanted>(*e);
  if (e->type.name == "F64") return read_as<double, Wanted>(*e);
  if (e->type.name == "I32") return read_as<std::int32_t, Wanted>(*e);
  if (e->type.name == "I64") return read_as<std::int64_t, Wanted>(*e);
  if (e->type.name == "U8" || e->type.name == "BOOL") return read_as<std::uint8_t, Wanted>(*e);
  return {};
}

}  // namespace

std::vector<double> case_folder::numbers(std::string_view tensor) const { return read_any<double>(entry(tensor)); }
std::vector<std::int32_t> case_folder::integers(std::string_view tensor) const {
  return read_any<std::int32_t>(entry(tensor));
}

bool case_folder::is_integer(std::string_view tensor) const {
  const io::stored_tensor* e = entry(tensor);
  return e != nullptr && e->type.name != "F32" && e->type.name != "F64";
}

std::optional<double> case_folder::limit(std::string_view tensor) const {
  const auto outputs = about_.find("outputs");
  if (outputs == about_.end() || !outputs->is_object()) return std::nullopt;
  const auto facts = outputs->find(std::string(tensor));
  if (facts == outputs->end() || !facts->is_object()) return std::nullopt;
  const auto atol = facts->find("atol");
  if (atol == facts->end() || !atol->is_number()) return std::nullopt;
  return atol->get<double>();
}

}  // namespace g4::conformance
