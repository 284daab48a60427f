/// The model of one case, made for the backends asked for. Compiled by `conformance/check`, once per model:
///
///     G4_CASE_VARIANT      the header with the case's variant, struct g4_case_model
///     G4_CASE_DRAFTER      the header with its drafter, struct g4_case_drafter, where the case has one
///     G4_CASE_EMBEDDER     set where the model is an embedder
///     G4_CASE_RANKS        how many ranks the model is shared out among; not set: it is in one piece
///     G4_CASE_REFERENCE, G4_CASE_REFERENCE64, G4_CASE_FARAWAY, G4_CASE_CPU, G4_CASE_INLINE,
///     G4_CASE_CUDA_ON_HOST
#include G4_CASE_VARIANT
#ifdef G4_CASE_DRAFTER
#include G4_CASE_DRAFTER
#endif

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

#ifdef G4_CASE_DRAFTER
using case_drafter = g4_case_drafter;
#else
using case_drafter = no_drafter;
#endif

template <class B>
[[nodiscard]] engine engine_on(std::string_view backend) {
#ifdef G4_CASE_RANKS
  return ranks_of<g4_case_model, B, G4_CASE_RANKS>(backend);
#else
  return engine_of<g4_case_model, case_drafter, B>(backend);
#endif
}

model_unit this_unit() {
  static constexpr text_spec spec = text_of<g4_case_model>::spec;
  model_unit unit{&spec, {}};
#ifdef G4_CASE_REFERENCE
  unit.engines.push_back(engine_on<backend::reference<float>>("reference"));
#endif
#ifdef G4_CASE_REFERENCE64
  unit.engines.push_back(engine_on<backend::reference<double>>("reference64"));
#endif
#ifdef G4_CASE_FARAWAY
  unit.engines.push_back(engine_on<test::faraway<float>>("faraway"));
#endif
#ifdef G4_CASE_CPU
  unit.engines.push_back(engine_on<backend::cpu>("cpu"));
#endif
#ifdef G4_CASE_INLINE
  unit.engines.push_back(engine_on<backend::inlined>("inline"));
#endif
#ifdef G4_CASE_CUDA_ON_HOST
  unit.engines.push_back(engine_on<backend::cuda_on_host>("cuda_on_host"));
#endif
  return unit;
}

}  // namespace g4::conformance
