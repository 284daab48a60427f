#pragma once

#include <cstddef>
#include <new>

#include "g4/backend/cpu/panels.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace g4 {

G4_INLINE cpu::panel_weight* panel_store::add(const matrix_view& w, weight_use use, let_go told) {
  std::byte* memory = take(cpu::panel_room(w, use));
  return memory == nullptr ? nullptr : &weights_.emplace_back(w, use, memory, told);
}

G4_INLINE std::byte* panel_store::take(std::size_t bytes) {
  bytes = (bytes + 63) & ~std::size_t{63};
  if (bytes > left_) {
    const std::size_t size = bytes > piece ? bytes : piece;
    pieces_.reserve(pieces_.size() + 1);  // so that nothing is lost between the two
    auto* memory = static_cast<std::byte*>(::operator new[](size, huge_page, std::nothrow));
    if (memory == nullptr) return nullptr;
    pieces_.emplace_back(memory);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    (void)madvise(memory, size & ~(static_cast<std::size_t>(huge_page) - 1), MADV_HUGEPAGE);  // advice: may fail
#endif
    next_ = memory;
    left_ = size;
  }
  std::byte* out = next_;
  next_ += bytes;
  left_ -= bytes;
  bytes_ += bytes;
  return out;
}

}  // namespace g4
