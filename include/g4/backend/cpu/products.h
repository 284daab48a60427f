/// Weights times rows: preparing weights, rounding activations, and cutting products into calls of the kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/options.h"
#include "g4/backend/cpu/panels.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/cpu/to_panels.h"
#include "g4/backend/cpu/working_memory.h"
#include "g4/core/result.h"

namespace g4::cpu {

/// One of several products of the same input: y [T, w.rows] = x · wᵀ.
struct projection {
  weight_view w;
  float* y = nullptr;
};

/// Products over `Kernels` (see `kernels`), with the working memory they take.
template <class Kernels>
class products {
 public:
  using numeric = backend::numeric;
  using weights_move = backend::weights_move;

  products() = default;
  explicit products(const backend::simd_options& choice)
      : mode_(choice.mode), move_(choice.move), tasks_(choice.pool) {}

  [[nodiscard]] numeric mode() const { return mode_; }

  /// The most rows of a product for which each gets the bits that it would get alone: speculation, whose guesses share a
  /// pass, stays within. `exact` knows no such border.
  [[nodiscard]] std::size_t rows_alike() const {
    return mode_ == numeric::exact ? std::numeric_limits<std::size_t>::max() : few_rows;
  }

  /// The weight as a model holds it: `w`, and that on its way into the kernels' own order, in memory of `store`. `w`
  /// outlives the store. Plain floats, and every weight in `exact` mode, stay as they are.
  ///
  /// told   told(bytes) is called with stretches of `w` that have moved, from the thread that uses the weight
  /// use    what the weight is for
  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, panel_store& store, let_go told = {},
                                            weight_use use = weight_use::layer) {
    if (mode_ == numeric::exact || !has_panels(w.type) || w.rows == 0) return w;
    panel_weight* weight = store.add(w, use, told);
    if (weight == nullptr) return fail("weights in panels: there is no memory for ", panel_room(w, use), " bytes");
    if (move_ == weights_move::at_load && !weight->may_be_ranked) move_panels(*weight, weight->count());
    return weight_view{w, weight};
  }

  /// y = scale · row `id` of the table
  void embed(const weight_view& table, std::size_t id, float scale, float* y) {
    const panel_weight* weight = in_panels(table);
    if (weight != nullptr && weight->has(id / panel_rows)) {
      const std::size_t columns = facts_of(table.type).block_elements;
      std::byte block[256];
      for (std::size_t b = 0; b < table.columns / columns; ++b) {
        block_from_panel(*weight, id, b, block);
        Kernels::unpack(table.type, block, columns, y + b * columns);
      }
    } else {
      Kernels::unpack(table.type, table.row(id), table.columns, y);
    }
    for (std::size_t i = 0; i < table.columns; ++i) y[i] *= scale;
  }

  /// y [T, w.rows] = x [T, w.columns] · wᵀ
  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) {
    const projection one{w, y};
    multiply({&one, 1}, x, tokens);
  }

  /// Several products of one input, which is read (and rounded, in `fast` mode) once; one fork and join for all.
  void multiply(std::span<const projection> several, const float* x, std::size_t tokens) {
    if (several.empty() || tokens == 0) return;
    const std::size_t columns = several.front().w.columns;
    bool rounded = false;
    bool bytes = false;
    for (const projection& p : several) {
      bytes = bytes || takes_bytes(p.w, tokens);
      rounded = rounded || (takes_rounded(p.w, tokens) && !takes_bytes(p.w, tokens));
    }
    const activations levels = rounded ? round(x, columns, tokens) : activations{};
    const byte_activations byte_levels = bytes ? round_to_bytes(x, columns, tokens) : byte_activations{};
    for (const projection& p : several) {
      if (panel_weight* const weight = in_panels(p.w)) move_in_use(*weight);
    }

    // Work is counted in panels of sixteen rows, whatever a product's storage.
    std::size_t panels = 0;
    std::size_t stride = 64;
    for (const projection& p : several) {
      panels += ceil_div(p.w.rows, panel_rows);
      stride = std::max(stride, scratch_bytes(p.w, tokens));
    }
    stride = ceil_div(stride, 64) * 64;
    std::byte* scratch = scratch_.take<std::byte>(stride * tasks_.workers());
    const std::size_t piece = tasks_.split(panels, panel_rows * columns * tokens, 2);
    tasks_.run(panels, piece, [&](std::size_t first, std::size_t count, std::size_t worker) {
      std::size_t begin = 0;  // first panel of the product
      for (const projection& p : several) {
        const std::size_t end = begin + ceil_div(p.w.rows, panel_rows);
        const std::size_t from = std::max(first, begin);
        const std::size_t to = std::min(first + count, end);
        if (from < to) {
          panels_of(p, x, levels, byte_levels, tokens, from - begin, to - from, scratch + worker * stride);
        }
        begin = end;
      }
    });
  }

  /// The weight in panels; null where it was not prepared, or in another backend's layout, or where this backend
  /// multiplies with weights as stored.
  [[nodiscard]] panel_weight* in_panels(const weight_view& w) const {
    return mode_ == numeric::exact ? nullptr : prepared_as<panel_weight>(w);
  }

  /// Activations in 16 bits, until the next call.
  [[nodiscard]] activations round(const float* x, std::size_t columns, std::size_t tokens) {
    return round_into<std::int16_t>(levels_, x, columns, tokens, Kernels::quantise);
  }

 private:
  /// For so few rows weights in panels meet 16-bit activations in every mode, and plain floats stay floats.
  static constexpr std::size_t few_rows = 15;

  /// Whether a product goes through 16-bit activations: weights in panels always, plain floats for many tokens only (for
  /// few, reading the weights costs more than multiplying them).
  [[nodiscard]] bool takes_rounded(const weight_view& w, std::size_t tokens) const {
    return in_panels(w) != nullptr || (mode_ != numeric::exact && tokens > few_rows &&
                                       facts_of(w.type).block_elements == 1 && w.type != storage::f64);
  }

  /// Whether a product goes through 8-bit activations. Few tokens, the guesses of a drafter among them, stay with 16.
  [[nodiscard]] bool takes_bytes(const weight_view& w, std::size_t tokens) const {
    return mode_ == numeric::fast8 && tokens > few_rows && in_panels(w) != nullptr;
  }

  template <class Level>
  [[nodiscard]] rounded_activations<Level> round_into(working_memory& room, const float* x, std::size_t columns,
                                                      std::size_t tokens,
                                                      void (*quantise)(const rounding_call<Level>&)) {
    const std::size_t blocks = ceil_div(columns, 32);
    const std::size_t level_bytes = ceil_div(tokens * blocks * 32 * sizeof(Level), 64) * 64;
    const std::size_t step_bytes = ceil_div(tokens * blocks * 4, 64) * 64;
    std::byte* memory = room.take<std::byte>(level_bytes + 4 * step_bytes);
    const auto floats_at = [&](std::size_t n) {
      return reinterpret_cast<float*>(memory + level_bytes + n * step_bytes);
    };
    const rounded_activations<Level> out{reinterpret_cast<Level*>(memory), floats_at(0),
                                         reinterpret_cast<std::int32_t*>(floats_at(1)), floats_at(3), blocks};
    tasks_.run(tokens, tasks_.split(tokens, 2 * columns, 1), [&](std::size_t first, std::size_t count, std::size_t) {
      quantise({x, columns, first, count, out});
    });
    return out;
  }
  [[nodiscard]] byte_activations round_to_bytes(const float* x, std::size_t columns, std::size_t tokens) {
    return round_into<std::int8_t>(byte_levels_, x, columns, tokens, Kernels::quantise_bytes);
  }

  /// Panels that are made together in working memory while a weight has not moved: two are a tile of the kernel's.
  [[nodiscard]] static std::size_t panels_at_once(const matrix_view& stored) {
    return std::max<std::size_t>(2, (std::size_t{32} << 10) / panel_size(stored.type, stored.columns) / 2 * 2);
  }

  /// Bytes one worker needs for its panels of a product.
  [[nodiscard]] std::size_t scratch_bytes(const weight_view& w, std::size_t tokens) const {
    if (!takes_rounded(w, tokens)) return sizeof(float) * matmul_scratch(w);
    const panel_weight* const weight = in_panels(w);
    if (weight == nullptr) return product_scratch;
    if (weight->settled() && weight->order == panel_order::words) return product_scratch;
    return product_scratch + panels_at_once(w) * panel_size(w.type, w.columns);
  }

  /// Panels [moved, moved + count) of a weight go where they belong. The caller alone moves this weight.
  void move_panels(panel_weight& weight, std::size_t count) {
    const matrix_view& w = weight.stored;
    const std::size_t panel_bytes = weight.panel_bytes();
    // Nibbles are split from a panel of words.
    const std::size_t words = weight.order == panel_order::nibbles ? panel_size(w.type, w.columns) : 0;
    std::byte* const scratch = moving_scratch_.take<std::byte>(words * tasks_.workers());
    constexpr std::size_t stretch = std::size_t{8} << 20;  // large enough to share among workers, small next to a model
    const std::size_t step = std::max<std::size_t>(1, stretch / panel_bytes);
    std::size_t begin = weight.moved.load(std::memory_order_relaxed);
    for (const std::size_t end = begin + count; begin < end;) {
      const std::size_t n = std::min(step, end - begin);
      tasks_.run(n, tasks_.split(n, panel_rows * w.columns, 1),
                 [&](std::size_t first, std::size_t some, std::size_t worker) {
                   Kernels::to_panels({w, begin + first, some, weight.panels + (begin + first) * panel_bytes,
                                       weight.order, scratch + worker * words, weight.groups.data()});
                 });
      const std::size_t row = begin * panel_rows;
      begin += n;
      weight.moved.store(begin, std::memory_order_release);
      weight.done_with({w.row(row), (std::min(begin * panel_rows, w.rows) - row) * w.stride()});
    }
  }

  /// From its second use on a weight moves by an eighth, or by 16 MB if that is more. What is to move at load and has not
  /// does so at its first.
  void move_in_use(panel_weight& weight) {
    if (weight.settled()) return;
    const bool used = weight.used.exchange(true, std::memory_order_relaxed);
    if (!used && move_ == weights_move::in_use) return;
    if (weight.moving.exchange(true, std::memory_order_acquire)) return;  // another session is at it
    const std::size_t panel_bytes = weight.panel_bytes();
    const std::size_t share = std::max({std::size_t{1}, (std::size_t{16} << 20) / panel_bytes, weight.count() / 8});
    const std::size_t left = weight.count() - weight.moved.load(std::memory_order_relaxed);
    move_panels(weight, move_ == weights_move::at_load ? left : std::min(share, left));
    weight.moving.store(false, std::memory_order_release);
  }

  void panels_of(const projection& p, const float* x, const activations& levels, const byte_activations& byte_levels,
                 std::size_t tokens, std::size_t first, std::size_t count, std::byte* scratch) {
    if (!takes_rounded(p.w, tokens)) {
      const std::size_t row = first * panel_rows;
      const std::size_t rows = std::min(count * panel_rows, p.w.rows - row);
      Kernels::matmul({p.w, x, tokens, p.y, row, rows, reinterpret_cast<float*>(scratch)});
      return;
    }
    product_call call{nullptr, p.w.type, p.w.rows, p.w.columns, levels, tokens, p.y, first, count, scratch, {}};
    if (takes_bytes(p.w, tokens)) call.bytes = byte_levels;
    const panel_weight* const moving = in_panels(p.w);
    if (moving == nullptr) {
      call.w = p.w.row(first * panel_rows);
      return panel_matmul<Kernels>(call);
    }
    const panel_weight& weight = *moving;
    const matrix_view& stored = weight.stored;
    const auto multiply = [&](const std::byte* panels, std::size_t from, std::size_t some) {
      call.w = panels;
      call.first = from;
      call.count = some;
      panel_matmul<Kernels>(call);
    };
    const std::size_t end = first + count;
    const std::size_t moved = std::clamp(weight.moved.load(std::memory_order_acquire), first, end);
    const std::size_t panel_bytes = moved > first ? weight.panel_bytes() : 0;  // settled with the first that moves
    std::size_t from = first;
    if (first < moved && weight.order == panel_order::words) {
      multiply(weight.panels + first * panel_bytes, first, moved - first);
      from = moved;
    }
    std::byte* const panels = scratch + product_scratch;
    while (from < end) {
      const std::size_t some = std::min(panels_at_once(stored), (from < moved ? moved : end) - from);
      if (from < moved) {
        Kernels::nibbles_to_words(
            {weight.panels + from * panel_bytes, weight.groups.data(), stored.columns, some, panels});
      } else {
        Kernels::to_panels({stored, from, some, panels});
      }
      multiply(panels, from, some);
      from += some;
    }
  }

  numeric mode_ = numeric::exact;
  weights_move move_ = weights_move::in_use;
  tasks tasks_;
  working_memory scratch_;
  working_memory levels_;
  working_memory byte_levels_;
  working_memory moving_scratch_;
};

}  // namespace g4::cpu
