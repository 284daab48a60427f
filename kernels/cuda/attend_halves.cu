// Attention over a cache of half floats: half floats multiplied, sums and softmax in float32.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "kernels/cuda/heads.cuh"
#include "kernels/cuda/inside.h"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

// A tile is 16 rows of queries that share a key head: row i of them is query head i mod G of token i / G, G = H / K. A stretch
// is 256 positions of the text, counted from its beginning: which stretches there are, and what one gives a row, depends on
// the row alone, so its bits do not depend on the rows beside it. Stretches are joined in the order of the text.
constexpr unsigned tile_rows = 16;
constexpr unsigned stretch = 256;
constexpr unsigned tile_warps = 4;
constexpr unsigned tile_threads = tile_warps * warp_size;
constexpr unsigned score_stride = stretch + 4;  // so that rows begin in different banks
constexpr unsigned weight_stride = stretch + 8;

/// What a tile's rows are, and how far each has come.
struct tile_state {
  std::int64_t first[tile_rows], last[tile_rows];  ///< keys that the row sees; none where it is of another text
  std::int64_t from, to;                           ///< keys that any of them sees
  float unscale[tile_rows];                        ///< what undoes the query's power of two
  float most[tile_rows], sum[tile_rows];           ///< of the stretch
  float so_far[tile_rows], whole[tile_rows];       ///< the same of all stretches that were joined
  float old_share[tile_rows], new_share[tile_rows];
  unsigned ticket;
};
struct tile_room {
  tile_state state;
  alignas(16) float scores[tile_rows][score_stride];
  alignas(16) std::uint16_t weights[tile_rows][weight_stride];
  alignas(16) std::uint16_t q[1];  ///< [16][q_stride]
};
/// Columns of a query's row: 16 columns at a time are multiplied, and rows begin in different banks.
constexpr size_t q_stride(size_t d) { return (d + 15) / 16 * 16 + 8; }

/// Takes a stretch (most, sum) into what was joined so far; the shares that both have of it. A stretch that a row sees nothing
/// of changes nothing.
G4_DEVICE void join(float& so_far, float& whole, float most, float sum, float& old_share, float& new_share) {
  old_share = 1, new_share = 0;
  if (sum == 0) return;
  const float now = fmaxf(so_far, most);
  old_share = so_far == -INFINITY ? 0.0f : expf(so_far - now);
  new_share = expf(most - now);
  whole = fmaf(sum, new_share, whole * old_share);
  so_far = now;
}

/// The tile's rows and queries: as half floats, each row times a power of two of its own. All threads, and they meet.
G4_DEVICE void begin_tile(tile_room& room, const gc::attend_halves& c, size_t head, size_t tile) {
  const size_t d = c.of.cache.head_size, stride = q_stride(d), group = c.call.heads / c.of.cache.heads;
  const unsigned lane = lane_index();
  for (unsigned r = warp_index(); r < tile_rows; r += tile_warps) {
    const size_t pair = tile * tile_rows + r, t = pair / group;
    const bool there = t < c.call.tokens && c.of.rows[t].text == c.of.text;
    const float* const q = c.call.query + (t * c.call.heads + head * group + pair % group) * d;
    float most = 0;
    if (there) {
      for (size_t i = lane; i < d; i += warp_size) most = fmaxf(most, fabsf(q[i]));
    }
    most = warp_max::run(most);
    const unsigned exponent = exponent_for_halves(most);
    for (size_t i = lane; i < stride; i += warp_size) {
      room.q[r * stride + i] = static_cast<std::uint16_t>(there && i < d ? half_bits(q[i] * power_of(exponent)) : 0);
    }
    if (lane != 0) continue;
    room.state.unscale[r] = undoing(exponent);
    room.state.first[r] = there ? index_of(c.call.keys[t].first) : 0;
    room.state.last[r] = there ? index_of(c.call.keys[t].last) : 0;
    room.state.so_far[r] = -INFINITY;
    room.state.whole[r] = 0;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    std::int64_t from = INT64_MAX, to = 0;
    for (unsigned r = 0; r < tile_rows; ++r) {
      if (room.state.first[r] >= room.state.last[r]) continue;
      from = room.state.first[r] < from ? room.state.first[r] : from;
      to = room.state.last[r] > to ? room.state.last[r] : to;
    }
    room.state.from = from < to ? from : to;
    room.state.to = to;
  }
  __syncthreads();
}

/// Scores of a stretch: warp w has 64 keys of it, eight at a time.
G4_DEVICE void score_stretch(tile_room& room, const gc::attend_halves& c, size_t head, std::int64_t begin) {
  const size_t d = c.of.cache.head_size, stride = q_stride(d);
  const unsigned warp = warp_index(), g = lane_index() / 4, t = lane_index() % 4;
  constexpr unsigned groups = stretch / tile_warps / 8;
  const std::uint16_t* keys[groups];
  float sums[groups][4] = {};
  G4_UNROLL
  for (unsigned j = 0; j < groups; ++j) {
    const std::int64_t at = begin + warp * (stretch / tile_warps) + 8 * j + g;
    const bool there = at >= room.state.from && at < room.state.to;
    keys[j] = there ? reinterpret_cast<const std::uint16_t*>(c.of.cache.keys + cached_at(c.of, head, at)) : nullptr;
  }
  // Of every 16 columns lane t has 4t … 4t+3, of queries and of keys: any order will do that is the same for both.
  for (size_t column = 4 * t; column < (d + 15) / 16 * 16; column += 16) {
    const auto upper = *reinterpret_cast<const uint2*>(room.q + g * stride + column);
    const auto lower = *reinterpret_cast<const uint2*>(room.q + (g + 8) * stride + column);
    const unsigned a[4] = {upper.x, lower.x, upper.y, lower.y};
    G4_UNROLL
    for (unsigned j = 0; j < groups; ++j) {
      uint2 four{0, 0};
      if (keys[j] != nullptr && column < d) four = *reinterpret_cast<const uint2*>(keys[j] + column);
      const unsigned b[2] = {four.x, four.y};
      mma_16x8x16::run(sums[j], a, b);
    }
  }
  G4_UNROLL
  for (unsigned j = 0; j < groups; ++j) {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = g + 8 * (i / 2), key = warp * (stretch / tile_warps) + 8 * j + 2 * t + i % 2;
      const std::int64_t at = begin + key;
      float score = sums[j][i] * room.state.unscale[row] * c.call.scale;
      if (c.call.soft_cap != 0) score = c.call.soft_cap * std::tanh(score / c.call.soft_cap) + 0 * score;
      const bool seen = at >= room.state.first[row] && at < room.state.last[row];
      room.scores[row][key] = seen ? score : -INFINITY;
    }
  }
}

/// Weights of a stretch as half floats, and their sums as they are rounded: warp w has every fourth row.
G4_DEVICE void weigh_stretch(tile_room& room) {
  tile_state& s = room.state;
  const unsigned lane = lane_index();
  for (unsigned r = warp_index(); r < tile_rows; r += tile_warps) {
    float most = -INFINITY, sum = 0;
    for (unsigned i = lane; i < stretch; i += warp_size) most = fmaxf(most, room.scores[r][i]);
    most = warp_max::run(most);
    for (unsigned i = lane; i < stretch; i += warp_size) {
      const float score = room.scores[r][i];
      const unsigned bits = score == -INFINITY ? 0 : half_bits(expf(score - most));  // what is no number stays none
      room.weights[r][i] = static_cast<std::uint16_t>(bits);
      sum += float_of_half(bits);
    }
    sum = warp_sum(sum);
    if (lane != 0) continue;
    s.most[r] = most;
    s.sum[r] = sum;
    join(s.so_far[r], s.whole[r], most, sum, s.old_share[r], s.new_share[r]);
  }
}

/// The j-th of four half floats.
G4_DEVICE unsigned half_of(uint2 four, unsigned j) { return (j < 2 ? four.x : four.y) >> (16 * (j % 2)) & 0xffff; }

/// Σ weight · value of a stretch: warp w has every fourth 32 columns. `take(row, column, number)` gets each once.
template <class Take>
G4_DEVICE void mix_stretch(tile_room& room, const gc::attend_halves& c, size_t head, std::int64_t begin, Take take) {
  const size_t d = c.of.cache.head_size;
  const unsigned g = lane_index() / 4, t = lane_index() % 4;
  for (size_t chunk = 32 * warp_index(); chunk < d; chunk += 32 * tile_warps) {
    // Column 4g + j of the 32 is column g of the j-th product: a lane reads four neighbours of a value at once.
    float sums[4][4] = {};
    const size_t mine = chunk + 4 * g;
    for (unsigned key = 0; key < stretch; key += 16) {
      if (begin + key + 16 <= room.state.from || begin + key >= room.state.to) continue;
      const auto upper = *reinterpret_cast<const uint2*>(&room.weights[g][key + 4 * t]);
      const auto lower = *reinterpret_cast<const uint2*>(&room.weights[g + 8][key + 4 * t]);
      const unsigned a[4] = {upper.x, lower.x, upper.y, lower.y};
      uint2 values[4];
      G4_UNROLL
      for (unsigned i = 0; i < 4; ++i) {
        const std::int64_t at = begin + key + 4 * t + i;
        const bool there = at >= room.state.from && at < room.state.to && mine < d;
        values[i] = uint2{0, 0};
        if (there) {
          const auto* const row = reinterpret_cast<const std::uint16_t*>(c.of.cache.values + cached_at(c.of, head, at));
          values[i] = *reinterpret_cast<const uint2*>(row + mine);
        }
      }
      G4_UNROLL
      for (unsigned j = 0; j < 4; ++j) {
        const unsigned b[2] = {half_of(values[0], j) | half_of(values[1], j) << 16,
                               half_of(values[2], j) | half_of(values[3], j) << 16};
        mma_16x8x16::run(sums[j], a, b);
      }
    }
    G4_UNROLL
    for (unsigned j = 0; j < 4; ++j) {
      for (unsigned i = 0; i < 4; ++i) {
        const size_t column = chunk + 8 * t + 4 * (i % 2) + j;
        if (column < d) take(g + 8 * (i / 2), column, sums[j][i]);
      }
    }
  }
}

/// Where row r of a tile ends up, or null.
G4_DEVICE float* out_of(const gc::attend_halves& c, const tile_state& s, size_t head, size_t tile, unsigned r) {
  if (s.first[r] >= s.last[r]) return nullptr;
  const size_t group = c.call.heads / c.of.cache.heads, pair = tile * tile_rows + r;
  return c.call.out + (pair / group * c.call.heads + head * group + pair % group) * c.of.cache.head_size;
}

/// The parts of all stretches in the order of the text, a row a warp.
G4_DEVICE void join_parts(tile_room& room, const gc::attend_halves& c, size_t head, size_t tile, const float* parts,
                          size_t count) {
  constexpr unsigned most_columns = 512 / warp_size;
  const size_t d = c.of.cache.head_size, part_floats = tile_rows * (d + 2);
  for (unsigned r = warp_index(); r < tile_rows; r += tile_warps) {
    float* const out = out_of(c, room.state, head, tile, r);
    if (out == nullptr) continue;
    for (size_t first = 0; first < d; first += 512) {
      float mixed[most_columns] = {};
      float so_far = -INFINITY, whole = 0;
      for (size_t z = 0; z < count; ++z) {
        const float* const part = parts + z * part_floats;
        float old_share, new_share;
        join(so_far, whole, read_fresh(part + 2 * r), read_fresh(part + 2 * r + 1), old_share, new_share);
        G4_UNROLL
        for (unsigned n = 0; n < most_columns; ++n) {
          const size_t i = first + lane_index() + n * warp_size;
          if (i >= d) continue;
          mixed[n] = fmaf(read_fresh(part + 2 * tile_rows + r * d + i), new_share, mixed[n] * old_share);
        }
      }
      G4_UNROLL
      for (unsigned n = 0; n < most_columns; ++n) {
        const size_t i = first + lane_index() + n * warp_size;
        if (i < d) out[i] = mixed[n] / whole;
      }
    }
  }
}

/// One block a tile and, where they run at once, a stretch of it; else the block has all stretches, one after the other.
G4_KERNEL void __launch_bounds__(tile_threads) attend_tile(gc::attend_halves c) {
  begin_in_turn();
  G4_SHARED(tile_room, shared);
  tile_room& room = *shared;
  tile_state& s = room.state;
  const size_t head = blockIdx.y, tile = blockIdx.x, d = c.of.cache.head_size;
  begin_tile(room, c, head, tile);
  if (s.from >= s.to) return;  // all rows are of other texts
  const std::int64_t first = s.from / stretch, count = (s.to - 1) / stretch + 1 - first;

  if (!c.at_once) {
    for (std::int64_t z = 0; z < count; ++z) {
      const std::int64_t begin = (first + z) * stretch;
      score_stretch(room, c, head, begin);
      __syncthreads();
      weigh_stretch(room);
      __syncthreads();
      mix_stretch(room, c, head, begin, [&](unsigned row, size_t column, float number) {
        float* const out = out_of(c, s, head, tile, row);
        if (out == nullptr) return;
        const float before = z == 0 ? 0.0f : out[column];
        const float mixed = fmaf(number, s.new_share[row], before * s.old_share[row]);
        out[column] = z + 1 == count ? mixed / s.whole[row] : mixed;
      });
      __syncthreads();  // the next stretch's weights are written where these were read
    }
    return;
  }

  const auto z = static_cast<std::int64_t>(blockIdx.z);
  if (z >= count) return;
  const std::int64_t begin = (first + z) * stretch;
  const size_t part_floats = tile_rows * (d + 2), of_tile = tile * c.of.cache.heads + head;
  float* const parts = c.parts + of_tile * c.splits * part_floats;
  float* const part = parts + static_cast<size_t>(z) * part_floats;
  score_stretch(room, c, head, begin);
  __syncthreads();
  weigh_stretch(room);
  __syncthreads();
  mix_stretch(room, c, head, begin,
              [&](unsigned row, size_t column, float number) { part[2 * tile_rows + row * d + column] = number; });
  if (threadIdx.x < tile_rows) {
    part[2 * threadIdx.x] = s.most[threadIdx.x];
    part[2 * threadIdx.x + 1] = s.sum[threadIdx.x];
  }
  __syncthreads();
  if (threadIdx.x == 0) s.ticket = take_ticket(c.arrived + of_tile);
  __syncthreads();
  if (s.ticket + 1 != count) return;
  join_parts(room, c, head, tile, parts, static_cast<size_t>(count));
  if (threadIdx.x == 0) c.arrived[of_tile] = 0;
}

void device::run(const gc::attend_halves& c) {
  const size_t K = c.of.cache.heads, d = c.of.cache.head_size;
  const size_t tiles = (c.call.tokens * (c.call.heads / K) + tile_rows - 1) / tile_rows;
  const size_t bytes = sizeof(tile_room) + tile_rows * q_stride(d) * sizeof(std::uint16_t);
  in_->launch("attend_halves", &attend_tile, {tiles, K, c.at_once ? c.splits : 1}, tile_threads, bytes, c);
}

}  // namespace g4::G4_SPACE
