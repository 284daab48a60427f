// Apart from variants.cc, so that the two compile at the same time.
#include "program_variants.h"
#include "variants.h"

namespace program {

g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::reference<float>& on,
                                                         const g4::open_options& options) {
  return g4::open_any<reference_variants>(from, on, options);
}

}  // namespace program
