// What a file of this folder compiles ahead of time for its variant; g4/open/prebuilt.h and g4/generate/prebuilt_batch.h
// promise it to hosts.
#pragma once

#include <memory>

#include "g4/backend/cpu.h"
#include "g4/generate/any_batch.h"
#include "g4/open/any_drafter.h"
#include "g4/open/any_model.h"

#define G4_INSTANTIATE(VARIANT)                                                 \
  template g4::result<std::unique_ptr<g4::any_model>> g4::open_as<g4::VARIANT>( \
      const g4::checkpoint&, g4::backend::cpu&, const g4::open_options&);       \
  template g4::result<std::unique_ptr<g4::any_batch>> g4::open_batch_as<g4::VARIANT>( \
      const g4::any_model&, g4::backend::cpu&, const g4::batch_options&)

#define G4_INSTANTIATE_DRAFTER(VARIANT)                                                   \
  template g4::result<std::unique_ptr<g4::any_drafter>> g4::open_drafter_as<g4::VARIANT>( \
      const g4::checkpoint&, const g4::any_session&, g4::backend::cpu&, const g4::open_options&)
