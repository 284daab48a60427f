/// The towers of a checkpoint in a folder → an mmproj GGUF file, beside the one that `quantise.h` makes of its text.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/load/module_source.h"
#include "g4/load/tower_tensors.h"
#include "g4/open/checkpoint.h"
#include "g4/tensor/storage.h"

namespace g4 {

struct mmproj_options {
  std::optional<storage> matrices = {};  ///< F32, F16 or BF16; nothing: each as the checkpoint has it
  load::progress progress = {};          ///< told how many bytes of the towers are done
  bool (*cancelled)() = nullptr;         ///< asked after each tensor; true abandons the file
};

/// What became of the towers.
struct written_towers {
  std::size_t tensors = 0;
  std::size_t bytes_before = 0;
  std::size_t bytes_after = 0;
  double squares = 0;        ///< Σ x²
  double squared_error = 0;  ///< Σ (y − x)², y as it will be read
};

/// Whether the checkpoint's own files hold tensors of any of these towers.
[[nodiscard]] G4_INLINE bool holds_towers(const checkpoint& from, std::span<const tower_tensors> towers);

/// Writes the towers of a folder as the mmproj file that g4 and llama.cpp look for beside a GGUF file.
///
///     auto from = g4::open_checkpoint("gemma-3-4b-it");
///     auto done = g4::write_mmproj(*from, g4::tensors_of_towers<g4::gemma3_4b>(), "mmproj-gemma-3-4b-it.gguf");
///
/// Matrices are stored as told; tables of positions, the first convolutions, and whatever is no matrix, in F32. What such
/// files hold otherwise than safetensors is turned: a patch's numbers lie colour by colour, positions axis by axis, norms of
/// Gemma 3 hold 1 + w, the scales of sounds' queries their softplus (docs/formats.md).
///
/// towers   what the types say: those of pictures before those of sounds
/// The file appears whole under its name or not at all; one tensor at a time is in memory. Fails, naming file and tensor,
/// on tensors that are missing, of another shape, no part of the towers, not finite or too large for the storage; and on a
/// checkpoint that is a GGUF file, whose towers are in an mmproj file already.
[[nodiscard]] G4_INLINE result<written_towers> write_mmproj(const checkpoint& from,
                                                            std::span<const tower_tensors> towers,
                                                            const std::string& path,
                                                            const mmproj_options& options = {});

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/convert/mmproj.inl"  // IWYU pragma: keep
#endif
