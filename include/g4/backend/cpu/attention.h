/// Attention over the workers of a pool, and keys and values on their way into a cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/cpu/working_memory.h"
#include "g4/tensor/work_limits.h"
#include "g4/tensor/cache.h"

namespace g4::cpu {

template <class Kernels>
class attention {
 public:
  attention() = default;
  explicit attention(const tasks& over) : tasks_(over) {}

  void attend(const cache_view& cache, const attention_call<float>& call);
  void attend_all(const ops::all_attention<float>& call);
  void attend_near(const ops::near_attention<float>& call);

  /// Bytes of working memory that calls within these limits need.
  [[nodiscard]] std::size_t room_for(const work_limits& most) const {
    return scratch_for(most) + packed_for(most);
  }
  /// Takes it. Says whether there was memory.
  [[nodiscard]] bool make_ready(const work_limits& most) {
    return scratch_.make_ready(scratch_for(most)) && packed_.make_ready(packed_for(most));
  }

 private:
  /// Keys and values of every row, as `attend_all` packs them.
  [[nodiscard]] static std::size_t packed_for(const work_limits& most) {
    return most.all_heads * ceil_div(most.rows, attend_keys) * attend_all_stretch_bytes(most.head_size);
  }
  [[nodiscard]] std::size_t scratch_for(const work_limits& most) const {
    if (most.all_heads != 0) return (attend_all_scratch(most.head_size) + 16) * sizeof(float) * tasks_.workers();
    const std::size_t whole = attend_scratch(most.head_size) * tasks_.workers();
    if (tasks_.workers() == 1) return whole * sizeof(float);
    const std::size_t split = attend_queries * attend_partial_floats(most.head_size);  // of a task and a stretch
    return (whole + (2 * tasks_.workers() - 1) * most_stretches(most.slots) * split) * sizeof(float);
  }
  /// Stretches of keys that a cache of so many slots reaches into.
  [[nodiscard]] static constexpr std::size_t most_stretches(std::size_t slots) { return slots / attend_keys + 2; }

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
  working_memory packed_;
};

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/attention.inl"  // IWYU pragma: keep
#endif
