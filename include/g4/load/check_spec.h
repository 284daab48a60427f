/// The rules of rule/rules.h for a model that is read at run time: a file that breaks one is refused with its sentence.
#pragma once

#include <string>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/spec/text.h"

namespace g4::load {

/// Refuses a settled specification that no variant could have.
///
/// name   what errors call the file
[[nodiscard]] G4_INLINE result<void> check_spec(const text_spec& m, const std::string& name);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/check_spec.inl"  // IWYU pragma: keep
#endif
