/// What the cpu and inline backends share: how an operation is cut into tasks, and the working memory of each worker.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "g4/backend/calls.h"
#include "g4/backend/concept.h"
#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
#include "g4/backend/working_memory.h"

namespace g4::backend {

/// How exactly a backend computes.
enum class numeric {
  exact,  ///< weights as stored, float32 activations and sums: ordinary float32 rounding against `reference<double>`
  fast,   ///< weights repacked by `prepare`, activations rounded to 14 bits per block of 32 before each product
};

struct simd_options {
  numeric mode = numeric::exact;
  g4::pool* pool = nullptr;  ///< the host's; null runs everything on the calling thread
};

/// Operations over `Kernels` (see `cpu::kernels`). Operations it does not have come from `reference<float>`.
///
/// One object serves one thread at a time. Working memory grows with the largest call seen, so after the first tokens
/// nothing is allocated. Results do not depend on the pool.
template <class Kernels>
class simd : public reference<float> {
 public:
  using options = simd_options;

  simd() = default;
  explicit simd(options choice) : mode_(choice.mode), pool_(choice.pool) {}

  [[nodiscard]] numeric mode() const { return mode_; }
  [[nodiscard]] std::size_t workers() const { return pool_ == nullptr ? 1 : pool_->workers(); }

  void embed(const matrix_view& table, std::size_t id, float scale, float* y) {
    Kernels::unpack(table.type, table.row(id), table.columns, y);
    for (std::size_t i = 0; i < table.columns; ++i) y[i] *= scale;
  }

  void matmul(const matrix_view& w, const float* x, std::size_t tokens, float* y) {
    const std::size_t stride = cpu::matmul_scratch(w);
    float* scratch = scratch_.take<float>(stride * workers());
    // A task is a few microseconds of reading, in whole tiles of rows.
    const std::size_t rows = split(w.rows, w.columns * tokens, cpu::matmul_tile_rows);
    run(w.rows, rows, [&](std::size_t first, std::size_t count, std::size_t worker) {
      Kernels::matmul({w, x, tokens, y, first, count, scratch + worker * stride});
    });
  }

  void rms_norm(const float* x, const float* scale, std::size_t tokens, std::size_t width, float eps, float* y) {
    normalise({x, scale, y, tokens, width, eps, false});
  }
  void add_norm(float* x, float* delta, const float* scale, std::size_t tokens, std::size_t width, float eps) {
    normalise({delta, scale, x, tokens, width, eps, true});
  }

  void rope(float* x, std::size_t tokens, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    run(tokens, split(tokens, 2 * heads * d, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      Kernels::rope({x + first * heads * d, count, heads, d, cos + first * (d / 2), sin + first * (d / 2)});
    });
  }

  void attend(const cache_view& cache, const attention_call<float>& call) {
    const std::size_t group = call.heads / cache.heads;  // query heads that read one key/value head
    // All of them share a reading of the keys, unless that would leave a worker without a task.
    std::size_t part = std::min(group, cpu::attend_queries);
    if (call.tokens == 1 && cache.heads < workers()) part = std::min(part, ceil_div(call.heads, workers()));
    const std::size_t parts = ceil_div(group, part);
    const std::size_t tile = std::max<std::size_t>(1, cpu::attend_queries / part);
    const std::size_t tiles = ceil_div(call.tokens, tile);
    const std::size_t stride = cpu::attend_scratch(cache.head_size);
    float* scratch = scratch_.take<float>(stride * workers());
    run(cache.heads * parts * tiles, 1, [&](std::size_t task, std::size_t, std::size_t worker) {
      const std::size_t token = task / (cache.heads * parts) * tile;
      const std::size_t head = task / parts % cache.heads;
      const std::size_t first = task % parts * part;
      Kernels::attend({&cache, &call, head, head * group + first, std::min(part, group - first), token,
                       std::min(tile, call.tokens - token), scratch + worker * stride});
    });
  }

  void gelu_gate(float* gate, const float* up, std::size_t n) {
    run(n, split(n, 8, 64), [&](std::size_t first, std::size_t count, std::size_t) {
      Kernels::gelu_gate(gate + first, up + first, count);
    });
  }
  void soft_cap(float* x, std::size_t n, float cap) {
    run(n, split(n, 8, 64), [&](std::size_t first, std::size_t count, std::size_t) {
      Kernels::soft_cap(x + first, count, cap);
    });
  }

 protected:
  [[nodiscard]] static constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

  /// Items per task: all of them for short work, otherwise some four tasks per worker, in multiples of `unit`.
  /// `cost` is the work of one item in multiplications; waking a worker is worth about 32768 of them.
  [[nodiscard]] std::size_t split(std::size_t items, std::size_t cost, std::size_t unit) const {
    if (workers() == 1 || items * cost < 65536) return items;
    const std::size_t least = ceil_div(32768, cost);
    const std::size_t share = ceil_div(items, 4 * workers());
    return ceil_div(std::max(least, share), unit) * unit;
  }

  /// body(first, count, worker) over [0, items) in pieces of `piece`.
  template <class Body>
  void run(std::size_t items, std::size_t piece, Body&& body) {
    if (items == 0) return;
    const std::size_t tasks = ceil_div(items, piece);
    const auto task = [&](std::size_t t, std::size_t worker) {
      const std::size_t first = t * piece;
      body(first, std::min(piece, items - first), worker);
    };
    if (pool_ == nullptr || tasks == 1) {
      for (std::size_t t = 0; t < tasks; ++t) task(t, 0);
    } else {
      pool_->run(tasks, task);
    }
  }

  void normalise(const cpu::norm_call& call) {
    run(call.tokens, split(call.tokens, 2 * call.width, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      cpu::norm_call part = call;
      part.x += first * call.width;
      part.y += first * call.width;
      part.tokens = count;
      Kernels::rms_norm(part);
    });
  }

  numeric mode_ = numeric::exact;
  g4::pool* pool_ = nullptr;
  working_memory scratch_;
};

}  // namespace g4::backend
