// The towers of the models a program was built with. Apart from variants.cc, so that a program for a model of text alone
// compiles nothing of them: it has no_senses.cc.
#include "backends.h"
#include "g4/generate/open_senses.h"
#include "g4/load/tower_tensors.h"
#include "variants.h"

#include "program_senses.h"  // made by g4_add_program: compiled_senses, reference_senses

namespace program {

namespace {

template <class Sense>
constexpr const g4::tower_spec* spec_of() {
  if constexpr (requires { typename Sense::tower; }) return &Sense::tower::spec;
  return nullptr;
}

template <class... M>
std::span<const known_senses> list(g4::one_of<M...>) {
  static const known_senses all[] = {
      {g4::load::variant_name<M>(), spec_of<typename M::seeing>(), spec_of<typename M::hearing>(), M::text::width,
       g4::tensors_of_towers<M>}...};
  return all;
}

}  // namespace

std::span<const known_senses> all_known_senses() { return list(compiled_senses{}); }

opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text, g4::backend::cpu& on,
                                   const g4::open_options& options, const std::string& towers) {
  return g4::open_senses<compiled_senses>(from, text, on, options, towers);
}

opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text,
                                   g4::backend::reference<float>& on, const g4::open_options& options,
                                   const std::string& towers) {
  return g4::open_senses<reference_senses>(from, text, on, options, towers);
}

}  // namespace program
