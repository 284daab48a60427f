#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "g4/backend/cpu/attention.h"

namespace g4::cpu {

template <class Kernels>
void attention<Kernels>::attend(const cache_view& cache, const attention_call<float>& call) {
  const std::size_t group = call.heads / cache.heads;         // query heads that read one key/value head
  const std::size_t share = std::min(group, attend_queries);  // heads of one task
  const std::size_t shares = ceil_div(group, share);
  const std::size_t tile = std::max<std::size_t>(1, attend_queries / share);
  const std::size_t tiles = ceil_div(call.tokens, tile);
  const std::size_t tasks = cache.heads * shares * tiles;
  const auto task_of = [&](std::size_t task, float* scratch) {
    const std::size_t token = task / (cache.heads * shares) * tile;
    const std::size_t head = task / shares % cache.heads;
    const std::size_t first = task % shares * share;
    return attend_call{&cache,
                       &call,
                       head,
                       head * group + first,
                       std::min(share, group - first),
                       token,
                       std::min(tile, call.tokens - token),
                       scratch};
  };
  const std::size_t d = cache.head_size;
  const std::size_t stride = attend_scratch(d);
  const std::size_t partial_floats = attend_queries * attend_partial_floats(d);
  const auto seen = stretches_of(call);
  const std::int64_t first_stretch = seen.first;
  const std::size_t stretches = seen.second;
  if (tasks_.workers() == 1 || tasks >= 2 * tasks_.workers() || stretches < 2) {
    float* scratch = scratch_.take<float>(stride * tasks_.workers());
    tasks_.run(tasks, 1, [&](std::size_t task, std::size_t, std::size_t worker) {
      Kernels::attend(task_of(task, scratch + worker * stride));
    });
    return;
  }
  // Too few tasks for the workers: each stretch of keys becomes one. Room for all stretches of the cache is taken at once.
  const std::size_t most = std::max(stretches, most_stretches(cache.slots));
  float* scratch = scratch_.take<float>(stride * tasks_.workers() + tasks * most * partial_floats);
  float* results = scratch + stride * tasks_.workers();
  tasks_.run(tasks * stretches, 1, [&](std::size_t item, std::size_t, std::size_t worker) {
    attend_call piece = task_of(item / stretches, scratch + worker * stride);
    const std::size_t queries = piece.count * piece.group;
    const std::size_t s = item % stretches;
    piece.stretch = first_stretch + static_cast<std::int64_t>(s);
    piece.partial = results + item / stretches * most * partial_floats + s * queries * attend_partial_floats(d);
    Kernels::attend(piece);
  });
  for (std::size_t task = 0; task < tasks; ++task) {
    const attend_call whole = task_of(task, scratch);
    for (std::size_t t = 0; t < whole.count; ++t) {
      const float* from = results + task * most * partial_floats + t * whole.group * attend_partial_floats(d);
      Kernels::join_attention({cache.type, from, stretches, whole.count * whole.group, whole.group, d,
                               call.out + ((whole.token + t) * call.heads + whole.head) * d, scratch});
    }
  }
}

template <class Kernels>
void attention<Kernels>::attend_all(const ops::all_attention<float>& a) {
  if (a.rows == 0) return;
  const std::size_t d = a.head_size;
  const std::size_t stretches = ceil_div(a.rows, attend_keys);
  const std::size_t of_head = stretches * attend_all_stretch_bytes(d);
  const std::size_t stride = ceil_div(attend_all_scratch(d), 16) * 16;
  std::byte* const packed = packed_.take<std::byte>(a.key_heads * of_head);
  float* const scratch = scratch_.take<float>(stride * tasks_.workers());
  tasks_.run(a.key_heads * stretches, 1, [&](std::size_t task, std::size_t, std::size_t) {
    const std::size_t head = task / stretches, stretch = task % stretches;
    Kernels::pack_all({&a, head, stretch, packed + head * of_head + stretch * attend_all_stretch_bytes(d)});
  });
  const std::size_t blocks = ceil_div(a.rows, attend_queries);
  // A head's blocks one after the other: its keys and values stay near.
  tasks_.run(a.heads * blocks, 1, [&](std::size_t task, std::size_t, std::size_t worker) {
    const std::size_t head = task / blocks, first = task % blocks * attend_queries;
    Kernels::attend_all({&a, head, first, std::min(attend_queries, a.rows - first),
                         packed + head / (a.heads / a.key_heads) * of_head, scratch + worker * stride});
  });
}

template <class Kernels>
void attention<Kernels>::attend_near(const ops::near_attention<float>& a) {
  const std::size_t stride = ceil_div(near_scratch(a), 16) * 16;
  float* const scratch = scratch_.take<float>(stride * tasks_.workers());
  const std::size_t cost = a.heads * a.head_size * (a.past + a.ahead);
  tasks_.run(a.rows, tasks_.split(a.rows, cost, 1), [&](std::size_t first, std::size_t count, std::size_t worker) {
    Kernels::attend_near({&a, first, count, scratch + worker * stride});
  });
}

}  // namespace g4::cpu
