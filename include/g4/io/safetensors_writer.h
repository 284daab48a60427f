/// Writes a safetensors file (layout: see safetensors.h).
#pragma once

#include <span>
#include <string>
#include <utility>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/io/tensor_writer.h"

namespace g4::io {

/// Starts a safetensors file: the header is written, the tensors' bytes are to follow in the plan's order.
///
///     auto out = write_safetensors(path, plan);
///     for (...) out->write(name, bytes);
///     out->finish();
///
/// metadata   pairs for `__metadata__`, in UTF-8; other readers expect {"format", "pt"}
///
/// Refuses a repeated or impossible name, a size that overflows, and an element type without a dtype (blocks).
[[nodiscard]] G4_INLINE result<tensor_writer> write_safetensors(
    const std::string& path, std::span<const tensor_plan> plan,
    std::span<const std::pair<std::string, std::string>> metadata = {});

}  // namespace g4::io

#if !defined(G4_COMPILED)
#include "g4/io/safetensors_writer.inl"  // IWYU pragma: keep
#endif
