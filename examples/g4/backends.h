// The backends that a program has, and how the variants it was built with are opened on them. Few files need this.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "g4/backend/cpu.h"
#include "g4/backend/reference.h"
#include "g4/core/result.h"
#ifdef G4_PROGRAM_CUDA
#include "g4/backend/cuda.h"
#endif

namespace g4 {
class any_batch;
class any_drafter;
class any_embedder;
class any_model;
class any_senses;
class any_session;
struct batch_options;
struct checkpoint;
struct open_options;
}  // namespace g4

namespace program {

/// One of them is there: the one that was asked for.
struct backends {
  std::unique_ptr<g4::backend::cpu> cpu;
  std::unique_ptr<g4::backend::reference<float>> reference;
  std::shared_ptr<void> ranks;  ///< one of several, of ranks.cc
#ifdef G4_PROGRAM_CUDA
  std::unique_ptr<g4::backend::cuda> cuda;
#endif
};

// Defined in variants.cc, variants_reference.cc and variants_cuda.cc.
#ifdef G4_PROGRAM_CUDA
[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from,
                                                                       g4::backend::cuda& on,
                                                                       const g4::open_options& options);
#endif
[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::cpu& on,
                                                                       const g4::open_options& options);
[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from,
                                                                       g4::backend::reference<float>& on,
                                                                       const g4::open_options& options);
/// Towers, for a text that was opened from the same checkpoint. Defined in variants_senses.cc, or no_senses.cc.
using opened_senses = g4::result<std::unique_ptr<g4::any_senses>>;
[[nodiscard]] opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text,
                                                 g4::backend::cpu& on, const g4::open_options& options,
                                                 const std::string& towers);
[[nodiscard]] opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text,
                                                 g4::backend::reference<float>& on, const g4::open_options& options,
                                                 const std::string& towers);
/// Many texts at once, of a model on the cpu backend. Defined in variants.cc.
[[nodiscard]] g4::result<std::unique_ptr<g4::any_batch>> open_compiled_batch(const g4::any_model& of,
                                                                             g4::backend::cpu& on,
                                                                             const g4::batch_options& options);
/// A text embedder. Defined in variants_embedder.cc, or no_embedder.cc.
using opened_embedder = g4::result<std::unique_ptr<g4::any_embedder>>;
[[nodiscard]] opened_embedder open_compiled_embedder(const g4::checkpoint& from, g4::backend::cpu& on,
                                                     std::size_t longest, const g4::open_options& options);
/// For a model that runs on the cpu backend.
[[nodiscard]] g4::result<std::unique_ptr<g4::any_drafter>> open_compiled_drafter(const g4::checkpoint& from,
                                                                                 const g4::any_session& target,
                                                                                 g4::backend::cpu& on,
                                                                                 const g4::open_options& options);

}  // namespace program
