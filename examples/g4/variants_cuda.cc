// Apart from variants.cc, so that the two compile at the same time. Part of programs that are built with G4_CUDA.
#include "backends.h"
#include "g4/open/any_model.h"

#include "program_cuda.h"  // made by g4_add_program: of many variants each is compiled in a file of its own
#include "program_variants.h"

namespace program {

g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::cuda& on,
                                                         const g4::open_options& options) {
  return g4::open_any<compiled_variants>(from, on, options);
}

}  // namespace program
