/// MobileNetV5: the numbers of the stage `mobilenet<…>`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "g4/spec/field.h"

namespace g4 {

/// What a block of a MobileNet is.
enum class mobile : std::uint8_t {
  none,
  edge,        ///< edge residual: a whole convolution widens, a product narrows
  bottleneck,  ///< universal inverted bottleneck: products widen and narrow, each channel is convolved by itself
  attention,   ///< mobile multi-query attention
};

/// The multiple of 8 that is nearest to a number of channels, unless it takes more than a tenth of them away.
///
/// Source: make_divisible of timm 1.0.31, layers/helpers.py.
[[nodiscard]] constexpr int whole_channels(double n) {
  int channels = static_cast<int>(n + 4) / 8 * 8;
  if (channels < 8) channels = 8;
  return channels < 0.9 * n ? channels + 8 : channels;
}

/// A block, or several alike: numbers that its kind does not have are nought.
struct mobile_block {
  mobile kind = mobile::none;
  int channels = 0;  ///< that it makes
  int stride = 0;    ///< 2 where it halves height and width
  int side = 0;      ///< edge: of the convolution; attention: of what thins out keys
  int start = 0;     ///< bottleneck: side of the convolution of channels in front; nought where there is none
  int middle = 0;    ///< bottleneck: of the one in the middle, which has the stride
  float wider = 0;   ///< inner channels, in channels that it is given
  int heads = 0;     ///< attention: of queries; keys and values have one
  int head_size = 0;
  int key_stride = 0;    ///< attention: every so many-th place of each direction is a key
  int times = 0;         ///< such blocks in a row
  bool in_turn = false;  ///< they take turns with those of the entry in front
  friend constexpr bool operator==(const mobile_block&, const mobile_block&) = default;

  [[nodiscard]] constexpr int inner(int in) const {
    return whole_channels(static_cast<double>(in) * static_cast<double>(wider));
  }
};

namespace stage {

/// A MobileNetV5 with its multi-scale fusion adapter: a convolution to `stem` channels that halves a picture, blocks, and
/// what the last two sizes of planes have fused into `fused` channels of `side` × `side` places.
struct mobilenet {
  static constexpr std::size_t most_entries = 40;

  int stem = 0;
  int entries = 0;
  std::array<mobile_block, most_entries> block{};
  int fused = 0;
  int side = 0;
  static constexpr std::string_view word = "mobilenet";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"stem", &mobilenet::stem});
    visit(field{"entries", &mobilenet::entries});
    visit(field{"block", &mobilenet::block});
    visit(field{"fused", &mobilenet::fused});
    visit(field{"side", &mobilenet::side});
  }
  friend constexpr bool operator==(const mobilenet&, const mobilenet&) = default;

  /// A list that is too long is refused where it is written.
  constexpr void then(const mobile_block& next) {
    if (entries < static_cast<int>(most_entries)) block[static_cast<std::size_t>(entries)] = next;
    ++entries;
  }
  /// Channels that entry `e` is given.
  [[nodiscard]] constexpr int channels_before(int e) const {
    return e > 0 ? block[static_cast<std::size_t>(e) - 1].channels : stem;
  }
  /// One past the last of the entries that take turns with entry `e`, the first of them.
  [[nodiscard]] constexpr int turn_end(int e) const {
    int end = e + 1;
    while (end < entries && block[static_cast<std::size_t>(end)].in_turn) ++end;
    return end;
  }
  /// Sizes of planes behind the stem: each begins with a block that halves the one before.
  [[nodiscard]] constexpr int sizes() const {
    int n = 0;
    for (int e = 0; e < entries && e < static_cast<int>(most_entries); ++e) {
      n += block[static_cast<std::size_t>(e)].stride == 2 ? 1 : 0;
    }
    return n;
  }
  /// The last entry whose planes have the size before the last: what is fused with the end. −1 where there is none.
  [[nodiscard]] constexpr int kept() const {
    int e = entries - 1;
    while (e >= 0 && block[static_cast<std::size_t>(e)].stride != 2) --e;
    return e - 1;
  }
  /// Channels that are fused.
  [[nodiscard]] constexpr int fused_from() const {
    return block[static_cast<std::size_t>(kept())].channels + block[static_cast<std::size_t>(entries) - 1].channels;
  }
};

}  // namespace stage
}  // namespace g4
