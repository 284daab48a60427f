/// config.json → what the model is.
///
/// Both spellings of the family are read: as released (global_head_dim, rope_theta, sliding_window_pattern …) and as
/// transformers 5.23 writes them (per_layer_config, rope_parameters, layer_types …). An absent key has the reference's
/// default. Every other key is used, is known not to touch the arithmetic, or is an error that names it.
///
/// Source: transformers 5.23.0, configuration_gemma3.py, …_gemma3n.py, …_gemma4.py, …_gemma4_unified.py,
/// …_gemma4_assistant.py.
#pragma once

#include <string_view>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/spec/text.h"

namespace g4::load {

/// Reads the config.json of any model of the family. Of a model with images or sound, the text side.
///
/// name   what errors call it: a path
///
/// The result is settled and keeps every rule of rule/rules.h, except that a drafter's producers lie in its target.
[[nodiscard]] G4_INLINE result<text_spec> read_config(std::string_view json_text, std::string_view name);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/config.inl"  // IWYU pragma: keep
#endif
