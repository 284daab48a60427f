// Apart from inspected.cc, so that the two compile at the same time.
#include <optional>
#include <utility>

#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/load/tower_config.h"
#include "g4/load/tower_text.h"
#include "g4/open/towers_beside.h"
#include "inspected.h"
#include "variants.h"

namespace program {

namespace {

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

void take_tower(const std::optional<g4::tower_spec>& tower, std::vector<std::string>& stages) {
  stages = tower ? stages_of(*tower) : std::vector<std::string>();
}

}  // namespace

g4::result<inspected::towers> look_at_towers(const inspected& it, const std::string& mmproj) {
  inspected::towers out;
  for (const known_senses& known : all_known_senses()) {
    if (known.name != it.variant) continue;
    if (known.sees != nullptr) out.sees = stages_of(*known.sees);
    if (known.hears != nullptr) out.hears = stages_of(*known.hears);
  }
  if (it.from == inspected::source::variant) return out;
  if (it.from == inspected::source::safetensors) {
    const std::string config = it.what + "/config.json";
    const auto file = g4::io::mapped_file::open(config);
    if (!file) return g4::unexpected(file.error());
    const auto said = g4::load::read_towers(g4::io::text_of(file->bytes()), config);
    if (!said) return g4::unexpected(said.error());
    take_tower(said->sees, out.sees);
    take_tower(said->hears, out.hears);
    if (said->sees || said->hears) out.file = it.what;
    return out;
  }
  auto beside = mmproj.empty() ? g4::towers_beside(it.what) : g4::result<std::string>(mmproj);
  if (!beside) return g4::unexpected(std::move(beside.error()));
  if (beside->empty()) return out;
  const auto file = g4::io::open_gguf(*beside);
  if (!file) return g4::unexpected(file.error());
  out.file = *beside;
  for (const g4::io::stored_tensor& t : file->tensors.tensors()) out.bytes += t.bytes.size();
  return out;
}

}  // namespace program
