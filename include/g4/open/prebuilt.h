/// Every released variant on the cpu backend, compiled ahead of time. Link `g4::variants`.
///
/// It saves a host the compiling of each variant (docs/compile_time.md) and changes nothing else:
///
///     #include <g4/open/prebuilt.h>
///     g4::backend::cpu on;
///     auto from = g4::open_checkpoint(path);
///     auto model = g4::open_any<g4::all_variants>(*from, on);
#pragma once

#include <memory>

#include "g4/backend/cpu.h"
#include "g4/core/result.h"
#include "g4/open/any_drafter.h"
#include "g4/open/any_model.h"
#include "g4/variants/all.h"

namespace g4 {

using opened_model = result<std::unique_ptr<any_model>>;
using opened_drafter = result<std::unique_ptr<any_drafter>>;

extern template opened_model open_as<gemma3_270m>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3_1b>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3_4b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3_12b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3_27b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3n_e2b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma3n_e4b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma4_e2b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma4_e4b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma4_12b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma4_26b_a4b::text>(const checkpoint&, backend::cpu&, const open_options&);
extern template opened_model open_as<gemma4_31b::text>(const checkpoint&, backend::cpu&, const open_options&);

extern template opened_drafter open_drafter_as<gemma4_e2b_assistant>(const checkpoint&, const any_session&,
    backend::cpu&, const open_options&);
extern template opened_drafter open_drafter_as<gemma4_e4b_assistant>(const checkpoint&, const any_session&,
    backend::cpu&, const open_options&);
extern template opened_drafter open_drafter_as<gemma4_12b_assistant>(const checkpoint&, const any_session&,
    backend::cpu&, const open_options&);
extern template opened_drafter open_drafter_as<gemma4_26b_a4b_assistant>(const checkpoint&, const any_session&,
    backend::cpu&, const open_options&);
extern template opened_drafter open_drafter_as<gemma4_31b_assistant>(const checkpoint&, const any_session&,
    backend::cpu&, const open_options&);

}  // namespace g4
