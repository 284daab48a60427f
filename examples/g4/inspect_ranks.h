// How a model is shared out among ranks.
#pragma once

#include <string>

#include "g4/core/result.h"
#include "g4/spec/text.h"
#include "program.h"

namespace program {

/// What each of `s.ranks` ranks has of every part, what that takes, and how often they meet.
[[nodiscard]] g4::result<std::string> ranks_text(const settings& s, const g4::text_spec& m);

}  // namespace program
