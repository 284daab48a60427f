/// What a stack of layers is: every number and choice that its layers share, and those in which they differ.
///
/// A stack knows no vocabulary, no file and no medium: rows of width D go in, rows of width D come out.
#pragma once

#include <array>
#include <cstdint>

#include "g4/spec/field.h"

namespace g4 {

inline constexpr int max_layers = 128;

/// How far an attention layer sees. Released configs call them sliding_attention and full_attention.
enum class reach : std::uint8_t { local, global };

/// Whether a layer makes its own keys and values or reads those of an earlier layer (its producer).
enum class cache_role : std::uint8_t { owner, reuser };

/// Which keys a query sees beside those before it.
enum class visibility : std::uint8_t {
  causal,             ///< none
  images_on_local,    ///< those of its own image, in local layers only (Gemma 4 "vision")
  images_everywhere,  ///< those of its own image, in every layer (Gemma 3)
  everything,         ///< all within reach: an encoder
};

/// The activation of a gated feed-forward.
enum class activation_kind : std::uint8_t {
  gelu_tanh,  ///< "gelu_pytorch_tanh" in config.json: every released model
  own,        ///< a host's, which no file names
};

/// Keys visible around a query at q: positions q − back … q + ahead. `unbounded` means no limit.
/// Every window convention of the family is brought to this form where it is read, so that none is left to remember:
/// a causal window of W keys is {W − 1, 0}; an encoder's |d| < W is {W − 1, W − 1}; its |d| ≤ W is {W, W}.
struct key_span {
  static constexpr int unbounded = -1;
  int back = unbounded;
  int ahead = 0;
  friend constexpr bool operator==(const key_span&, const key_span&) = default;
};

/// Rotary frequencies: f_i = theta^(−2i / d) / factor for the first `fraction` of the d/2 pairs, 0 for the rest.
struct rope_spec {
  float theta = 1e4f;
  float factor = 1.0f;
  float fraction = 1.0f;
  friend constexpr bool operator==(const rope_spec&, const rope_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"theta", &rope_spec::theta});
    visit(field{"factor", &rope_spec::factor});
    visit(field{"fraction", &rope_spec::fraction});
  }
};

/// Everything in which two layers of one stack can differ. Code is instantiated once per kind, never per layer.
struct layer_kind {
  reach sees = reach::global;
  cache_role role = cache_role::owner;
  bool key_is_value = false;  ///< no value projection: values are the raw key projection, normed without a weight
  key_span keys;
  int query_heads = 0;
  int key_value_heads = 0;
  int head_size = 0;
  rope_spec rope;
  int hidden = 0;         ///< width of the dense feed-forward
  float sparsity = 0.0f;  ///< share of gate activations cut to zero by the Gaussian top-k; 0 means none
  friend constexpr bool operator==(const layer_kind&, const layer_kind&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"reach", &layer_kind::sees});
    visit(field{"query heads", &layer_kind::query_heads});
    visit(field{"key/value heads", &layer_kind::key_value_heads});
    visit(field{"head size", &layer_kind::head_size});
    visit(field{"keys as values", &layer_kind::key_is_value});
    visit(field{"window", &layer_kind::keys});
    visit(field{"rope", &layer_kind::rope});
    visit(field{"feed-forward width", &layer_kind::hidden});
    visit(field{"share of gate activations cut", &layer_kind::sparsity});
    visit(field{"keys and values", &layer_kind::role, compared::never});  // follows from how many layers share
  }
};

/// A mixture of experts beside the dense feed-forward.
struct experts_spec {
  int count = 0;
  int chosen = 0;  ///< of them, for each token
  int hidden = 0;  ///< width of one
  friend constexpr bool operator==(const experts_spec&, const experts_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"count", &experts_spec::count});
    visit(field{"chosen", &experts_spec::chosen});
    visit(field{"width", &experts_spec::hidden});
  }
};

/// Alternating updates: several residual streams, of which stream 0 is computed.
struct altup_spec {
  int streams = 0;
  bool output_scale = true;  ///< stream 0 is scaled per channel before the per-layer branch
  friend constexpr bool operator==(const altup_spec&, const altup_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"count", &altup_spec::streams});
    visit(field{"scaled output of stream 0", &altup_spec::output_scale});
  }
};

/// A low-rank branch beside attention.
struct laurel_spec {
  int rank = 0;
  friend constexpr bool operator==(const laurel_spec&, const laurel_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"rank", &laurel_spec::rank});
  }
};

/// An input of its own for every layer, of `width` numbers a row, looked up in a table of `vocab` rows.
struct per_layer_spec {
  int width = 0;
  int vocab = 0;
  friend constexpr bool operator==(const per_layer_spec&, const per_layer_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"width", &per_layer_spec::width});
    visit(field{"rows", &per_layer_spec::vocab});
  }
};

/// A stack of layers, complete.
struct stack_spec {
  int layers = 0;
  int width = 0;
  float norm_eps = 1e-6f;
  bool one_plus_weight = false;  ///< norms scale by 1 + weight
  activation_kind activation = activation_kind::gelu_tanh;

  int query_heads = 0;
  int key_value_heads = 0;
  float query_scale = 1.0f;  ///< factor on query · key
  float score_cap = 0.0f;    ///< soft cap of attention scores; 0 means none
  bool qk_norm = false;
  bool v_norm = false;
  bool attention_bias = false;
  visibility sees = visibility::causal;
  int shared_layers = 0;  ///< the last so many layers reuse keys and values
  bool doubled_where_shared = false;
  bool layer_scalar = false;
  int ranks = 1;  ///< of how many ranks this is one's share; of a model in one piece 1
  bool divides_sums = false;  ///< of a share: `sums::divided`
  int stages = 1;             ///< of how many stages it is a pipeline, a rank each
  int layers_before = 0;      ///< of a stage: how many layers those before it have
  int layers_behind = 0;      ///< and how many those behind it

  maybe<experts_spec> experts;
  maybe<altup_spec> altup;
  maybe<laurel_spec> laurel;
  maybe<per_layer_spec> per_layer;

  std::array<layer_kind, max_layers> layer{};
  std::array<std::int16_t, max_layers> producer{};  ///< whose keys and values layer i reads; i itself for an owner
  friend constexpr bool operator==(const stack_spec&, const stack_spec&) = default;

  /// Every field but `layer` and `producer`: layers are walked one by one, and producers follow from them.
  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"layers", &stack_spec::layers});
    visit(field{"width", &stack_spec::width});
    visit(field{"norm epsilon", &stack_spec::norm_eps});
    visit(field{"norms by 1 + weight", &stack_spec::one_plus_weight});
    visit(field{"activation", &stack_spec::activation});
    visit(field{"query heads", &stack_spec::query_heads, compared::by_layer});
    visit(field{"key/value heads", &stack_spec::key_value_heads, compared::by_layer});
    visit(field{"query scale", &stack_spec::query_scale});
    visit(field{"soft cap of scores", &stack_spec::score_cap});
    visit(field{"query and key norm", &stack_spec::qk_norm});
    visit(field{"value norm", &stack_spec::v_norm});
    visit(field{"attention biases", &stack_spec::attention_bias});
    visit(field{"attention mask", &stack_spec::sees});
    visit(field{"layers that share keys and values", &stack_spec::shared_layers});
    visit(field{"doubled feed-forwards", &stack_spec::doubled_where_shared, compared::never});  // the widths say it
    visit(field{"layer scalars", &stack_spec::layer_scalar});
    visit(field{"ranks", &stack_spec::ranks, compared::never});  // no file is a share
    visit(field{"divided sums", &stack_spec::divides_sums, compared::never});
    visit(field{"stages", &stack_spec::stages, compared::never});
    visit(field{"layers before a stage", &stack_spec::layers_before, compared::never});
    visit(field{"layers behind a stage", &stack_spec::layers_behind, compared::never});
    visit(field{"experts", &stack_spec::experts});
    visit(field{"residual streams", &stack_spec::altup});
    visit(field{"LAuReL", &stack_spec::laurel});
    visit(field{"per-layer embeddings", &stack_spec::per_layer});
  }

  [[nodiscard]] constexpr int first_shared() const { return layers - shared_layers; }
  /// Whether one process has all of it.
  [[nodiscard]] constexpr bool in_one_piece() const { return ranks == 1 && stages == 1; }
  /// Whether a layer is here: of a stage those of its range are.
  [[nodiscard]] constexpr bool has(int l) const { return l >= layers_before && l < layers - layers_behind; }
  [[nodiscard]] constexpr bool begins() const { return layers_before == 0; }
  [[nodiscard]] constexpr bool ends() const { return layers_behind == 0; }
  /// Tokens of an image see one another, in some layers or in all.
  [[nodiscard]] constexpr bool sees_images() const {
    return sees == visibility::images_on_local || sees == visibility::images_everywhere;
  }
};

/// Settles what follows from the rest: who shares, who produces, which feed-forwards are doubled, what encoders see.
/// Layers must have been laid out; `shared_layers` ≤ `layers` (`rule/rules.h`).
constexpr void settle(stack_spec& m) {
  const int first_shared = m.first_shared();
  for (int i = 0; i < m.layers; ++i) {
    layer_kind& k = m.layer[i];
    if (k.query_heads == 0) k.query_heads = m.query_heads;
    if (k.key_value_heads == 0) k.key_value_heads = m.key_value_heads;
    if (k.sees == reach::global)
      k.keys = {key_span::unbounded, m.sees == visibility::everything ? key_span::unbounded : 0};
    const bool shares = i >= first_shared;
    k.role = shares ? cache_role::reuser : cache_role::owner;
    if (shares && m.doubled_where_shared) k.hidden *= 2;
    // A producer is the last owner of the same reach; -1 when there is none (a drafter's lie in its target).
    int producer = i;
    if (shares) {
      producer = first_shared - 1;
      while (producer >= 0 && m.layer[producer].sees != k.sees) --producer;
      // Whether the value is a copy of the key is the producer's business; a reuser is the same code either way.
      k.key_is_value = false;
    }
    m.producer[i] = static_cast<std::int16_t>(producer);
  }
}

}  // namespace g4
