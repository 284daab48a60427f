/// What a SIMD kernel is told: plain structs of pointers and sizes.
///
/// `kernels/cpu/<op>-inl.h` has the kernels; `backend/cpu/simd.h` and what it includes split an operation into calls like
/// these, one per task of the pool. A call never splits a sum, so the number of threads cannot change a result.
#pragma once

#include <cstddef>
#include <cstdint>

#include "g4/backend/cpu/panels.h"
#include "g4/backend/cpu/rank.h"
#include "g4/ops/attend_all.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/plane.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/matrix.h"

namespace g4::cpu {

/// Rows [first, first + count) of y = x · Wᵀ, with the weights as stored and all arithmetic in float32.
///
/// x, y      [tokens, w.columns], [tokens, w.rows], of which a row begins `apart()` behind the one before it
/// scratch   `matmul_scratch(w)` floats, used by this call alone
struct matmul_call {
  matrix_view w;
  const float* x = nullptr;
  std::size_t tokens = 0;
  float* y = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;
  float* scratch = nullptr;
  std::size_t room = 0;  ///< of a row of y; 0: for w.rows
  [[nodiscard]] std::size_t apart() const { return room != 0 ? room : w.rows; }
};

/// Rows of weights that are turned into floats together when several tokens share them.
inline constexpr std::size_t matmul_tile_rows = 4;

[[nodiscard]] constexpr std::size_t matmul_scratch(const matrix_view& w) { return matmul_tile_rows * (w.columns + 64); }

/// Activations as integers: x ≈ levels · step, one step per block of 32 columns.
///
/// levels   [tokens, blocks, 32]    columns beyond the row's end are nought
/// step     [tokens, blocks]
/// sum      [tokens, blocks, 2]     sums of the block's first and last 16 levels
/// total    [tokens, blocks]        step · (both sums): what a weight's minimum is multiplied with
/// digits   [tokens, blocks, 2, 32] of 16-bit levels, where they are not null: level = digit₀ + 128 · digit₁ with
///          −64 ≤ digit ≤ 64, in the order of the columns
template <class Level>
struct rounded_activations {
  Level* levels = nullptr;
  float* step = nullptr;
  std::int32_t* sum = nullptr;
  float* total = nullptr;
  std::size_t blocks = 0;
  std::int8_t* digits = nullptr;
};
using activations = rounded_activations<std::int16_t>;  ///< |level| ≤ activation_top; see `quantise` for their order
using byte_activations = rounded_activations<std::int8_t>;  ///< |level| ≤ 127

/// 13 bits and a sign: 32 products of two such levels still sum inside an int32. A weight's level times its sub-block's
/// scale reaches no more than ±4096 (Q6_K).
inline constexpr int activation_top = 8191;
/// The same of weights that are plain floats.
inline constexpr int weight_top = 8191;
static_assert(32LL * activation_top * weight_top < 1LL << 31);

template <class Level>
struct rounding_call {
  const float* x = nullptr;  ///< [tokens, columns]
  std::size_t columns = 0;
  std::size_t first = 0;  ///< tokens [first, first + count) are done by this call
  std::size_t count = 0;
  rounded_activations<Level> out;
};
using quantise_call = rounding_call<std::int16_t>;
using quantise_bytes_call = rounding_call<std::int8_t>;

/// Panels [first, first + count) of w in the kernels' order, one after the other in `out`.
///
/// scratch   a panel in the order of words, where `order` is another
/// groups    of a panel in the order of nibbles
struct to_panels_call {
  matrix_view w;
  std::size_t first = 0;
  std::size_t count = 0;
  std::byte* out = nullptr;
  panel_order order = panel_order::words;
  std::byte* scratch = nullptr;
  const std::uint16_t* groups = nullptr;
};

/// Panels of Q8_0 in the order of nibbles, in the order of words.
struct nibbles_to_words_call {
  const std::byte* panels = nullptr;
  const std::uint16_t* groups = nullptr;
  std::size_t columns = 0;
  std::size_t count = 0;
  std::byte* out = nullptr;
};

/// Panels [first, first + count) of y = x · Wᵀ with 16-bit activations; a panel is 16 rows of W.
///
/// scratch   `product_scratch` bytes
struct product_call {
  const std::byte* w = nullptr;  ///< panel `first`; of plain floats that are in no panels, its first row as stored
  storage origin = storage::f32;
  std::size_t rows = 0;
  std::size_t columns = 0;
  activations x;
  std::size_t tokens = 0;
  float* y = nullptr;  ///< [tokens, rows], of which a row begins `apart()` behind the one before it
  std::size_t first = 0;
  std::size_t count = 0;
  std::byte* scratch = nullptr;
  byte_activations bytes;  ///< in place of `x` where its levels are not null
  bool in_levels = false;  ///< w is panels in the order of levels
  std::size_t room = 0;    ///< of a row of y; 0: for `rows`
  [[nodiscard]] std::size_t apart() const { return room != 0 ? room : rows; }
};

/// Blocks of 32 columns that are widened at a time: 64 KB for a panel. A whole number of 256-column blocks.
inline constexpr std::size_t wide_blocks = 64;
inline constexpr std::size_t wide_bytes = wide_blocks * (1024 + 192);

/// Bytes that products by tiles work in: levels split into tiles, and the sums of two blocks.
inline constexpr std::size_t amx_scratch = 16 * 1024 + 2 * 3 * 1024;

/// Bytes a product_call works in: two panels' pieces in 16 bits, with three floats per block and row; then `amx_scratch`.
inline constexpr std::size_t product_scratch = 2 * wide_bytes + amx_scratch;

/// Panels [first, first + count) of a weight in the order of nibbles times one token: the products that can be among the
/// greatest, −∞ for rows that cannot. See `backend/cpu/rank.h`.
///
/// scratch   `rank_scratch` bytes
struct rank_call {
  const std::byte* panels = nullptr;  ///< panel 0
  std::size_t rows = 0;
  std::size_t columns = 0;
  activations x;  ///< one token's
  const rank_plan* plan = nullptr;
  std::size_t first_check = 0;  ///< stages of lower nibbles read before a panel is first given up
  float* y = nullptr;           ///< [rows]
  std::size_t first = 0;
  std::size_t count = 0;
  best_rows* best = nullptr;  ///< its `checked` and `kept` grow by the panels that the first check saw and kept
  std::byte* scratch = nullptr;
};

inline constexpr std::size_t rank_batch_most = 64;
/// Panels whose sums are kept while others are begun, so that what they read next has time to arrive: 4 to `rank_batch_most`.
[[nodiscard]] constexpr std::size_t rank_batch(std::size_t columns) {
  const std::size_t fit = (std::size_t{128} << 10) / (columns / 32 * 64);  // in the second-level cache
  return fit < 4 ? 4 : fit > rank_batch_most ? rank_batch_most : fit;
}
[[nodiscard]] constexpr std::size_t rank_scratch(std::size_t columns) {
  return rank_batch(columns) * (columns / 32 * 64);
}

struct norm_call {
  const float* x = nullptr;
  const float* scale = nullptr;  ///< [width], or null
  float* y = nullptr;            ///< written, or added to when `add`
  std::size_t tokens = 0;
  std::size_t width = 0;
  float eps = 0.0f;
  bool add = false;
};

/// Rows [first, first + count) of a plane's channels, each with its own kernel.
struct depthwise_call {
  const float* x = nullptr;       ///< [height, width, channels]
  const float* kernel = nullptr;  ///< [side, side, channels]
  ops::plane of;
  std::size_t first = 0;
  std::size_t count = 0;
  float* y = nullptr;  ///< [rows, columns, channels]
};

struct rope_call {
  float* x = nullptr;  ///< [tokens, heads, d]
  std::size_t tokens = 0;
  std::size_t heads = 0;
  std::size_t d = 0;
  const float* cos = nullptr;  ///< [tokens, d/2]
  const float* sin = nullptr;
};

/// Keys and values [T, K, d] of tokens [first, first + count) go to the slots of positions at + first, … of an i16 cache.
struct store_call {
  const cache_view* cache = nullptr;
  const float* keys = nullptr;
  const float* values = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;
  position at{};
};

/// Attention of query heads [head, head + group) for tokens [token, token + count); all of them read key/value head
/// `cache_head`.
///
/// Keys are taken in stretches of `attend_keys` positions. With `partial`, only stretch `stretch` is read, and what it gives
/// (`attend_partial_floats(d)` floats per query) is written there instead of to `out`, for `join_attention` to put together.
/// Alone or together, the stretches' sums are formed and added in one order: a split changes no bit.
///
/// scratch   `attend_scratch(d)` floats
struct attend_call {
  const cache_view* cache = nullptr;
  const attention_call<float>* call = nullptr;
  std::size_t cache_head = 0;
  std::size_t head = 0;
  std::size_t group = 0;
  std::size_t token = 0;
  std::size_t count = 0;
  float* scratch = nullptr;
  float* partial = nullptr;
  std::int64_t stretch = 0;
};

/// Partial sums of the same queries, in the order of their stretches, become `out`.
///
/// type      the cache's
/// partials  [stretches, stride, attend_partial_floats(d)], of which `queries` rows are used
/// scratch   `attend_partial_floats(d)` floats
struct join_call {
  storage type = storage::f32;
  const float* partials = nullptr;
  std::size_t stretches = 0;
  std::size_t stride = 0;
  std::size_t queries = 0;
  std::size_t d = 0;
  float* out = nullptr;  ///< [queries, d]
  float* scratch = nullptr;
};

/// Queries (tokens × heads) of one attention task.
inline constexpr std::size_t attend_queries = 32;
/// Keys scored before they are mixed, and the piece in which a long cache is split over threads. Keys and values of a
/// stretch (256 KB at 16 bits and d = 256) stay in the second-level cache while a task's queries pass over them.
inline constexpr std::size_t attend_keys = 256;
/// Rows that are turned into floats at a time, where a cache holds neither floats nor 16-bit levels.
inline constexpr std::size_t attend_unpacked = 64;

/// A query's sums over some keys, padded to whole vectors, with their maximum and sum of weights.
[[nodiscard]] constexpr std::size_t attend_width(std::size_t d) { return (d + 31) / 32 * 32; }
[[nodiscard]] constexpr std::size_t attend_partial_floats(std::size_t d) { return attend_width(d) + 16; }

[[nodiscard]] constexpr std::size_t attend_scratch(std::size_t d) {
  constexpr std::size_t stride = attend_keys + 32;
  // Queries and weights in 16 bits, scores, a stretch's sums and all sums; rows as floats; the rows' steps.
  return attend_queries * (attend_width(d) / 2 + stride / 2 + stride + 2 * attend_partial_floats(d)) +
         attend_unpacked * (d + 64) + 2 * stride;
}

/// Attention of every row to every other: numbers of a key, and columns of values, as they are packed.
[[nodiscard]] constexpr std::size_t attend_all_depth(std::size_t d) { return (d + 1) / 2 * 2; }
[[nodiscard]] constexpr std::size_t attend_all_width(std::size_t d) { return (d + 15) / 16 * 16; }
inline constexpr std::size_t attend_all_most = 512;  ///< numbers of a head

/// Bytes of a packed stretch of `attend_keys` keys and values of one head.
[[nodiscard]] constexpr std::size_t attend_all_stretch_bytes(std::size_t d) {
  const std::size_t numbers = attend_all_depth(d) + attend_all_width(d);
  return (attend_keys * (numbers * sizeof(std::int16_t) + sizeof(float)) + attend_all_width(d) * sizeof(float) + 63) /
         64 * 64;
}

/// Keys and values of a stretch of one key/value head, into `attend_all_stretch_bytes(d)` bytes.
struct pack_all_call {
  const ops::all_attention<float>* of = nullptr;
  std::size_t head = 0;
  std::size_t stretch = 0;
  std::byte* packed = nullptr;
};

/// Queries [first, first + count) of one head, `attend_queries` at most, over all stretches of its keys.
///
/// packed    the stretches, one after the other
/// scratch   `attend_all_scratch(d)` floats
struct attend_all_call {
  const ops::all_attention<float>* of = nullptr;
  std::size_t head = 0;
  std::size_t first = 0;
  std::size_t count = 0;
  std::byte* packed = nullptr;
  float* scratch = nullptr;
};
[[nodiscard]] constexpr std::size_t attend_all_scratch(std::size_t d) {
  return attend_queries * (attend_keys + attend_all_width(d) + attend_keys / 2 + attend_width(d) / 2 + 1);
}

struct layer_norm_call {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;  ///< or null
  float* y = nullptr;
  std::size_t rows = 0;
  std::size_t width = 0;
  float eps = 0.0f;
};

struct convolve_call {
  const float* x = nullptr;       ///< [rows, width], from the first row on
  const float* kernel = nullptr;  ///< [width, side]
  std::size_t first = 0;
  std::size_t count = 0;
  std::size_t width = 0;
  std::size_t side = 0;
  float* y = nullptr;
};

/// Rows [first, first + count); scratch: `near_scratch` floats.
struct near_call {
  const ops::near_attention<float>* of = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;
  float* scratch = nullptr;
};
[[nodiscard]] constexpr std::size_t near_scratch(const ops::near_attention<float>& a) {
  return 2 * (a.head_size + 16) + a.past + a.ahead + 48;
}

/// The compiled kernels (kernels/cpu/*.cc). Each picks the best SIMD target of the machine it runs on.
struct kernels {
  static void matmul(const matmul_call& call);
  static void unpack(storage type, const std::byte* block, std::size_t n, float* y);
  static void quantise(const quantise_call& call);
  static void to_panels(const to_panels_call& call);
  static void nibbles_to_words(const nibbles_to_words_call& call);
  static void rank(const rank_call& call);
  [[nodiscard]] static bool ranking_pays();  ///< whether the greatest product alone is found faster than all are computed
  static void panel_matmul_32(const product_call& call);  ///< Q4_0, Q4_1, Q8_0, and plain floats
  static void panel_matmul_q5(const product_call& call);  ///< Q5_0, Q5_1
  static void panel_matmul_q2_k(const product_call& call);
  static void panel_matmul_q3_k(const product_call& call);
  static void panel_matmul_q4_k(const product_call& call);
  static void panel_matmul_q5_k(const product_call& call);
  static void panel_matmul_q6_k(const product_call& call);
  static void panel_matmul_iq4(const product_call& call);  ///< IQ4_NL, IQ4_XS
  static void panel_matmul_mxfp4(const product_call& call);
  static void quantise_bytes(const quantise_bytes_call& call);
  [[nodiscard]] static bool bytes_pay(storage type);  ///< whether 8-bit activations are faster than 16-bit ones
  static void panel_matmul_bytes(const product_call& call);    ///< 8-bit activations
  static void panel_matmul_bytes_k(const product_call& call);  ///< the same, Q2_K, Q3_K and Q6_K
  static void rms_norm(const norm_call& call);
  static void depthwise(const depthwise_call& call);
  static void rope(const rope_call& call);
  static void store(const store_call& call);
  static void attend(const attend_call& call);
  static void join_attention(const join_call& call);
  static void pack_all(const pack_all_call& call);
  static void attend_all(const attend_all_call& call);
  static void attend_near(const near_call& call);
  static void layer_norm(const layer_norm_call& call);
  static void rope_2d(const rope_call& call);
  static void convolve_back(const convolve_call& call);
  static void add(const float* x, std::size_t n, float* y);
  static void add_bias(float* y, const float* bias, std::size_t rows, std::size_t width);
  static void keep_within(const float* x, std::size_t n, float least, float most, float* y);
  static void silu(float* x, std::size_t n);
  static void glu(const float* x, std::size_t rows, std::size_t width, float* y);
  static void gelu_gate(float* gate, const float* up, std::size_t n);
  static void soft_cap(float* x, std::size_t n, float cap);
};

/// The kernel for the call's storage.
template <class Kernels>
void panel_matmul(const product_call& call) {
  if (call.bytes.levels != nullptr) {
    switch (call.origin) {
      case storage::q2_k:
      case storage::q3_k:
      case storage::q6_k: return Kernels::panel_matmul_bytes_k(call);
      default: return Kernels::panel_matmul_bytes(call);
    }
  }
  switch (call.origin) {
    case storage::q5_0:
    case storage::q5_1: return Kernels::panel_matmul_q5(call);
    case storage::q2_k: return Kernels::panel_matmul_q2_k(call);
    case storage::q3_k: return Kernels::panel_matmul_q3_k(call);
    case storage::q4_k: return Kernels::panel_matmul_q4_k(call);
    case storage::q5_k: return Kernels::panel_matmul_q5_k(call);
    case storage::q6_k: return Kernels::panel_matmul_q6_k(call);
    case storage::iq4_nl:
    case storage::iq4_xs: return Kernels::panel_matmul_iq4(call);
    case storage::mxfp4: return Kernels::panel_matmul_mxfp4(call);
    default: return Kernels::panel_matmul_32(call);
  }
}

}  // namespace g4::cpu
