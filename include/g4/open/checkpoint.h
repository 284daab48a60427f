/// A checkpoint on disk, opened: what it says it is, its tensors, and its tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/gguf_metadata.h"
#include "g4/io/tensor_file.h"
#include "g4/load/match.h"
#include "g4/load/names.h"
#include "g4/spec/text.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// What a file or folder holds. No weight has been read.
struct checkpoint {
  std::string path;
  load::format format = load::format::gguf;
  text_spec spec;      ///< as the config.json or the GGUF keys say
  load::laxity unsaid;  ///< what this kind of file leaves unsaid
  io::tensor_file tensors;
  io::gguf_metadata keys;  ///< of a GGUF file; empty otherwise

  /// Reads the vocabulary. A folder needs a tokenizer.json for it.
  [[nodiscard]] result<text::tokenizer> tokenizer() const;
  /// The same, to be shared by copies of a model.
  [[nodiscard]] result<std::shared_ptr<const text::tokenizer>> shared_tokenizer() const;
};

/// Opens a GGUF file, or a folder with config.json and safetensors.
/// Fails when there is neither, when a header is damaged, or when the configuration asks for what g4 does not know.
[[nodiscard]] G4_INLINE result<checkpoint> open_checkpoint(const std::string& path);

/// The sentence that says what keeps a checkpoint from being a `name`.
[[nodiscard]] G4_INLINE error not_the_variant(const checkpoint& from, std::string_view name,
                                              const std::vector<std::string>& lines);
/// Refuses a checkpoint that is not the variant `name`.
[[nodiscard]] G4_INLINE result<void> check_variant(const checkpoint& from, const text_spec& variant,
                                                   std::string_view name);

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/open/checkpoint.inl"  // IWYU pragma: keep
#endif
