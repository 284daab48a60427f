// Attention over a cache and among neighbours, and the greatest of many numbers: blocks whose warps meet.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "g4/ops/attend_near.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

// ---- Over a cache ----------------------------------------------------------------------------------------------------

constexpr unsigned attend_warps = 4;

/// Number i of a cached row.
G4_DEVICE float cached_number(const gc::text_rows& of, const std::byte* base, size_t head, std::int64_t at, size_t i) {
  const auto* const row = reinterpret_cast<const byte*>(base) +
                          (head * of.cache.slots + static_cast<size_t>(at) % of.cache.slots) * of.row_bytes;
  if (of.cache.type == storage::q8_0) return number_at<storage::q8_0>(row, i);
  return of.cache.type == storage::f16 ? number_at<storage::f16>(row, i) : number_at<storage::f32>(row, i);
}

/// One block a query head of a row. Each warp takes every fourth tile of 32 keys, a lane a key, and keeps what it has
/// mixed so far by the greatest score it has seen; at the end the warps' parts are added in order.
///
/// shared   q [d], mixed [4][d], weights [4][32], greatest [4], sums [4]
G4_KERNEL void __launch_bounds__(attend_warps* warp_size) attend_head(gc::attend c) {
  begin_in_turn();
  const size_t t = blockIdx.x, h = blockIdx.y, d = c.of.cache.head_size;
  if (c.of.rows[t].text != c.of.text) return;
  const unsigned warp = warp_index(), lane = lane_index();
  const size_t head = h / (c.call.heads / c.of.cache.heads);
  G4_SHARED(float, room);
  float* const q = room;
  float* const mixed = q + d;
  float* const my_mixed = mixed + warp * d;
  float* const weights = mixed + attend_warps * d + warp * warp_size;
  float* const greatest = mixed + attend_warps * (d + warp_size);
  float* const sums = greatest + attend_warps;

  for (size_t i = threadIdx.x; i < d; i += attend_warps * warp_size)
    q[i] = c.call.query[(t * c.call.heads + h) * d + i];
  for (size_t i = lane; i < d; i += warp_size) my_mixed[i] = 0;
  __syncthreads();

  const std::int64_t last = index_of(c.call.keys[t].last);
  float most = -INFINITY, sum = 0;
  for (std::int64_t tile = index_of(c.call.keys[t].first) + warp * warp_size; tile < last;
       tile += attend_warps * warp_size) {
    const std::int64_t at = tile + lane;
    float score = -INFINITY;
    if (at < last) {
      float product = 0;
      G4_NO_UNROLL  // every storage's way to a number, several times over, is more than registers hold
      for (size_t i = 0; i < d; ++i) product += q[i] * cached_number(c.of, c.of.cache.keys, head, at, i);
      score = product * c.call.scale;
      if (c.call.soft_cap != 0) score = c.call.soft_cap * std::tanh(score / c.call.soft_cap) + 0 * score;
    }
    const float before = most;
    most = fmaxf(most, warp_max::run(score));
    const float weight = at < last ? expf(score - most) : 0.0f;
    const float fade = before == -INFINITY ? 0.0f : expf(before - most);
    sum = sum * fade + warp_sum(weight);
    weights[lane] = weight;
    __syncwarp();
    const auto count = static_cast<unsigned>(last - tile < warp_size ? last - tile : warp_size);
    for (size_t i = lane; i < d; i += warp_size) {
      float y = my_mixed[i] * fade;
      G4_NO_UNROLL
      for (unsigned j = 0; j < count; ++j) y += weights[j] * cached_number(c.of, c.of.cache.values, head, tile + j, i);
      my_mixed[i] = y;
    }
    __syncwarp();
  }
  if (lane == 0) {
    greatest[warp] = most;
    sums[warp] = sum;
  }
  __syncthreads();

  float overall = -INFINITY, whole = 0;
  for (unsigned w = 0; w < attend_warps; ++w) overall = fmaxf(overall, greatest[w]);
  float share[attend_warps];
  G4_UNROLL
  for (unsigned w = 0; w < attend_warps; ++w) {
    share[w] = greatest[w] == -INFINITY ? 0.0f : expf(greatest[w] - overall);
    whole += sums[w] * share[w];
  }
  for (size_t i = threadIdx.x; i < d; i += attend_warps * warp_size) {
    float y = 0;
    G4_UNROLL
    for (unsigned w = 0; w < attend_warps; ++w) y += mixed[w * d + i] * share[w];
    c.call.out[(t * c.call.heads + h) * d + i] = y / whole;
  }
}

void device::run(const gc::attend& c) {
  const size_t floats = c.of.cache.head_size * (attend_warps + 1) + attend_warps * (warp_size + 2);
  in_->launch("attend", &attend_head, {c.call.tokens, c.call.heads}, attend_warps * warp_size, floats * sizeof(float), c);
}

// ---- Among neighbours ------------------------------------------------------------------------------------------------

/// One warp a head of a row, a lane a neighbour.
///
/// shared   q [d], scores [past + ahead]
G4_KERNEL void attend_neighbours(gc::attend_near c) {
  begin_in_turn();
  const ops::near_attention<float>& a = c.call;
  const size_t t = blockIdx.x, h = blockIdx.y, d = a.head_size, width = a.heads * d;
  const unsigned lane = lane_index();
  G4_SHARED(float, room);
  float* const q = room;
  float* const scores = q + d;
  const size_t from = t + 1 > a.past ? t + 1 - a.past : 0, ahead = a.ahead > 1 ? a.ahead : 1;
  const size_t to = t + ahead < a.rows ? t + ahead : a.rows;

  for (size_t i = lane; i < d; i += warp_size) {
    const float number = a.per_number[i];
    q[i] = a.query[t * width + h * d + i] * (a.query_scale * (a.softened ? number : ops::softplus(number)));
  }
  __syncwarp();
  float most = -INFINITY, sum = 0;
  for (size_t s = from + lane; s < to; s += warp_size) {
    const float* const k = a.key + s * width + h * d;
    float product = 0, far = 0;
    for (size_t i = 0; i < d; ++i) product += q[i] * (k[i] * a.key_scale);
    if (const size_t j = a.self + s - t; j < a.distances) {
      const float* const r = a.distance + j * width + h * d;
      for (size_t i = 0; i < d; ++i) far += q[i] * r[i];
    }
    scores[s - from] = a.cap * std::tanh((product + far) / a.cap);
    most = fmaxf(most, scores[s - from]);
  }
  most = warp_max::run(most);
  for (size_t s = from + lane; s < to; s += warp_size) sum += scores[s - from] = expf(scores[s - from] - most);
  sum = warp_sum(sum);
  __syncwarp();
  for (size_t i = lane; i < d; i += warp_size) {
    float y = 0;
    for (size_t s = from; s < to; ++s) y += scores[s - from] / sum * a.value[s * width + h * d + i];
    a.out[t * width + h * d + i] = y;
  }
}

void device::run(const gc::attend_near& c) {
  const size_t floats = c.call.head_size + c.call.past + c.call.ahead;
  in_->launch("attend_near", &attend_neighbours, {c.call.rows, c.call.heads}, warp_size, floats * sizeof(float), c);
}

// ---- The greatest ----------------------------------------------------------------------------------------------------

constexpr unsigned best_threads = 256;

/// Whether a is before b: greater, or of the smaller id where they are equal. What is no number is before nothing.
G4_DEVICE bool is_better(float a, token_id id_a, float b, token_id id_b) { return a > b || (a == b && id_a < id_b); }

/// One block: each thread its own numbers, then one thread theirs.
///
/// shared   number [256], least [256], id [256]
G4_KERNEL void __launch_bounds__(best_threads) best_of_all(gc::best c) {
  begin_in_turn();
  G4_SHARED(float, numbers);
  float* const smallest = numbers + best_threads;
  auto* const ids = reinterpret_cast<token_id*>(smallest + best_threads);
  const unsigned me = threadIdx.x;
  float most = -INFINITY, least = INFINITY;
  token_id found = INT32_MAX;
  for (size_t i = me; i < c.n; i += best_threads) {
    const token_id id = c.ids != nullptr ? c.ids[i] : static_cast<token_id>(i);
    if (is_better(c.x[i], id, most, found)) {
      most = c.x[i];
      found = id;
    }
    least = fminf(least, c.x[i]);
  }
  numbers[me] = most;
  smallest[me] = least;
  ids[me] = found;
  __syncthreads();
  if (me != 0) return;
  for (unsigned i = 1; i < best_threads; ++i) {
    if (is_better(numbers[i], ids[i], most, found)) {
      most = numbers[i];
      found = ids[i];
    }
    least = fminf(least, smallest[i]);
  }
  *c.index = found == INT32_MAX ? 0 : found;
  if (c.least != nullptr) *c.least = least;
}

void device::run(const gc::best& c) {
  in_->launch("best", &best_of_all, 1, best_threads, 3 * best_threads * sizeof(float), c);
}

}  // namespace g4::G4_SPACE
