// Apart from variants.cc, so that the two compile at the same time.
#include "backends.h"
#include "g4/open/any_model.h"

#include "program_variants.h"

namespace program {

namespace {

template <class... V>
g4::result<std::unique_ptr<g4::any_model>> open_one(g4::one_of<V...>, const g4::checkpoint& from,
                                                    g4::backend::reference<float>& on,
                                                    const g4::open_options& options) {
  if constexpr (sizeof...(V) == 0) {
    return g4::fail("--backend reference: ", from.path,
                    ": this program was built without the definitions; g4-<variant>-reference has them, and so has "
                    "./run.sh --backend reference");
  } else {
    return g4::open_any<g4::one_of<V...>>(from, on, options);
  }
}

}  // namespace

g4::result<std::unique_ptr<g4::any_model>> open_compiled(const g4::checkpoint& from, g4::backend::reference<float>& on,
                                                         const g4::open_options& options) {
  return open_one(reference_variants{}, from, on, options);
}

}  // namespace program
