/// A stack of equal layers in which every row sees every other: the numbers of the stage `encoder<…>`.
#pragma once

#include <cstdint>
#include <string_view>

#include "g4/spec/field.h"

namespace g4 {

/// Where norms stand in an encoder's layer, and which they are.
enum class encoder_norms : std::uint8_t {
  sandwich,  ///< root-mean-square norms before and after each half: x += post(half(pre(x)))
  before,    ///< layer norms, with a bias, before each half: x += half(pre(x))
};

namespace stage {

/// `layers` times an attention and a feed-forward, over rows as wide as those it is given.
struct encoder {
  int layers = 0;
  int query_heads = 0;
  int key_value_heads = 0;
  int head_size = 0;
  int hidden = 0;              ///< width of the feed-forward
  float query_scale = 1.0f;    ///< factor on query · key
  float rope_theta = 0.0f;     ///< of the embedding by column and row; 0 where there is none
  float norm_eps = 1e-6f;
  encoder_norms norms = encoder_norms::sandwich;
  bool gated = false;          ///< down·(gelu(gate·x) ∘ up·x), and not down·gelu(up·x)
  bool qk_norm = false;
  bool v_norm = false;
  bool biased = false;         ///< every linear map adds a bias
  bool clipped = false;        ///< what goes into a linear map, and what comes out, is kept within bounds of the checkpoint
  static constexpr std::string_view word = "encoder";
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"layers", &encoder::layers});
    visit(field{"query heads", &encoder::query_heads});
    visit(field{"key/value heads", &encoder::key_value_heads});
    visit(field{"head size", &encoder::head_size});
    visit(field{"hidden", &encoder::hidden});
    visit(field{"query scale", &encoder::query_scale});
    visit(field{"rope theta", &encoder::rope_theta});
    visit(field{"norm eps", &encoder::norm_eps});
    visit(field{"norms", &encoder::norms});
    visit(field{"gated", &encoder::gated});
    visit(field{"query and key norm", &encoder::qk_norm});
    visit(field{"value norm", &encoder::v_norm});
    visit(field{"biases", &encoder::biased});
    visit(field{"clipped", &encoder::clipped});
  }
  friend constexpr bool operator==(const encoder&, const encoder&) = default;
};

}  // namespace stage
}  // namespace g4
