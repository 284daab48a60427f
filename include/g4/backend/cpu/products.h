/// Weights times rows: preparing weights, rounding activations, and cutting products into calls of the kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/options.h"
#include "g4/backend/cpu/panels.h"
#include "g4/backend/cpu/tasks.h"
#include "g4/backend/cpu/working_memory.h"
#include "g4/core/result.h"
#include "g4/tensor/work_limits.h"

namespace g4::cpu {

/// One of several products of the same input: y [T, w.rows] = x · wᵀ.
struct projection {
  weight_view w;
  float* y = nullptr;
  std::size_t room = 0;  ///< of a row of y; 0: for w.rows
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
    return mode_ == numeric::exact || kept_alike_ ? std::numeric_limits<std::size_t>::max() : few_rows;
  }
  /// From now on any number of rows is computed as few are, or no longer. Returns what was so before.
  bool keep_rows_alike(bool alike) { return std::exchange(kept_alike_, alike); }

  /// The weight as a model holds it: `w`, and that on its way into the kernels' own order, in memory of `store`. `w`
  /// outlives the store. Plain floats that meet few rows too, and every weight in `exact` mode, stay as they are.
  ///
  /// told   told(bytes) is called with stretches of `w` that have moved, from the thread that uses the weight
  /// use    what the weight is for
  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, panel_store& store, let_go told = {},
                                            weight_use use = weight_use::layer);

  /// y = scale · row `id` of the table
  void embed(const weight_view& table, std::size_t id, float scale, float* y);

  /// y [T, w.rows] = x [T, w.columns] · wᵀ
  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y) {
    const projection one{w, y};
    multiply({&one, 1}, x, tokens);
  }
  /// The same into rows of y that have room for more.
  void matmul(const weight_view& w, const float* x, std::size_t tokens, float* y, std::size_t room) {
    const projection one{w, y, room};
    multiply({&one, 1}, x, tokens);
  }

  /// y [T, w.rows] = x · wᵀ in float32, with w as stored, in every mode
  void exact(const matrix_view& w, const float* x, std::size_t tokens, float* y);

  /// Several products of one input, which is read (and rounded, in `fast` mode) once; one fork and join for all.
  void multiply(std::span<const projection> several, const float* x, std::size_t tokens);

  /// The weight in panels; null where it was not prepared, or in another backend's layout, or where this backend
  /// multiplies with weights as stored.
  [[nodiscard]] panel_weight* in_panels(const weight_view& w) const {
    return mode_ == numeric::exact ? nullptr : prepared_as<panel_weight>(w);
  }

  /// Bytes that each of its working memories needs for calls within these limits, whatever the weights are stored as.
  struct rooms {
    std::size_t scratch = 0, levels = 0, byte_levels = 0, moving = 0;
    [[nodiscard]] std::size_t total() const { return scratch + levels + byte_levels + moving; }
  };
  [[nodiscard]] rooms rooms_for(const work_limits& most) const;
  /// Takes them. Says whether there was memory.
  [[nodiscard]] bool make_ready(const work_limits& most) {
    const rooms r = rooms_for(most);
    return scratch_.make_ready(r.scratch) && levels_.make_ready(r.levels) && byte_levels_.make_ready(r.byte_levels) &&
           moving_scratch_.make_ready(r.moving);
  }

  /// Activations in 16 bits, until the next call.
  [[nodiscard]] activations round(const float* x, std::size_t columns, std::size_t tokens);

 private:
  /// For so few rows weights in panels meet 16-bit activations in every mode, and plain floats stay floats.
  static constexpr std::size_t few_rows = 15;

  /// What a tower makes of a short clip is exact: so few rows cost little, and sounds are sensitive.
  static constexpr std::size_t few_rows_in_levels = 64;

  /// Whether a product goes through 16-bit activations: quantised weights in panels always, plain floats for many tokens
  /// only (for few, reading the weights costs more than multiplying them).
  [[nodiscard]] bool takes_rounded(const weight_view& w, std::size_t tokens) const {
    const panel_weight* const weight = in_panels(w);
    if (weight != nullptr && weight->order != panel_order::levels) return true;
    if (mode_ == numeric::exact || kept_alike_) return false;
    return tokens > (weight != nullptr ? few_rows_in_levels : few_rows) && has_levels(w.type);
  }

  /// Whether a product goes through 8-bit activations. Few tokens, the guesses of a drafter among them, stay with 16, and so
  /// does all that 8 would be no faster for.
  [[nodiscard]] bool takes_bytes(const weight_view& w, std::size_t tokens) const {
    return mode_ == numeric::fast8 && !kept_alike_ && tokens > few_rows && has_panels(w.type) &&
           in_panels(w) != nullptr && Kernels::bytes_pay(w.type);
  }

  /// Up to so many rows are multiplied by the digits of their levels, where the CPU does that faster: weights then need not
  /// be widened, which more rows pay for.
  static constexpr std::size_t rows_in_digits = 23;

  /// Where rows lie that were rounded to levels of `level` bytes: the levels, then steps, two sums and totals of their
  /// blocks, then digits of 16-bit levels, in bytes.
  struct rounded_layout {
    std::size_t levels = 0;
    std::size_t of_blocks = 0;  ///< each of the four
    std::size_t digits = 0;
    [[nodiscard]] std::size_t total() const { return levels + 4 * of_blocks + digits; }
  };
  [[nodiscard]] static rounded_layout rounded(std::size_t columns, std::size_t tokens, std::size_t level) {
    const std::size_t blocks = tokens * ceil_div(columns, 32);
    const std::size_t in_digits = level == sizeof(std::int16_t) ? std::min(tokens, rows_in_digits) : 0;
    return {ceil_div(blocks * 32 * level, 64) * 64, ceil_div(blocks * 4, 64) * 64,
            in_digits * ceil_div(columns, 32) * 64};
  }

  template <class Level>
  [[nodiscard]] rounded_activations<Level> round_into(working_memory& room, const float* x, std::size_t columns,
                                                      std::size_t tokens,
                                                      void (*quantise)(const rounding_call<Level>&));
  [[nodiscard]] byte_activations round_to_bytes(const float* x, std::size_t columns, std::size_t tokens);

  /// Panels that are made together in working memory while a weight has not moved: two are a tile of the kernel's.
  [[nodiscard]] static std::size_t panels_at_once(const matrix_view& stored) {
    return std::max<std::size_t>(2, panels_together / panel_size(stored.type, stored.columns) / 2 * 2);
  }
  static constexpr std::size_t panels_together = std::size_t{32} << 10;

  /// Bytes one worker needs for its panels of a product.
  [[nodiscard]] std::size_t scratch_bytes(const weight_view& w, std::size_t tokens) const;

  /// Panels [moved, moved + count) of a weight go where they belong. The caller alone moves this weight.
  void move_panels(panel_weight& weight, std::size_t count);

  /// From its second use on a weight moves by an eighth, or by 16 MB if that is more. What is to move at load and has not
  /// does so at its first.
  void move_in_use(panel_weight& weight);

  void panels_of(const projection& p, const float* x, const activations& levels, const byte_activations& byte_levels,
                 std::size_t tokens, std::size_t first, std::size_t count, std::byte* scratch);

  numeric mode_ = numeric::exact;
  weights_move move_ = weights_move::in_use;
  bool kept_alike_ = false;
  tasks tasks_;
  working_memory scratch_;
  working_memory levels_;
  working_memory byte_levels_;
  working_memory moving_scratch_;
};

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/products.inl"  // IWYU pragma: keep
#endif
