#include <string>
#include <utility>

#include "g4/core/printable.h"
#include "g4/load/match.h"
#include "inspected.h"
#include "json_text.h"

namespace program {

namespace {

json layer_json(const g4::text_spec& m, int l) {
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
  return layer;
}

const char* format_of(const inspected& it) {
  switch (it.from) {
    case inspected::source::gguf: return "gguf";
    case inspected::source::safetensors: return "safetensors";
    case inspected::source::variant: break;
  }
  return "none";
}

}  // namespace

std::string inspected_json(const inspected& it, const settings& s, json ranks, stages_shown stages) {
  const g4::text_spec& m = it.spec;
  json j;
  j[it.is_file() ? "model" : "name"] = it.what;
  j["format"] = format_of(it);
  j["generation"] = it.generation;
  j["variant"] = it.variant.empty() ? json(nullptr) : json(it.variant);
  if (it.variant.empty()) {
    j["nearest"] = it.nearest;
    j["differences"] = it.differences;
  }
  if (!it.drafts_for.empty()) j["drafts_for"] = it.drafts_for;
  j["parameters"] = it.parameters;
  j["width"] = m.width;
  j["vocabulary"] = m.vocab;
  for (const g4::load::shown_field& f : g4::load::shown_fields(m)) j["fields"][std::string(f.name)] = f.value;
  for (int l = 0; l < m.layers; ++l) j["layers"].push_back(layer_json(m, l));
  if (!it.senses.sees.empty()) j["towers"]["picture"] = it.senses.sees;
  if (!it.senses.hears.empty()) j["towers"]["sound"] = it.senses.hears;
  if (!it.senses.file.empty()) j["towers"]["file"] = it.senses.file;
  j["memory"]["weights"] = it.weight_bytes;
  j["memory"]["batch"] = s.batch;
  j["memory"]["cache_type"] = it.cache_type;
  for (const inspected::session_memory& p : it.sessions) {
    j["memory"]["sessions"].push_back(
        json::object({{"context", p.context}, {"cache", p.cache}, {"scratch", p.scratch}}));
  }
  if (s.ranks != 0) j["ranks"] = std::move(ranks);
  if (s.cuts) j["cuts"] = std::move(stages.cuts);
  if (!s.pipeline.empty()) j["pipeline"] = std::move(stages.pipeline);
  for (const inspected::tensor& t : it.tensors) {
    json tensor = json::object({{"name", g4::printable(t.name)}, {"shape", t.shape}});
    if (it.is_file()) {
      tensor["storage"] = t.storage;
      tensor["bytes"] = t.bytes;
    }
    if (!t.note.empty()) tensor["note"] = t.note;
    j["tensors"].push_back(std::move(tensor));
  }
  return j.text();
}

}  // namespace program
