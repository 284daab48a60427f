/// A tokenizer as the `tokenizer.*` keys of a GGUF file: the inverse of tokenizer.h.
///
/// Source: llama.cpp's conversion scripts; scores and types of a published Gemma 3 file.
#pragma once

#include <cstddef>
#include <string>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/gguf_writer.h"
#include "g4/spec/text.h"
#include "g4/text/tokenizer.h"

namespace g4::load {

/// Adds the keys of a tokenizer that came from a tokenizer.json (pieces and merges).
///
///     Gemma 3, 3n    "llama": a score for each piece; the pair that makes the piece of the highest score joins first,
///                    so the score is minus the line of the list on which the piece is first made
///     Gemma 4        "gemma4": the merges themselves
///
/// rows   of the embedding table. The file lists one piece for each: ids without a piece are called [PADn], and special
///        tokens beyond the table (Gemma 3's soft image token) are left out.
/// name   what errors call the tokenizer
/// Fails where text could become an id that the table does not have.
[[nodiscard]] G4_INLINE result<void> add_vocabulary(io::gguf_keys& keys, const text::tokenizer& from, generation g,
                                                    std::size_t rows, const std::string& name);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/gguf_vocabulary.inl"  // IWYU pragma: keep
#endif
