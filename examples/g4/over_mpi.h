// What ranks.cc and pipelines.cc share.
#pragma once

#include <memory>

#include "g4/backend/cpu.h"
#include "g4/backend/joined.h"
#include "g4/comm/mpi.h"
#include "g4/core/result.h"
#include "g4/open/any_model.h"
#include "program.h"

namespace program {

using joined = g4::backend::joined<g4::backend::cpu, g4::comm::mpi>;

/// Opens the pipeline of the settings. Defined in pipelines.cc.
[[nodiscard]] g4::result<std::unique_ptr<g4::any_model>> open_in_stages(const g4::result<g4::checkpoint>& from, const settings& s,
                                                                        joined& on, const g4::open_options& options);

}  // namespace program
