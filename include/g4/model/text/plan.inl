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

G4_INLINE memory_plan planned_once(const text_spec& m, const kind_table& kinds, const session_options& options,
                                   std::size_t scalar_bytes, storage otherwise) {
  arena cache, scratch;
  (void)caches_laid_out(m, fitting(options), otherwise, cache);
  (void)text_laid_out(m, kinds, fitting(options).batch, scalar_bytes, scratch);
  return {cache.total(), scratch.total()};
}

}  // namespace g4::detail
