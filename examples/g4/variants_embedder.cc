// The text embedders a program was built with; a program without has no_embedder.cc.
#include "backends.h"
#include "g4/generate/open_embedder.h"

#include "program_embedder.h"  // made by g4_add_program: compiled_embedders

namespace program {

opened_embedder open_compiled_embedder(const g4::checkpoint& from, g4::backend::cpu& on, std::size_t longest,
                                       const g4::open_options& options) {
  return g4::open_embedder<compiled_embedders>(from, on, longest, options);
}

}  // namespace program
