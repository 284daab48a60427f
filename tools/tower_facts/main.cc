// g4_tower_facts: what the types of the released towers say, as JSON on stdout: their stages in the order data meets them, the
// rows and widths between these for one picture or ten seconds of sound, and what they weigh. docs/draw_towers.py draws them.
#include <cstddef>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "g4/load/tower_tensors.h"
#include "g4/load/tower_text.h"
#include "g4/media/log_mel.h"
#include "g4/model/multimodal.h"
#include "g4/model/tower/run.h"
#include "g4/variants/all.h"

namespace g4 {
namespace {

using json = nlohmann::ordered_json;

constexpr double seconds_of_sound = 10;

/// What a tower is given: a picture of so many pixels, or ten seconds; and the rows that these are cut into.
template <class T>
json medium_of(std::size_t height, std::size_t width, std::size_t& rows) {
  if constexpr (T::of_pictures) {
    constexpr auto side = static_cast<std::size_t>(T::spec.template find<stage::patches>()->side);
    rows = (height / side) * (width / side);
    return {{"height", height}, {"width", width}, {"patch", side}, {"down", height / side}, {"across", width / side}};
  } else {
    constexpr auto rate = static_cast<std::size_t>(T::spec.template find<stage::waveform>()->rate);
    const auto samples = static_cast<std::size_t>(seconds_of_sound * static_cast<double>(rate));
    json j{{"seconds", seconds_of_sound}, {"rate", rate}, {"samples", samples}};
    if constexpr (constexpr auto mel = T::spec.template find<stage::log_mel>(); mel.has_value()) {
      const media::log_mel features(media::settings_of(*mel, *T::spec.template find<stage::waveform>()));
      rows = features.of(std::vector<float>(samples)).size() / static_cast<std::size_t>(T::input_width);
      j["window"] = mel->window;
      j["step"] = mel->step;
      j["bands"] = mel->bins;
    } else {
      constexpr auto each = static_cast<std::size_t>(T::spec.template find<stage::frames>()->samples);
      rows = (samples + each - 1) / each;
      j["frame"] = each;
    }
    return j;
  }
}

/// The stages with layers or blocks, field by field; others are said in their word.
json parts_of(const stage::encoder& e) {
  return {{"layers", e.layers}, {"heads", e.query_heads},   {"head", e.head_size},  {"hidden", e.hidden},
          {"gated", e.gated},   {"rope", e.rope_theta > 0}, {"clipped", e.clipped}, {"biased", e.biased}};
}
json parts_of(const stage::conformer& c) {
  return {{"layers", c.layers}, {"heads", c.heads},           {"past", c.past},
          {"ahead", c.ahead},   {"distances", c.distances()}, {"cap", static_cast<double>(c.cap)},
          {"side", c.side},     {"wider", c.wider},           {"clipped", c.clipped}};
}
json parts_of(const stage::subsample& s) {
  return {{"first", s.first}, {"second", s.second}, {"cumulative", s.cumulative}};
}
/// Blocks by the size of their planes, for a picture of `side` pixels a side.
json parts_of(const stage::mobilenet& net, std::size_t side) {
  json sizes = json::array();
  std::size_t at = side / 2;
  int blocks = 0;
  for (int e = 0; e < net.entries; ++e) {
    const mobile_block& b = net.block[static_cast<std::size_t>(e)];
    if (b.stride == 2) {
      at = (at + 1) / 2;
      sizes.push_back({{"side", at}, {"channels", b.channels}, {"blocks", json::array()}});
    }
    blocks += b.times;
    sizes.back()["blocks"].push_back({{"times", b.times}, {"in_turn", b.in_turn}, {"is", load::detail::block_text(b)}});
  }
  return {{"stem", net.stem},
          {"stem_side", side / 2},
          {"blocks", blocks},
          {"sizes", std::move(sizes)},
          {"fused", net.fused},
          {"fused_side", net.side},
          {"fused_from", net.fused_from()}};
}

/// always   tokens that every sound takes, however short; 0: as many as it has rows
template <class T, int Text>
json facts_of_tower(std::string_view name, std::vector<std::string> models, std::size_t height, std::size_t width,
                    int always = 0) {
  std::size_t rows = 0;
  json j;
  j["tower"] = name;
  j["models"] = std::move(models);
  j["of"] = T::of_pictures ? "pictures" : "sounds";
  j["medium"] = medium_of<T>(height, width, rows);
  json stages = json::array();
  const auto add = [&](std::size_t i) -> json& {
    json one{{"word", load::stage_text(T::spec.stages[i])}};
    stages.push_back(std::move(one));
    return stages.back();
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(T::first_on_rows); ++i) {
    json& one = add(i);
    if (i + 1 == static_cast<std::size_t>(T::first_on_rows)) one["rows"] = rows, one["width"] = T::input_width;
  }
  std::size_t at = static_cast<std::size_t>(T::first_on_rows);
  const auto through = [&]<class Stage>(std::type_identity<Stage>) {
    json& one = add(at);
    rows = detail::rows_behind<Stage>(rows);
    const int behind = T::widths[at + 1];
    one["rows"] = rows;
    if (behind != 0) one["width"] = behind;  // the last ends in rows as wide as the text's
    std::visit(
        [&](const auto& stage) {
          if constexpr (requires { parts_of(stage, height); }) {
            one["parts"] = parts_of(stage, height);
          } else if constexpr (requires { parts_of(stage); }) {
            one["parts"] = parts_of(stage);
          }
        },
        T::spec.stages[at]);
    ++at;
  };
  [&]<class... Stage>(std::type_identity<std::tuple<Stage...>>) {
    (through(std::type_identity<Stage>{}), ...);
  }(std::type_identity<typename tower_weights<T, Text>::list>{});
  j["stages"] = std::move(stages);

  std::size_t parameters = 0, into_text = 0;
  const tower_tensors tensors = tensors_of_tower<T, Text>();
  for (const tower_tensor& t : tensors.list) {
    std::size_t n = 1;
    for (int i = 0; i < t.rank; ++i) n *= static_cast<std::size_t>(t.extents[static_cast<std::size_t>(i)]);
    (t.safetensors.starts_with("embed_") || t.safetensors.starts_with("multi_modal") ? into_text : parameters) += n;
  }
  j["tensors"] = tensors.list.size();
  j["parameters"] = parameters;  // of the tower itself
  j["into_text"] = into_text;    // of what leads into the text of the first model
  j["text"] = Text;
  if (always != 0) j["always"] = always;
  return j;
}

int run() {
  // 42 x 60 patches of 16 pixels are the most of a picture of 280 tokens.
  json all = json::array();
  all.push_back(facts_of_tower<siglip_so400m, gemma3_4b::text::width>(
      "siglip_so400m", {"gemma3_4b", "gemma3_12b", "gemma3_27b"}, 896, 896));
  all.push_back(facts_of_tower<gemma4_vit_small, gemma4_e2b::text::width>("gemma4_vit_small",
                                                                          {"gemma4_e2b", "gemma4_e4b"}, 672, 960));
  all.push_back(facts_of_tower<gemma4_vit_large, gemma4_26b_a4b::text::width>(
      "gemma4_vit_large", {"gemma4_26b_a4b", "gemma4_31b"}, 672, 960));
  all.push_back(facts_of_tower<gemma4_conformer, gemma4_e2b::text::width>("gemma4_conformer",
                                                                          {"gemma4_e2b", "gemma4_e4b"}, 0, 0));
  all.push_back(facts_of_tower<mobilenet_v5_300m, gemma3n_e2b::text::width>("mobilenet_v5_300m",
                                                                            {"gemma3n_e2b", "gemma3n_e4b"}, 768, 768));
  all.push_back(facts_of_tower<gemma3n_conformer, gemma3n_e2b::text::width>(
      "gemma3n_conformer", {"gemma3n_e2b", "gemma3n_e4b"}, 0, 0,
      gemma3n_e2b::hearing::budget.filled_up ? gemma3n_e2b::hearing::budget.most : 0));
  all.push_back(facts_of_tower<gemma4_12b::seeing::tower, gemma4_12b::text::width>("gemma4_12b_patches", {"gemma4_12b"},
                                                                                   672, 960));
  all.push_back(
      facts_of_tower<gemma4_12b::hearing::tower, gemma4_12b::text::width>("gemma4_12b_frames", {"gemma4_12b"}, 0, 0));
  const std::string text = all.dump(1) + "\n";
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}

}  // namespace
}  // namespace g4

int main() {
  try {
    return g4::run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "g4_tower_facts: %s\n", e.what());
    return 1;
  }
}
