/// The order of local and global layers, and what each of the two is.
#pragma once

#include "g4/policy/slot.h"
#include "g4/spec/stack.h"

namespace g4 {

/// Size d of a head, even.
struct head {
  int size = 0;
  constexpr void describe(layer_kind& k) const { k.head_size = size; }
};

/// A causal sliding window: a query sees `keys` keys, itself included (q − keys < k ≤ q).
struct window {
  int keys = 0;
  constexpr void describe(layer_kind& k) const { k.keys = {keys - 1, 0}; }
};

/// An encoder's window: a query sees the keys at a distance of at most `keys` on either side.
struct each_side {
  int keys = 0;
  constexpr void describe(layer_kind& k) const { k.keys = {keys, keys}; }
};

/// Rotary embedding of all pairs: f_i = theta^(−2i/d) / factor ("default", and "linear" with a factor).
struct rope {
  float theta = 1e4f;
  float factor = 1.0f;
  constexpr void describe(layer_kind& k) const { k.rope = {theta, factor, 1.0f}; }
};

/// Rotary embedding of the first `fraction` of the pairs, the exponent still divided by the whole head size
/// ("proportional"): f_i = theta^(−2i/d) / factor for i < ⌊fraction·d/2⌋, then 0.
struct partial_rope {
  float theta = 1e6f;
  float fraction = 1.0f;
  float factor = 1.0f;
  constexpr void describe(layer_kind& k) const { k.rope = {theta, factor, fraction}; }
};

/// Key/value heads of this kind of layer, where they differ from the model's.
struct key_value_heads {
  int count = 0;
  constexpr void describe(layer_kind& k) const { k.key_value_heads = count; }
};

/// No value projection: v = v_norm(k_proj(x)), the raw projection before the key norm and the rotation.
inline constexpr struct key_is_value_t {
  constexpr void describe(layer_kind& k) const { k.key_is_value = true; }
} key_is_value{};

template <reach Sees, auto... Parts>
struct layer_t {
  [[nodiscard]] static constexpr layer_kind kind() {
    layer_kind k;
    k.sees = Sees;
    (Parts.describe(k), ...);
    return k;
  }
};

/// A sliding-attention layer: `local<head{256}, window{512}, rope{.theta = 1e4f}>`
template <auto... Parts>
inline constexpr layer_t<reach::local, Parts...> local{};

/// A full-attention layer: `global<head{512}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>`
template <auto... Parts>
inline constexpr layer_t<reach::global, Parts...> global{};

template <int Count, auto Layer>
struct times_t {
  static constexpr int count = Count;
  static constexpr auto layer = Layer;
};

/// So many layers of one kind in a row.
template <int Count, auto Layer>
inline constexpr times_t<Count, Layer> times{};

template <auto... Runs>
struct repeat_t {
  using slot = slots::pattern;

  /// Lays the runs end to end, over and over, until every layer has its kind; the last round may be cut short.
  constexpr void describe(stack_spec& m) const {
    int at = 0;
    const auto lay = [&](int count, const layer_kind& kind) {
      for (int i = 0; i < count && at < m.layers; ++i, ++at) {
        const int hidden = m.layer[at].hidden;  // the feed-forward's entries may be there already
        const float sparsity = m.layer[at].sparsity;
        m.layer[at] = kind;
        m.layer[at].hidden = hidden;
        m.layer[at].sparsity = sparsity;
      }
    };
    while (at < m.layers) (lay(Runs.count, Runs.layer.kind()), ...);
  }
};

/// `repeat<times<5, local<…>>, times<1, global<…>>>`
template <auto... Runs>
inline constexpr repeat_t<Runs...> repeat{};

}  // namespace g4
