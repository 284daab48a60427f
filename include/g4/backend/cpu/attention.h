/// Attention over the workers of a pool, and keys and values on their way into a cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/cpu/working_memory.h"
#include "g4/tensor/cache.h"

namespace g4::cpu {

template <class Kernels>
class attention {
 public:
  attention() = default;
  explicit attention(const tasks& over) : tasks_(over) {}

  void attend(const cache_view& cache, const attention_call<float>& call);

 private:
  /// The stretches of keys that some query of the call sees: the first and how many.
  [[nodiscard]] static std::pair<std::int64_t, std::size_t> stretches_of(const attention_call<float>& call) {
    std::int64_t first = INT64_MAX;
    std::int64_t last = 0;
    for (std::size_t t = 0; t < call.tokens; ++t) {
      if (index_of(call.keys[t].first) >= index_of(call.keys[t].last)) continue;
      first = std::min(first, index_of(call.keys[t].first));
      last = std::max(last, index_of(call.keys[t].last));
    }
    if (first >= last) return {0, 0};
    constexpr auto size = static_cast<std::int64_t>(attend_keys);
    return {first / size, static_cast<std::size_t>((last - 1) / size - first / size + 1)};
  }

  tasks tasks_;
  working_memory scratch_;
};

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/attention.inl"  // IWYU pragma: keep
#endif
