/// The word for the picture tower of Gemma 3n: `mobilenet<conv_stem{…}, blocks<…>, …, fused{…}>`.
#pragma once

#include <concepts>
#include <type_traits>

#include "g4/policy/flow.h"
#include "g4/policy/pattern.h"
#include "g4/rule/tower_rules.h"
#include "g4/spec/tower.h"

namespace g4 {

/// A convolution of side 3 with a bias that halves the picture; normed, and through a GELU.
struct conv_stem {
  int channels = 0;
};

/// Edge residual: x + norm(narrow · gelu(norm(conv(x)))), with a whole convolution of `side`. Without x where it halves the
/// plane or changes how many channels there are.
struct edge_residual {
  int channels = 0;
  int side = 3;
  int stride = 1;
  float wider = 4;
  [[nodiscard]] constexpr mobile_block block() const {
    return {.kind = mobile::edge, .channels = channels, .stride = stride, .side = side, .wider = wider};
  }
};

/// Universal inverted bottleneck: x + γ ∘ norm(narrow · m), m = gelu(norm(middle(gelu(norm(widen · norm(start(x)))))));
/// `start` and `middle` are sides of convolutions of each channel by itself, nought where there is none. Without x where it
/// halves the plane, which the middle does, or changes how many channels there are.
struct bottleneck {
  int channels = 0;
  int start = 0;
  int middle = 0;
  int stride = 1;
  float wider = 4;
  [[nodiscard]] constexpr mobile_block block() const {
    return {.kind = mobile::bottleneck,
            .channels = channels,
            .stride = stride,
            .start = start,
            .middle = middle,
            .wider = wider};
  }
};

/// Mobile multi-query attention: x + γ ∘ output · attend(z), z = norm(x), over all places; heads of queries share one of
/// keys and values. With `key_stride` these are made of thinned out places: norm(conv(z)), each channel by itself.
struct multi_query {
  int channels = 0;
  int heads = 0;
  int size = 0;
  int key_stride = 1;
  int side = 3;  ///< of the convolution that thins out
  [[nodiscard]] constexpr mobile_block block() const {
    return {.kind = mobile::attention,
            .channels = channels,
            .stride = 1,
            .side = key_stride > 1 ? side : 0,
            .heads = heads,
            .head_size = size,
            .key_stride = key_stride};
  }
};

/// So many rounds of blocks that take turns.
template <int Count, auto... Blocks>
struct in_turn_t {
  static constexpr int count = Count;
};
template <int Count, auto... Blocks>
inline constexpr in_turn_t<Count, Blocks...> in_turn{};

/// The last two sizes of planes beside each other, the smaller one drawn to the size of the other: twice as wide and back
/// to `channels`, the mean of squares so that `side` × `side` places are left, and normed.
struct fused {
  int channels = 0;
  int side = 0;
};

namespace detail {

/// Blocks as entries of a specification; `understood` where they are blocks at all.
template <class Word>
struct mobile_entries {
  static constexpr bool understood = requires(const Word& word) { word.block(); };
  static constexpr void add(const Word& word, stage::mobilenet& net) {
    if constexpr (understood) {
      mobile_block one = word.block();
      one.times = 1;
      net.then(one);
    }
  }
};
template <int Count, auto Block>
struct mobile_entries<times_t<Count, Block>> {
  static constexpr bool understood = requires { Block.block(); };
  static constexpr void add(times_t<Count, Block>, stage::mobilenet& net) {
    if constexpr (understood) {
      mobile_block one = Block.block();
      one.times = Count;
      net.then(one);
    }
  }
};
template <int Count, auto... Blocks>
struct mobile_entries<in_turn_t<Count, Blocks...>> {
  static constexpr bool understood = (requires { Blocks.block(); } && ...);
  static constexpr void add(in_turn_t<Count, Blocks...>, stage::mobilenet& net) {
    if constexpr (understood) {
      bool later = false;
      const auto each = [&](mobile_block one) {
        one.times = Count;
        one.in_turn = later;
        later = true;
        net.then(one);
      };
      (each(Blocks.block()), ...);
    }
  }
};
template <class Word>
using mobile_entries_of = mobile_entries<std::remove_const_t<Word>>;

}  // namespace detail

/// Blocks over planes of one size, which the first of them halves.
template <auto... Blocks>
struct blocks_t {
  static constexpr bool understood = (detail::mobile_entries_of<decltype(Blocks)>::understood && ...);
  static constexpr void describe(stage::mobilenet& net) {
    (detail::mobile_entries_of<decltype(Blocks)>::add(Blocks, net), ...);
  }
  /// The first halves the plane, once, and no other does.
  [[nodiscard]] static constexpr bool halves_first() {
    stage::mobilenet net;
    describe(net);
    bool right = net.entries > 0 && net.block[0].stride == 2 && net.block[0].times == 1;
    for (int e = 1; e < net.entries && e < static_cast<int>(stage::mobilenet::most_entries); ++e) {
      right = right && net.block[static_cast<std::size_t>(e)].stride == 1;
    }
    return right && net.block[1].in_turn == false;
  }
};
template <auto... Blocks>
inline constexpr blocks_t<Blocks...> blocks{};

template <conv_stem Stem, auto... Parts>
struct mobilenet_t {
  template <class Part>
  static constexpr bool is_end = std::same_as<std::remove_const_t<Part>, fused>;
  template <class Part>
  static constexpr bool is_blocks = requires { std::remove_const_t<Part>::halves_first(); };
  static constexpr bool understood = [] {
    const bool known[] = {(is_end<decltype(Parts)> || is_blocks<decltype(Parts)>)..., true};
    const bool ends[] = {is_end<decltype(Parts)>..., false};
    bool right = sizeof...(Parts) > 1 && ends[sizeof...(Parts) - (sizeof...(Parts) > 0 ? 1 : 0)];
    for (std::size_t i = 0; i < sizeof...(Parts); ++i)
      right = right && known[i] && (i + 1 == sizeof...(Parts)) == ends[i];
    return right;
  }();
  static constexpr stage::mobilenet spec = [] {
    stage::mobilenet net;
    net.stem = Stem.channels;
    const auto add = [&net](const auto& part) {
      if constexpr (is_end<std::remove_cvref_t<decltype(part)>>) {
        net.fused = part.channels;
        net.side = part.side;
      } else if constexpr (is_blocks<std::remove_cvref_t<decltype(part)>>) {
        part.describe(net);
      }
    };
    (add(Parts), ...);
    return net;
  }();
  constexpr void describe(tower_spec& t) const { t.then(spec); }
  [[nodiscard]] constexpr flow::grid out(flow::grid) const { return {spec.fused, spec.side}; }  // [side², channels]

  template <class Part>
  static constexpr bool blocks_are_understood() {
    if constexpr (is_blocks<Part>) {
      return std::remove_const_t<Part>::understood;
    } else {
      return true;
    }
  }
  template <class Part>
  static constexpr bool halves_first() {
    if constexpr (is_blocks<Part>) {
      return std::remove_const_t<Part>::halves_first();
    } else {
      return true;
    }
  }
  template <auto Self, auto In>
  static constexpr void keeps_its_rules() {
    constexpr bool all = understood && (blocks_are_understood<decltype(Parts)>() && ...);
    (void)rule::is_a_part_of_a_mobilenet<all>{};
    if constexpr (all) {
      (void)rule::pixels_are_rows<In.width>{};
      (void)rule::first_block_halves<(halves_first<decltype(Parts)>() && ...)>{};
      (void)rule::mobilenet_is_short<spec.entries, static_cast<int>(stage::mobilenet::most_entries)>{};
      if constexpr (spec.entries <= static_cast<int>(stage::mobilenet::most_entries)) {
        (void)rule::mobilenet_has_its_sizes<sizes_are_there(), spec.sizes()>{};
      }
    }
  }

 private:
  [[nodiscard]] static constexpr bool sizes_are_there() {
    bool right = spec.stem > 0 && spec.fused > 0 && spec.side > 0;
    for (int e = 0; e < spec.entries; ++e) {
      const mobile_block& b = spec.block[static_cast<std::size_t>(e)];
      right = right && b.channels > 0 && b.times > 0;
      if (b.kind == mobile::edge) right = right && b.side > 0 && b.wider > 0;
      if (b.kind == mobile::bottleneck) right = right && b.wider > 0 && (b.stride == 1 || b.start > 0 || b.middle > 0);
      if (b.kind == mobile::attention) {
        right = right && b.heads > 0 && b.head_size > 0 && b.key_stride > 0 && b.channels == spec.channels_before(e);
      }
    }
    return right;
  }
};

/// MobileNetV5 over the pixels of a square picture.
///
///     mobilenet<conv_stem{.channels = 64}, blocks<edge_residual{…}, times<2, edge_residual{…}>>,
///               blocks<bottleneck{…}, in_turn<14, multi_query{…}, bottleneck{…}>>, fused{.channels = 2048, .side = 16}>
///
/// Source: timm 1.0.31, models/mobilenetv5.py.
template <conv_stem Stem, auto... Parts>
inline constexpr mobilenet_t<Stem, Parts...> mobilenet{};

}  // namespace g4
