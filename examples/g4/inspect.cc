#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "console.h"
#include "engine.h"
#include "g4/core/printable.h"
#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/load/names.h"
#include "g4/load/tower_config.h"
#include "g4/load/tower_text.h"
#include "g4/model/schema.h"
#include "g4/open/towers_beside.h"
#include "json_text.h"
#include "variants.h"

namespace program {

namespace {

constexpr std::size_t contexts[] = {1024, 4096, 8192, 32'768, 131'072};

/// What a model sees and hears with.
struct towers {
  std::optional<g4::tower_spec> sees, hears;  ///< as the file says, or else the variant
  std::string file;                           ///< that holds them; empty where there is none
  std::size_t bytes = 0;                      ///< of their tensors, where that file holds nothing else
};

/// What is looked at: a file, or a variant by its name.
struct subject {
  g4::text_spec spec;
  std::string what;     ///< path, or the variant's name
  std::string variant;  ///< the variant it is; empty where it is none that this program knows
  std::string drafts_for;
  std::string nearest;
  std::vector<std::string> differences;
  std::optional<g4::checkpoint> file;
  towers senses;
};

std::string_view name_of(g4::generation g) {
  switch (g) {
    case g4::generation::gemma3: return "Gemma 3";
    case g4::generation::gemma3n: return "Gemma 3n";
    case g4::generation::gemma4: break;
  }
  return "Gemma 4";
}

/// The towers of the variant, and where they are: in the folder, or in an mmproj file.
g4::result<towers> towers_of(const subject& it, const settings& s) {
  towers out;
  for (const known_senses& known : all_known_senses()) {
    if (known.name != it.variant) continue;
    if (known.sees != nullptr) out.sees = *known.sees;
    if (known.hears != nullptr) out.hears = *known.hears;
  }
  if (!it.file) return out;
  if (it.file->format == g4::load::format::safetensors) {
    const std::string config = it.file->path + "/config.json";
    const auto file = g4::io::mapped_file::open(config);
    if (!file) return g4::unexpected(file.error());
    auto said = g4::load::read_towers(g4::io::text_of(file->bytes()), config);
    if (!said) return g4::unexpected(std::move(said.error()));
    out.sees = std::move(said->sees);
    out.hears = std::move(said->hears);
    if (out.sees || out.hears) out.file = it.file->path;
    return out;
  }
  auto beside = s.mmproj.empty() ? g4::towers_beside(it.file->path) : g4::result<std::string>(s.mmproj);
  if (!beside) return g4::unexpected(std::move(beside.error()));
  if (beside->empty()) return out;
  const auto file = g4::io::open_gguf(*beside);
  if (!file) return g4::unexpected(file.error());
  out.file = *beside;
  for (const g4::io::stored_tensor& t : file->tensors.tensors()) out.bytes += t.bytes.size();
  return out;
}

/// "log_mel{.bins = 128}", "encoder<layers{16}, …>": one line for each stage of a tower.
std::vector<std::string> stages_of(const g4::tower_spec& tower) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < tower.count; ++i) {
    std::string line;
    for (const char c : g4::load::stage_text(tower.stages[i])) {
      if (c == '\n' || (c == ' ' && line.ends_with(' '))) continue;
      line += c;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// The subject, without its towers.
g4::result<subject> text_of(const settings& s) {
  subject it;
  if (!s.variant.empty()) {
    std::string names;
    for (const known_variant& v : known_variants()) {
      names += (names.empty() ? "" : ", ") + std::string(v.name);
      if (v.name != s.variant) continue;
      it.spec = *v.spec;
      it.what = it.variant = s.variant;
      it.drafts_for = v.drafts_for;
      return it;
    }
    return g4::fail("--variant: there is no ", s.variant, "; this program knows ", names);
  }
  auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(std::move(from.error()));
  it.spec = from->spec;
  it.what = s.model;
  for (const known_variant& v : known_variants()) {
    auto lines = g4::load::differences(from->spec, *v.spec, v.name, from->unsaid);
    if (lines.empty()) {
      it.variant = v.name;
      it.drafts_for = v.drafts_for;
      it.differences.clear();
      break;
    }
    if (it.nearest.empty() || lines.size() < it.differences.size()) {
      it.nearest = v.name;
      it.differences = std::move(lines);
    }
  }
  it.file = std::move(*from);
  return it;
}

g4::result<subject> look_at(const settings& s) {
  auto it = text_of(s);
  if (!it) return it;
  auto senses = towers_of(*it, s);
  if (!senses) return g4::unexpected(std::move(senses.error()));
  it->senses = std::move(*senses);
  return it;
}

struct tensor_line {
  std::string name;
  std::string shape;
  std::string storage;
  std::size_t bytes = 0;
  std::string note;
};

std::vector<tensor_line> tensors_of(const subject& it) {
  std::vector<tensor_line> lines;
  if (it.file) {
    for (const g4::io::stored_tensor& t : it.file->tensors.tensors()) {
      lines.push_back({g4::printable(t.name), g4::io::to_string(t.dims), std::string(t.type.name), t.bytes.size(),
                       t.type.weights ? "" : "not read as weights"});
    }
    return lines;
  }
  g4::each_tensor(it.spec, [&](const g4::tensor_entry& t) {
    std::string shape;
    for (int i = 0; i < t.rank; ++i)
      shape += fmt::format("{}{}", i > 0 ? ", " : "", t.extents[static_cast<std::size_t>(i)]);
    lines.push_back({g4::load::name_in(g4::load::format::safetensors, "model.", t), "[" + shape + "]", "",
                     0, t.needed == g4::need::skippable ? "may be absent" : ""});
  });
  return lines;
}

std::size_t weight_bytes(const subject& it) {
  if (!it.file) return 2 * static_cast<std::size_t>(g4::parameters_of(it.spec));
  std::size_t bytes = 0;
  for (const g4::io::stored_tensor& t : it.file->tensors.tensors()) bytes += t.bytes.size();
  return bytes;
}

g4::memory_plan plan(const subject& it, const settings& s, std::size_t context) {
  return g4::plan_session(it.spec, g4::distinct_kinds(it.spec), options_of(s, context), sizeof(float), usual_cache());
}

/// "I16", or "I16, full layers Q8_0"
std::string cache_text(const settings& s) {
  const g4::cache_choice choice = options_of(s, 1).cache;
  const auto local = g4::facts_of(choice.local.value_or(usual_cache())).name;
  const auto global = g4::facts_of(choice.global.value_or(usual_cache())).name;
  if (local == global) return std::string(local);
  return fmt::format("{}, full layers {}", local, global);
}

json as_json(const subject& it, const settings& s) {
  const g4::text_spec& m = it.spec;
  json j;
  j[it.file ? "model" : "name"] = it.what;
  j["format"] = !it.file ? "none" : it.file->format == g4::load::format::gguf ? "gguf" : "safetensors";
  j["generation"] = name_of(g4::generation_of(m));
  j["variant"] = it.variant.empty() ? json(nullptr) : json(it.variant);
  if (it.variant.empty()) {
    j["nearest"] = it.nearest;
    j["differences"] = it.differences;
  }
  if (!it.drafts_for.empty()) j["drafts_for"] = it.drafts_for;
  j["parameters"] = g4::parameters_of(m);
  j["width"] = m.width;
  j["vocabulary"] = m.vocab;
  for (int l = 0; l < m.layers; ++l) {
    const auto i = static_cast<std::size_t>(l);
    const g4::layer_kind& k = m.layer[i];
    json layer;
    layer["layer"] = l;
    layer["sees"] = g4::load::detail::value_text(k.sees);
    layer["window"] = k.keys.back == g4::key_span::unbounded ? json(nullptr) : json(k.keys.back + 1);
    layer["query_heads"] = k.query_heads;
    layer["key_value_heads"] = k.key_value_heads;
    layer["head_size"] = k.head_size;
    layer["key_is_value"] = k.key_is_value;
    layer["rope_theta"] = k.rope.theta;
    layer["rope_fraction"] = k.rope.fraction;
    layer["hidden"] = k.hidden;
    layer["reads_cache_of"] = m.producer[i] < 0 ? json(nullptr) : json(m.producer[i]);
    j["layers"].push_back(std::move(layer));
  }
  if (it.senses.sees) j["towers"]["picture"] = stages_of(*it.senses.sees);
  if (it.senses.hears) j["towers"]["sound"] = stages_of(*it.senses.hears);
  if (!it.senses.file.empty()) j["towers"]["file"] = it.senses.file;
  j["memory"]["weights"] = weight_bytes(it);
  j["memory"]["batch"] = s.batch;
  j["memory"]["cache_type"] = cache_text(s);
  for (const std::size_t context : contexts) {
    const g4::memory_plan p = plan(it, s, context);
    j["memory"]["sessions"].push_back(json::object({{"context", context}, {"cache", p.cache}, {"scratch", p.scratch}}));
  }
  for (const tensor_line& t : tensors_of(it)) {
    json tensor = json::object({{"name", t.name}, {"shape", t.shape}});
    if (it.file) {
      tensor["storage"] = t.storage;
      tensor["bytes"] = t.bytes;
    }
    if (!t.note.empty()) tensor["note"] = t.note;
    j["tensors"].push_back(std::move(tensor));
  }
  return j;
}

std::string layer_lines(const subject& it) {
  const g4::text_spec& m = it.spec;
  std::string text = fmt::format("{:>5}  {:<6}  {:<10}  {:<14}  {:<30}  {:>8}  {}\n", "layer", "sees", "keys", "heads",
                                 "rope", "hidden", "cache");
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

}  // namespace

g4::result<int> inspect(const settings& s) {
  const auto seen = look_at(s);
  if (!seen) return g4::unexpected(seen.error());
  const subject& it = *seen;
  output out;
  if (s.json) {
    out.write(as_json(it, s).text());
    if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
    return 0;
  }

  const g4::text_spec& m = it.spec;
  out.write(fmt::format("{}: {}", g4::printable(it.what), name_of(g4::generation_of(m))));
  if (it.file) out.write(it.file->format == g4::load::format::gguf ? ", GGUF" : ", safetensors");
  if (!it.variant.empty() && it.file) out.write(fmt::format(", {}", it.variant));
  if (!it.drafts_for.empty()) out.write(fmt::format(", a drafter for {}", it.drafts_for));
  out.write("\n");
  if (it.variant.empty()) {
    out.write(fmt::format("No variant of this program. From the nearest, {}, it differs in:\n", it.nearest));
    for (const std::string& line : it.differences) out.write("  " + line + "\n");
  }
  out.write(fmt::format("\n{:.1f} million parameters, {} layers of width {}, {} tokens\n",
                        static_cast<double>(g4::parameters_of(m)) / 1e6, m.layers, m.width, m.vocab));
  if (m.experts.has_value())
    out.write(fmt::format("{} experts of width {}, {} chosen\n", m.experts->count, m.experts->hidden, m.experts->chosen));
  if (m.per_layer.has_value()) out.write(fmt::format("per-layer embeddings of width {}\n", m.per_layer->width));
  if (m.altup.has_value())
    out.write(fmt::format("{} residual streams (AltUp), LAuReL of rank {}\n", m.altup->streams, m.laurel->rank));
  if (m.logit_cap != 0) out.write(fmt::format("logits capped at {}\n", m.logit_cap));
  out.write("\n" + layer_lines(it));
  for (const auto& [name, tower] : {std::pair{"picture", &it.senses.sees}, std::pair{"sound", &it.senses.hears}}) {
    if (!*tower) continue;
    out.write(fmt::format("\n{} tower\n", name));
    for (const std::string& stage : stages_of(**tower)) out.write("  " + stage + "\n");
  }
  if (it.senses.bytes > 0) {
    out.write(fmt::format("\ntowers in {}, {}\n", g4::printable(it.senses.file), bytes_text(it.senses.bytes)));
  } else if (it.file && it.senses.file.empty() && (it.senses.sees || it.senses.hears)) {
    out.write("\nno mmproj file with its towers lies beside it\n");
  }

  out.write(fmt::format("\nmemory   weights {}{}", bytes_text(weight_bytes(it)), it.file ? "" : " in bfloat16"));
  if (it.file) {
    std::map<std::string, std::size_t> by_storage;
    for (const tensor_line& t : tensors_of(it)) by_storage[t.storage] += t.bytes;
    const char* separator = " (";
    for (const auto& [storage, bytes] : by_storage) {
      out.write(fmt::format("{}{} {}", separator, storage, bytes_text(bytes)));
      separator = ", ";
    }
    if (!by_storage.empty()) out.write(")");
  }
  out.write(fmt::format("\n         working memory {} with a batch of {}\n",
                        bytes_text(plan(it, s, contexts[0]).scratch), s.batch));
  if (!m.is_drafter()) {
    for (const std::size_t context : contexts) {
      out.write(fmt::format("         cache {:>9} for {:>6} tokens ({})\n", bytes_text(plan(it, s, context).cache),
                            context, cache_text(s)));
    }
  }

  const std::vector<tensor_line> tensors = tensors_of(it);
  if (s.tensors) {
    out.write(fmt::format("\n{} tensors\n", tensors.size()));
    std::size_t widest = 0;
    for (const tensor_line& t : tensors) widest = std::max(widest, t.name.size());
    for (const tensor_line& t : tensors) {
      out.write(fmt::format("{:<{}}  {:<8}  {:<22}  {:>9}  {}", t.name, widest, t.storage, t.shape,
                            it.file ? bytes_text(t.bytes) : "", t.note) +
                "\n");
    }
  } else {
    out.write(fmt::format("\n{} tensors; --tensors lists them\n", tensors.size()));
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
