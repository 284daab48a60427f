/// The rules of a model: what must hold, and the sentence of one in which it does not. Each is written once; a type that
/// breaks it does not compile (`model/transformer.h`), a file that breaks it is refused (`load/check_spec.h`).
///
/// Rules take plain numbers, so that every compiler prints them. `spec/keeps.h` says which numbers of a specification.
/// tests/compile_fail builds the types once right, once wrong.
#pragma once

namespace g4::rule {

/// A rule in words: the type's sentence is "g4: " why give ". See " keys " in config.json.", a file's is why, what was
/// found, and the keys. In `found`, '#' is the layer and each '%' the next number.
struct words {
  const char* why;
  const char* keys;
  const char* found;
};

// The sentence of a static_assert must be a literal, hence a macro: one rule is one use of it.
#define G4_RULE(NAME, NUMBERS, HOLDS, WHY, GIVE, KEYS, FOUND)                    \
  struct NAME {                                                                  \
    static constexpr words says{WHY, KEYS, FOUND};                               \
    [[nodiscard]] static constexpr bool keeps NUMBERS { return HOLDS; }          \
    template <auto... Found>                                                     \
    struct of {                                                                  \
      static_assert(keeps(Found...), "g4: " WHY GIVE ". See " KEYS " in config.json."); \
    };                                                                           \
  }

inline constexpr long long most_counted = 2147483647;  ///< an int counts extents
/// Whether a · b is a positive int.
[[nodiscard]] constexpr bool counted(long long a, long long b) { return a > 0 && b > 0 && b <= most_counted / a; }

// clang-format off
G4_RULE(depth_is_bounded, (long long layers, long long most), layers <= most,
        "a model has at most max_layers layers; raise max_layers in spec/stack.h if a deeper one appears", "",
        "num_hidden_layers", "it has %, max_layers is %");

G4_RULE(shape_is_positive, (long long layers, long long width, long long vocab), layers > 0 && width > 0 && vocab > 0,
        "a model needs at least one layer, one channel and one token", ": give shape{.layers, .width, .vocab}",
        "num_hidden_layers, hidden_size and vocab_size", "it has %, % and %");

G4_RULE(shared_layers_exist, (long long shared, long long layers), shared >= 0 && shared <= layers,
        "no more layers can share keys and values than there are", "", "num_kv_shared_layers", "% of % share");

G4_RULE(heads_share_keys_evenly, (long long query, long long key_value),
        query > 0 && key_value > 0 && query % key_value == 0,
        "query heads must be a multiple of key/value heads, so that every group shares one key", "",
        "num_attention_heads and num_key_value_heads", "layer # has % and %");

G4_RULE(head_size_is_even, (long long size), size > 0 && size % 2 == 0,
        "the head size must be a positive even number, because rotary embedding turns pairs", "",
        "head_dim", "layer # has %");

G4_RULE(feed_forward_has_a_width, (long long hidden), hidden > 0,
        "every layer needs a feed-forward width",
        ": hidden{width} for all layers, or runs of hidden{width, layers} that cover them",
        "intermediate_size", "layer # has %");

G4_RULE(layers_are_countable, (long long heads, long long size, long long hidden),
        counted(heads, size) && counted(hidden, 2),
        "g4 counts the numbers of a layer up to 2^31", "",
        "num_attention_heads, head_dim and intermediate_size",
        "layer # has % heads of size % and a feed-forward width of %");

G4_RULE(local_layer_has_a_window, (long long back), back >= 0,
        "a local layer needs a window, so that it knows which keys to keep",
        ": window{keys} (causal, itself included) or each_side{keys} (encoder)",
        "sliding_window", "layer # has none");

G4_RULE(window_fits_the_mask, (bool encoder, long long back, long long ahead),
        encoder ? ahead == back : ahead == 0,
        "window{keys} is for causal models and each_side{keys} for mask::bidirectional, because the two count keys "
        "differently", "",
        "use_bidirectional_attention", "layer # (an encoder's: %) sees % keys before and % after");

G4_RULE(shared_layer_has_a_producer, (long long layer, long long producer), producer >= 0 && producer <= layer,
        "a layer that shares keys and values needs an earlier layer of its own reach that makes them",
        ": share_kv<last{n}> must leave one local and one global layer",
        "num_kv_shared_layers and layer_types", "layer # has none");

G4_RULE(shared_heads_agree,
        (long long heads, long long size, long long, long long owner_heads, long long owner_size),
        heads == owner_heads && size == owner_size,
        "a layer that shares keys and values must have the key/value heads and head size of the layer that makes them",
        "", "head_dim and num_key_value_heads", "layer # has % of size %, layer % has % of size %");

G4_RULE(shared_window_agrees, (long long back, long long, long long owner_back), back == owner_back,
        "a layer that shares keys and values must have the window of the layer that makes them, which is the last of its "
        "reach, because no other keys are kept", "",
        "sliding_window and layer_types", "layer # sees % keys back, layer % keeps %");

G4_RULE(shared_rotation_agrees, (bool same, long long), same,
        "a layer that shares keys and values must rotate its queries as the layer that makes them rotates its keys", "",
        "rope_parameters", "the rope of layer # is not that of its producer (equal: %), layer %");

G4_RULE(experts_chosen_exist, (long long chosen, long long count), chosen > 0 && chosen <= count,
        "a router chooses at least one expert and at most all of them", "",
        "top_k_experts and num_experts", "it chooses % of %");

G4_RULE(experts_have_a_width, (long long hidden), hidden > 0,
        "experts need a feed-forward width", ": feed::experts<…, hidden{width}>", "moe_intermediate_size", "it is %");

G4_RULE(experts_are_countable, (long long count, long long hidden, long long width),
        counted(hidden, 2) && counted(count, 2 * hidden) && counted(count, width),
        "g4 counts the numbers of all experts up to 2^31", "",
        "num_experts and moe_intermediate_size", "there are % experts of width %, in a model of width %");

G4_RULE(per_layer_inputs_have_a_table, (long long width, long long rows), width > 0 && rows > 0,
        "per-layer embeddings need a width and a table", ": per_layer_embedding{.width, .vocab}",
        "hidden_size_per_layer_input and vocab_size_per_layer_input", "they have width % and % rows");

G4_RULE(per_layer_inputs_are_countable, (long long layers, long long width), counted(layers, width),
        "g4 counts the per-layer inputs of a token up to 2^31", "", "hidden_size_per_layer_input",
        "there are % layers of %");

G4_RULE(streams_are_several, (long long streams), streams > 1,
        "alternating updates need a residual stream beside the active one", ": altup{.streams}", "altup_num_inputs",
        "there are %");

G4_RULE(laurel_has_a_rank, (long long rank), rank > 0,
        "a LAuReL branch needs a rank", ": laurel{.rank}", "laurel_rank", "it is %");

G4_RULE(clusters_are_equal, (long long vocab, long long count), count > 0 && vocab % count == 0,
        "clusters of tokens are of equal size, so that their number must divide the vocabulary", "",
        "num_centroids and vocab_size", "there are % tokens and % clusters");

G4_RULE(clusters_chosen_exist, (long long chosen, long long count), chosen > 0 && chosen <= count,
        "a drafter's head chooses at least one cluster and at most all of them", "",
        "centroid_intermediate_top_k and num_centroids", "it chooses % of %");
// clang-format on

// What only a type can break: how its policies are listed, and a drafter's fit to the target it names.

template <int Times>
struct slot_is_filled_once {
  static_assert(Times == 1,
                "g4: a transformer takes exactly one each of shape, embed::, norm::, attention<…>, repeat<…> and "
                "feed::; one of them is missing or given twice.");
};

template <int Times>
struct slot_is_not_repeated {
  static_assert(Times <= 1, "g4: the same kind of policy is given twice; each may appear once in a transformer.");
};

template <bool IsPolicy>
struct is_a_policy {
  static_assert(IsPolicy,
                "g4: this is not a policy. A policy names its slot and has describe(text_spec&); see docs/how_to_add.md.");
};

template <int Hidden, int Out>
struct embedder_heads_have_widths {
  static_assert(Hidden > 0 && Out > 0,
                "g4: the heads of a text embedder need their widths: pooled_embedding{.hidden, .out}. See out_features of "
                "the dense modules that modules.json names.");
};

template <int DrafterHeads, int TargetHeads, int DrafterSize, int TargetSize>
struct drafter_reads_its_target {
  static_assert(DrafterHeads == TargetHeads && DrafterSize == TargetSize,
                "g4: a drafter reads the keys and values of its target, so key/value heads and head sizes of its local "
                "and global layers must be the target's. See text_config in the assistant's config.json.");
};

template <int DrafterBack, int TargetBack, bool SameRope>
struct drafter_sees_what_its_target_keeps {
  static_assert(DrafterBack == TargetBack && SameRope,
                "g4: a drafter reads the keys of its target as the target's last local and global layers keep them, so "
                "windows and ropes must be theirs. See sliding_window and rope_parameters in the assistant's config.json.");
};

template <int DrafterTargetWidth, int TargetWidth>
struct drafter_fits_its_target {
  static_assert(DrafterTargetWidth == TargetWidth,
                "g4: a drafter continues its target's hidden state, so its backbone width must be the target's width. "
                "See backbone_hidden_size in the assistant's config.json.");
};

}  // namespace g4::rule
