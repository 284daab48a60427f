/// The stage `mobilenet<…>`.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/model/stack/arena.h"
#include "g4/model/tower/part.h"
#include "g4/ops/plane.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/present.h"

namespace g4 {

namespace detail {

/// Places of a plane that are widened, seen through and narrowed together: what is between stays near.
inline constexpr std::size_t places_at_once = 1024;
inline constexpr float mobile_eps = 1e-6f;  ///< of every norm

/// Where a MobileNet works: planes [side², channels], and memory as `mobile_room` has laid it out.
template <class Scalar>
struct mobile_planes {
  std::size_t side = 0;
  Scalar *x, *y;                   ///< what a block is given, and what it makes of it
  Scalar *inner, *wide, *squares;  ///< between the halves of a block
  Scalar *thin, *key, *value;      ///< attention
  Scalar* kept;                    ///< the plane of the size before the last
  cache_view cache;                ///< attention; its sizes are those of the block
  key_range* ranges;
  pass_row* rows;

  [[nodiscard]] std::size_t places() const { return side * side; }
};

/// Offsets of all that, for pictures of so many pixels.
struct mobile_room {
  std::size_t x, y, inner, wide, squares, thin, key, value, kept, keys, values, ranges, rows;
};

[[nodiscard]] constexpr mobile_room lay_out(const stage::mobilenet& net, arena& a, std::size_t side,
                                            std::size_t scalar_bytes, storage keys_as) {
  std::size_t plane = 0, inner = 0, wide = 0, squares = 0, thin = 0, key = 0, kept = 0, cached = 0, queries = 0;
  const auto most = [](std::size_t& of, std::size_t n) { of = std::max(of, n); };
  const auto some = [](std::size_t columns) { return std::max(places_at_once, columns); };
  std::size_t at = ops::plane::count(side, 2);
  most(plane, at * at * std::size_t(net.stem));
  most(squares, some(at) * 27);
  for (int e = 0; e < net.entries; ++e) {
    const mobile_block& b = net.block[static_cast<std::size_t>(e)];
    const auto in = static_cast<std::size_t>(net.channels_before(e));
    const std::size_t out = ops::plane::count(at, static_cast<std::size_t>(b.stride));
    const auto widened = b.kind == mobile::attention ? 0 : static_cast<std::size_t>(b.inner(static_cast<int>(in)));
    if (b.kind == mobile::edge) {
      most(squares, some(out) * static_cast<std::size_t>(b.side * b.side) * in);
      most(wide, some(out) * widened);
    } else if (b.kind == mobile::bottleneck) {
      if (b.start > 0) most(inner, at * at * in);
      if (b.middle > 0) most(inner, out * out * widened);
      most(wide, b.middle > 0 ? at * at * widened : places_at_once * widened);
    } else {
      const auto heads = static_cast<std::size_t>(b.heads * b.head_size), d = static_cast<std::size_t>(b.head_size);
      const std::size_t keys = ops::plane::count(at, static_cast<std::size_t>(b.key_stride));
      most(inner, at * at * std::max(in, heads));
      most(wide, at * at * heads);
      if (b.key_stride > 1) most(thin, keys * keys * in);
      most(key, keys * keys * d);
      most(cached, cached_bytes(keys_as, 1, keys * keys, d));
      most(queries, at * at);
    }
    if (e == net.kept() + 1) {
      kept = at * at * in;
      most(inner, at * at * static_cast<std::size_t>(net.fused));
      most(squares, places_at_once * static_cast<std::size_t>(net.fused_from()));
      most(wide, places_at_once * static_cast<std::size_t>(whole_channels(2.0 * net.fused_from())));
    }
    at = out;
    most(plane, at * at * static_cast<std::size_t>(b.channels));
  }
  mobile_room r{};
  r.x = a.take(plane, scalar_bytes);
  r.y = a.take(plane, scalar_bytes);
  r.inner = a.take(inner, scalar_bytes);
  r.wide = a.take(wide, scalar_bytes);
  r.squares = a.take(squares, scalar_bytes);
  r.thin = a.take(thin, scalar_bytes);
  r.key = a.take(key, scalar_bytes);
  r.value = a.take(key, scalar_bytes);
  r.kept = a.take(kept, scalar_bytes);
  r.keys = a.take(cached, 1);
  r.values = a.take(cached, 1);
  r.ranges = a.take(queries, sizeof(key_range));
  r.rows = a.take(queries, sizeof(pass_row));
  return r;
}

/// Visits the tensors of a block, which both formats call the same behind the block's own name.
template <class Visit>
struct mobile_tensors {
  Visit& visit;
  std::string safetensors, gguf;

  template <int N>
  void numbers(const char* name, vector<N>& v) const {
    visit(stage_tensor{safetensors + name, gguf + name, stage_role::numbers, 1, {N}}, v);
  }
  /// A convolution of side 1: a product over channels.
  template <int Out, int In>
  void product(const char* name, matrix<Out, In>& m) const {
    visit(stage_tensor{safetensors + name, gguf + name, stage_role::matrix, 4, {Out, In, 1, 1}}, m);
  }
  /// A whole convolution.
  template <int Out, int Columns>
  void convolution(const char* name, int in, int side, matrix<Out, Columns>& m) const {
    visit(stage_tensor{safetensors + name, gguf + name, stage_role::convolution, 4, {Out, in, side, side}}, m);
  }
  /// A convolution of each channel by itself.
  template <int N>
  void channelwise(const char* name, int channels, int side, vector<N>& v) const {
    visit(stage_tensor{safetensors + name, gguf + name, stage_role::channelwise, 4, {channels, 1, side, side}}, v);
  }
};

/// y = norm(W·x), and through a GELU where it widens.
template <int Out, int In>
struct mobile_map {
  matrix<Out, In> weight;
  vector<Out> norm;

  template <class B, class Scalar>
  void narrow(B& on, const Scalar* x, std::size_t n, Scalar* y) const {
    on.matmul(weight, x, n, y);
    on.rms_norm(y, norm.data, n, Out, mobile_eps, y);
  }
  template <class B, class Scalar>
  void widen(B& on, const Scalar* x, std::size_t n, Scalar* y) const {
    narrow(on, x, n, y);
    on.gelu(y, n * Out);
  }
};

/// y = norm(conv(x)), each channel by itself.
template <int Channels, int Side>
struct mobile_conv {
  vector<Channels * Side * Side> kernel;
  vector<Channels> norm;

  template <class B, class Scalar>
  std::size_t run(B& on, const Scalar* x, std::size_t side, int stride, Scalar* y) const {
    const ops::plane p{side, side, std::size_t{Channels}, std::size_t{Side}, static_cast<std::size_t>(stride)};
    on.depthwise(x, kernel.data, p, y);
    on.rms_norm(y, norm.data, p.rows() * p.columns(), Channels, mobile_eps, y);
    return p.rows();
  }
};

/// What a block made is added to what it was given, or takes its place.
template <bool Added, class B, class Scalar>
void leave(B& on, mobile_planes<Scalar>& m, std::size_t side, std::size_t channels) {
  if constexpr (Added) {
    on.add(m.y, side * side * channels, m.x);
  } else {
    std::swap(m.x, m.y);
  }
  m.side = side;
}

template <mobile_block K, int In>
struct mobile_weights;

template <mobile_block K, int In>
  requires(K.kind == mobile::edge)
struct mobile_weights<K, In> {
  static constexpr int inner = K.inner(In), out = K.channels;

  mobile_map<inner, In * K.side * K.side> widen;
  mobile_map<out, inner> narrow;

  template <class Tensors>
  void each(const Tensors& t) {
    t.convolution("conv_exp.weight", In, K.side, widen.weight);
    t.numbers("bn1.weight", widen.norm);
    t.product("conv_pwl.weight", narrow.weight);
    t.numbers("bn2.weight", narrow.norm);
  }
  template <class B, class Scalar>
  void run(B& on, mobile_planes<Scalar>& m) const {
    const ops::plane p{m.side, m.side, std::size_t{In}, std::size_t{K.side}, std::size_t{K.stride}};
    const std::size_t at_once = std::max<std::size_t>(1, places_at_once / p.columns());
    for (std::size_t i = 0; i < p.rows(); i += at_once) {
      const std::size_t rows = std::min(at_once, p.rows() - i), n = rows * p.columns();
      on.unfold(m.x, p, i, rows, m.squares);
      widen.widen(on, m.squares, n, m.wide);
      narrow.narrow(on, m.wide, n, m.y + i * p.columns() * out);
    }
    leave<In == out && K.stride == 1>(on, m, p.rows(), out);
  }
};

template <mobile_block K, int In>
  requires(K.kind == mobile::bottleneck)
struct mobile_weights<K, In> {
  static constexpr int inner = K.inner(In), out = K.channels;

  [[no_unique_address]] present_if<(K.start > 0), mobile_conv<In, K.start>> start;
  mobile_map<inner, In> widen;
  [[no_unique_address]] present_if<(K.middle > 0), mobile_conv<inner, K.middle>> middle;
  mobile_map<out, inner> narrow;
  vector<out> gamma;

  template <class Tensors>
  void each(const Tensors& t) {
    if constexpr (K.start > 0) {
      t.channelwise("dw_start.conv.weight", In, K.start, start.kernel);
      t.numbers("dw_start.bn.weight", start.norm);
    }
    t.product("pw_exp.conv.weight", widen.weight);
    t.numbers("pw_exp.bn.weight", widen.norm);
    if constexpr (K.middle > 0) {
      t.channelwise("dw_mid.conv.weight", inner, K.middle, middle.kernel);
      t.numbers("dw_mid.bn.weight", middle.norm);
    }
    t.product("pw_proj.conv.weight", narrow.weight);
    t.numbers("pw_proj.bn.weight", narrow.norm);
    t.numbers("layer_scale.gamma", gamma);
  }
  template <class B, class Scalar>
  void run(B& on, mobile_planes<Scalar>& m) const {
    const Scalar* x = m.x;
    std::size_t side = m.side;
    if constexpr (K.start > 0) {
      side = start.run(on, m.x, side, K.middle > 0 ? 1 : K.stride, m.inner);
      x = m.inner;
    }
    const std::size_t n = side * side;
    for (std::size_t i = 0; i < n; i += places_at_once) {
      const std::size_t some = std::min(places_at_once, n - i);
      if constexpr (K.middle > 0) {
        widen.widen(on, x + i * In, some, m.wide + i * inner);
      } else {
        widen.widen(on, x + i * In, some, m.wide);
        narrow.narrow(on, m.wide, some, m.y + i * out);
      }
    }
    if constexpr (K.middle > 0) {
      side = middle.run(on, m.wide, side, K.stride, m.inner);
      on.gelu(m.inner, side * side * inner);
      narrow.narrow(on, m.inner, side * side, m.y);
    }
    on.scale_columns(m.y, gamma.data, side * side, out, m.y);
    leave<In == out && K.stride == 1>(on, m, side, out);
  }
};

/// Keys, or values: of every place, or of thinned out ones.
template <mobile_block K, int In>
struct mobile_keys {
  static constexpr bool thinned = K.key_stride > 1;
  [[no_unique_address]] present_if<thinned, mobile_conv<In, K.side>> down;
  matrix<K.head_size, In> weight;

  template <class Tensors>
  void each(const Tensors& t, const std::string& name) {
    if constexpr (thinned) {
      t.channelwise((name + ".down_conv.weight").c_str(), In, K.side, down.kernel);
      t.numbers((name + ".norm.weight").c_str(), down.norm);
    }
    t.product((name + ".proj.weight").c_str(), weight);
  }
  /// How many there are.
  template <class B, class Scalar>
  std::size_t run(B& on, const Scalar* z, const mobile_planes<Scalar>& m, Scalar* y) const {
    std::size_t side = m.side;
    if constexpr (thinned) {
      side = down.run(on, z, side, K.key_stride, m.thin);
      z = m.thin;
    }
    on.matmul(weight, z, side * side, y);
    return side * side;
  }
};

template <mobile_block K, int In>
  requires(K.kind == mobile::attention)
struct mobile_weights<K, In> {
  static constexpr int queries = K.heads * K.head_size;

  vector<In> norm;
  matrix<queries, In> query;
  mobile_keys<K, In> key, value;
  matrix<In, queries> output;
  vector<In> gamma;

  template <class Tensors>
  void each(const Tensors& t) {
    t.numbers("norm.weight", norm);
    t.product("attn.query.proj.weight", query);
    key.each(t, "attn.key");
    value.each(t, "attn.value");
    t.product("attn.output.proj.weight", output);
    t.numbers("layer_scale.gamma", gamma);
  }
  template <class B, class Scalar>
  void run(B& on, mobile_planes<Scalar>& m) const {
    const std::size_t n = m.places();
    on.rms_norm(m.x, norm.data, n, In, mobile_eps, m.inner);
    on.matmul(query, m.inner, n, m.wide);
    const std::size_t seen = key.run(on, m.inner, m, m.key);
    value.run(on, m.inner, m, m.value);

    // Every place sees all keys.
    const std::vector<key_range> ranges(n, {position{0}, position{static_cast<std::int64_t>(seen)}});
    std::vector<pass_row> rows(n);
    for (std::size_t t = 0; t < n; ++t) rows[t].at = position{static_cast<std::int64_t>(t)};
    on.put(ranges.data(), n, m.ranges);
    on.put(rows.data(), n, m.rows);
    cache_view cache = m.cache;
    cache.slots = seen;
    cache.heads = 1;
    cache.head_size = K.head_size;
    const cache_view* const one = &cache;
    on.store(cached_rows<Scalar>{&one, 0, m.rows, seen, m.key, m.value});
    row_attention<Scalar> call{&one, 0, m.rows, {}};
    call.of.query = m.wide;
    call.of.keys = m.ranges;
    call.of.out = m.inner;
    call.of.tokens = n;
    call.of.heads = K.heads;
    call.of.scale = scale_of(K.head_size);
    on.attend(call);
    on.matmul(output, m.inner, n, m.y);
    on.scale_columns(m.y, gamma.data, n, In, m.y);
    leave<true>(on, m, m.side, In);
  }

 private:
  static float scale_of(int d) { return static_cast<float>(1 / std::sqrt(static_cast<double>(d))); }
};

/// The end: z = norm(narrow · gelu(norm(widen · (a, b drawn to the size of a)))), y = norm(mean of squares of z).
template <int Kept, int Last, int Fused, int Side>
struct mobile_fusion {
  static constexpr int from = Kept + Last, inner = whole_channels(2.0 * from);

  mobile_map<inner, from> widen;
  mobile_map<Fused, inner> narrow;
  vector<Fused> norm;

  template <class Tensors>
  void each(const Tensors& t) {
    t.product("ffn.pw_exp.conv.weight", widen.weight);
    t.numbers("ffn.pw_exp.bn.weight", widen.norm);
    t.product("ffn.pw_proj.conv.weight", narrow.weight);
    t.numbers("ffn.pw_proj.bn.weight", narrow.norm);
    t.numbers("norm.weight", norm);
  }
  /// Of m.kept, a plane `large` places wide, and m.x; leaves Side² rows in p.x.
  template <class B, class Scalar>
  void run(B& on, stage_pass<Scalar>& p, const mobile_planes<Scalar>& m, std::size_t large) const {
    const std::size_t n = large * large;
    for (std::size_t t = 0; t < n; ++t) {  // which rows of the two stand beside each other
      const std::size_t row = t / large * m.side / large, column = t % large * m.side / large;
      p.host_ids[t] = static_cast<token_id>(t);
      p.host_ids[n + t] = static_cast<token_id>(row * m.side + column);
    }
    on.put(p.host_ids, 2 * n, p.ids);
    for (std::size_t i = 0; i < n; i += places_at_once) {
      const std::size_t some = std::min(places_at_once, n - i);
      on.lay_beside(m.kept, p.ids + i, some, Kept, from, m.squares);
      on.lay_beside(m.x, p.ids + n + i, some, Last, from, m.squares + Kept);
      widen.widen(on, m.squares, some, m.wide);
      narrow.narrow(on, m.wide, some, m.inner + i * Fused);
    }
    const std::size_t across = large / Side;
    for (std::size_t t = 0; t < n; ++t) {
      const std::size_t row = t / large, column = t % large, square = row / across * Side + column / across;
      p.host_ids[square * across * across + row % across * across + column % across] = static_cast<token_id>(t);
    }
    on.put(p.host_ids, n, p.ids);
    p.rows = std::size_t{Side} * Side;
    on.mean_groups(m.inner, p.ids, p.rows, across * across, Fused, p.x);
    on.rms_norm(p.x, norm.data, p.rows, Fused, mobile_eps, p.x);
  }
};

template <stage::mobilenet S, class Entries>
struct mobile_list;
template <stage::mobilenet S, std::size_t... E>
struct mobile_list<S, std::index_sequence<E...>> {
  using type = std::tuple<std::array<mobile_weights<S.block[E], S.channels_before(static_cast<int>(E))>,
                                     static_cast<std::size_t>(S.block[E].times)>...>;
};

}  // namespace detail

/// x [side², 3]  →  [S.side², S.fused]: blocks over planes that are halved again and again (`policy/mobilenet.h` says what
/// each does), and of the last two sizes, a large one a and a small one b,
///
///     z = norm(narrow · gelu(norm(widen · (a, b drawn to the size of a)))),   y = norm(mean of squares of z)
///
/// Planes have their channels side by side, so that a convolution of side 1 is a product, and a norm over channels one of
/// rows; whole convolutions are products with their squares laid out as rows.
/// Source: timm 1.0.31, models/mobilenetv5.py and models/_efficientnet_blocks.py.
template <stage::mobilenet S, int In, int Text>
struct stage_weights<S, In, Text> {
  using list = typename detail::mobile_list<S, std::make_index_sequence<static_cast<std::size_t>(S.entries)>>::type;
  static constexpr int last = S.block[static_cast<std::size_t>(S.entries) - 1].channels;
  static constexpr int kept = S.block[static_cast<std::size_t>(S.kept())].channels;

  detail::mobile_map<S.stem, In * 9> stem;
  vector<S.stem> stem_bias;
  list blocks;
  detail::mobile_fusion<kept, last, S.fused, S.side> fusion;

  template <class Visit>
  void each(Visit&& visit) {
    using tensors = detail::mobile_tensors<std::remove_reference_t<Visit>>;
    const tensors own{visit, "", ""};
    own.convolution("conv_stem.conv.weight", In, 3, stem.weight);
    visit(stage_tensor{"conv_stem.conv.bias", "conv_stem.conv.bias", stage_role::bias, 1, {S.stem}}, stem_bias);
    own.numbers("conv_stem.bn.weight", stem.norm);
    int size = -1, number = 0;
    each_block(blocks, [&](auto& block, auto e) {
      if (S.block[e].stride == 2) ++size, number = 0;
      const std::string here = std::to_string(size) + "." + std::to_string(number++) + ".";
      block.each(tensors{visit, "blocks." + here, "blk." + here});
    });
    fusion.each(tensors{visit, "msfa.", "msfa."});
  }

  [[nodiscard]] static constexpr std::size_t rows_of(std::size_t) { return std::size_t{S.side} * S.side; }
  [[nodiscard]] static constexpr std::size_t room(std::size_t n, std::size_t scalar_bytes, storage keys_as) {
    arena a;
    (void)detail::lay_out(S, a, side_of(n), scalar_bytes, keys_as);
    return a.total();
  }
  /// Refuses a picture that is no square, or whose planes leave no `S.side` squares to be fused.
  [[nodiscard]] static result<void> fits(std::span<const place> pixels) {
    const std::size_t side = side_of(pixels.size());
    if (side * side != pixels.size()) return fail("tower: ", pixels.size(), " pixels are no square picture");
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      if (static_cast<std::size_t>(pixels[i].column) == i % side &&
          static_cast<std::size_t>(pixels[i].row) == i / side) {
        continue;
      }
      return fail("tower: pixel ", i, " of a square picture of ", side, " is at column ", pixels[i].column, " and row ",
                  pixels[i].row, "; pixels are given in the order of reading");
    }
    std::size_t large = side;
    for (int halved = 0; halved < S.sizes(); ++halved) large = ops::plane::count(large, 2);
    if (large % S.side != 0) {
      return fail("tower: a picture of ", side, " x ", side, " pixels leaves ", large, " x ", large,
                  " places to be fused, which are no ", S.side, " x ", S.side, " squares");
    }
    return {};
  }

  template <class B, class Show>
  void run(B& on, stage_pass<typename B::scalar>& p, Show&& show) const {
    using scalar = typename B::scalar;
    detail::mobile_planes<scalar> m = planes(on, p);
    begin(on, p.x, m);
    show("vision.stem", -1, m.x, m.places(), std::size_t{S.stem});
    std::size_t kept_side = 0;
    int size = -1, number = 0;
    each_block(blocks, [&](const auto& block, auto e) {
      if constexpr (S.block[e].stride == 2) ++size, number = 0;
      if constexpr (e == S.kept() + 1) {
        kept_side = m.side;
        on.copy(m.x, m.places() * kept, m.kept);
      }
      block.run(on, m);
      show(shown[size], number++, m.x, m.places(), static_cast<std::size_t>(S.block[e].channels));
    });
    fusion.run(on, p, m, kept_side);
    show(-1, p.x, p.rows, std::size_t{S.fused});
  }

 private:
  static constexpr const char* shown[] = {"vision.block.0", "vision.block.1", "vision.block.2", "vision.block.3"};

  [[nodiscard]] static constexpr std::size_t side_of(std::size_t n) {
    std::size_t side = 0;
    for (std::size_t bit = std::size_t{1} << 20; bit != 0; bit /= 2) {
      if ((side + bit) * (side + bit) <= n) side += bit;
    }
    return side;
  }

  /// Calls `body(block, entry)` for each block in order; `entry` is a constant.
  template <int E = 0, class List, class Body>
  static void each_block(List& all, Body&& body) {
    if constexpr (E < S.entries) {
      constexpr int end = S.turn_end(E);
      for (std::size_t t = 0; t < static_cast<std::size_t>(S.block[E].times); ++t) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          (body(std::get<E + I>(all)[t], std::integral_constant<int, E + static_cast<int>(I)>{}), ...);
        }(std::make_index_sequence<static_cast<std::size_t>(end - E)>{});
      }
      each_block<end>(all, body);
    }
  }

  template <class B>
  [[nodiscard]] static detail::mobile_planes<typename B::scalar> planes(B& on,
                                                                        const stage_pass<typename B::scalar>& p) {
    using scalar = typename B::scalar;
    arena a;
    const storage keys_as = on.cache_storage();
    const detail::mobile_room r = detail::lay_out(S, a, side_of(p.rows), sizeof(scalar), keys_as);
    const auto in = [&](std::size_t offset) { return reinterpret_cast<scalar*>(p.memory + offset); };
    detail::mobile_planes<scalar> m{};
    m.side = side_of(p.rows);
    m.x = in(r.x);
    m.y = in(r.y);
    m.inner = in(r.inner);
    m.wide = in(r.wide);
    m.squares = in(r.squares);
    m.thin = in(r.thin);
    m.key = in(r.key);
    m.value = in(r.value);
    m.kept = in(r.kept);
    m.cache = {p.memory + r.keys, p.memory + r.values, 0, 1, 0, keys_as};
    m.ranges = reinterpret_cast<key_range*>(p.memory + r.ranges);
    m.rows = reinterpret_cast<pass_row*>(p.memory + r.rows);
    return m;
  }

  /// gelu(norm(conv(pixels) + bias))
  template <class B, class Scalar>
  void begin(B& on, const Scalar* pixels, detail::mobile_planes<Scalar>& m) const {
    const ops::plane p{m.side, m.side, In, 3, 2};
    const std::size_t at_once = std::max<std::size_t>(1, detail::places_at_once / p.columns());
    for (std::size_t i = 0; i < p.rows(); i += at_once) {
      const std::size_t rows = std::min(at_once, p.rows() - i), n = rows * p.columns();
      Scalar* const y = m.x + i * p.columns() * S.stem;
      on.unfold(pixels, p, i, rows, m.squares);
      on.matmul(stem.weight, m.squares, n, y);
      on.add_bias(y, stem_bias.data, n, S.stem);
      on.rms_norm(y, stem.norm.data, n, S.stem, detail::mobile_eps, y);
      on.gelu(y, n * S.stem);
    }
    m.side = p.rows();
  }
};

}  // namespace g4
