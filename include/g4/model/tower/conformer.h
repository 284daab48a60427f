/// The stage `conformer<…>`.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "g4/model/stack/arena.h"
#include "g4/model/tower/clippable.h"
#include "g4/model/tower/part.h"
#include "g4/ops/attend_near.h"

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
/// Source: Gemma4AudioLayer of transformers 5.23.0.
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
    const auto numbers = [&](const char* of, const char* gguf, auto& member) {
      visit(stage_tensor{in_layer(l, of) + ".weight", in_layer(l, gguf) + ".weight", stage_role::numbers, 1,
                         {member.size}},
            member);
    };
    const auto map = [&](const char* of, const char* gguf, auto& member) {
      member.each(visit, in_layer(l, of), in_layer(l, gguf), ".linear");
    };
    numbers("feed_forward1.pre_layer_norm", "ffn_norm", w.before.pre);
    map("feed_forward1.ffw_layer_1", "ffn_up", w.before.up);
    map("feed_forward1.ffw_layer_2", "ffn_down", w.before.down);
    numbers("feed_forward1.post_layer_norm", "ffn_post_norm", w.before.post);

    numbers("norm_pre_attn", "attn_pre_norm", w.pre_attention);
    map("self_attn.q_proj", "attn_q", w.query);
    map("self_attn.k_proj", "attn_k", w.key);
    map("self_attn.v_proj", "attn_v", w.value);
    visit(stage_tensor{in_layer(l, "self_attn.relative_k_proj.weight"), in_layer(l, "attn_k_rel.weight"),
                       stage_role::matrix, 2, {D, D}},
          w.distance);
    visit(stage_tensor{in_layer(l, "self_attn.per_dim_scale"), in_layer(l, "per_dim_scale.weight"), stage_role::bias, 1,
                       {D / S.heads}},
          w.per_number);
    map("self_attn.post", "attn_out", w.output);
    numbers("norm_post_attn", "attn_post_norm", w.post_attention);

    // An mmproj file calls the norm in front of the convolution's maps by the name one expects of the other.
    numbers("lconv1d.pre_layer_norm", "conv_norm", w.pre_conv);
    map("lconv1d.linear_start", "conv_pw1", w.conv_in);
    visit(stage_tensor{in_layer(l, "lconv1d.depthwise_conv1d.weight"), in_layer(l, "conv_dw.weight"),
                       stage_role::numbers, 3, {D, 1, S.side}, {D, S.side}},
          w.kernel);
    numbers("lconv1d.conv_norm", "norm_conv", w.conv_norm);
    map("lconv1d.linear_end", "conv_pw2", w.conv_out);

    numbers("feed_forward2.pre_layer_norm", "ffn_norm_1", w.after.pre);
    map("feed_forward2.ffw_layer_1", "ffn_up_1", w.after.up);
    map("feed_forward2.ffw_layer_2", "ffn_down_1", w.after.down);
    numbers("feed_forward2.post_layer_norm", "ffn_post_norm_1", w.after.post);
    numbers("norm_out", "ln2", w.last);
  }
  static std::string in_layer(int l, const char* name) { return std::to_string(l) + "." + name; }

  template <class Scalar>
  static std::vector<Scalar> distance_table() {
    constexpr std::size_t half = D / 2;
    std::vector<Scalar> table(distances * D);
    for (std::size_t row = 0; row < distances; ++row) {
      const auto d = static_cast<double>(distances - 1 - row);
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
    a.query_scale = static_cast<float>(1 / (std::sqrt(static_cast<double>(D / S.heads)) * std::log(2.0)));
    a.key_scale = static_cast<float>(std::log1p(std::exp(1.0)) / std::log(2.0));
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
