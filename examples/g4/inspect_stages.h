// How a model is cut into stages.
#pragma once

#include <string>

#include "g4/core/result.h"
#include "g4/spec/text.h"
#include "program.h"

namespace program {

/// With `s.cuts`: where a pipeline can cut a model, why not elsewhere, and what few stages would have. With `s.pipeline`: what each
/// stage of that one has and takes.
[[nodiscard]] g4::result<std::string> stages_text(const settings& s, const g4::text_spec& m);

}  // namespace program
