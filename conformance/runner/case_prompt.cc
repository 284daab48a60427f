#include "conformance/runner/case_prompt.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

namespace g4::conformance {

namespace {

/// Ids that only hold a place, by the config's several spellings.
std::set<std::int32_t> placeholder_ids(const json& config) {
  static constexpr std::array keys{"image_token_id",    "audio_token_id",    "video_token_id",
                                   "image_token_index", "audio_token_index", "video_token_index"};
  std::set<std::int32_t> ids;
  if (!config.is_object()) return ids;
  for (const char* key : keys) {
    if (const auto found = config.find(key); found != config.end() && found->is_number_integer()) {
      ids.insert(found->get<std::int32_t>());
    }
  }
  return ids;
}

std::int32_t first_tower_id_of(const json& config) {
  std::int32_t first = std::numeric_limits<std::int32_t>::max();
  if (!config.is_object()) return first;
  for (const char* tower : {"vision_config", "audio_config"}) {
    const auto found = config.find(tower);
    if (found == config.end() || !found->is_object()) continue;
    if (const auto offset = found->find("vocab_offset"); offset != found->end() && offset->is_number_integer()) {
      first = std::min(first, offset->get<std::int32_t>());
    }
  }
  return first;
}

/// What stands at each position where only ids say it: 1 for a picture, 3 for a sound.
std::vector<std::int32_t> types_by_id(const json& config, const std::vector<std::int32_t>& ids) {
  std::vector<std::int32_t> types(ids.size());
  const auto mark = [&](const char* key, std::int32_t type) {
    if (!config.is_object()) return;
    const auto found = config.find(key);
    if (found == config.end() || !found->is_number_integer()) return;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      if (ids[t] == found->get<std::int32_t>()) types[t] = type;
    }
  };
  mark("image_token_id", 1);
  mark("audio_token_id", 3);
  return types;
}

}  // namespace

result<case_prompt> prompt_of(const case_folder& folder, const running_on& on) {
  const text_spec& spec = on.spec;
  case_prompt out;
  out.what.ids = folder.integers("input_ids");
  const std::size_t T = out.what.ids.size();
  if (T == 0) return fail(folder.name(), ": expected.safetensors has no input_ids");
  std::vector<std::int32_t> types = folder.integers("mm_token_type_ids");
  if (types.empty()) types = folder.integers("token_type_ids");
  const auto asks_for = [&](const char* name) { return folder.has(name) || folder.names(name); };
  const bool towers = asks_for("vision.soft_tokens") || asks_for("audio.soft_tokens");
  if (types.empty() && towers) types = types_by_id(folder.config(), out.what.ids);
  types.resize(T);
  out.types = types;
  const std::set<std::int32_t> places = towers ? placeholder_ids(folder.config()) : std::set<std::int32_t>{};

  if (towers) out.first_tower_id = first_tower_id_of(folder.config());

  std::vector<std::uint8_t> soft(T, 0);
  std::vector<std::int32_t> runs(T, 0);
  std::int32_t run = 0;
  std::size_t length = 0;
  for (std::size_t t = 0; t < T; ++t) {
    const std::int32_t type = t < types.size() ? types[t] : 0;
    const std::int32_t id = out.what.ids[t];
    const bool of_a_tower = id >= out.first_tower_id && !on.how.embeds(id);
    soft[t] = towers && (type != 0 || places.count(id) != 0 || of_a_tower) ? 1 : 0;
    const bool image = type == 1 || type == 2;  // of an image or a video: positions that see each other
    if (!image) {
      length = 0;
      continue;
    }
    const bool goes_on = t > 0 && types[t - 1] == type;
    if (!goes_on) {
      ++run;
      length = 0;
    }
    runs[t] = run;
    out.longest_image = std::max(out.longest_image, ++length);
  }
  if (run > 0) out.what.image_run = runs;
  if (std::none_of(soft.begin(), soft.end(), [](std::uint8_t s) { return s != 0; })) return out;

  out.has_media = true;
  std::vector<double> embed = folder.numbers("embed");
  const std::size_t streams = spec.altup.has_value() ? static_cast<std::size_t>(spec.altup->streams) : 1;
  const auto width = static_cast<std::size_t>(spec.width);
  if (!folder.has("embed")) embed.assign(T * streams * width, 0);  // an engine under test: towers make the rows
  if (embed.size() != T * streams * width) {
    return fail(folder.name(), ": embed has ", embed.size(), " numbers; the prompt needs ", T * streams * width);
  }
  out.what.soft = soft;
  out.what.soft_rows.resize(T * width);
  for (std::size_t t = 0; t < T; ++t) {
    std::copy_n(embed.data() + t * streams * width, width, out.what.soft_rows.data() + t * width);
    if (soft[t] != 0) out.what.ids[t] = 0;  // a placeholder may lie beyond the text vocabulary
  }
  return out;
}

}  // namespace g4::conformance
