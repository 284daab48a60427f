#include "inspected.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "engine.h"
#include "g4/load/match.h"
#include "g4/load/matcher.h"
#include "g4/load/names.h"
#include "g4/model/schema.h"
#include "g4/open/checkpoint.h"
#include "variants.h"

namespace program {

namespace {

constexpr std::size_t contexts[] = {1024, 4096, 8192, 32'768, 131'072};

std::string_view name_of(g4::generation g) {
  switch (g) {
    case g4::generation::gemma3: return "Gemma 3";
    case g4::generation::gemma3n: return "Gemma 3n";
    case g4::generation::gemma4: break;
  }
  return "Gemma 4";
}

void list_tensors(const g4::checkpoint& file, inspected& it) {
  for (const g4::io::stored_tensor& t : file.tensors.tensors()) {
    it.tensors.push_back({t.name, g4::io::to_string(t.dims), std::string(t.type.name), t.bytes.size(),
                          t.type.weights ? "" : "not read as weights"});
    it.weight_bytes += t.bytes.size();
  }
}

/// What a variant's file would hold.
void list_tensors(const g4::text_spec& spec, inspected& it) {
  g4::each_tensor(spec, [&](const g4::tensor_entry& t) {
    std::string shape;
    for (int i = 0; i < t.rank; ++i)
      shape += fmt::format("{}{}", i > 0 ? ", " : "", t.extents[static_cast<std::size_t>(i)]);
    it.tensors.push_back({g4::load::name_in(g4::load::format::safetensors, "model.", t), "[" + shape + "]", "", 0,
                          t.needed == g4::need::skippable ? "may be absent" : ""});
  });
  it.weight_bytes = 2 * it.parameters;
}

/// The variant that a file is, or the nearest one and what parts them.
void find_variant(const g4::checkpoint& file, inspected& it) {
  for (const known_variant& v : known_variants()) {
    auto lines = g4::load::differences(file.spec, *v.spec, v.name, file.unsaid);
    if (lines.empty()) {
      it.variant = v.name;
      it.drafts_for = v.drafts_for;
      it.nearest.clear();
      it.differences.clear();
      return;
    }
    if (it.nearest.empty() || lines.size() < it.differences.size()) {
      it.nearest = v.name;
      it.differences = std::move(lines);
    }
  }
}

g4::result<void> take_variant(const std::string& name, inspected& it) {
  std::string names;
  for (const known_variant& v : known_variants()) {
    names += (names.empty() ? "" : ", ") + std::string(v.name);
    if (v.name != name) continue;
    it.spec = *v.spec;
    it.what = it.variant = name;
    it.drafts_for = v.drafts_for;
    return {};
  }
  return g4::fail("--variant: there is no ", name, "; this program knows ", names);
}

/// "I16", or "I16, full layers Q8_0"
std::string cache_text(const settings& s) {
  const g4::cache_choice choice = options_of(s, 1).cache;
  const auto local = g4::facts_of(choice.local.value_or(usual_cache())).name;
  const auto global = g4::facts_of(choice.global.value_or(usual_cache())).name;
  if (local == global) return std::string(local);
  return fmt::format("{}, full layers {}", local, global);
}

}  // namespace

g4::result<inspected> look_at(const settings& s) {
  inspected it;
  std::optional<g4::checkpoint> file;
  if (!s.variant.empty()) {
    if (auto known = take_variant(s.variant, it); !known) return g4::unexpected(std::move(known.error()));
  } else {
    auto opened = g4::open_checkpoint(s.model);
    if (!opened) return g4::unexpected(std::move(opened.error()));
    file = std::move(*opened);
    it.spec = file->spec;
    it.what = s.model;
    it.from = file->format == g4::load::format::gguf ? inspected::source::gguf : inspected::source::safetensors;
    find_variant(*file, it);
  }
  it.generation = name_of(g4::generation_of(it.spec));
  it.parameters = static_cast<std::size_t>(g4::parameters_of(it.spec));
  if (file) {
    list_tensors(*file, it);
  } else {
    list_tensors(it.spec, it);
  }
  auto senses = look_at_towers(it, s.mmproj);
  if (!senses) return g4::unexpected(std::move(senses.error()));
  it.senses = std::move(*senses);
  it.cache_type = cache_text(s);
  for (const std::size_t context : contexts) {
    const g4::memory_plan p =
        g4::plan_session(it.spec, g4::distinct_kinds(it.spec), options_of(s, context), sizeof(float), usual_cache());
    it.sessions.push_back({context, p.cache, p.scratch});
  }
  return it;
}

g4::result<weight_finder> stored_weights(const settings& s) {
  if (s.model.empty()) return [](const g4::tensor_entry&) { return std::optional<stored_weight>(); };
  auto opened = g4::open_checkpoint(s.model);
  if (!opened) return g4::unexpected(std::move(opened.error()));
  const auto file = std::make_shared<g4::checkpoint>(std::move(*opened));
  return [file, match = g4::load::detail::matcher(file->tensors, file->format)](const g4::tensor_entry& t) mutable {
    std::optional<stored_weight> stored;
    if (t.needed != g4::need::required || t.as == g4::role::integers) return stored;
    if (const auto found = match.find(t); found && *found != nullptr) {
      const std::size_t count = t.numbered() ? static_cast<std::size_t>(t.extents[0]) : 1;
      stored = {(*found)->type.name, (*found)->bytes.size() * count};
    }
    return stored;
  };
}

}  // namespace program
