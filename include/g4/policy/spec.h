/// What a list of policies amounts to: every number and choice of a model, as one plain constant.
///
/// A variant's policies are folded into a `model_spec` at compile time; a config.json or a GGUF header is read into one
/// at run time. Comparing the two is how a file finds its type.
#pragma once

#include <array>
#include <cstdint>

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
};

/// Everything in which two layers of one model can differ. Code is instantiated once per kind, never per layer.
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
};

/// A model, complete.
struct model_spec {
  int layers = 0;
  int width = 0;
  int vocab = 0;
  float norm_eps = 1e-6f;
  bool one_plus_weight = false;  ///< norms scale by 1 + weight
  bool tied_head = true;

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

  int experts = 0;
  int experts_chosen = 0;
  int expert_hidden = 0;

  int per_layer_width = 0;
  int per_layer_vocab = 0;

  int altup_streams = 0;
  bool altup_output_scale = true;  ///< the active stream is scaled per channel before the per-layer branch
  int laurel_rank = 0;
  bool layer_scalar = false;
  float logit_cap = 0.0f;

  int pooled_hidden = 0;  ///< a text embedder's heads: pooled row → pooled_hidden → pooled_width; 0 means none
  int pooled_width = 0;

  int target_width = 0;  ///< a drafter's: width of the model it drafts for
  int clusters = 0;      ///< a drafter's ordered embeddings: number of token clusters; 0 means a plain head
  int clusters_chosen = 0;

  std::array<layer_kind, max_layers> layer{};
  std::array<std::int16_t, max_layers> producer{};  ///< whose keys and values layer i reads; i itself for an owner
  friend constexpr bool operator==(const model_spec&, const model_spec&) = default;

  [[nodiscard]] constexpr int first_shared() const { return layers - shared_layers; }
  [[nodiscard]] constexpr bool is_drafter() const { return target_width != 0; }
  /// Tokens of an image see one another, in some layers or in all.
  [[nodiscard]] constexpr bool sees_images() const {
    return sees == visibility::images_on_local || sees == visibility::images_everywhere;
  }
};

/// The three generations, told apart by what only they have.
enum class generation : std::uint8_t { gemma3, gemma3n, gemma4 };

[[nodiscard]] constexpr generation generation_of(const model_spec& m) {
  if (m.altup_streams > 0) return generation::gemma3n;
  return m.one_plus_weight ? generation::gemma3 : generation::gemma4;
}

/// Settles what follows from the rest: who shares, who produces, which feed-forwards are doubled, what encoders see.
/// Layers must have been laid out; `shared_layers` ≤ `layers` (rule::shared_layers_leave_a_producer).
constexpr void settle(model_spec& m) {
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
