// The k greatest of many numbers, and the row that follows the greatest of logits.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "g4/backend/gpu_calls.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/inside.h"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

constexpr unsigned sort_size = 2048;  // numbers that a block sorts at a time
constexpr unsigned sort_threads = 256;

/// A number and its index as one key: the greater key comes first. What is no number comes behind all, −0 is 0.
G4_DEVICE std::uint64_t ranked(float x, size_t index) {
  const unsigned bits = std::bit_cast<unsigned>(x + 0.0f);
  const unsigned order = x != x ? 0 : bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return std::uint64_t{order} << 32 | (0xffffffffu - static_cast<unsigned>(index));
}
G4_DEVICE token_id index_of_ranked(std::uint64_t key) {
  return static_cast<token_id>(0xffffffffu - static_cast<unsigned>(key & 0xffffffffu));
}
G4_DEVICE float number_of_ranked(std::uint64_t key) {
  const auto order = static_cast<unsigned>(key >> 32);
  if (order == 0) return std::bit_cast<float>(0x7fc00000u);
  return std::bit_cast<float>(order >> 31 != 0 ? order & 0x7fffffffu : ~order);
}

/// Sorts the keys, the greatest first: a bitonic network, whose steps all threads make together.
G4_DEVICE void sort_keys(std::uint64_t* keys) {
  for (unsigned run = 2; run <= sort_size; run *= 2) {
    for (unsigned away = run / 2; away != 0; away /= 2) {
      __syncthreads();
      for (unsigned i = threadIdx.x; i < sort_size / 2; i += sort_threads) {
        const unsigned a = i / away * 2 * away + i % away, b = a + away;
        const bool falls = (a & run) == 0;
        if ((keys[a] < keys[b]) == falls) {
          const std::uint64_t other = keys[a];
          keys[a] = keys[b];
          keys[b] = other;
        }
      }
    }
  }
  __syncthreads();
}

G4_KERNEL void __launch_bounds__(sort_threads) greatest_of_stretch(gc::greatest_of_each c) {
  begin_in_turn();
  G4_SHARED(std::uint64_t, keys);
  const size_t first = size_t{blockIdx.x} * sort_size;
  for (unsigned i = threadIdx.x; i < sort_size; i += sort_threads) {
    keys[i] = first + i < c.n ? ranked(c.x[first + i], first + i) : 0;
  }
  sort_keys(keys);
  for (unsigned i = threadIdx.x; i < c.k; i += sort_threads) c.found[blockIdx.x * c.k + i] = keys[i];
}
void device::run(const gc::greatest_of_each& c) {
  const size_t blocks = (c.n + sort_size - 1) / sort_size;
  in_->launch("greatest_of_each", &greatest_of_stretch, blocks, sort_threads, sort_size * sizeof(std::uint64_t), c);
}

/// One block: the k best so far stay in front, and others come in behind them.
G4_KERNEL void __launch_bounds__(sort_threads) greatest_of_found(gc::greatest c) {
  begin_in_turn();
  G4_SHARED(std::uint64_t, keys);
  const auto k = static_cast<unsigned>(c.k);
  for (unsigned i = threadIdx.x; i < k; i += sort_threads) keys[i] = 0;
  for (size_t first = 0; first < c.n; first += sort_size - k) {
    for (unsigned i = k + threadIdx.x; i < sort_size; i += sort_threads) {
      const size_t at = first + i - k;
      keys[i] = at < c.n ? c.found[at] : 0;
    }
    sort_keys(keys);
  }
  for (unsigned i = threadIdx.x; i < k; i += sort_threads) {
    c.ids[i] = index_of_ranked(keys[i]);
    c.values[i] = number_of_ranked(keys[i]);
  }
}
void device::run(const gc::greatest& c) {
  in_->launch("greatest", &greatest_of_found, 1, sort_threads, sort_size * sizeof(std::uint64_t), c);
}

// ---- The row behind a row --------------------------------------------------------------------------------------------

struct choice_room {
  std::uint64_t keys[sort_threads];
  unsigned ticket;
};

/// A logit as a key: what is no number is the greatest of all, so that it is told.
G4_DEVICE std::uint64_t telling(float x, size_t index) { return x != x ? ~std::uint64_t{0} : ranked(x, index); }

/// The greatest of the block's keys, in room.keys[0].
G4_DEVICE void find_greatest(choice_room& room, std::uint64_t mine) {
  room.keys[threadIdx.x] = mine;
  for (unsigned away = sort_threads / 2; away != 0; away /= 2) {
    __syncthreads();
    if (threadIdx.x >= away) continue;
    const std::uint64_t other = room.keys[threadIdx.x + away];
    if (other > room.keys[threadIdx.x]) room.keys[threadIdx.x] = other;
  }
  __syncthreads();
}

G4_KERNEL void __launch_bounds__(sort_threads) choose_next_row(gc::next_row c) {
  begin_in_turn();
  G4_SHARED(choice_room, shared);
  choice_room& room = *shared;
  const next_row_call<float>& call = c.call;
  const size_t first = size_t{blockIdx.x} * sort_size;
  const size_t end = call.vocab < first + sort_size ? call.vocab : first + sort_size;
  std::uint64_t best = 0;
  for (size_t i = first + threadIdx.x; i < end; i += sort_threads) {
    const std::uint64_t key = telling(call.logits[i], i);
    best = key > best ? key : best;
  }
  find_greatest(room, best);
  if (threadIdx.x == 0) {
    c.found[blockIdx.x] = room.keys[0];
    room.ticket = take_ticket(c.arrived);
  }
  __syncthreads();
  if (room.ticket + 1 != gridDim.x) return;

  best = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += sort_threads) {
    const std::uint64_t key = read_fresh(c.found + i);
    best = key > best ? key : best;
  }
  find_greatest(room, best);
  if (threadIdx.x != 0) return;
  *c.arrived = 0;
  const token_id id = index_of_ranked(room.keys[0]);
  const bool told = room.keys[0] != ~std::uint64_t{0} && number_of_ranked(room.keys[0]) != -INFINITY &&
                    static_cast<size_t>(id) < call.known;
  *call.chosen = told ? id : no_token;
  *call.row = ops::next_row(*call.row, told ? id : 0, call.looked_up);
}
void device::run(const gc::next_row& c) {
  const size_t blocks = (c.call.vocab + sort_size - 1) / sort_size;
  in_->launch("next_row", &choose_next_row, blocks, sort_threads, sizeof(choice_room), c);
}

}  // namespace g4::G4_SPACE
