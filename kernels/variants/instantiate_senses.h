// The same for the towers of a model; g4/generate/prebuilt_senses.h promises them to hosts.
#pragma once

#include <memory>
#include <string>

#include "g4/backend/cpu.h"
#include "g4/generate/open_senses.h"
#include "instantiate.h"

#define G4_INSTANTIATE_SENSES(MODEL)                                                  \
  template g4::result<std::unique_ptr<g4::any_senses>> g4::open_senses_as<g4::MODEL>( \
      const g4::checkpoint&, const g4::any_model&, g4::backend::cpu&, const g4::open_options&, const std::string&)
