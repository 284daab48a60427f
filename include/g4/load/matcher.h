/// The tensors of a schema and those of a file, matched by name and extents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/core/token_id.h"
#include "g4/io/tensor_file.h"
#include "g4/load/names.h"
#include "g4/model/schema.h"
#include "g4/spec/text.h"

namespace g4::load::detail {

[[nodiscard]] G4_INLINE std::string extents_text(const tensor_entry& t);

/// Matches a module's tensors with the file's.
class matcher {
 public:
  /// Of the text.
  matcher(const io::tensor_file& file, format f);
  /// Of the module whose tensors a safetensors file calls `prefix`…
  matcher(const io::tensor_file& file, format f, std::string_view prefix);

  /// The file's tensor for an entry of the schema, or why there is none; null for a skippable one that is absent.
  [[nodiscard]] result<const io::stored_tensor*> find(const tensor_entry& wanted, int number = 0);

  [[nodiscard]] error wrong_shape(const io::stored_tensor& found, const tensor_entry& wanted) const;

  /// Whether a tensor of the file has been asked for.
  [[nodiscard]] bool knows(const io::stored_tensor& t) const;

  /// Refuses the file if it holds a tensor that no part of the model is called.
  [[nodiscard]] result<bool> refuse_unknown() const;

 private:
  const io::tensor_file& file_;
  format format_;
  std::string_view prefix_;
  std::vector<bool> known_;
};

/// Whether the extents agree; leading ones are not told apart from none ([1, 640] is [640]).
[[nodiscard]] G4_INLINE bool same_extents(const io::stored_tensor& found, const tensor_entry& wanted);

/// A tensor of I32 or I64 that lists tokens of the vocabulary.
[[nodiscard]] G4_INLINE result<std::vector<token_id>> token_ids(const io::tensor_file& file, const io::stored_tensor& e,
                                                                int vocabulary);

/// As `same_extents`, or fewer rows of the token table: GGUF files of Gemma 3 leave out the embedding rows beyond their
/// tokenizer's tokens.
[[nodiscard]] G4_INLINE bool fitting_extents(const io::stored_tensor& found, const tensor_entry& wanted, format f,
                                             generation g);

}  // namespace g4::load::detail

#if !defined(G4_COMPILED)
#include "g4/load/matcher.inl"  // IWYU pragma: keep
#endif
