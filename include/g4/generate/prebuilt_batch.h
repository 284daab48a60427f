/// Batches of every released model that answers, on the cpu backend, compiled ahead of time: beside `g4/open/prebuilt.h`.
/// Link `g4::variants`.
#pragma once

#include <memory>

#include "g4/backend/cpu.h"
#include "g4/core/result.h"
#include "g4/generate/any_batch.h"
#include "g4/variants/all.h"

namespace g4 {

using opened_batch = result<std::unique_ptr<any_batch>>;

extern template opened_batch open_batch_as<gemma3_270m>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3_1b>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3_4b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3_12b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3_27b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3n_e2b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma3n_e4b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma4_e2b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma4_e4b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma4_12b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma4_26b_a4b::text>(const any_model&, backend::cpu&, const batch_options&);
extern template opened_batch open_batch_as<gemma4_31b::text>(const any_model&, backend::cpu&, const batch_options&);

}  // namespace g4
