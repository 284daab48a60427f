// In place of variants_senses.cc, for a model of text alone.
#include <string>

#include "backends.h"
#include "g4/generate/any_senses.h"
#include "g4/open/any_model.h"
#include "variants.h"

namespace program {

std::span<const known_senses> all_known_senses() { return {}; }

namespace {

opened_senses refuse(const g4::checkpoint& from, const g4::any_model& text) {
  return g4::fail(from.path, ": ", std::string(text.variant()), " is a model of text alone: it neither sees nor hears");
}

}  // namespace

opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text, g4::backend::cpu&,
                                   const g4::open_options&, const std::string&) {
  return refuse(from, text);
}

opened_senses open_compiled_senses(const g4::checkpoint& from, const g4::any_model& text,
                                   g4::backend::reference<float>&, const g4::open_options&, const std::string&) {
  return refuse(from, text);
}

}  // namespace program
