/// The stage `encoder<…>`: a stack of equal layers in which every row sees every other.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "g4/model/stack/arena.h"
#include "g4/model/stack/frequencies.h"
#include "g4/model/tower/clippable.h"
#include "g4/model/tower/part.h"
#include "g4/ops/begin.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/present.h"
#include "g4/tensor/work_limits.h"

namespace g4 {

namespace detail {

/// A name in both formats.
struct both_names {
  std::string safetensors;
  std::string gguf;
};

/// Working memory of an encoder, laid out for so many rows: offsets from its start.
struct encoder_room {
  std::size_t normed, branch, query, key, value, mixed, gate, up, clamped, keys, values, ranges, rows, ids, cos, sin;
};

template <stage::encoder S, int D>
[[nodiscard]] constexpr encoder_room lay_out(arena& a, std::size_t n, std::size_t scalar_bytes, storage keys_as) {
  constexpr int queries = S.query_heads * S.head_size, keys = S.key_value_heads * S.head_size;
  constexpr int widest = std::max({D, queries, S.hidden});
  const auto rows_of = [&](int width) { return a.take(n, static_cast<std::size_t>(width), scalar_bytes); };
  const std::size_t half =
      cached_bytes(keys_as, static_cast<std::size_t>(S.key_value_heads), n, static_cast<std::size_t>(S.head_size));
  encoder_room r{};
  r.normed = rows_of(D);
  r.branch = rows_of(D);
  r.query = rows_of(queries);
  r.key = rows_of(keys);
  r.value = rows_of(keys);
  r.mixed = rows_of(queries);
  r.gate = rows_of(S.hidden);
  r.up = rows_of(S.gated ? S.hidden : 0);
  r.clamped = rows_of(S.clipped ? widest : 0);
  r.keys = a.take(half, 1);
  r.values = a.take(half, 1);
  r.ranges = a.take(n, sizeof(key_range));
  r.rows = a.take(n, sizeof(pass_row));
  r.ids = a.take(2 * n, sizeof(token_id));
  r.cos = rows_of(S.rope_theta > 0 ? S.head_size / 2 : 0);
  r.sin = rows_of(S.rope_theta > 0 ? S.head_size / 2 : 0);
  return r;
}

template <stage::encoder S, int Out, int In>
using encoder_linear = clippable<Out, In, S.clipped, S.biased>;

/// A norm in front of a half of a layer: by root mean squares, or a layer norm with its bias.
template <stage::encoder S, int D>
struct encoder_norm {
  static constexpr bool of_layers = S.norms == encoder_norms::before;
  vector<D> weight;
  [[no_unique_address]] present_if<of_layers, vector<D>> bias;

  template <class Visit>
  void each(const both_names& name, Visit& visit) {
    visit(stage_tensor{name.safetensors + ".weight", name.gguf + ".weight", stage_role::numbers, 1, {D}}, weight);
    if constexpr (of_layers) {
      visit(stage_tensor{name.safetensors + ".bias", name.gguf + ".bias", stage_role::bias, 1, {D}}, bias);
    }
  }
  template <class B, class Scalar>
  void run(B& on, const Scalar* x, std::size_t n, Scalar* y) const {
    if constexpr (of_layers) {
      on.layer_norm(x, weight.data, bias.data, n, D, S.norm_eps, y);
    } else {
      on.rms_norm(x, weight.data, n, D, S.norm_eps, y);
    }
  }
};

/// One layer over rows of D numbers, in equations:
///
///     q, k = rope(norm(W·z)), v = norm(W·z)      z = pre(x)
///     x += post(W_o · softmax(scale · q kᵀ) v)
///     x += post(down · (gelu(gate·z) ∘ up·z))    z = pre(x)
///
/// Source: transformers 5.23.0, Gemma4VisionEncoderLayer of modeling_gemma4.py.
template <stage::encoder S, int D>
struct encoder_layer {
  static constexpr int queries = S.query_heads * S.head_size;
  static constexpr int keys = S.key_value_heads * S.head_size;
  static constexpr bool sandwich = S.norms == encoder_norms::sandwich;

  encoder_norm<S, D> before_attention, before_feed;
  [[no_unique_address]] present_if<sandwich, vector<D>> after_attention;
  [[no_unique_address]] present_if<sandwich, vector<D>> after_feed;
  encoder_linear<S, queries, D> query;
  encoder_linear<S, keys, D> key, value;
  encoder_linear<S, D, queries> output;
  [[no_unique_address]] present_if<S.qk_norm, vector<S.head_size>> query_norm;
  [[no_unique_address]] present_if<S.qk_norm, vector<S.head_size>> key_norm;
  [[no_unique_address]] present_if<S.gated, encoder_linear<S, S.hidden, D>> gate;
  encoder_linear<S, S.hidden, D> up;
  encoder_linear<S, D, S.hidden> down;

  template <class Visit>
  void each(int layer, Visit& visit) {
    const std::string number = std::to_string(layer);
    const std::string inner = sandwich ? ".linear" : "";
    const auto named = [&](const char* safetensors, const char* gguf) {
      return both_names{"layers." + number + "." + safetensors, "blk." + number + "." + gguf};
    };
    const auto scale = [&](const both_names& name, auto& v, int n) {
      visit(stage_tensor{name.safetensors + ".weight", name.gguf + ".weight", stage_role::numbers, 1, {n}}, v);
    };
    const auto map = [&](auto& member, const both_names& name) {
      member.each(visit, name.safetensors, name.gguf, inner);
    };
    before_attention.each(named(sandwich ? "input_layernorm" : "layer_norm1", "ln1"), visit);
    map(query, named("self_attn.q_proj", "attn_q"));
    map(key, named("self_attn.k_proj", "attn_k"));
    map(value, named("self_attn.v_proj", "attn_v"));
    map(output, named(sandwich ? "self_attn.o_proj" : "self_attn.out_proj", "attn_out"));
    if constexpr (S.qk_norm) {
      scale(named("self_attn.q_norm", "attn_q_norm"), query_norm, S.head_size);
      scale(named("self_attn.k_norm", "attn_k_norm"), key_norm, S.head_size);
    }
    if constexpr (sandwich) scale(named("post_attention_layernorm", "attn_post_norm"), after_attention, D);
    before_feed.each(named(sandwich ? "pre_feedforward_layernorm" : "layer_norm2", "ln2"), visit);
    if constexpr (S.gated) map(gate, named("mlp.gate_proj", "ffn_gate"));
    map(up, named(S.gated ? "mlp.up_proj" : "mlp.fc1", "ffn_up"));
    map(down, named(S.gated ? "mlp.down_proj" : "mlp.fc2", "ffn_down"));
    if constexpr (sandwich) scale(named("post_feedforward_layernorm", "ffn_post_norm"), after_feed, D);
  }

  template <class B>
  void run(B& on, std::size_t n, typename B::scalar* x, std::byte* memory, const encoder_room& at,
           const cache_view& cache) const {
    using scalar = typename B::scalar;
    const auto in = [&](std::size_t offset) { return reinterpret_cast<scalar*>(memory + offset); };
    scalar* const normed = in(at.normed);
    scalar* const branch = in(at.branch);
    attend(on, n, x, memory, at, cache);
    before_feed.run(on, x, n, normed);
    const rows<D, scalar> z{normed, n};
    scalar* const middle = in(at.gate);
    if constexpr (S.gated) {
      clippables(on, z, in(at.clamped), mapped{gate, middle}, mapped{up, in(at.up)});
      on.gelu_gate(middle, in(at.up), n * S.hidden);
    } else {
      up.run(on, normed, n, in(at.clamped), middle);
      on.gelu(middle, n * S.hidden);
    }
    down.run(on, middle, n, in(at.clamped), branch);
    if constexpr (sandwich) {
      on.add_norm(x, branch, after_feed.data, n, D, S.norm_eps);
    } else {
      on.add(branch, n * D, x);
    }
  }

 private:
  template <class B>
  void attend(B& on, std::size_t n, typename B::scalar* x, std::byte* memory, const encoder_room& at,
              const cache_view& cache) const {
    using scalar = typename B::scalar;
    constexpr std::size_t d = S.head_size;
    const auto in = [&](std::size_t offset) { return reinterpret_cast<scalar*>(memory + offset); };
    scalar* const q = in(at.query);
    scalar* const k = in(at.key);
    scalar* const v = in(at.value);
    before_attention.run(on, x, n, in(at.normed));
    const rows<D, scalar> z{in(at.normed), n};
    clippables(on, z, in(at.clamped), mapped{query, q}, mapped{key, k}, mapped{value, v});
    if constexpr (S.v_norm) on.rms_norm(v, nullptr, n * S.key_value_heads, d, S.norm_eps, v);
    if constexpr (S.qk_norm) {
      on.rms_norm(q, query_norm.data, n * S.query_heads, d, S.norm_eps, q);
      on.rms_norm(k, key_norm.data, n * S.key_value_heads, d, S.norm_eps, k);
    }
    if constexpr (S.rope_theta > 0) {
      on.rope_2d(q, n, S.query_heads, d, in(at.cos), in(at.sin));
      on.rope_2d(k, n, S.key_value_heads, d, in(at.cos), in(at.sin));
    }
    if constexpr (requires { on.attends_all(d); }) {
      if (on.attends_all(d)) {
        on.attend_all({n, S.query_heads, S.key_value_heads, d, S.query_scale, q, k, v, in(at.mixed)});
        return finish(on, n, x, memory, at);
      }
    }
    const cache_view* const text = &cache;
    const auto* const begun = reinterpret_cast<const pass_row*>(memory + at.rows);
    on.store(cached_rows<scalar>{&text, 0, begun, n, k, v});
    row_attention<scalar> call{&text, 0, begun, {}};
    call.of.query = q;
    call.of.keys = reinterpret_cast<const key_range*>(memory + at.ranges);
    call.of.out = in(at.mixed);
    call.of.tokens = n;
    call.of.heads = S.query_heads;
    call.of.scale = S.query_scale;
    on.attend(call);
    finish(on, n, x, memory, at);
  }

  /// What follows the mixing of values.
  template <class B>
  void finish(B& on, std::size_t n, typename B::scalar* x, std::byte* memory, const encoder_room& at) const {
    using scalar = typename B::scalar;
    const auto in = [&](std::size_t offset) { return reinterpret_cast<scalar*>(memory + offset); };
    output.run(on, in(at.mixed), n, in(at.clamped), in(at.branch));
    if constexpr (sandwich) {
      on.add_norm(x, in(at.branch), after_attention.data, n, D, S.norm_eps);
    } else {
      on.add(in(at.branch), n * D, x);
    }
  }
};

}  // namespace detail

/// `layers` times a layer: see `detail::encoder_layer`.
template <stage::encoder S, int In, int Text>
struct stage_weights<S, In, Text> {
  std::array<detail::encoder_layer<S, In>, S.layers> layers;

  template <class Visit>
  void each(Visit&& visit) {
    for (int l = 0; l < S.layers; ++l) layers[static_cast<std::size_t>(l)].each(l, visit);
  }

  /// Bytes to work in, for n rows.
  [[nodiscard]] static constexpr std::size_t room(std::size_t n, std::size_t scalar_bytes, storage keys_as) {
    arena a;
    (void)detail::lay_out<S, In>(a, n, scalar_bytes, keys_as);
    return a.total();
  }

  /// The largest calls for n rows.
  static constexpr void limit(std::size_t n, work_limits& most) {
    most.rows = std::max(most.rows, n);
    for (const int columns : {In, S.query_heads * S.head_size, S.hidden}) {
      most.columns = std::max(most.columns, static_cast<std::size_t>(columns));
    }
    most.head_size = std::max<std::size_t>(most.head_size, S.head_size);
    most.slots = std::max(most.slots, n);
    most.all_heads = std::max<std::size_t>(most.all_heads, S.key_value_heads);
  }

  /// show   is shown what each layer leaves
  template <class B, class Show>
  void run(B& on, stage_pass<typename B::scalar>& p, Show&& show) const {
    const storage keys_as = on.cache_storage();
    arena a;
    const detail::encoder_room at = detail::lay_out<S, In>(a, p.rows, sizeof(typename B::scalar), keys_as);
    begin(on, p, at);
    const cache_view cache{p.memory + at.keys, p.memory + at.values, p.rows, S.key_value_heads, S.head_size, keys_as};
    for (int l = 0; l < S.layers; ++l) {
      layers[static_cast<std::size_t>(l)].run(on, p.rows, p.x, p.memory, at, cache);
      show(l, p.x, p.rows, In);
    }
  }

 private:
  /// Every row sees all n, and is turned by its column and its row.
  template <class B>
  static void begin(B& on, stage_pass<typename B::scalar>& p, const detail::encoder_room& at) {
    using scalar = typename B::scalar;
    const std::size_t n = p.rows;
    std::vector<pass_row> rows(n);
    for (std::size_t t = 0; t < n; ++t) {
      const auto here = static_cast<std::int64_t>(t);
      rows[t].at = position{here};
      rows[t].run_end = position{here + 1};
      rows[t].text_end = position{static_cast<std::int64_t>(n)};
    }
    auto* const begun = reinterpret_cast<pass_row*>(p.memory + at.rows);
    on.put(rows.data(), n, begun);
    constexpr key_mask all{-1, -1, false};
    begin_call<scalar> call;
    call.rows = begun;
    call.count = n;
    call.ids = reinterpret_cast<token_id*>(p.memory + at.ids);
    call.looked_up = call.ids + n;
    call.masks = &all;
    call.mask_count = 1;
    call.keys = reinterpret_cast<key_range*>(p.memory + at.ranges);
    call.stride = n;
    on.begin(call);
    if constexpr (S.rope_theta > 0) {
      constexpr std::size_t pairs = S.head_size / 4;
      const std::vector<double> f = rope_frequencies({S.rope_theta, 1.0f, 1.0f}, S.head_size / 2);
      std::vector<scalar> cos(n * 2 * pairs), sin(n * 2 * pairs);
      for (std::size_t t = 0; t < n; ++t) {
        scalar* const c = cos.data() + t * 2 * pairs;
        scalar* const s = sin.data() + t * 2 * pairs;
        ops::rope_angles(f.data(), pairs, p.places[t].column, c, s);
        ops::rope_angles(f.data(), pairs, p.places[t].row, c + pairs, s + pairs);
      }
      on.put(cos.data(), cos.size(), reinterpret_cast<scalar*>(p.memory + at.cos));
      on.put(sin.data(), sin.size(), reinterpret_cast<scalar*>(p.memory + at.sin));
    }
  }
};

}  // namespace g4
