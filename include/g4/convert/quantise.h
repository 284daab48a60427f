/// A checkpoint in fewer bits: safetensors or plain GGUF → a GGUF file that g4 and llama.cpp load.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "g4/backend/pool.h"
#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/load/file_type.h"
#include "g4/load/module_source.h"
#include "g4/model/schema.h"
#include "g4/open/checkpoint.h"
#include "g4/tensor/storage.h"

namespace g4 {

struct quantise_options {
  pool* threads = nullptr;        ///< null: the calling thread alone; the file is the same
  load::progress progress = {};   ///< told how many bytes of the input are done
  bool (*cancelled)() = nullptr;  ///< asked every few MiB; true abandons the file
};

/// What became of one tensor.
struct quantised_tensor {
  std::string name;  ///< in the file written
  part what;
  storage from = storage::f32;
  storage to = storage::f32;
  std::size_t elements = 0;
  std::size_t bytes_before = 0;
  std::size_t bytes_after = 0;
  double squares = 0;        ///< Σ x²
  double squared_error = 0;  ///< Σ (y − x)², y as it will be read
};

struct quantised {
  std::vector<quantised_tensor> tensors;
  std::size_t left_out = 0;  ///< tensors of the input that are no part of the text model: image and sound towers
};

/// Writes a checkpoint as a GGUF file of another type. Matrices become what llama.cpp's quantiser makes of them for
/// that type (load/file_type.h); norms, routers and scalars become F32. The keys of a GGUF are carried over as they are;
/// those of a folder come from its config.json and tokenizer.json.
///
///     auto from = g4::open_checkpoint("gemma-3-270m");
///     auto done = g4::quantise_checkpoint(*from, *g4::load::file_type_called("Q4_K"), "gemma-3-270m-q4_k.gguf");
///
/// The file appears whole under its name or not at all, and no more than a few MiB of its weights are ever in memory. Fails,
/// naming file and tensor, on weights that are quantised already, that are not finite or too large for the storage; on
/// tensors that are missing, of another shape or no part of the model; on a text embedder in a folder; and on a model that
/// the keys of a GGUF cannot describe.
[[nodiscard]] G4_INLINE result<quantised> quantise_checkpoint(const checkpoint& from, const load::file_type& to,
                                                              const std::string& path,
                                                              const quantise_options& options = {});

}  // namespace g4

#if !defined(G4_COMPILED)
#include "g4/convert/quantise.inl"  // IWYU pragma: keep
#endif
