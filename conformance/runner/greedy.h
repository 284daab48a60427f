/// Greedy decoding along the expected ids, through the cache.
#pragma once

#include "conformance/runner/checks.h"

namespace g4::conformance {

/// Runs `first`, then one expected id at a time, and compares the logits before each choice (`greedy_logits`), and each
/// choice (`greedy_ids`) wherever the two best are further apart than two errors.
///
/// batch   chunk size of the prefill: small ones make the rings of local layers go round
result<void> check_greedy(const case_folder& folder, const running_on& on, loaded_model& model, const prompt& first,
                          std::size_t batch, report& out);

}  // namespace g4::conformance
