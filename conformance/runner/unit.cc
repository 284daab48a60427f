/// The model of one case, made for the backends asked for. Compiled by `conformance/check`, once per model:
///
///     G4_CASE_VARIANT      the header with the case's variant, struct g4_case_model
///     G4_CASE_DRAFTER      the header with its drafter, struct g4_case_drafter, where the case has one
///     G4_CASE_EMBEDDER     set where the model is an embedder
///     G4_CASE_CAPABILITY   the compute capability that cuda_on_host stands for; not set: its own default
///     G4_CASE_RANKS        how many ranks the model is shared out among, or several such numbers; not set: it is in one piece
///     G4_CASE_SUMS         whole or divided: how the ranks take sums; not set: whole
///     G4_CASE_PIPELINE     set where they are stages of a pipeline
///     G4_CASE_MPI          set where the ranks are processes
///     G4_CASE_REFERENCE, G4_CASE_REFERENCE64, G4_CASE_FARAWAY, G4_CASE_CPU, G4_CASE_INLINE,
///     G4_CASE_CUDA_ON_HOST
#include G4_CASE_VARIANT
#ifdef G4_CASE_DRAFTER
#include G4_CASE_DRAFTER
#endif

#include <string_view>
#include <utility>
#include <vector>

#include "conformance/runner/engine_of.h"
#ifdef G4_CASE_RANKS
#include "conformance/runner/ranks_of.h"
#endif
#if defined(G4_CASE_REFERENCE) || defined(G4_CASE_REFERENCE64)
#include "g4/backend/reference.h"
#endif
#ifdef G4_CASE_FARAWAY
#include "tests/support/faraway.h"
#endif
#ifdef G4_CASE_CPU
#include "g4/backend/cpu.h"
#endif
#ifdef G4_CASE_INLINE
#include "g4/backend/inline.h"
#endif
#ifdef G4_CASE_CUDA_ON_HOST
#include "g4/backend/cuda_on_host.h"
#endif

namespace g4::conformance {

#ifndef G4_CASE_SUMS
#define G4_CASE_SUMS whole
#endif

#ifdef G4_CASE_DRAFTER
using case_drafter = g4_case_drafter;
#else
using case_drafter = no_drafter;
#endif

template <class B>
void add_engines(std::vector<engine>& to, std::string_view backend) {
#ifdef G4_CASE_RANKS
  [&]<int... R>(std::integer_sequence<int, R...>) {
    (to.push_back(ranks_of<g4_case_model, case_drafter, B, R, sums::G4_CASE_SUMS>(backend)), ...);
  }(std::integer_sequence<int, G4_CASE_RANKS>{});
#else
  to.push_back(engine_of<g4_case_model, case_drafter, B>(backend));
#endif
}

model_unit this_unit() {
  static constexpr text_spec spec = text_of<g4_case_model>::spec;
  model_unit unit{&spec, {}};
#ifdef G4_CASE_REFERENCE
  add_engines<backend::reference<float>>(unit.engines, "reference");
#endif
#ifdef G4_CASE_REFERENCE64
  add_engines<backend::reference<double>>(unit.engines, "reference64");
#endif
#ifdef G4_CASE_FARAWAY
  add_engines<test::faraway<float>>(unit.engines, "faraway");
#endif
#ifdef G4_CASE_CPU
  add_engines<backend::cpu>(unit.engines, "cpu");
#endif
#ifdef G4_CASE_INLINE
  add_engines<backend::inlined>(unit.engines, "inline");
#endif
#ifdef G4_CASE_CUDA_ON_HOST
  add_engines<backend::cuda_on_host>(unit.engines, "cuda_on_host");
#endif
  return unit;
}

}  // namespace g4::conformance
