/// What the cpu and inline backends share: operations over whole tensors become calls of kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/backend/cpu/attention.h"
#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/options.h"
#include "g4/backend/cpu/products.h"
#include "g4/backend/cpu/ranking.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/definitions/memory.h"
#include "g4/backend/definitions/rows.h"
#include "g4/backend/definitions/streams.h"
#include "g4/backend/definitions/tower.h"
#include "g4/backend/pool.h"
#include "g4/core/result.h"
#include "g4/ops/attend.h"
#include "g4/ops/begin.h"

namespace g4::backend {

using projection = g4::cpu::projection;

/// Operations over `Kernels` (see `cpu::kernels`). Operations it does not have are as they are defined.
///
/// One object serves one thread at a time. Working memory is taken when a session is made, and grows where a call is larger
/// than was said. Results do not depend on the pool.
template <class Kernels>
class simd : public memory_definitions,
             public row_definitions<float>,
             public stream_definitions<float>,
             public tower_definitions<float> {
 public:
  using scalar = float;
  using options = simd_options;
  using projection = backend::projection;
  using weight_store = panel_store;

  simd() = default;
  explicit simd(options choice) : tasks_(choice.pool), products_(choice), ranking_(tasks_), attention_(tasks_) {}

  [[nodiscard]] numeric mode() const { return products_.mode(); }
  [[nodiscard]] std::size_t workers() const { return tasks_.workers(); }

  /// The most rows of a pass for which each has the bits that it would have alone.
  [[nodiscard]] std::size_t rows_alike() const { return products_.rows_alike(); }
  bool keep_rows_alike(bool alike) { return products_.keep_rows_alike(alike); }

  // ---- Working memory: grown by the calls that come, or taken before them --------------------------------------------

  [[nodiscard]] std::size_t working_bytes(work_limits most) const {
    if (!attends_all(most.head_size)) most.all_heads = 0;
    return products_.rooms_for(most).total() + ranking_.room_for(most.ranked) + attention_.room_for(most);
  }
  [[nodiscard]] result<void> make_ready(work_limits most) {
    if (!attends_all(most.head_size)) most.all_heads = 0;
    if (products_.make_ready(most) && ranking_.make_ready(most.ranked) && attention_.make_ready(most)) return {};
    return fail("backend: ", working_bytes(most), " bytes of working memory could not be had");
  }

  // ---- Weights and products: backend/cpu/products.h ------------------------------------------------------------------

  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, panel_store& store, let_go told = {},
                                            weight_use use = weight_use::layer) {
    return products_.prepare(w, store, told, use);
  }
  void embed(const weight_view& table, const token_id* ids, std::size_t rows, float scale, float* y) {
    for (std::size_t t = 0; t < rows; ++t) {
      embed(table, static_cast<std::size_t>(ids[t]), scale, y + t * table.columns);
    }
  }
  void mix_embedded(const weight_view& table, const token_id* ids, std::size_t rows, float scale, float factor,
                    float* room, float* y) {
    const std::size_t width = table.columns;
    if (table.prepared != nullptr) {
      for (std::size_t t = 0; t < rows; ++t) {
        embed(table, static_cast<std::size_t>(ids[t]), scale, room);
        for (std::size_t i = 0; i < width; ++i) y[t * width + i] = (y[t * width + i] + room[i]) * factor;
      }
      return;
    }
    each(rows, 4 * width, 1, [&](std::size_t first, std::size_t count) {
      constexpr std::size_t some = 256;  // whole blocks of every storage
      float piece[some];
      for (std::size_t t = first; t < first + count; ++t) {
        const std::byte* const row = table.row(static_cast<std::size_t>(ids[t]));
        for (std::size_t c = 0; c < width; c += some) {
          const std::size_t n = std::min(some, width - c);
          float* const at = y + t * width + c;
          Kernels::unpack(table.type, row + row_bytes(table.type, c), n, piece);
          for (std::size_t i = 0; i < n; ++i) at[i] = (at[i] + piece[i] * scale) * factor;
        }
      }
    });
  }
  /// One row of the table.
  void embed(const weight_view& table, std::size_t id, float scale, float* y) { products_.embed(table, id, scale, y); }
  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) { products_.matmul(w, x, tokens, y); }
  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y, std::size_t room) {
    products_.matmul(w, x, tokens, y, room);
  }
  void matmuls(std::span<const projection> several, const float* x, std::size_t tokens) {
    products_.multiply(several, x, tokens);
  }
  void best_products(const weight_view& w, const float* x, std::size_t k, float cap, float* y,
                     std::vector<std::int32_t>& guess) {
    ranking_.best(products_, w, x, k, cap, y, guess);
  }

  // ---- Norms and rows ------------------------------------------------------------------------------------------------

  void rms_norm(const float* x, const float* scale, std::size_t tokens, std::size_t width, float eps, float* y) {
    normalise({x, scale, y, tokens, width, eps, false});
  }
  void add_norm(float* x, float* delta, const float* scale, std::size_t tokens, std::size_t width, float eps) {
    normalise({delta, scale, x, tokens, width, eps, true});
  }
  void rope(float* x, std::size_t tokens, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    each(tokens, 2 * heads * d, 1, [&](std::size_t first, std::size_t count) {
      Kernels::rope({x + first * heads * d, count, heads, d, cos + first * (d / 2), sin + first * (d / 2)});
    });
  }
  void rope_2d(float* x, std::size_t rows, std::size_t heads, std::size_t d, const float* cos, const float* sin) {
    each(rows, 2 * heads * d, 1, [&](std::size_t first, std::size_t count) {
      Kernels::rope_2d({x + first * heads * d, count, heads, d, cos + first * (d / 2), sin + first * (d / 2)});
    });
  }
  void layer_norm(const float* x, const float* weight, const float* bias, std::size_t rows, std::size_t width,
                  float eps, float* y) {
    each(rows, 4 * width, 1, [&](std::size_t first, std::size_t count) {
      Kernels::layer_norm({x + first * width, weight, bias, y + first * width, count, width, eps});
    });
  }
  void scale(float* x, std::size_t n, float factor) {
    each(n, 2, 64, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = first; i < first + count; ++i) x[i] *= factor;
    });
  }
  void add(const float* x, std::size_t n, float* y) {
    each(n, 2, 64, [&](std::size_t first, std::size_t count) { Kernels::add(x + first, count, y + first); });
  }
  void add_bias(float* y, const float* bias, std::size_t rows, std::size_t width) {
    each(rows, 2 * width, 1, [&](std::size_t first, std::size_t count) {
      Kernels::add_bias(y + first * width, bias, count, width);
    });
  }
  void scale_columns(const float* x, const float* scale, std::size_t rows, std::size_t width, float* y) {
    each(rows, width, 1, [&](std::size_t first, std::size_t count) {
      row_definitions<float>::scale_columns(x + first * width, scale, count, width, y + first * width);
    });
  }
  void centre(float* x, std::size_t n) {
    each(n, 1, 64, [&](std::size_t first, std::size_t count) { defined().centre(x + first, count); });
  }
  void gelu(float* x, std::size_t n) {
    static constexpr std::size_t some = 256;
    float ones[some];
    for (float& one : ones) one = 1;
    each(n, 8, some, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = 0; i < count; i += some) Kernels::gelu_gate(x + first + i, ones, std::min(some, count - i));
    });
  }
  void clamp(const float* x, std::size_t n, const float* low, const float* high, float* y) {
    keep_within(x, n, *low, *high, y);
  }
  void standardise(float* y, const float* bias, const float* scale, std::size_t rows, std::size_t width) {
    each(rows, width, 1, [&](std::size_t first, std::size_t count) {
      defined().standardise(y + first * width, bias, scale, count, width);
    });
  }
  void mean_groups(const float* x, const token_id* of, std::size_t groups, std::size_t size, std::size_t width,
                   float* y) {
    each(groups, size * width, 1, [&](std::size_t first, std::size_t count) {
      defined().mean_groups(x, of + first * size, count, size, width, y + first * width);
    });
  }
  void gelu_gate(float* gate, const float* up, std::size_t n) {
    each(n, 8, 64, [&](std::size_t first, std::size_t count) { Kernels::gelu_gate(gate + first, up + first, count); });
  }
  void soft_cap(float* x, std::size_t n, float cap) {
    each(n, 8, 64, [&](std::size_t first, std::size_t count) { Kernels::soft_cap(x + first, count, cap); });
  }

  // ---- What only towers use, in tasks ----------------------------------------------------------------------------------

  void exact_matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) {
    products_.exact(w, x, tokens, y);
  }
  void keep_within(const float* x, std::size_t n, float least, float most, float* y) {
    each(n, 2, 64, [&](std::size_t first, std::size_t count) {
      Kernels::keep_within(x + first, count, least, most, y + first);
    });
  }
  void silu(float* x, std::size_t n) {
    each(n, 8, 64, [&](std::size_t first, std::size_t count) { Kernels::silu(x + first, count); });
  }
  void relu(float* x, std::size_t n) {
    each(n, 2, 64, [&](std::size_t first, std::size_t count) { ops::relu(x + first, count); });
  }
  void glu(const float* x, std::size_t tokens, std::size_t width, float* y) {
    each(tokens, 8 * width, 1, [&](std::size_t first, std::size_t count) {
      Kernels::glu(x + 2 * first * width, count, width, y + first * width);
    });
  }
  void unfold(const float* x, const ops::squares& s, std::size_t from, std::size_t rows, float* y) {
    const std::size_t row = s.columns() * s.numbers();
    each(rows, 4 * row, 1, [&](std::size_t first, std::size_t count) {
      ops::unfold(x, s, from + first, count, y + first * row);
    });
  }
  void unfold(const float* x, const ops::plane& p, std::size_t from, std::size_t rows, float* y) {
    const std::size_t row = p.columns() * p.numbers();
    each(rows, row, 1,
         [&](std::size_t first, std::size_t count) { ops::unfold(x, p, from + first, count, y + first * row); });
  }
  void depthwise(const float* x, const float* kernel, const ops::plane& p, float* y) {
    each(p.rows(), p.columns() * p.numbers(), 1, [&](std::size_t first, std::size_t count) {
      Kernels::depthwise({x, kernel, p, first, count, y});
    });
  }
  void lay_beside(const float* x, const token_id* of, std::size_t rows, std::size_t width, std::size_t stride,
                  float* y) {
    each(rows, width, 1, [&](std::size_t first, std::size_t count) {
      ops::lay_beside(x, of + first, count, width, stride, y + first * stride);
    });
  }
  void cumulative_norm(const float* x, const ops::cumulative_norm& norm, std::size_t rows, float* y) {
    std::vector<double> mean(rows), var(rows);
    ops::norm_cumulatively(norm, x, rows, mean.data(), var.data(), y, [&](auto&& of_row) {
      each(rows, 4 * norm.width(), 1, [&](std::size_t first, std::size_t count) {
        for (std::size_t t = first; t < first + count; ++t) of_row(t);
      });
    });
  }
  void convolve_back(const float* x, const float* kernel, std::size_t tokens, std::size_t width, std::size_t side,
                     float* y) {
    each(tokens, side * width, 16, [&](std::size_t first, std::size_t count) {
      Kernels::convolve_back({x, kernel, first, count, width, side, y});
    });
  }
  void attend_near(const ops::near_attention<float>& call) {
    attention_.attend_near(call);
  }

  // ---- Attention: backend/cpu/attention.h ----------------------------------------------------------------------------

  /// What keys and values are kept as unless a session says otherwise.
  [[nodiscard]] storage cache_storage() const { return mode() == numeric::exact ? storage::f32 : storage::i16; }

  [[nodiscard]] bool caches(storage type) const {
    return type == storage::i16 || type == storage::q8_0 || type == storage::f32;
  }

  /// Key ranges, angles and ids of rows that begin a pass.
  void begin(const begin_call<float>& call) { ops::begin(call); }

  void store(const cached_rows<float>& call) {
    store_by_text(call, [this](const auto&... one) { this->store(one...); });
  }
  void store(const cache_view& cache, const float* keys, const float* values, std::size_t tokens, position at) {
    const std::size_t width = cache.heads * cache.head_size;
    each(tokens, 4 * width, 1, [&](std::size_t first, std::size_t count) {
      if (cache.type == storage::i16) {
        Kernels::store({&cache, keys, values, first, count, at});
      } else {
        ops::store(cache, keys + first * width, values + first * width, count,
                   at + static_cast<std::int64_t>(first));
      }
    });
  }
  void attend(const row_attention<float>& call) {
    attend_by_text(call, [this](const auto&... one) { this->attend(one...); });
  }
  void attend(const cache_view& cache, const attention_call<float>& call) { attention_.attend(cache, call); }

  /// Whether rows of heads of d numbers that all see each other need no cache here.
  [[nodiscard]] bool attends_all(std::size_t d) const {
    return mode() != numeric::exact && d <= g4::cpu::attend_all_most;
  }
  /// Attention of every row to every other: `ops/attend_all.h`, with 16-bit products.
  void attend_all(const ops::all_attention<float>& call) { attention_.attend_all(call); }

 private:
  /// body(first, count) over [0, items), each of which costs so many multiplications, in multiples of `unit`.
  template <class Body>
  void each(std::size_t items, std::size_t cost, std::size_t unit, Body&& body) const {
    tasks_.run(items, tasks_.split(items, cost, unit),
               [&](std::size_t first, std::size_t count, std::size_t) { body(first, count); });
  }

  [[nodiscard]] tower_definitions<float>& defined() { return *this; }

  void normalise(const g4::cpu::norm_call& call) {
    each(call.tokens, 2 * call.width, 1, [&](std::size_t first, std::size_t count) {
      g4::cpu::norm_call some = call;
      some.x += first * call.width;
      some.y += first * call.width;
      some.tokens = count;
      Kernels::rms_norm(some);
    });
  }

  g4::cpu::tasks tasks_;
  g4::cpu::products<Kernels> products_;
  g4::cpu::ranking<Kernels> ranking_;
  g4::cpu::attention<Kernels> attention_;
};

}  // namespace g4::backend
