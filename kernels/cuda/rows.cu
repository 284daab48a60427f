// Operations on rows: one warp each, its lanes 32 columns apart. What they mean is in `ops/`.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "g4/backend/gpu_calls.h"
#include "g4/ops/top_k.h"
#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/heads.cuh"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

// ---- Norms -----------------------------------------------------------------------------------------------------------

/// 1 / √(mean(x²) + eps), in all lanes.
G4_DEVICE float root_mean_inverse(const float* x, size_t width, float eps) {
  float squares = 0;
  for (size_t i = lane_index(); i < width; i += warp_size) squares += x[i] * x[i];
  return 1 / sqrtf(warp_sum(squares) / static_cast<float>(width) + eps);
}
G4_DEVICE void one_row(const gc::rms_norm& c, size_t t) {
  const float* const x = c.x + t * c.width;
  float* const y = c.y + t * c.width;
  const float factor = root_mean_inverse(x, c.width, c.eps);
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    y[i] = x[i] * factor * (c.scale != nullptr ? c.scale[i] : 1.0f);
  }
}
G4_DEVICE void one_row(const gc::add_norm& c, size_t t) {
  const float* const delta = c.delta + t * c.width;
  float* const x = c.x + t * c.width;
  const float factor = root_mean_inverse(delta, c.width, c.eps);
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    x[i] += delta[i] * factor * (c.scale != nullptr ? c.scale[i] : 1.0f);
  }
}

/// `one_row` of add_norm and of rms_norm: a lane reads again what it wrote itself.
G4_DEVICE void one_row(const gc::close_and_open& c, size_t t) {
  one_row(gc::add_norm{c.rows, c.x, c.delta, c.closing, c.width, c.eps}, t);
  one_row(gc::rms_norm{c.rows, c.x, c.opening, c.width, c.eps, c.y}, t);
}

// ---- Heads -----------------------------------------------------------------------------------------------------------

/// x = rope(rms_norm(x) · scale), of d numbers; a null scale leaves the norm out. A lane turns pairs, so it must have been
/// written what the other lanes have normed.
G4_DEVICE void norm_and_turn(float* x, const float* scale, size_t d, float eps, const float* cos, const float* sin) {
  if (scale != nullptr) {
    const float factor = root_mean_inverse(x, d, eps);
    for (size_t i = lane_index(); i < d; i += warp_size) x[i] = x[i] * factor * scale[i];
    __syncwarp();
  }
  for (size_t i = lane_index(); i < d / 2; i += warp_size) turn(x + i, x + i + d / 2, cos[i], sin[i]);
}
/// The query heads of a row, then its key heads with their values.
G4_DEVICE void one_row(const gc::turn_heads& c, size_t i) {
  const heads_call<float>& call = c.call;
  const size_t all = call.heads + call.key_heads, t = i / all, h = i % all, d = call.head_size;
  const float *const cos = call.cos + t * (d / 2), *const sin = call.sin + t * (d / 2);
  if (h < call.heads)
    return norm_and_turn(call.query + (t * call.heads + h) * d, call.query_norm, d, call.eps, cos, sin);
  const size_t head = h - call.heads, at = (t * call.key_heads + head) * d;
  float *const key = call.key + at, *const value = call.value + at;
  const float* const raw = call.raw_value + at;  // the key itself where K = V
  const float factor = call.value_normed ? root_mean_inverse(raw, d, call.eps) : 1.0f;
  for (size_t n = lane_index(); n < d; n += warp_size) value[n] = call.value_normed ? raw[n] * factor * 1.0f : raw[n];
  __syncwarp();
  norm_and_turn(key, call.key_norm, d, call.eps, cos, sin);
  __syncwarp();  // a block of the cache has numbers of other lanes
  for (size_t block = lane_index(); block < (d + 31) / 32; block += warp_size) {
    keep(c.into, t, head, 32 * block, key, value);
  }
}

struct moments {
  float mean, variance;
};
/// Of a row, the variance divided by n; in all lanes.
G4_DEVICE moments moments_of(const float* x, size_t n) {
  float sum = 0, squares = 0;
  for (size_t i = lane_index(); i < n; i += warp_size) sum += x[i];
  const float mean = warp_sum(sum) / static_cast<float>(n);
  for (size_t i = lane_index(); i < n; i += warp_size) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, warp_sum(squares) / static_cast<float>(n)};
}
G4_DEVICE void one_row(const gc::layer_norm& c, size_t t) {
  const float* const x = c.x + t * c.width;
  float* const y = c.y + t * c.width;
  const moments of = moments_of(x, c.width);
  const float factor = 1 / sqrtf(of.variance + c.eps);
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    y[i] = (x[i] - of.mean) * factor * c.weight[i] + (c.bias != nullptr ? c.bias[i] : 0.0f);
  }
}
G4_DEVICE void one_row(const gc::cumulated_sums& c, size_t t) {
  const float* const x = c.x + t * c.width;
  double sum = 0;
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    const double number = static_cast<double>(x[i]), away = c.mean != nullptr ? number - c.mean[t] : 0;
    sum += c.mean != nullptr ? away * away : number;
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) c.sums[t] = sum;
}
G4_DEVICE void one_row(const gc::sparsify& c, size_t t) {
  float* const x = c.x + t * c.width;
  const moments of = moments_of(x, c.width);
  const float cutoff = of.mean + c.z * sqrtf(of.variance);
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    x[i] = x[i] <= cutoff ? 0.0f : x[i] - cutoff;  // what is no number stays none
  }
}
G4_DEVICE void one_row(const gc::match_magnitude& c, size_t t) {
  const float* const model = c.model + t * c.width;
  float* const x = c.x + t * c.width;
  float squares[2] = {0, 0};
  for (size_t i = lane_index(); i < c.width; i += warp_size) {
    squares[0] += model[i] * model[i];
    squares[1] += x[i] * x[i];
  }
  warp_sums<2>::run(squares);
  const float wanted = squares[0] / static_cast<float>(c.width), found = squares[1] / static_cast<float>(c.width);
  constexpr float floor = 1e-5f;
  const float factor = sqrtf(wanted) / sqrtf(found > floor ? found : floor);
  for (size_t i = lane_index(); i < c.width; i += warp_size) x[i] *= factor;
}
G4_DEVICE void one_row(const gc::unit& c, size_t) {
  float squares = 0;
  for (size_t i = lane_index(); i < c.width; i += warp_size) squares += c.x[i] * c.x[i];
  const float length = sqrtf(warp_sum(squares));
  for (size_t i = lane_index(); i < c.width; i += warp_size) c.y[i] = c.x[i] / length;
}

// ---- Choosing --------------------------------------------------------------------------------------------------------

G4_DEVICE void one_row(const gc::route& c, size_t t) {
  float* const p = c.logits + t * c.experts;
  float most = -INFINITY, sum = 0;
  for (size_t e = lane_index(); e < c.experts; e += warp_size) most = fmaxf(most, p[e]);
  most = warp_max::run(most);
  for (size_t e = lane_index(); e < c.experts; e += warp_size) sum += p[e] = expf(p[e] - most);
  sum = warp_sum(sum);
  for (size_t e = lane_index(); e < c.experts; e += warp_size) p[e] /= sum;
  __syncwarp();
  if (lane_index() != 0) return;
  std::int32_t* const choice = c.choice + t * c.k;
  ops::top_k(p, c.experts, c.k, choice);
  float chosen = 0;
  for (size_t j = 0; j < c.k; ++j) chosen += p[choice[j]];
  for (size_t j = 0; j < c.k; ++j) c.weight[t * c.k + j] = p[choice[j]] / chosen * c.expert_scale[choice[j]];
}
G4_DEVICE void one_row(const gc::best_clusters& c, size_t) {
  if (lane_index() == 0) ops::top_k(c.scores, c.clusters, c.k, c.choice);
}

// ---- Products of single rows -----------------------------------------------------------------------------------------

/// Row `row` of w times x, in all lanes.
G4_DEVICE float dot(const gc::stored_matrix& w, size_t row, const float* x) {
  const byte* const at = row_of(w, row);
  float sum = 0;
  for (size_t i = lane_index(); i < w.columns; i += warp_size) sum += number_at(w.type, at, i) * x[i];
  return warp_sum(sum);
}
G4_DEVICE void one_row(const gc::cluster_scores& c, size_t i) {
  const auto cluster = static_cast<size_t>(c.choice[i / c.per_cluster]);
  const token_id id = c.ordering[cluster * c.per_cluster + i % c.per_cluster];
  const float score = dot(c.table, static_cast<size_t>(id), c.h);
  if (lane_index() != 0) return;
  c.score[i] = score;
  c.ids[i] = id;
  if (c.logits != nullptr) c.logits[id] = score;
}
G4_DEVICE void one_row(const gc::expert_product& c, size_t i) {
  const size_t t = i / c.out, row = c.first_row + i % c.out;
  const gc::stored_matrix& w = c.experts[c.choice[t * c.stride]];
  const float sum = dot(w, row, c.x + t * w.columns);
  if (lane_index() == 0) c.y[i] = sum;
}

// ---- The kernel ------------------------------------------------------------------------------------------------------

constexpr unsigned row_warps = 4;

template <class Call>
G4_KERNEL void each_row(Call c) {
  begin_in_turn();
  const size_t t = size_t{blockIdx.x} * row_warps + warp_index();
  if (t < c.rows) one_row(c, t);
}

#define G4_RUN(call)                                                                 \
  void device::run(const gc::call& c) {                                              \
    const size_t blocks = (c.rows + row_warps - 1) / row_warps;                      \
    in_->launch(#call, &each_row<gc::call>, blocks, row_warps* warp_size, 0, c);     \
  }
G4_GPU_CALLS_OF_ROWS(G4_RUN)

}  // namespace g4::G4_SPACE
