/// The stage `subsample{…}`.
#pragma once

#include <algorithm>
#include <cstddef>

#include "g4/model/stack/arena.h"
#include "g4/model/tower/part.h"
#include "g4/ops/convolve.h"
#include "g4/ops/cumulative_norm.h"

namespace g4 {

/// x [T, F]  →  [T/4, F/4 · second]:  twice  y = relu(norm(conv(x)) · weight), each convolution of side 3 and stride 2. The
/// bands go slowly through a row, the channels fast. The channels are normed place by place; or, cumulatively, rows by all
/// that was heard before them (`ops/cumulative_norm.h`), and then a convolution looks ahead in time and not around itself.
///
/// A convolution is a product over its squares, so many rows of them at a time as fit into little memory. Features are
/// logarithms, which lie far from nought: rounding them would cost more than these few products take.
template <stage::subsample S, int In, int Text>
struct stage_weights<S, In, Text> {
  static constexpr int side = 3, stride = 2;

  matrix<S.first, side * side> first;
  matrix<S.second, S.first * side * side> second;
  vector<S.first> first_norm;
  vector<S.second> second_norm;

  template <class Visit>
  void each(Visit&& visit) {
    using enum stage_role;
    visit(stage_tensor{"0.conv.weight", "0.weight", matrix, 4, {S.first, 1, side, side}}, first);
    visit(stage_tensor{"0.norm.weight", "0.norm.weight", numbers, 1, {S.first}}, first_norm);
    visit(stage_tensor{"1.conv.weight", "1.weight", matrix, 4, {S.second, S.first, side, side}}, second);
    visit(stage_tensor{"1.norm.weight", "1.norm.weight", numbers, 1, {S.second}}, second_norm);
  }

  [[nodiscard]] static constexpr std::size_t half(std::size_t n) { return ops::squares::count(n, side, stride); }
  [[nodiscard]] static constexpr std::size_t rows_of(std::size_t n) { return half(half(n)); }
  [[nodiscard]] static constexpr std::size_t room(std::size_t n, std::size_t scalar_bytes, storage) {
    return arena::product(half(n) * plane + most_squares * std::size_t{S.first * side * side}, scalar_bytes);
  }

  template <class B>
  void run(B& on, stage_pass<typename B::scalar>& p) const {
    const std::size_t all = p.rows + p.behind, made = rows_of(p.rows);
    // What the last row looks into: a row more than are counted, where there is one.
    const std::size_t needed = S.cumulative ? std::min(half(all), 2 * made + 1) : half(p.rows);
    auto* const between = reinterpret_cast<typename B::scalar*>(p.memory);
    auto* const squares = between + needed * plane;
    convolve(on, plane_of(S.cumulative ? all : p.rows, In, 1), needed, first, first_norm, p.x, squares, between);
    convolve(on, plane_of(needed, half(In), S.first), made, second, second_norm, between, squares, p.x);
    p.rows = made;
    p.behind = 0;
  }

 private:
  static constexpr std::size_t plane = half(In) * S.first;  ///< numbers of one row between the convolutions
  static constexpr std::size_t most_squares = std::max<std::size_t>(512, half(In));

  [[nodiscard]] static constexpr ops::squares plane_of(std::size_t rows, std::size_t columns, std::size_t channels) {
    ops::squares s{rows, columns, channels, side, stride};
    if (S.cumulative) s.top = 0;
    return s;
  }

  /// The first `rows` rows of a convolution, normed and rectified.
  template <class B, int Out, int Columns>
  static void convolve(B& on, const ops::squares& s, std::size_t rows, const matrix<Out, Columns>& w,
                       const vector<Out>& norm, const typename B::scalar* x, typename B::scalar* squares,
                       typename B::scalar* y) {
    const std::size_t at_once = most_squares / s.columns();
    for (std::size_t i = 0; i < rows; i += at_once) {
      const std::size_t some = std::min(at_once, rows - i), places = some * s.columns();
      auto* const out = y + i * s.columns() * Out;
      on.unfold(x, s, i, some, squares);
      on.exact_matmul(w, squares, places, out);
      if constexpr (!S.cumulative) on.layer_norm(out, norm.data, nullptr, places, Out, S.eps, out);
    }
    const std::size_t places = rows * s.columns();
    if constexpr (S.cumulative) {
      on.cumulative_norm(y, ops::cumulative_norm{s.columns(), std::size_t{Out}, S.eps, norm.data}, rows, y);
    }
    on.relu(y, places * Out);
  }
};

}  // namespace g4
