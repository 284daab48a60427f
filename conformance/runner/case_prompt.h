/// The prompt of a model case: its ids, and for images and sound the expected rows of `embed` in their places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "conformance/runner/case_folder.h"
#include "conformance/runner/checks.h"
#include "conformance/runner/engine.h"

namespace g4::conformance {

struct case_prompt {
  prompt what;
  bool has_media = false;
  std::vector<std::int32_t> types;  ///< [T] 0 text, 1 picture, 2 video, 3 sound
  std::size_t longest_image = 0;  ///< most tokens of one image that see each other
  /// Gemma 3n: ids from here on name rows of the image and sound embedders, not of the text table.
  std::int32_t first_tower_id = std::numeric_limits<std::int32_t>::max();
};

[[nodiscard]] result<case_prompt> prompt_of(const case_folder& folder, const running_on& on);

}  // namespace g4::conformance
