// In place of variants_embedder.cc, for a program that embeds nothing.
#include "backends.h"
#include "g4/generate/any_embedder.h"
#include "g4/open/checkpoint.h"

namespace program {

opened_embedder open_compiled_embedder(const g4::checkpoint& from, g4::backend::cpu&, std::size_t,
                                       const g4::open_options&) {
  return g4::fail(from.path, ": this program was built for one model that answers; `g4`, which has all, embeds texts");
}

}  // namespace program
