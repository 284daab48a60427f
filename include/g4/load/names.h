/// The full names of tensors in a file, and those that no asked-for module has.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/model/schema.h"

namespace g4::load {

enum class format : std::uint8_t { safetensors, gguf };

/// Where the text model lives in a safetensors file: multimodal files as transformers 5 writes them, text-only files,
/// bare encoders, and multimodal Gemma 3 as it was published.
inline constexpr std::array<std::string_view, 4> text_prefixes{"model.language_model.", "model.", "",
                                                               "language_model.model."};

/// The full name of a tensor.
///
/// prefix   of its module in a safetensors file; GGUF files have none
/// number   replaces the '#' of a numbered one
[[nodiscard]] G4_INLINE std::string name_in(format f, std::string_view prefix, const part& what, int layer,
                                            int number = 0);
[[nodiscard]] G4_INLINE std::string name_in(format f, std::string_view prefix, const tensor_entry& t, int number = 0);

/// Tensors that a file may hold beside the module that is asked for: those of other modules, and tables that follow from
/// what the file holds already.
[[nodiscard]] G4_INLINE bool is_skippable(format f, std::string_view name);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/names.inl"  // IWYU pragma: keep
#endif
