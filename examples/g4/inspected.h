// What `inspect` shows, as plain facts: of a file, or of a variant by its name.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/model/schema.h"
#include "g4/spec/text.h"
#include "inspect_stages.h"
#include "json_text.h"
#include "program.h"

namespace program {

struct inspected {
  enum class source { variant, safetensors, gguf };

  struct tensor {
    std::string name;
    std::string shape;
    std::string storage;  ///< empty for a variant: its file has what it has
    std::size_t bytes = 0;
    std::string note;
  };
  /// What a model sees and hears with, one line for each stage: as the file says, or else the variant.
  struct towers {
    std::vector<std::string> sees, hears;
    std::string file;       ///< that holds them; empty where there is none
    std::size_t bytes = 0;  ///< of their tensors, where that file holds nothing else
  };
  struct session_memory {
    std::size_t context = 0;
    std::size_t cache = 0;
    std::size_t scratch = 0;
  };

  source from = source::variant;
  std::string what;  ///< the path, or the variant's name
  g4::text_spec spec;
  std::string_view generation;
  std::size_t parameters = 0;
  std::string variant;  ///< the variant it is; empty where it is none that this program knows
  std::string drafts_for;
  std::string nearest;  ///< where it is none: the variant with the fewest differences, and these
  std::vector<std::string> differences;
  towers senses;
  std::vector<tensor> tensors;
  std::size_t weight_bytes = 0;  ///< of the file; of a variant, in bfloat16
  std::string cache_type;
  std::vector<session_memory> sessions;

  [[nodiscard]] bool is_file() const { return from != source::variant; }
};

/// Looks at what the settings name. Defined in inspected.cc.
[[nodiscard]] g4::result<inspected> look_at(const settings& s);

/// A weight of the text as a file stores it; where there is one for each of several (`numbered`), all of them.
struct stored_weight {
  std::string_view storage;
  std::size_t bytes = 0;
};

/// Finds the weights that a text needs in the file that the settings name; none where they name a variant. Defined in
/// inspected.cc.
using weight_finder = std::function<std::optional<stored_weight>(const g4::tensor_entry&)>;
[[nodiscard]] g4::result<weight_finder> stored_weights(const settings& s);

/// The towers of its variant, and where they are: in the folder, in `mmproj`, or in the mmproj file beside it. Defined in
/// inspected_towers.cc.
[[nodiscard]] g4::result<inspected::towers> look_at_towers(const inspected& it, const std::string& mmproj);

/// The facts as JSON. Defined in inspect_json.cc.
[[nodiscard]] std::string inspected_json(const inspected& it, const settings& s, json ranks, stages_shown stages);

}  // namespace program
