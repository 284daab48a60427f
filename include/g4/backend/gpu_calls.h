/// What a GPU's kernels are called with: an operation of `backend/concept.h` as a plain struct of pointers into the
/// device's memory, and sizes. `backend/gpu.h` fills them in; `kernels/cuda` has a kernel for each.
///
/// The equations stand where the operations are defined (`backend/definitions/`, `ops/`). T counts rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/ops/attend_near.h"
#include "g4/ops/begin.h"
#include "g4/ops/convolve.h"
#include "g4/ops/cumulative_norm.h"
#include "g4/ops/next_row.h"
#include "g4/ops/plane.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"

namespace g4::gpu_calls {

/// A weight [rows, columns] as it lies in the file, in the device's memory.
struct stored_matrix {
  const std::byte* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;  ///< bytes from one row to the next
  storage type = storage::f32;
  friend bool operator==(const stored_matrix&, const stored_matrix&) = default;
};
[[nodiscard]] inline stored_matrix stored(const matrix_view& w) {
  return {w.data, w.rows, w.columns, w.stride(), w.type};
}

// clang-format off
// ---- One thread a number: `count` of them ----------------------------------------------------------------------------

struct fill { std::size_t count; float* y; float value; };
struct scale { std::size_t count; float* x; float factor; };
struct scale_by { std::size_t count; float* x; const float* factor; };
struct divide { std::size_t count; float* x; float divisor; };
struct scale_columns { std::size_t count; const float* x; const float* scale; std::size_t width; float* y; };
struct add { std::size_t count; const float* x; float* y; };
struct add_three { std::size_t count; const float *a, *b, *c; float factor; float* y; };
struct add_bias { std::size_t count; float* y; const float* bias; std::size_t width; };
struct add_weighted { std::size_t count; const float* x; const float* weight; std::size_t stride, width; float* y; };
struct tanh { std::size_t count; float* x; };
struct soft_cap { std::size_t count; float* x; float cap; };
struct gelu_gate { std::size_t count; float* gate; const float* up; };
struct embed { std::size_t count; stored_matrix table; const token_id* ids; float scale; float* y; };
struct mix_embedded { std::size_t count; stored_matrix table; const token_id* ids; float scale, factor; float* y; };
struct mean_rows { std::size_t count; const float* x; std::size_t rows; float* y; };
struct begin_ids { std::size_t count; const pass_row* rows; token_id *ids, *looked_up; };
struct visible { std::size_t count; const pass_row* rows; key_mask mask; key_range* keys; };
struct turn_angles {
  std::size_t count;  ///< T · half
  const pass_row* rows;
  const double* frequencies;
  std::size_t half;
  std::int64_t first_position;
  float *cos, *sin;
};
struct rope { std::size_t count; float* x; std::size_t heads, d; const float *cos, *sin; };
struct rope_2d { std::size_t count; float* x; std::size_t heads, d; const float *cos, *sin; };
/// A cache of one text, and the rows of a pass that are of that text: those of others are left alone.
struct text_rows {
  cache_view cache;
  std::size_t row_bytes;  ///< of a head's keys, or values
  const pass_row* rows;   ///< [T]
  std::int32_t text;
};
/// `count` is T · K · the blocks of 32 numbers in a head.
struct store { std::size_t count; text_rows into; const float *keys, *values; };
/// Heads of T rows, each normed, turned and kept: `composed::turn_heads`. `rows` is T · (query heads + key heads).
struct turn_heads {
  std::size_t rows;
  heads_call<float> call;
  text_rows into;
};
struct altup_predict { std::size_t count; const float *h, *coefficients; std::size_t streams, rows, width; float* y; };
struct altup_correct {
  std::size_t count;
  const float *predicted, *y, *coefficients;
  std::size_t streams, active, rows, width;
  float* h;
};
struct unscored { std::size_t count; float* logits; const float* least; };

struct centre { std::size_t count; float* x; };
struct gelu { std::size_t count; float* x; };
struct clamp { std::size_t count; const float *x, *low, *high; float* y; };
struct standardise { std::size_t count; float* y; const float *bias, *scale; std::size_t width; };
struct mean_groups { std::size_t count; const float* x; const token_id* of; std::size_t size, width; float* y; };
struct keep_within { std::size_t count; const float* x; float least, most; float* y; };
struct silu { std::size_t count; float* x; };
struct relu { std::size_t count; float* x; };
struct glu { std::size_t count; const float* x; std::size_t width; float* y; };
struct unfold { std::size_t count; const float* x; ops::squares plane; std::size_t first; float* y; };
struct unfold_plane { std::size_t count; const float* x; ops::plane plane; std::size_t first; float* y; };
struct depthwise { std::size_t count; const float* x; const float* kernel; ops::plane plane; float* y; };
struct lay_beside { std::size_t count; const float* x; const token_id* of; std::size_t width, stride; float* y; };
/// Steps of a cumulative norm. One thread: sums of rows of `width` become means over all up to each.
struct running_mean { std::size_t count; double* of; std::size_t rows, width; };
struct scale_cumulated { std::size_t count; const float* x; const double *mean, *variance; ops::cumulative_norm norm; float* y; };
struct convolve_back { std::size_t count; const float* x; const float* kernel; std::size_t width, side; float* y; };

// ---- One warp a row --------------------------------------------------------------------------------------------------

/// x += rms_norm(delta) · closing, and y = rms_norm(x) · opening.
struct close_and_open {
  std::size_t rows;
  float* x;
  const float *delta, *closing, *opening;
  std::size_t width;
  float eps;
  float* y;
};
struct rms_norm { std::size_t rows; const float *x, *scale; std::size_t width; float eps; float* y; };
struct add_norm { std::size_t rows; float* x; const float *delta, *scale; std::size_t width; float eps; };
struct layer_norm { std::size_t rows; const float *x, *weight, *bias; std::size_t width; float eps; float* y; };
/// Σ x of a row, or Σ (x − mean)² where there is a mean, in double.
struct cumulated_sums { std::size_t rows; const float* x; std::size_t width; const double* mean; double* sums; };
struct sparsify { std::size_t rows; float* x; std::size_t width; float z; };
struct match_magnitude { std::size_t rows; const float* model; std::size_t width; float* x; };
struct unit { std::size_t rows; const float* x; std::size_t width; float* y; };
struct route {
  std::size_t rows;
  float* logits;
  std::size_t experts, k;
  const float* expert_scale;
  std::int32_t* choice;
  float* weight;
};
/// The k best of n clusters, and the scores of their tokens: `rows` of them, in the clusters' order.
struct best_clusters { std::size_t rows; const float* scores; std::size_t clusters, k; std::int32_t* choice; };
struct cluster_scores {
  std::size_t rows;
  stored_matrix table;
  const float* h;
  const std::int32_t *ordering, *choice;
  std::size_t per_cluster;
  float* score;     ///< [rows]
  token_id* ids;    ///< [rows]
  float* logits;    ///< [V] or null
};
/// y[t] = part of the weight chosen by row t · x[t]: rows [first_row, first_row + out) of expert choice[t · stride].
struct expert_product {
  std::size_t rows;  ///< T · out
  const stored_matrix* experts;
  const std::int32_t* choice;
  std::size_t stride, first_row, out;
  const float* x;
  float* y;
};

// ---- Of their own shapes ---------------------------------------------------------------------------------------------

/// y [T, w.rows] = x [T, w.columns] · wᵀ
struct product { stored_matrix w; const float* x; std::size_t tokens; float* y; };
/// The same with weights in panels, of half floats with sums in float32; and how a weight gets there. Several of one storage
/// and one input are one call: y_i = x · w_iᵀ, or, gated, y_0 = gelu_tanh(x · w_0ᵀ) ∘ (x · w_1ᵀ).
struct panel_product {
  struct part {
    const std::byte* panels;
    std::size_t rows;
    float* y;
  };
  static constexpr std::size_t most_parts = 3;
  storage type;
  std::size_t columns;
  const float* x;
  std::size_t tokens;
  bool gated;
  std::size_t count;
  part parts[most_parts];
};
/// The same of many tokens, for the products of warpgroups, in two calls. Activations go into tiles of 64 tokens
/// (`kernels/cuda/prompt_products.cu`), each chunk of a token's columns with a power of two of its own.
struct to_cores {
  static constexpr std::size_t tokens_of_tile = 64, block_bytes = 8448;  ///< of 32 columns of a tile
  const float* x;
  std::size_t columns, tokens, chunk;
  std::byte* cores;  ///< [tiles, columns / 32, block_bytes]
  float* unscale;    ///< [tiles, chunks, 64]
  [[nodiscard]] constexpr std::size_t tiles() const { return (tokens + tokens_of_tile - 1) / tokens_of_tile; }
  [[nodiscard]] constexpr std::size_t chunks() const { return (columns + chunk - 1) / chunk; }
  [[nodiscard]] constexpr std::size_t core_bytes() const { return tiles() * (columns / 32) * block_bytes; }
};
struct prompt_product {
  storage type;
  std::size_t columns;
  const std::byte* cores;
  const float* unscale;
  std::size_t tokens;
  const std::byte* panels;
  std::size_t rows;
  float* y;
};
struct to_panels { stored_matrix w; std::byte* panels; };
struct attend { text_rows of; attention_call<float> call; };
/// The same over a cache of half floats, in half floats with sums in float32. Stretches of 256 positions are apart; where
/// they run `at_once` each leaves its part in `parts`, and the one that ends last joins them, in the order of the text.
struct attend_halves {
  text_rows of;
  attention_call<float> call;
  bool at_once;
  std::size_t splits;  ///< most stretches that a tile of rows can see
  float* parts;        ///< [tiles, K, splits, 16, d + 2]
  unsigned* arrived;   ///< [tiles, K], noughts before and after
};
/// The k greatest of x [n], the greatest first, the smaller index of equals; k is at most 1024. In two calls: the best of
/// every 2048 numbers, then of those. What is no number comes last.
struct greatest_of_each { const float* x; std::size_t n, k; std::uint64_t* found; };
struct greatest { const std::uint64_t* found; std::size_t n, k; token_id* ids; float* values; };
struct attend_near { ops::near_attention<float> call; };
/// As `ops::next_row`: every block finds the greatest of 2048 logits, and whoever comes last the greatest of those.
struct next_row {
  next_row_call<float> call;
  std::uint64_t* found;  ///< [blocks]
  unsigned* arrived;     ///< nought before and after
};
/// The greatest of x [n]: its index where `ids` is null, else ids[index], the smallest of equals. `least` gets the smallest.
struct best { const float* x; std::size_t n; const token_id* ids; token_id* index; float* least; };

// clang-format on

// Every call, for whoever declares or defines something for each.
#define G4_GPU_CALLS_OF_NUMBERS(X)                                                                                     \
  X(fill)                                                                                                              \
  X(scale)                                                                                                             \
  X(scale_by)                                                                                                          \
  X(divide)                                                                                                            \
  X(scale_columns) X(add) X(add_three) X(add_bias) X(add_weighted) X(tanh) X(soft_cap) X(gelu_gate) X(embed)           \
      X(mix_embedded) X(mean_rows) X(begin_ids) X(visible) X(turn_angles) X(rope) X(rope_2d) X(store) X(altup_predict) \
          X(altup_correct) X(unscored) X(centre) X(gelu) X(clamp) X(standardise) X(mean_groups) X(keep_within) X(silu) \
              X(relu) X(glu) X(unfold) X(unfold_plane) X(depthwise) X(lay_beside) X(running_mean) X(scale_cumulated)   \
                  X(convolve_back)
#define G4_GPU_CALLS_OF_ROWS(X)                                                                                      \
  X(rms_norm)                                                                                                        \
  X(close_and_open) X(turn_heads) X(add_norm) X(layer_norm) X(cumulated_sums) X(sparsify) X(match_magnitude) X(unit) \
      X(route) X(best_clusters) X(cluster_scores) X(expert_product)
#define G4_GPU_CALLS(X)                                                                                          \
  G4_GPU_CALLS_OF_NUMBERS(X)                                                                                     \
  G4_GPU_CALLS_OF_ROWS(X)                                                                                        \
  X(product) X(panel_product) X(to_cores) X(prompt_product) X(to_panels) X(attend) X(attend_halves) X(attend_near) X(best) X(greatest_of_each) \
      X(greatest) X(next_row)

/// Columns of activations that share a power of two where a weight of this storage is multiplied in panels
/// (`kernels/cuda/products.cuh`).
[[nodiscard]] constexpr std::size_t panel_chunk(storage type) {
  return type == storage::q8_0 || type == storage::q6_k || type == storage::f32 ? 768 : 1024;
}

/// Bytes of a weight in panels of 16 rows (`kernels/cuda/panels.cuh`); 0 where it has no form there.
[[nodiscard]] constexpr std::size_t panel_bytes(const matrix_view& w) {
  struct step {
    std::size_t columns, bytes;
  };
  const step of = w.type == storage::q4_0                                                       ? step{32, 288}
                  : w.type == storage::q8_0                                                     ? step{32, 544}
                  : w.type == storage::q4_k                                                     ? step{256, 2368}
                  : w.type == storage::q6_k                                                     ? step{256, 4384}
                  : w.type == storage::f32                                                      ? step{32, 2112}
                  : w.type == storage::f16 || w.type == storage::bf16                           ? step{32, 1024}
                                                                                                : step{1, 0};
  if (w.columns % of.columns != 0) return 0;
  return (w.rows + 15) / 16 * (w.columns / of.columns) * of.bytes;
}

}  // namespace g4::gpu_calls
