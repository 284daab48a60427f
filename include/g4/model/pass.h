/// One run of a few tokens through the stack: what every layer of it needs to know.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "g4/backend/concept.h"
#include "g4/model/plan.h"
#include "g4/model/tap.h"
#include "g4/model/weights.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/matrix.h"

namespace g4 {

/// Activations, angles and visible keys of the T tokens at positions at, at + 1, …, with the caches they write and read.
/// All memory belongs to the session (`model/session.h`).
template <Variant V, Backend B>
struct pass {
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;
  static constexpr int width = spec.width;
  static constexpr rope_table ropes = distinct_ropes(V::kinds);

  B& on;
  const weights<V>& w;
  const cache_view* caches;  ///< by producing layer; a drafter's, which lie in its target, by its own layer
  scalar* memory;
  scratch_layout at_;
  std::int32_t* chosen_experts;
  tap<scalar> see;

  position at{};           ///< of the first token of this pass
  std::size_t tokens = 0;  ///< T: tokens still being computed; the last T of the `batch` that began the pass
  std::size_t batch = 0;   ///< tokens that began the pass
  const key_range* local_keys = nullptr;   ///< [T]
  const key_range* global_keys = nullptr;  ///< [T]
  /// The layer after whose keys only the last token goes on, where no other's row is wanted: later layers write none.
  int narrows_at = -1;

  template <int Width>
  [[nodiscard]] rows<Width, scalar> scratch(std::size_t offset) const {
    return {memory + offset, tokens};
  }
  [[nodiscard]] rows<width, scalar> stream() const { return scratch<width>(at_.stream); }
  [[nodiscard]] rows<width, scalar> normed() const { return scratch<width>(at_.normed); }
  [[nodiscard]] rows<width, scalar> branch() const { return scratch<width>(at_.branch); }
  [[nodiscard]] rows<width, scalar> second() const { return scratch<width>(at_.second); }

  [[nodiscard]] const cache_view& cache_of(int layer) const {
    return caches[spec.is_drafter() ? layer : spec.producer[static_cast<std::size_t>(layer)]];
  }

  [[nodiscard]] bool narrows(int layer) const { return layer == narrows_at && tokens > 1; }

  /// Goes on with the last token alone.
  void keep_last_row() {
    if (tokens == 1) return;
    constexpr std::size_t streams = spec.altup.has_value() ? spec.altup->streams : 1;
    scalar* const x = memory + at_.stream;
    for (std::size_t j = 0; j < streams; ++j) {
      std::copy_n(x + (j * tokens + tokens - 1) * width, width, x + j * width);
    }
    std::copy_n(normed().row(tokens - 1), width, normed().data);
    local_keys += tokens - 1;
    global_keys += tokens - 1;
    at = at + static_cast<std::int64_t>(tokens - 1);
    tokens = 1;
  }

  /// Cosines of rotary table `r` for the first token of this pass: [T, d/2]; the sines follow `batch`·d/2 further on.
  [[nodiscard]] const scalar* cosines(int r) const {
    std::size_t offset = at_.angles;
    for (int i = 0; i < r; ++i)
      offset += batch * static_cast<std::size_t>(ropes.head_size[static_cast<std::size_t>(i)]);
    return memory + offset + (batch - tokens) * half(r);
  }
  [[nodiscard]] const scalar* sines(int r) const { return cosines(r) + batch * half(r); }
  /// The rotary table of a kind of layer.
  [[nodiscard]] static constexpr int rope_of(int kind) { return ropes.of_kind[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] static constexpr std::size_t half(int r) {
    return static_cast<std::size_t>(ropes.head_size[static_cast<std::size_t>(r)]) / 2;
  }
  /// This layer's per-layer input of token t.
  [[nodiscard]] const scalar* per_layer_row(std::size_t t, int layer) const {
    constexpr std::size_t row = static_cast<std::size_t>(spec.layers) * static_cast<std::size_t>(spec.per_layer->width);
    return memory + at_.per_layer + (batch - tokens + t) * row +
           static_cast<std::size_t>(layer) * static_cast<std::size_t>(spec.per_layer->width);
  }
};

}  // namespace g4
