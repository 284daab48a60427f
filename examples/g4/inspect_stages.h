// How a model is cut into stages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/spec/text.h"
#include "json_text.h"
#include "program.h"

namespace program {

/// How a model is cut, as text and as JSON; empty and null for what was not asked.
struct stages_shown {
  std::string text;
  json cuts, pipeline;
};

/// With `s.cuts`: where a pipeline can cut a model, why not elsewhere, what few stages would have, and which this program runs. With
/// `s.pipeline`: what each stage of that one has and takes.
///
/// variant   that the model is; empty where it is none that this program knows
[[nodiscard]] g4::result<stages_shown> stages_of(const settings& s, const g4::text_spec& m, std::string_view variant);

/// The layers that --pipeline says.
[[nodiscard]] std::vector<int> cuts_of(const settings& s);

}  // namespace program
