/// A conversation of a case as the text that a model reads.
#pragma once

#include "conformance/runner/case_folder.h"
#include "g4/text/chat.h"

namespace g4::conformance {

/// `row` has `messages`, and `options` or the same keys itself: add_generation_prompt, enable_thinking, tools.
[[nodiscard]] result<text::prompt> prompt_of_row(bool gemma4, const json& row);

}  // namespace g4::conformance
