/// What a model is, with all it sees and hears → the C++ header of its type, as a person would have written it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "g4/load/tower_config.h"
#include "g4/load/tower_text.h"
#include "g4/load/variant_source.h"

namespace g4::load {

/// Prints the header of `struct name : multimodal<…> {}`, with its text as `name_text` and its towers as `name_patches`
/// and `name_frames`; of a model without towers, its text alone (`variant_source`).
///
/// m        settled, and keeping every rule: what `read_config` gives
/// towers   what `read_towers` gives
/// name     a C++ identifier
[[nodiscard]] inline std::string model_source(const text_spec& m, const tower_specs& towers, std::string_view name) {
  const std::string model(name);
  if (!towers.any()) return variant_source(m, name);
  std::string text = variant_source(m, model + "_text");
  constexpr std::string_view alone = "#include \"g4/model/transformer.h\"";
  if (const auto at = text.find(alone); at != std::string::npos) {
    text.replace(at, alone.size(), "#include \"g4/model/multimodal.h\"");
  }
  std::string rest;
  std::string senses;
  const auto has_ids = [](const std::optional<tower_spec>& t) {
    return t.has_value() && t->find<stage::into_text_with_ids>().has_value();
  };
  const bool gemma3n = has_ids(towers.sees) || has_ids(towers.hears);
  const bool gemma3 = gemma3n || (towers.sees && towers.sees->find<stage::square>().has_value());
  const auto add = [&](const tower_spec& t, const std::string& tower, const char* sense, const std::string& most,
                       const char* medium) {
    const std::string word(medium);
    const std::string marks =
        gemma3 ? "\"<start_of_" + word + ">\", \"<" + word + "_soft_token>\", \"<end_of_" + word + ">\""
               : "\"<|" + word + ">\", \"<|" + word + "|>\", \"<" + word + "|>\"";
    rest += "\n" + tower_source(t, tower);
    senses +=
        std::string(",\n    ") + sense + "<" + tower + ", soft_tokens{.most = " + most + "}, marked{" + marks + "}>";
  };
  if (towers.sees) add(*towers.sees, model + "_patches", "sees", std::to_string(towers.soft_tokens), "image");
  if (towers.hears) {
    const bool has_layers = towers.hears->find<stage::conformer>().has_value();
    const std::string most = std::to_string(towers.sound_tokens) + (gemma3n ? ", .filled_up = true" : "");
    add(*towers.hears, model + (has_layers ? "_conformer" : "_frames"), "hears", most, "audio");
  }
  rest += "\nstruct " + model + " : multimodal<\n    " + model + "_text" + senses +
          (gemma3n  ? ",\n    turns::gemma3n> {};\n"
           : gemma3 ? ",\n    turns::gemma3> {};\n"
                    : ",\n    turns::gemma4<>> {};\n");
  text.insert(text.rfind("\n}  // namespace g4"), rest);
  return text;
}

}  // namespace g4::load
