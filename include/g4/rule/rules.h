/// The sentences: each rule that a variant must keep, checked where the variant is defined.
///
/// Rules take plain numbers, so that every compiler prints them. tests/compile_fail builds each once right, once wrong.
#pragma once

namespace g4::rule {

template <int Query, int KeyValue>
struct heads_share_keys_evenly {
  static_assert(KeyValue > 0 && Query % KeyValue == 0,
                "g4: query heads must be a multiple of key/value heads, so that every group shares one key. See "
                "num_attention_heads and num_key_value_heads in config.json.");
};

template <int Size>
struct head_size_is_even {
  static_assert(Size > 0 && Size % 2 == 0,
                "g4: the head size must be a positive even number, because rotary embedding turns pairs. See head_dim "
                "in config.json.");
};

template <int Layers, int Width, int Vocab>
struct shape_is_positive {
  static_assert(Layers > 0 && Width > 0 && Vocab > 0,
                "g4: a model needs at least one layer, one channel and one token: give shape{.layers, .width, .vocab}. "
                "See num_hidden_layers, hidden_size and vocab_size in config.json.");
};

template <int Layers, int Most>
struct depth_is_bounded {
  static_assert(Layers <= Most,
                "g4: a model has at most max_layers layers; raise max_layers in spec/stack.h if a deeper one appears.");
};

template <int Back, bool Encoder, int Ahead>
struct window_fits_the_mask {
  static_assert(Back >= 0,
                "g4: a local layer needs window{keys} (causal, itself included) or each_side{keys} (encoder), so that "
                "it knows which keys to keep. See sliding_window in config.json.");
  static_assert(Encoder ? Ahead == Back : Ahead == 0,
                "g4: window{keys} is for causal models and each_side{keys} for mask::bidirectional, because the two "
                "count keys differently. See use_bidirectional_attention in config.json.");
};

template <int Producer, int Layer>
struct shared_layer_has_a_producer {
  static_assert(Producer >= 0 && Producer <= Layer,
                "g4: a layer that shares keys and values needs an earlier layer of its own reach that makes them: "
                "share_kv<last{n}> must leave one local and one global layer. See num_kv_shared_layers in config.json.");
};

template <int ReuserHeads, int OwnerHeads, int ReuserSize, int OwnerSize>
struct shared_heads_agree {
  static_assert(ReuserHeads == OwnerHeads && ReuserSize == OwnerSize,
                "g4: a layer that shares keys and values must have the key/value heads and head size of the layer that "
                "makes them. See head_dim and num_key_value_heads in config.json.");
};

template <int Chosen, int Count>
struct experts_chosen_exist {
  static_assert(Chosen > 0 && Chosen <= Count,
                "g4: a router chooses at least one expert and at most all of them. See top_k_experts and num_experts "
                "in config.json.");
};

template <int Hidden>
struct feed_forward_has_a_width {
  static_assert(Hidden > 0,
                "g4: every layer needs a feed-forward width: hidden{width} for all layers, or runs of hidden{width, "
                "layers} that cover them. See intermediate_size in config.json.");
};

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

template <int DrafterHeads, int TargetHeads, int DrafterSize, int TargetSize>
struct drafter_reads_its_target {
  static_assert(DrafterHeads == TargetHeads && DrafterSize == TargetSize,
                "g4: a drafter reads the keys and values of its target, so key/value heads and head sizes of its local "
                "and global layers must be the target's. See text_config in the assistant's config.json.");
};

template <int DrafterTargetWidth, int TargetWidth>
struct drafter_fits_its_target {
  static_assert(DrafterTargetWidth == TargetWidth,
                "g4: a drafter continues its target's hidden state, so its backbone width must be the target's width. "
                "See backbone_hidden_size in the assistant's config.json.");
};

}  // namespace g4::rule
