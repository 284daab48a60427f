#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "g4/backend/cpu/products.h"
#include "g4/backend/cpu/to_panels.h"

namespace g4::cpu {

template <class Kernels>
result<weight_view> products<Kernels>::prepare(const matrix_view& w, panel_store& store, let_go told, weight_use use) {
  const bool in_levels = use == weight_use::many_rows && has_levels(w.type);
  if (mode_ == numeric::exact || !(has_panels(w.type) || in_levels) || w.rows == 0) return w;
  panel_weight* weight = store.add(w, use, told);
  if (weight == nullptr) return fail("weights in panels: there is no memory for ", panel_room(w, use), " bytes");
  if (move_ == weights_move::at_load && !weight->may_be_ranked) move_panels(*weight, weight->count());
  return weight_view{w, weight};
}

template <class Kernels>
void products<Kernels>::embed(const weight_view& table, std::size_t id, float scale, float* y) {
  const panel_weight* weight = in_panels(table);
  if (weight != nullptr && weight->order != panel_order::levels && weight->has(id / panel_rows)) {
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

template <class Kernels>
void products<Kernels>::multiply(std::span<const projection> several, const float* x, std::size_t tokens) {
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

template <class Kernels>
typename products<Kernels>::rooms products<Kernels>::rooms_for(const work_limits& most) const {
  const auto lines = [](std::size_t bytes) { return ceil_div(bytes, 64) * 64; };
  rooms r;
  std::size_t each = lines(sizeof(float) * matmul_scratch({nullptr, 0, most.columns, storage::f32}));
  if (mode_ != numeric::exact) {
    std::size_t panel = 0;
    for (std::size_t i = 0; i < storages; ++i) {
      const auto s = static_cast<storage>(i);
      if (has_panels(s)) panel = std::max(panel, panel_size(s, ceil_div(most.columns, 256) * 256));
    }
    each = std::max(each, lines(product_scratch + std::max(panels_together, 2 * panel)));
    r.levels = rounded(most.columns, most.rows, sizeof(std::int16_t)).total();
    if (mode_ == numeric::fast8) r.byte_levels = rounded(most.columns, most.rows, sizeof(std::int8_t)).total();
    if (most.ranked != 0) r.moving = panel_size(storage::q8_0, most.ranked) * tasks_.workers();
  }
  r.scratch = each * tasks_.workers();
  return r;
}

template <class Kernels>
void products<Kernels>::exact(const matrix_view& w, const float* x, std::size_t tokens, float* y) {
  const std::size_t stride = ceil_div(matmul_scratch(w), 16) * 16;
  float* const scratch = scratch_.take<float>(stride * tasks_.workers());
  tasks_.run(tokens, tasks_.split(tokens, w.rows * w.columns, 16),
             [&](std::size_t first, std::size_t count, std::size_t worker) {
               Kernels::matmul({w, x + first * w.columns, count, y + first * w.rows, 0, w.rows,
                                scratch + worker * stride});
             });
}

template <class Kernels>
activations products<Kernels>::round(const float* x, std::size_t columns, std::size_t tokens) {
  return round_into<std::int16_t>(levels_, x, columns, tokens, Kernels::quantise);
}

template <class Kernels>
template <class Level>
rounded_activations<Level> products<Kernels>::round_into(working_memory& room, const float* x, std::size_t columns,
                                                          std::size_t tokens,
                                                          void (*quantise)(const rounding_call<Level>&)) {
  const rounded_layout at = rounded(columns, tokens, sizeof(Level));
  std::byte* memory = room.take<std::byte>(at.total());
  const auto floats_at = [&](std::size_t n) {
    return reinterpret_cast<float*>(memory + at.levels + n * at.of_blocks);
  };
  rounded_activations<Level> out{reinterpret_cast<Level*>(memory), floats_at(0),
                                 reinterpret_cast<std::int32_t*>(floats_at(1)), floats_at(3), ceil_div(columns, 32)};
  if (at.digits != 0 && tokens <= rows_in_digits) out.digits = reinterpret_cast<std::int8_t*>(floats_at(4));
  tasks_.run(tokens, tasks_.split(tokens, 2 * columns, 1), [&](std::size_t first, std::size_t count, std::size_t) {
    quantise({x, columns, first, count, out});
  });
  return out;
}

template <class Kernels>
byte_activations products<Kernels>::round_to_bytes(const float* x, std::size_t columns, std::size_t tokens) {
  return round_into<std::int8_t>(byte_levels_, x, columns, tokens, Kernels::quantise_bytes);
}

template <class Kernels>
std::size_t products<Kernels>::scratch_bytes(const weight_view& w, std::size_t tokens) const {
  if (!takes_rounded(w, tokens)) return sizeof(float) * matmul_scratch(w);
  const panel_weight* const weight = in_panels(w);
  if (weight == nullptr) return product_scratch;
  if (weight->settled() && weight->order != panel_order::nibbles) return product_scratch;
  return product_scratch + panels_at_once(w) * panel_size(w.type, w.columns);
}

template <class Kernels>
void products<Kernels>::move_panels(panel_weight& weight, std::size_t count) {
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

template <class Kernels>
void products<Kernels>::move_in_use(panel_weight& weight) {
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

template <class Kernels>
void products<Kernels>::panels_of(const projection& p, const float* x, const activations& levels,
                                  const byte_activations& byte_levels, std::size_t tokens, std::size_t first,
                                  std::size_t count, std::byte* scratch) {
  if (!takes_rounded(p.w, tokens)) {
    const std::size_t row = first * panel_rows;
    const std::size_t rows = std::min(count * panel_rows, p.w.rows - row);
    Kernels::matmul({p.w, x, tokens, p.y, row, rows, reinterpret_cast<float*>(scratch), p.room});
    return;
  }
  product_call call{nullptr, p.w.type, p.w.rows, p.w.columns, levels, tokens, p.y, first, count, scratch, {}};
  call.room = p.room;
  if (takes_bytes(p.w, tokens)) call.bytes = byte_levels;
  const panel_weight* const moving = in_panels(p.w);
  if (moving == nullptr) {
    call.w = p.w.row(first * panel_rows);
    return panel_matmul<Kernels>(call);
  }
  const panel_weight& weight = *moving;
  call.in_levels = weight.order == panel_order::levels;
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
  if (first < moved && weight.order != panel_order::nibbles) {
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

}  // namespace g4::cpu
