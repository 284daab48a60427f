/// Weights that cannot be right: numbers that are not finite, and tensors that are zero throughout.
#pragma once

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/tensor/storage.h"

namespace g4::io {

/// Refuses a tensor that holds an infinity or a NaN; of blocks only the scales can. Runs at the memory's speed. Tensors
/// of other element types pass.
[[nodiscard]] G4_INLINE result<void> check_finite(const tensor_file& file, const stored_tensor& tensor);

/// Refuses a tensor all of whose numbers are nil, where that cannot be meant (a download that was never filled in looks
/// like this). Stops at the first number that is not nil, so it costs next to nothing.
[[nodiscard]] G4_INLINE result<void> check_not_all_zero(const tensor_file& file, const stored_tensor& tensor);

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/finite.inl"  // IWYU pragma: keep
#endif
