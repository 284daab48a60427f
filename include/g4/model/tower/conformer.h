/// The stage `conformer<…>`.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "g4/model/stack/arena.h"
#include "g4/model/tower/clippable.h"
#include "g4/model/tower/part.h"
#include "g4/ops/attend_near.h"
#include "g4/tensor/work_limits.h"

namespace g4 {

namespace detail {

template <stage::conformer S, int D>
struct conformer_feed {
  static constexpr int hidden = S.wider * D;

  vector<D> pre, post;
  clippable<hidden, D, S.clipped> up;
  clippable<D, hidden, S.clipped> down;
};

template <stage::conformer S, int D>
struct conformer_layer {
  conformer_feed<S, D> before, after;
  vector<D> pre_attention, post_attention;
  clippable<D, D, S.clipped> query, key, value, output;
  matrix<D, D> distance;
  vector<D / S.heads> per_number;
  vector<D> pre_conv, conv_norm;
  clippable<2 * D, D, S.clipped> conv_in;
  clippable<D, D, S.clipped> conv_out;
  vector<D * S.side> kernel;
  vector<D> last;
};

/// What safetensors files call the parts of a layer.
struct conformer_words {
  const char *before, *after;  ///< the two feed-forwards
  const char *pre_attention, *attention, *distance, *output, *post_attention;
  const char* last;
  const char* inner;  ///< between a map's name and its weight's
};
/// Gemma 3n and Gemma 4 call the same parts differently. What tells the two apart is whether keys are scaled.
[[nodiscard]] constexpr conformer_words words_of(const stage::conformer& s) {
  if (!s.scaled_keys) {
    return {"ffw_layer_start",
            "ffw_layer_end",
            "attention.pre_attn_norm",
            "attention.attn",
            ".relative_position_embedding.pos_proj",
            "attention.post",
            "attention.post_norm",
            "norm",
            ""};
  }
  return {"feed_forward1",  "feed_forward2",  "norm_pre_attn", "self_attn", ".relative_k_proj",
          "self_attn.post", "norm_post_attn", "norm_out",      ".linear"};
}

}  // namespace detail

/// x [T, D]  →  [T, D], `layers` times
///
///     x += residual · norm(down · silu(up · norm(x)))
///     x += norm(W_o · attend_near(W_q·n, W_k·n, W_v·n, W_r·distances)),            n = norm(x)
///     x += W_out · silu(norm(convolve_back(glu(W_in · norm(x)))))
///     x += residual · norm(down' · silu(up' · norm(x)))
///     x  = norm(x)
///
/// with x kept within ± limit in front of the norms where the reference does so, and `distances` [P, D] a row for each
/// distance d that has a term: sin(d · τ_i) and after them cos(d · τ_i), τ_i = 10000^(−i / (D/2 − 1)).
/// Source: Gemma4AudioLayer and Gemma3nAudioConformerBlock of transformers 5.23.0.
template <stage::conformer S, int In, int Text>
struct stage_weights<S, In, Text> {
  static constexpr int D = In;
  static constexpr float eps = 1e-6f;
  static constexpr std::size_t distances = static_cast<std::size_t>(S.distances());

  std::array<detail::conformer_layer<S, D>, S.layers> layers;
  bool softened = false;  ///< the file holds softplus of `per_number`: mmproj files do

  template <class Visit>
  void each(Visit&& visit) {
    for (int l = 0; l < S.layers; ++l) each(visit, layers[static_cast<std::size_t>(l)], l);
  }

  [[nodiscard]] static constexpr std::size_t room(std::size_t n, std::size_t scalar_bytes, storage) {
    return arena::product(arena::product(n * (1 + 2 * widest) + 2 * distances, D), scalar_bytes);
  }

  /// The largest calls for n rows.
  static constexpr void limit(std::size_t n, work_limits& most) {
    most.rows = std::max(most.rows, n);
    most.columns = std::max<std::size_t>(most.columns, widest * D);
    most.head_size = std::max<std::size_t>(most.head_size, D / S.heads);
  }

  template <class B, class Show>
  void run(B& on, stage_pass<typename B::scalar>& p, Show&& show) const {
    using scalar = typename B::scalar;
    const std::size_t n = p.rows;
    auto* const work = reinterpret_cast<scalar*>(p.memory);
    const space<scalar> in{n, p.x, work, work + n * D, work + n * (1 + widest) * D, work + n * (1 + 2 * widest) * D};
    const std::vector<scalar> table = distance_table<scalar>();
    on.put(table.data(), table.size(), in.table);
    for (int l = 0; l < S.layers; ++l) {
      const auto& w = layers[static_cast<std::size_t>(l)];
      feed(on, w.before, in);
      attend(on, w, in);
      convolve(on, w, in);
      feed(on, w.after, in);
      limit(on, p.x, n, p.x);
      on.rms_norm(p.x, w.last.data, n, D, eps, p.x);
      show(l, p.x, n, D);
    }
  }

 private:
  /// As wide as the widest of what is worked in, in widths: inner rows of a feed-forward; queries, keys, values, and
  /// what comes of them.
  static constexpr std::size_t widest = S.wider > 4 ? S.wider : 4;

  template <class Scalar>
  struct space {
    std::size_t n;
    Scalar* x;      ///< [n, D]
    Scalar* y;      ///< [n, D]
    Scalar* wide;   ///< [n, widest · D]
    Scalar* other;  ///< [n, widest · D]
    Scalar* table;  ///< [P, D], and the same behind it for what is made of it
  };

  template <class Visit>
  static void each(Visit&& visit, detail::conformer_layer<S, D>& w, int l) {
    constexpr detail::conformer_words names = detail::words_of(S);
    const auto at = [&](auto... pieces) { return ((std::to_string(l) + ".") + ... + std::string(pieces)); };
    const auto numbers = [&](const std::string& of, const char* gguf, auto& member) {
      visit(stage_tensor{of + ".weight", at(gguf, ".weight"), stage_role::numbers, 1, {member.size}}, member);
    };
    const auto map = [&](const std::string& of, const char* gguf, auto& member) {
      member.each(visit, of, at(gguf), names.inner);
    };
    numbers(at(names.before, ".pre_layer_norm"), "ffn_norm", w.before.pre);
    map(at(names.before, ".ffw_layer_1"), "ffn_up", w.before.up);
    map(at(names.before, ".ffw_layer_2"), "ffn_down", w.before.down);
    numbers(at(names.before, ".post_layer_norm"), "ffn_post_norm", w.before.post);

    numbers(at(names.pre_attention), "attn_pre_norm", w.pre_attention);
    map(at(names.attention, ".q_proj"), "attn_q", w.query);
    map(at(names.attention, ".k_proj"), "attn_k", w.key);
    map(at(names.attention, ".v_proj"), "attn_v", w.value);
    visit(
        stage_tensor{
            at(names.attention, names.distance, ".weight"), at("attn_k_rel.weight"), stage_role::matrix, 2, {D, D}},
        w.distance);
    visit(
        stage_tensor{
            at(names.attention, ".per_dim_scale"), at("per_dim_scale.weight"), stage_role::softened, 1, {D / S.heads}},
        w.per_number);
    map(at(names.output), "attn_out", w.output);
    numbers(at(names.post_attention), "attn_post_norm", w.post_attention);

    // An mmproj file calls the norm in front of the convolution's maps by the name one expects of the other.
    numbers(at("lconv1d.pre_layer_norm"), "conv_norm", w.pre_conv);
    map(at("lconv1d.linear_start"), "conv_pw1", w.conv_in);
    visit(stage_tensor{at("lconv1d.depthwise_conv1d.weight"),
                       at("conv_dw.weight"),
                       stage_role::numbers,
                       3,
                       {D, 1, S.side},
                       {D, S.side}},
          w.kernel);
    numbers(at("lconv1d.conv_norm"), "norm_conv", w.conv_norm);
    map(at("lconv1d.linear_end"), "conv_pw2", w.conv_out);

    numbers(at(names.after, ".pre_layer_norm"), "ffn_norm_1", w.after.pre);
    map(at(names.after, ".ffw_layer_1"), "ffn_up_1", w.after.up);
    map(at(names.after, ".ffw_layer_2"), "ffn_down_1", w.after.down);
    numbers(at(names.after, ".post_layer_norm"), "ffn_post_norm_1", w.after.post);
    numbers(at(names.last), "ln2", w.last);
  }

  template <class Scalar>
  static std::vector<Scalar> distance_table() {
    constexpr std::size_t half = D / 2;
    std::vector<Scalar> table(distances * D);
    for (std::size_t row = 0; row < distances; ++row) {
      const auto d = static_cast<double>(S.furthest()) - static_cast<double>(row);
      for (std::size_t i = 0; i < half; ++i) {
        const double slow = half > 1 ? static_cast<double>(i) / static_cast<double>(half - 1) : 0.0;
        const double angle = d * std::exp(-slow * std::log(1e4));
        table[row * D + i] = static_cast<Scalar>(std::sin(angle));
        table[row * D + half + i] = static_cast<Scalar>(std::cos(angle));
      }
    }
    return table;
  }

  template <class B, class Scalar>
  static void limit(B& on, const Scalar* x, std::size_t n, Scalar* y) {
    on.keep_within(x, n * D, -S.limit, S.limit, y);
  }

  template <class B, class Scalar>
  static void feed(B& on, const detail::conformer_feed<S, D>& w, const space<Scalar>& in) {
    limit(on, in.x, in.n, in.y);
    on.rms_norm(in.y, w.pre.data, in.n, D, eps, in.y);
    w.up.run(on, in.y, in.n, in.other, in.wide);
    on.silu(in.wide, in.n * std::size_t{S.wider * D});
    w.down.run(on, in.wide, in.n, in.other, in.y);
    limit(on, in.y, in.n, in.y);
    on.rms_norm(in.y, w.post.data, in.n, D, eps, in.y);
    on.scale(in.y, in.n * D, static_cast<Scalar>(S.residual));
    on.add(in.y, in.n * D, in.x);
  }

  template <class B, class Scalar>
  void attend(B& on, const detail::conformer_layer<S, D>& w, const space<Scalar>& in) const {
    const std::size_t part = in.n * D;
    limit(on, in.x, in.n, in.y);
    on.rms_norm(in.y, w.pre_attention.data, in.n, D, eps, in.y);
    w.query.run(on, in.y, in.n, in.other, in.wide);
    w.key.run(on, in.y, in.n, in.other, in.wide + part);
    w.value.run(on, in.y, in.n, in.other, in.wide + 2 * part);
    Scalar* const far = in.table + distances * D;
    on.matmul(w.distance, in.table, distances, far);

    ops::near_attention<Scalar> a;
    a.rows = in.n;
    a.heads = S.heads;
    a.head_size = D / S.heads;
    a.past = S.past;
    a.ahead = S.ahead;
    a.distances = distances;
    a.self = S.self();
    a.query_scale = static_cast<float>(1 / (std::sqrt(static_cast<double>(D / S.heads)) * std::log(2.0)));
    if constexpr (S.scaled_keys) a.key_scale = static_cast<float>(std::log1p(std::exp(1.0)) / std::log(2.0));
    a.cap = S.cap;
    a.query = in.wide;
    a.key = in.wide + part;
    a.value = in.wide + 2 * part;
    a.distance = far;
    a.per_number = w.per_number.data;
    a.softened = softened;
    a.out = in.wide + 3 * part;
    on.attend_near(a);

    w.output.run(on, a.out, in.n, in.other, in.y);
    limit(on, in.y, in.n, in.y);
    on.add_norm(in.x, in.y, w.post_attention.data, in.n, D, eps);
  }

  template <class B, class Scalar>
  static void convolve(B& on, const detail::conformer_layer<S, D>& w, const space<Scalar>& in) {
    on.rms_norm(in.x, w.pre_conv.data, in.n, D, S.conv_eps, in.y);
    w.conv_in.run(on, in.y, in.n, in.other, in.wide);
    on.glu(in.wide, in.n, D, in.y);
    on.convolve_back(in.y, w.kernel.data, in.n, D, S.side, in.wide);
    limit(on, in.wide, in.n, in.wide);
    on.rms_norm(in.wide, w.conv_norm.data, in.n, D, S.conv_eps, in.wide);
    on.silu(in.wide, in.n * D);
    w.conv_out.run(on, in.wide, in.n, in.other, in.y);
    on.add(in.y, in.n * D, in.x);
  }
};

}  // namespace g4
