#pragma once

#include <cstddef>

#include "g4/model/text/plan.h"

namespace g4::detail {

G4_INLINE cache_layout caches_laid_out_once(const text_spec& m, const session_options& options, storage otherwise,
                                            arena& memory) {
  return caches_laid_out(m, options, otherwise, memory);
}

G4_INLINE text_scratch text_laid_out_once(const text_spec& m, const kind_table& kinds, std::size_t rows,
                                          std::size_t scalar_bytes, arena& memory) {
  return text_laid_out(m, kinds, rows, scalar_bytes, memory);
}

}  // namespace g4::detail
