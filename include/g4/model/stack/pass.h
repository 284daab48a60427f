/// Rows on their way through a stack of layers: what every layer of it needs to know.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/model/stack/frequencies.h"
#include "g4/model/stack/scratch.h"
#include "g4/model/stack/tables.h"
#include "g4/model/stack/tap.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// T rows, of one text or of several, with their working memory, the keys they may see, their angles, and the caches that
/// they write and read. It knows no vocabulary and no model: whoever begins a pass owns all it points to.
template <Backend B>
struct pass {
  using scalar = typename B::scalar;

  B& on;
  watcher<B>& see;
  std::byte* memory = nullptr;  ///< the backend's
  stack_scratch at{};
  text_caches caches = nullptr;  ///< by text, then by the layer that made the keys
  std::size_t texts = 1;         ///< how many of them the rows may be of
  std::size_t stride = 0;        ///< rows that `memory` is laid out for
  std::size_t rows = 0;          ///< T: rows still being computed
  std::span<const std::int32_t> wanted = {};  ///< of the rows that began the pass, those that are wanted at its end, in order
  /// The layer after whose keys only the wanted rows go on: later layers write none. −1: all go on.
  int narrows_at = -1;

  template <class T>
  [[nodiscard]] T* in(std::size_t offset) const {
    return reinterpret_cast<T*>(memory + offset);
  }
  template <int Width>
  [[nodiscard]] g4::rows<Width, scalar> scratch(std::size_t offset) const {
    return {in<scalar>(offset), rows};
  }
  [[nodiscard]] const pass_row* begun() const { return in<pass_row>(at.rows); }
  /// What each row may see under mask `m`: [T].
  [[nodiscard]] key_range* keys(int m) const { return in<key_range>(at.keys) + static_cast<std::size_t>(m) * stride; }

  /// Cosines of rotary table `r`: [T, d/2]. Sines follow.
  [[nodiscard]] scalar* cosines(const rope_table& ropes, int r) const {
    std::size_t before = 0;
    for (int i = 0; i < r; ++i) before += 2 * stride * ropes.half(i);
    return in<scalar>(at.angles) + before;
  }
  [[nodiscard]] scalar* sines(const rope_table& ropes, int r) const {
    return cosines(ropes, r) + stride * ropes.half(r);
  }

  /// This layer's per-layer input of row t, of P numbers.
  template <int Layers, int P>
  [[nodiscard]] const scalar* per_layer_row(std::size_t t, int layer) const {
    return in<scalar>(at.per_layer) + (t * Layers + static_cast<std::size_t>(layer)) * P;
  }

  [[nodiscard]] bool narrows(int layer) const { return layer == narrows_at && wanted.size() < rows; }

  void show(const char* name, int layer, const scalar* data, std::size_t width, std::size_t streams = 1) const {
    see(on, name, layer, data, rows, width, streams);
  }
};

/// Whether the layers of S have queries only and read the keys of another model: a drafter's do.
template <class S>
inline constexpr bool keys_lie_elsewhere = requires { requires S::spec.is_drafter(); };

/// The constants of a stack that its layers share.
template <class S>
struct tables_of {
  static constexpr rope_table ropes = distinct_ropes(S::kinds);
  static constexpr mask_table masks = distinct_masks(S::kinds, S::spec.sees, keys_lie_elsewhere<S> ? 2 : 0);
};

/// Writes the frequencies of S's rotary tables, one after the other, to the backend's memory (`stack_scratch::frequencies`).
template <class S, Backend B>
void put_frequencies(B& on, double* to) {
  constexpr rope_table ropes = tables_of<S>::ropes;
  for (int r = 0; r < ropes.count; ++r) {
    const std::vector<double> some = rope_frequencies(ropes.rope[r], ropes.head_size[r]);
    on.put(some.data(), some.size(), to);
    to += some.size();
  }
}

/// Cosines and sines [T, d/2] for a kind of layer.
template <class Scalar>
struct angles {
  const Scalar* cos = nullptr;
  const Scalar* sin = nullptr;
};

template <class S, int Kind, Backend B>
[[nodiscard]] angles<typename B::scalar> angles_of(const pass<B>& p) {
  constexpr rope_table ropes = tables_of<S>::ropes;
  constexpr int r = ropes.of_kind[Kind];
  return {p.cosines(ropes, r), p.sines(ropes, r)};
}

/// Begins a pass: the rows' key ranges, angles and ids are made.
template <class S, Backend B>
void begin_rows(pass<B>& p, std::int64_t first_position) {
  using scalar = typename B::scalar;
  constexpr rope_table ropes = tables_of<S>::ropes;
  constexpr mask_table masks = tables_of<S>::masks;
  std::array<angle_table<scalar>, static_cast<std::size_t>(ropes.count)> tables;
  const double* frequencies = p.template in<double>(p.at.frequencies);
  for (int r = 0; r < ropes.count; ++r) {
    tables[r] = {frequencies, ropes.half(r), p.cosines(ropes, r), p.sines(ropes, r)};
    frequencies += ropes.half(r);
  }
  begin_call<scalar> call;
  call.rows = p.begun();
  call.count = p.rows;
  call.first_position = first_position;
  call.ids = p.template in<token_id>(p.at.ids);
  call.looked_up = p.template in<token_id>(p.at.looked_up);
  call.masks = masks.mask.data();
  call.mask_count = static_cast<std::size_t>(masks.count);
  call.keys = p.keys(0);
  call.stride = p.stride;
  call.tables = tables.data();
  call.table_count = tables.size();
  p.on.begin(call);
}

/// Goes on with the wanted rows alone: the stream, the branch's input, and what belongs to each row move up.
template <class S, Backend B>
void keep_wanted(pass<B>& p) {
  using scalar = typename B::scalar;
  constexpr rope_table ropes = tables_of<S>::ropes;
  constexpr mask_table masks = tables_of<S>::masks;
  constexpr std::size_t width = S::spec.width;
  constexpr std::size_t streams = S::spec.altup.has_value() ? S::spec.altup->streams : 1;
  if (p.wanted.size() == p.rows) return;
  auto* const x = p.template in<scalar>(p.at.stream);
  auto* const z = p.template in<scalar>(p.at.normed);
  auto* const rows = p.template in<pass_row>(p.at.rows);
  const std::size_t kept = p.wanted.size();
  // Rows move up, never down, and the streams one after the other: nothing is overwritten before it has moved.
  for (std::size_t j = 0; j < streams; ++j) {
    for (std::size_t i = 0; i < kept; ++i) {
      p.on.copy(x + (j * p.rows + p.wanted[i]) * width, width, x + (j * kept + i) * width);
    }
  }
  for (std::size_t i = 0; i < kept; ++i) {
    const auto from = static_cast<std::size_t>(p.wanted[i]);
    if (from == i) continue;
    p.on.copy(z + from * width, width, z + i * width);
    p.on.copy(rows + from, 1, rows + i);
    if constexpr (S::spec.per_layer.has_value()) {
      constexpr std::size_t all = static_cast<std::size_t>(S::spec.layers) * S::spec.per_layer->width;
      auto* const inputs = p.template in<scalar>(p.at.per_layer);
      p.on.copy(inputs + from * all, all, inputs + i * all);
    }
    for (int m = 0; m < masks.count; ++m) p.on.copy(p.keys(m) + from, 1, p.keys(m) + i);
    for (int r = 0; r < ropes.count; ++r) {
      const std::size_t half = ropes.half(r);
      p.on.copy(p.cosines(ropes, r) + from * half, half, p.cosines(ropes, r) + i * half);
      p.on.copy(p.sines(ropes, r) + from * half, half, p.sines(ropes, r) + i * half);
    }
  }
  p.rows = kept;
}

}  // namespace g4
