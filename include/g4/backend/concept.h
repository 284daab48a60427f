/// What a model asks of the machine it runs on.
///
/// A backend is an object handed in by the host (`on`). It offers the operations below over pointers and sizes; extents
/// have been checked by then (`model/linear.h`). Every operation is a whole-tensor step, so a dynamically dispatched
/// backend pays one indirect call for thousands of multiplications. Activations are `scalar`; sums are accumulated
/// in at least float32.
///
/// `backend::reference<Scalar>` has all of them as definitions. Other backends derive from it and replace what they do
/// faster, so a new operation runs everywhere on the day it is defined.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "g4/tensor/cache.h"
#include "g4/tensor/matrix.h"

namespace g4 {

template <class B>
concept Backend = requires(B& on, typename B::scalar* y, const typename B::scalar* x, const weight_view w,
                           const cache_view cache, const attention_call<typename B::scalar>& call, const float* scale,
                           std::size_t n, position at, float number) {
  /// y [rows-of-w wide] = scale · row `id` of the table.
  on.embed(w, n /*id*/, number /*scale*/, y);
  /// y [T, w.rows] = x [T, w.columns] · wᵀ
  on.matmul(w, x, n /*T*/, y);
  /// y = x · (mean(x²) + eps)^(-½) · scale, row by row; `scale` null means no weight. y may be x.
  on.rms_norm(x, scale, n /*T*/, n /*width*/, number /*eps*/, y);
  /// x += rms_norm(delta) · scale: the closing half of a sandwich norm. delta is left undefined.
  on.add_norm(y /*x*/, y /*delta*/, scale, n /*T*/, n /*width*/, number /*eps*/);
  /// Rotates the pairs (i, i + d/2) of every head by the angle whose cosine and sine are given, in place.
  on.rope(y, n /*T*/, n /*heads*/, n /*d*/, x /*cos [T, d/2]*/, x /*sin [T, d/2]*/);
  /// Writes keys and values [T, K, d] of positions at, at+1, … into their slots.
  on.store(cache, x /*keys*/, x /*values*/, n /*T*/, at);
  on.attend(cache, call);
  /// gate = gelu_tanh(gate) · up, element by element.
  on.gelu_gate(y /*gate*/, x /*up*/, n);
  /// x = cap · tanh(x / cap)
  on.soft_cap(y, n, number /*cap*/);
  { on.cache_storage() } -> std::same_as<storage>;
  { on.caches(storage{}) } -> std::same_as<bool>;
};

/// A backend that can do with reading less of a weight where only the k greatest of one token's products are wanted: any
/// other may be −∞. Which it does is up to `session_options::best_logits` alone.
template <class B>
concept RanksProducts = Backend<B> && requires(B& on, typename B::scalar* y, const typename B::scalar* x,
                                               const weight_view w, std::size_t k, float cap,
                                               std::vector<std::int32_t>& guess) {
  on.best_products(w, x, k, cap, y, guess);
};

}  // namespace g4
