/// The kinds of cases, one file each. A check writes its lines to the report; it returns an error only when it could
/// not go on at all.
#pragma once

#include <string>

#include "conformance/runner/case_folder.h"
#include "conformance/runner/engine.h"
#include "conformance/runner/report.h"

namespace g4::conformance {

struct check_options {
  backend::numeric mode = backend::numeric::exact;
  std::string model_file;  ///< --model; empty without
};

/// What a model case is run on.
struct running_on {
  const text_spec& spec;
  const engine& how;
  backend::numeric mode = backend::numeric::exact;
  [[nodiscard]] bool fast() const { return mode != backend::numeric::exact; }
};

/// One pass, chunks, and token by token through the cache (model_case.cc).
result<void> check_model(const case_folder& folder, const running_on& on, report& out);
/// Prompts of thousands of tokens, and positions far away (long_case.cc).
result<void> check_long(const case_folder& folder, const running_on& on, report& out);
/// Pooling, dense heads and length of a text embedder (embedder_case.cc).
result<void> check_embedder(const case_folder& folder, const running_on& on, report& out);
/// Speculative rounds of a drafter (drafter_case.cc).
result<void> check_drafter(const case_folder& folder, const running_on& on, report& out);
/// A real checkpoint in a GGUF file (real_case.cc).
result<void> check_real(const case_folder& folder, const running_on& on, const check_options& options, report& out);

/// One operation on its own, on "reference" or "cpu", or on "-" where it needs no backend (op_case.cc).
result<void> check_operation(const case_folder& folder, const std::string& backend, report& out);
[[nodiscard]] bool needs_a_backend(const case_folder& folder);

/// Rotary tables (rope_case.cc).
result<void> check_rope(const case_folder& folder, report& out);
/// Pictures resized and cut (image_case.cc).
result<void> check_images(const case_folder& folder, report& out);
/// Conversations as text, and placeholders (prompt_case.cc).
result<void> check_prompts(const case_folder& folder, const check_options& options, report& out);
/// Sound features alone: waveforms to log-mel (media.cc).
result<void> check_sound(const case_folder& folder, report& out);
/// Questions with one answer each: ids of texts, texts of ids, conversations as text (string_case.cc).
result<void> check_strings(const case_folder& folder, const check_options& options, report& out);
/// Strings and ids (tokenizer_case.cc).
result<void> check_tokenizer(const case_folder& folder, const check_options& options, report& out);

}  // namespace g4::conformance
