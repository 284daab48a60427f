/// The dense heads of a text embedder, as files hold them.
#pragma once

#include <string>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/spec/text.h"

namespace g4::load {

/// The dense modules of a folder in the layout of sentence-transformers (modules.json and the folders that it names), as
/// the tensors dense.0.weight, dense.1.weight … in the order in which they are applied. Without modules.json there are
/// none.
///
/// Fails when a module is none that g4 has: another pooling than the mean, a bias, an activation.
[[nodiscard]] G4_INLINE result<io::tensor_file> open_dense_modules(const std::string& folder);

/// The widths of what `open_dense_modules` gave, nothing where it gave no module: what `pooled_embedding` says of a
/// type. Fails when there are other than two, or one does not take what the one before it gives.
///
/// width   of the rows that are pooled
[[nodiscard]] G4_INLINE result<maybe<pooled_spec>> pooled_of(const io::tensor_file& modules, int width);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/dense_modules.inl"  // IWYU pragma: keep
#endif
