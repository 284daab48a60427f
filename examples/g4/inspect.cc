#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "console.h"
#include "g4/core/printable.h"
#include "g4/load/match.h"
#include "inspect_ranks.h"
#include "inspect_stages.h"
#include "inspected.h"

namespace program {

namespace {

std::string title(const inspected& it) {
  std::string text = fmt::format("{}: {}", g4::printable(it.what), it.generation);
  if (it.is_file()) text += it.from == inspected::source::gguf ? ", GGUF" : ", safetensors";
  if (!it.variant.empty() && it.is_file()) text += ", " + it.variant;
  if (!it.drafts_for.empty()) text += ", a drafter for " + it.drafts_for;
  text += "\n";
  if (it.variant.empty()) {
    text += fmt::format("No variant of this program. From the nearest, {}, it differs in:\n", it.nearest);
    for (const std::string& line : it.differences) text += "  " + line + "\n";
  }
  return text;
}

/// Every field that a plain model does not have; the first line and the layers' table say the rest.
std::string field_lines(const inspected& it) {
  const g4::text_spec& m = it.spec;
  std::string text = fmt::format("\n{:.1f} million parameters, {} layers of width {}, {} tokens\n",
                                 static_cast<double>(it.parameters) / 1e6, m.layers, m.width, m.vocab);
  for (const g4::load::shown_field& f : g4::load::shown_fields(m)) {
    const bool said = f.name == "layers" || f.name == "width" || f.name == "vocab";
    if (!f.usual && !said) text += fmt::format("  {}: {}\n", f.name, f.value);
  }
  return text;
}

std::string layer_lines(const g4::text_spec& m) {
  std::string text = fmt::format("\n{:>5}  {:<6}  {:<10}  {:<14}  {:<30}  {:>8}  {}\n", "layer", "sees", "keys",
                                 "heads", "rope", "hidden", "cache");
  for (int l = 0; l < m.layers; ++l) {
    const auto i = static_cast<std::size_t>(l);
    const g4::layer_kind& k = m.layer[i];
    std::string cache = "its own";
    if (k.role == g4::cache_role::reuser)
      cache = m.producer[i] < 0 ? "its target's" : fmt::format("reads layer {}'s", m.producer[i]);
    if (k.key_is_value) cache += ", values are keys";
    const std::string rope =
        fmt::format("theta {}{}{}", k.rope.theta, k.rope.factor != 1 ? fmt::format(", factor {}", k.rope.factor) : "",
                    k.rope.fraction != 1 ? fmt::format(", fraction {}", k.rope.fraction) : "");
    const std::string keys = k.keys.back == g4::key_span::unbounded
                                 ? "all"
                                 : fmt::format("{}{}", k.keys.back + 1, k.keys.ahead > 0 ? " around" : "");
    text +=
        fmt::format("{:>5}  {:<6}  {:<10}  {:<14}  {:<30}  {:>8}  {}\n", l, g4::load::detail::value_text(k.sees), keys,
                    fmt::format("{} / {} x {}", k.query_heads, k.key_value_heads, k.head_size), rope, k.hidden, cache);
  }
  return text;
}

std::string tower_lines(const inspected& it) {
  std::string text;
  for (const auto& [name, stages] : {std::pair{"picture", &it.senses.sees}, std::pair{"sound", &it.senses.hears}}) {
    if (stages->empty()) continue;
    text += fmt::format("\n{} tower\n", name);
    for (const std::string& stage : *stages) text += "  " + stage + "\n";
  }
  if (it.senses.bytes > 0) {
    text += fmt::format("\ntowers in {}, {}\n", g4::printable(it.senses.file), bytes_text(it.senses.bytes));
  } else if (it.is_file() && it.senses.file.empty() && !text.empty()) {
    text += "\nno mmproj file with its towers lies beside it\n";
  }
  return text;
}

std::string memory_lines(const inspected& it, const settings& s) {
  std::string text =
      fmt::format("\nmemory   weights {}{}", bytes_text(it.weight_bytes), it.is_file() ? "" : " in bfloat16");
  if (it.is_file()) {
    std::map<std::string, std::size_t> by_storage;
    for (const inspected::tensor& t : it.tensors) by_storage[t.storage] += t.bytes;
    const char* separator = " (";
    for (const auto& [storage, bytes] : by_storage) {
      text += fmt::format("{}{} {}", separator, storage, bytes_text(bytes));
      separator = ", ";
    }
    if (!by_storage.empty()) text += ")";
  }
  text += fmt::format("\n         working memory {} with a batch of {}\n", bytes_text(it.sessions.front().scratch),
                      s.batch);
  if (it.spec.is_drafter()) return text;
  for (const inspected::session_memory& p : it.sessions) {
    text += fmt::format("         cache {:>9} for {:>6} tokens ({})\n", bytes_text(p.cache), p.context, it.cache_type);
  }
  return text;
}

std::string tensor_lines(const inspected& it, bool listed) {
  if (!listed) return fmt::format("\n{} tensors; --tensors lists them\n", it.tensors.size());
  std::string text = fmt::format("\n{} tensors\n", it.tensors.size());
  std::size_t widest = 0;
  for (const inspected::tensor& t : it.tensors) widest = std::max(widest, g4::printable(t.name).size());
  for (const inspected::tensor& t : it.tensors) {
    text += fmt::format("{:<{}}  {:<8}  {:<22}  {:>9}  {}\n", g4::printable(t.name), widest, t.storage, t.shape,
                        it.is_file() ? bytes_text(t.bytes) : "", t.note);
  }
  return text;
}

}  // namespace

g4::result<int> inspect(const settings& s) {
  const auto seen = look_at(s);
  if (!seen) return g4::unexpected(seen.error());
  const inspected& it = *seen;
  auto stages = stages_of(s, it.spec, it.variant);
  if (!stages) return g4::unexpected(stages.error());
  output out;
  if (s.json) {
    auto ranks = s.ranks == 0 ? g4::result<json>(json()) : ranks_json(s, it.spec);
    if (!ranks) return g4::unexpected(ranks.error());
    out.write(inspected_json(it, s, std::move(*ranks), std::move(*stages)));
  } else {
    const auto ranks = s.ranks == 0 ? g4::result<std::string>("") : ranks_text(s, it.spec);
    if (!ranks) return g4::unexpected(ranks.error());
    out.write(title(it) + field_lines(it) + layer_lines(it.spec) + tower_lines(it) + memory_lines(it, s) + *ranks + stages->text);
    out.write(tensor_lines(it, s.tensors));
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
