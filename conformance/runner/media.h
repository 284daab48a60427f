/// The pictures and sounds of a model case, through the model's towers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "conformance/runner/case_prompt.h"
#include "conformance/runner/checks.h"

namespace g4::conformance {

/// What towers made of a case's media, under the names of the case: every picture's rows padded as the case has them.
using tower_tensors = std::map<std::string, std::vector<double>>;

/// Which media a case's towers are given: its own, or others of the same sizes, every number x of theirs as 1 − x.
enum class media_of { the_case, another };

/// Runs the towers that the model has on the inputs of a case that has them; empty where there are none.
[[nodiscard]] result<tower_tensors> run_towers(const case_folder& folder, const running_on& on, loaded_model& model,
                                               media_of whose = media_of::the_case);

/// Puts the rows that towers made in the places of the expected ones.
[[nodiscard]] result<void> lay_in(const case_folder& folder, const running_on& on, const tower_tensors& made,
                                  case_prompt& prompt);

/// Compares pictures as g4 resizes and cuts them, and sounds as it frames them, with the inputs of the case.
result<void> check_media(const case_folder& folder, const running_on& on, report& out);

}  // namespace g4::conformance
