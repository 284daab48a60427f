// How a model is cut into stages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/spec/text.h"
#include "program.h"

namespace program {

/// With `s.cuts`: where a pipeline can cut a model, why not elsewhere, what few stages would have, and which this program runs. With
/// `s.pipeline`: what each stage of that one has and takes.
///
/// variant   that the model is; empty where it is none that this program knows
[[nodiscard]] g4::result<std::string> stages_text(const settings& s, const g4::text_spec& m, std::string_view variant);

/// The layers that --pipeline says.
[[nodiscard]] std::vector<int> cuts_of(const settings& s);

}  // namespace program
