/// Tokenizers out of files: the `tokenizer.ggml.*` keys of a GGUF, and Hugging Face's tokenizer.json.
#pragma once

#include <string>
#include <string_view>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/gguf.h"
#include "g4/text/tokenizer.h"

namespace g4::load {

/// The tokenizer of a GGUF file: `llama` (pieces with scores: Gemma 3, 3n, EmbeddingGemma) or `gemma4` (merges).
///
/// name   what errors call the file
[[nodiscard]] G4_INLINE result<text::tokenizer> tokenizer_from_gguf(const io::gguf_metadata& keys,
                                                                    const std::string& name);

/// The tokenizer in the text of a tokenizer.json (model BPE, merges as "a b" or ["a", "b"]).
///
/// json         the file's text
/// name         what errors call it
/// generation   the text of generation_config.json, empty where there is none; its eos_token_id (a number or a list)
///              then says what ends an answer. Without it the names of the family do.
[[nodiscard]] G4_INLINE result<text::tokenizer> tokenizer_from_json(std::string_view json, const std::string& name,
                                                                    std::string_view generation = {});

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/tokenizer.inl"  // IWYU pragma: keep
#endif
