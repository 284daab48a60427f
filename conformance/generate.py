#!/usr/bin/env python3
"""Makes the conformance cases: small random Gemma checkpoints and what the reference computes from them.

    python generate.py                      every case, into cases/
    python generate.py gemma3-270m --out DIR
    python generate.py --list
    python generate.py --verify DIR…        run the reference on existing case folders and compare

README.md says what is in a case, and why the tolerances are what they are.
"""

import argparse
import dataclasses
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def pattern(layers, period):
    """`period` − 1 sliding layers, then a full one, over and over."""
    return ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(layers)]


S, F = "sliding_attention", "full_attention"
VOCABULARY = 192
IMAGE = 178  # the id that stands at image positions


def common(**more):
    return dict(vocab_size=VOCABULARY, max_position_embeddings=2048, initializer_range=0.02, rms_norm_eps=1e-6, **more)


def gemma3(*, period=6, factor=None, **more):
    more.setdefault("layer_types", pattern(more["num_hidden_layers"], period))
    full = {"rope_type": "default", "rope_theta": 1e6}
    if factor:
        full = {"rope_type": "linear", "rope_theta": 1e6, "factor": factor}
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4}, "full_attention": full}
    return common(rope_parameters=rope, sliding_window_pattern=period, **more)


def gemma4(*, fraction=0.25, theta=(1e4, 1e6), period=6, **more):
    more.setdefault("layer_types", pattern(more["num_hidden_layers"], period))
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": theta[0]},
            "full_attention": {"rope_type": "proportional", "rope_theta": theta[1], "partial_rotary_factor": fraction}}
    more.setdefault("final_logit_softcapping", 30.0)
    more.setdefault("hidden_size_per_layer_input", 0)
    more.setdefault("vocab_size_per_layer_input", VOCABULARY)
    return common(rope_parameters=rope, **more)


def gemma4_unified(**more):
    settings = gemma4(**more)
    del settings["hidden_size_per_layer_input"], settings["vocab_size_per_layer_input"]
    return settings


def gemma3n(*, period=5, sparsity, **more):
    more.setdefault("layer_types", pattern(more["num_hidden_layers"], period))
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": {"rope_type": "default", "rope_theta": 1e6}}
    more.setdefault("vocab_size_per_layer_input", VOCABULARY)
    dense = [0.0] * (more["num_hidden_layers"] - len(sparsity))
    return common(rope_parameters=rope, activation_sparsity_pattern=list(sparsity) + dense,
                  final_logit_softcapping=30.0, **more)


@dataclasses.dataclass
class Case:
    """One row of the table. `like` names the released model whose policies it has, in small numbers."""

    content: str
    architecture: str
    settings: dict
    seed: int
    like: str = ""
    kind: str = "text"            # text, media, eyes, ears, encoder, embedder, long, drafter, real
    family: str = "gemma4"
    spelling: str = "save_pretrained"
    dtype: str = "bfloat16"       # of the checkpoint; the arithmetic is float32 always
    prompt: int = 22
    new: int = 12
    inner: tuple = ()             # layers with taps inside attention, experts, per-layer embeddings
    nested: str = ""              # wrap as the text part of this multimodal config
    images: tuple = ()            # (first, one past last) of each run of image positions
    image_id: int = IMAGE
    keep: tuple = ()              # config keys to write as given although the reference rewrites them
    attention_soft_cap: float = 0
    note: str = ""
    drafter: dict = None
    media: dict = None            # pictures (columns, rows) and clips (frames) in the prompt, and what embeds them
    offset: int = 0               # long cases: where the second run's positions start
    unseen: tuple = ()            # mistakes that the tensors kept here cannot show


G3, G3N, G4 = "Gemma3ForCausalLM", "Gemma3nForCausalLM", "Gemma4ForCausalLM"

CASES = {
    # ---- Gemma 3 ----------------------------------------------------------------------------------------------------
    "gemma3-270m": Case(
        "one KV head, no rope scaling, ends on a full layer; taps inside the layers", G3,
        gemma3(num_hidden_layers=12, hidden_size=28, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=8, sliding_window=8),
        301, like="gemma-3-270m", family="gemma3", spelling="published", inner=(0, 5)),
    "gemma3-1b": Case(
        "the pattern is cut short: the last layer is sliding", G3,
        gemma3(num_hidden_layers=8, hidden_size=36, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=12, sliding_window=9),
        302, like="gemma-3-1b", family="gemma3"),
    "gemma3-4b": Case(
        "linear rope scaling by 8 on full layers, two queries per KV head, ends four layers into the pattern", G3,
        gemma3(num_hidden_layers=10, hidden_size=24, intermediate_size=40, num_attention_heads=8,
               num_key_value_heads=4, head_dim=8, query_pre_attn_scalar=8, sliding_window=7, factor=8.0),
        303, like="gemma-3-4b", family="gemma3", spelling="published"),
    "gemma3-12b": Case(
        "linear rope scaling by 8, two queries per KV head, wider heads", G3,
        gemma3(num_hidden_layers=6, hidden_size=36, intermediate_size=48, num_attention_heads=4,
               num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=8, factor=8.0),
        304, like="gemma-3-12b", family="gemma3"),
    "gemma3-27b": Case(
        "query_pre_attn_scalar is width / heads and not the head size", G3,
        gemma3(num_hidden_layers=8, hidden_size=44, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=11, sliding_window=8, factor=8.0),
        305, like="gemma-3-27b", family="gemma3", spelling="published"),
    "gemma3-eyes": Case(
        "the picture tower of Gemma 3 with its projector, whole pictures of one size", "Gemma3ForConditionalGeneration",
        gemma3(num_hidden_layers=4, period=4, hidden_size=28, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8, sliding_window=8),
        316, like="gemma-3-4b", family="gemma3", kind="eyes", nested="gemma3", prompt=18,
        media=dict(vision=dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=3,
                               image_size=12, patch_size=2),
                   pictures=((6, 6), (6, 6)), pooled=2, tokens=9)),
    "gemma3-odd": Case(
        "final soft-cap, biases in attention, untied head, every third layer full, odd sizes; float32 checkpoint", G3,
        gemma3(num_hidden_layers=5, period=3, hidden_size=30, intermediate_size=38, num_attention_heads=6,
               num_key_value_heads=2, head_dim=10, query_pre_attn_scalar=15, sliding_window=5,
               final_logit_softcapping=15.0, attention_bias=True, tie_word_embeddings=False) | {"vocab_size": 191},
        306, family="gemma3", spelling="published", dtype="float32", prompt=19),
    "gemma3-attention-cap": Case(
        "soft-cap on the attention scores", G3,
        gemma3(num_hidden_layers=6, hidden_size=32, intermediate_size=48, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8, sliding_window=8,
               attn_logit_softcapping=2.0, final_logit_softcapping=30.0),
        307, family="gemma3", attention_soft_cap=2.0,
        note="transformers 5.23.0 reads attn_logit_softcapping for Gemma 3 and then does not pass it to its attention. "
             "Here it is passed (cap * tanh(score / cap), after the scale, before the mask). logits_without_the_cap is "
             "what the unchanged reference gives. No released Gemma 3 sets the key."),
    "gemma3-image-mask": Case(
        "image positions see each other in both layer types", G3,
        gemma3(num_hidden_layers=6, hidden_size=36, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=12, query_pre_attn_scalar=12, sliding_window=7),
        308, family="gemma3", nested="gemma3", prompt=30, images=((4, 9), (13, 22))),
    "gemma3-long": Case(
        "a prompt of several windows, and positions that start far away", G3,
        gemma3(num_hidden_layers=6, hidden_size=32, intermediate_size=48, num_attention_heads=4,
               num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=12, sliding_window=64, factor=8.0)
        | {"max_position_embeddings": 131072},
        309, kind="long", family="gemma3", prompt=701, offset=90000),
    "embeddinggemma": Case(
        "text embedder: bidirectional, mean pooling, two dense heads, unit length", "Gemma3TextModel",
        gemma3(num_hidden_layers=6, hidden_size=36, intermediate_size=56, num_attention_heads=3,
               num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, sliding_window=11,
               use_bidirectional_attention=True),
        310, like="embeddinggemma-300m", kind="embedder", family="gemma3", spelling="published",
        keep=("sliding_window",), prompt=31, new=0),

    # ---- Gemma 4 ----------------------------------------------------------------------------------------------------
    "gemma4-e2b": Case(
        "per-layer embeddings, one KV head, the last third of the layers reads keys of earlier ones and is twice as "
        "wide; taps inside the layers", G4,
        gemma4(num_hidden_layers=15, period=5, hidden_size=24, intermediate_size=28, num_attention_heads=4,
               num_key_value_heads=1, head_dim=8, global_head_dim=16, sliding_window=8, num_kv_shared_layers=5,
               hidden_size_per_layer_input=8, use_double_wide_mlp=True, attention_k_eq_v=False),
        401, like="gemma-4-e2b", spelling="published", inner=(0, 9, 10, 14), prompt=20),
    "gemma4-e4b": Case(
        "per-layer embeddings, shared keys, two KV heads, names of a multimodal checkpoint",
        "Gemma4ForConditionalGeneration",
        gemma4(num_hidden_layers=12, hidden_size=24, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, sliding_window=7, num_kv_shared_layers=5,
               hidden_size_per_layer_input=8),
        402, like="gemma-4-e4b", nested="gemma4"),
    "gemma4-12b": Case(
        "keys as values on full layers, one KV head there", "Gemma4UnifiedForCausalLM",
        gemma4_unified(num_hidden_layers=6, hidden_size=32, intermediate_size=48, num_attention_heads=8,
                       num_key_value_heads=4, head_dim=8, global_head_dim=16, num_global_key_value_heads=1,
                       sliding_window=9, attention_k_eq_v=True, use_bidirectional_attention="vision"),
        403, like="gemma-4-12b", spelling="published"),
    "gemma4-12b-media": Case(
        "pictures and sounds that go straight in: patches with places, frames of samples", "Gemma4UnifiedForConditionalGeneration",
        gemma4_unified(num_hidden_layers=6, hidden_size=32, intermediate_size=48, num_attention_heads=8,
                       num_key_value_heads=4, head_dim=8, global_head_dim=16, num_global_key_value_heads=1,
                       sliding_window=9, attention_k_eq_v=True, use_bidirectional_attention="vision"),
        414, like="gemma-4-12b", kind="media", nested="gemma4_unified", prompt=20,
        media=dict(vision=dict(patch_size=2, pooling_kernel_size=2, mm_embed_dim=20, mm_posemb_size=9, output_proj_dims=20),
                   audio=dict(audio_embed_dim=12), pictures=((3, 2), (2, 4)), clips=(3, 2), padded_patches=9,
                   padded_frames=4)),
    "gemma4-eyes": Case(
        "a picture tower with all that Gemma 4's two have between them: clipped maps, shared keys, standardised rows",
        "Gemma4ForConditionalGeneration",
        gemma4(num_hidden_layers=4, layer_types=[S, S, S, F], hidden_size=24, intermediate_size=36, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, sliding_window=9,
               use_bidirectional_attention="vision"),
        415, like="gemma-4-31b", kind="eyes", nested="gemma4", prompt=18,
        media=dict(vision=dict(hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4,
                               num_key_value_heads=2, head_dim=12, patch_size=2, pooling_kernel_size=2,
                               position_embedding_size=9, standardize=True, use_clipped_linears=True,
                               rope_parameters={"rope_theta": 50.0, "rope_type": "axial"}),
                   pictures=((6, 4), (4, 8)), padded_patches=36)),
    "gemma4-ears": Case(
        "a sound tower: subsampling, two conformer layers with clipped maps that see behind and ahead, two clips",
        "Gemma4ForConditionalGeneration",
        gemma4(num_hidden_layers=4, layer_types=[S, S, S, F], hidden_size=24, intermediate_size=36, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, sliding_window=9,
               hidden_size_per_layer_input=4),
        416, like="gemma-4-e2b", kind="ears", nested="gemma4", prompt=18,
        media=dict(audio=dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, attention_chunk_size=4,
                              attention_context_left=5, attention_context_right=2, conv_kernel_size=3,
                              subsampling_conv_channels=[12, 6], output_proj_dims=20, attention_logit_cap=5.0,
                              use_clipped_linears=True), clips=(5200, 3300))),
    "gemma4-26b-a4b": Case(
        "mixture of experts beside the dense part, keys as values; taps inside the layers", G4,
        gemma4(num_hidden_layers=6, hidden_size=32, intermediate_size=40, num_attention_heads=8,
               num_key_value_heads=4, head_dim=8, global_head_dim=16, num_global_key_value_heads=2,
               sliding_window=8, attention_k_eq_v=True, use_bidirectional_attention="vision",
               enable_moe_block=True, num_experts=9, top_k_experts=3, moe_intermediate_size=8),
        404, like="gemma-4-26b-a4b", inner=(0, 5), prompt=20),
    "gemma4-31b": Case(
        "dense, keys as values on full layers, two periods, names of a multimodal checkpoint",
        "Gemma4ForConditionalGeneration",
        gemma4(num_hidden_layers=12, hidden_size=24, intermediate_size=36, num_attention_heads=8,
               num_key_value_heads=4, head_dim=8, global_head_dim=16, num_global_key_value_heads=2,
               sliding_window=8, attention_k_eq_v=True, use_bidirectional_attention="vision"),
        405, like="gemma-4-31b", spelling="published", nested="gemma4"),
    "gemma4-dense": Case(
        "no keys as values, no sharing, no soft-cap", G4,
        gemma4(num_hidden_layers=6, hidden_size=40, intermediate_size=48, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=24, sliding_window=8,
               final_logit_softcapping=None),
        406),
    "gemma4-bidirectional": Case(
        "use_bidirectional_attention all: an encoder", G4,
        gemma4(num_hidden_layers=6, hidden_size=28, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, sliding_window=10,
               use_bidirectional_attention="all"),
        407, kind="encoder", new=0, keep=("sliding_window",)),
    "gemma4-odd": Case(
        "odd sizes, one KV head, half of a full head rotated, other rope bases, a tight soft-cap; float32 checkpoint", G4,
        gemma4(num_hidden_layers=5, layer_types=[S, S, F, S, F], hidden_size=33, intermediate_size=38,
               num_attention_heads=3, num_key_value_heads=1, head_dim=10, global_head_dim=28, sliding_window=5,
               fraction=0.5, theta=(5e3, 2e5), final_logit_softcapping=10.0) | {"vocab_size": 189},
        408, spelling="published", dtype="float32", prompt=19),
    "gemma4-key-bias": Case(
        "keys as values with biases (the value includes the key's), full layers next to each other, the last layer "
        "sliding in the file and full in the model", G4,
        gemma4(num_hidden_layers=7, layer_types=[S, F, F, S, F, S, S], hidden_size=28, intermediate_size=36,
               num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=16,
               num_global_key_value_heads=1, sliding_window=6, attention_k_eq_v=True, attention_bias=True,
               num_kv_shared_layers=2, hidden_size_per_layer_input=7, use_double_wide_mlp=True),
        409, spelling="published", keep=("layer_types",),
        note="layer_types in config.json ends with sliding_attention; the reference makes the last layer full_attention "
             "(head size, rope and mask follow)"),
    "gemma4-first-full": Case(
        "starts on a full layer, one producer per type and all others reading, biases, untied head, no soft-cap, the "
        "last layer sliding in the file and full in the model", G4,
        gemma4(num_hidden_layers=8, layer_types=[F, S, S, F, S, S, F, S], hidden_size=28, intermediate_size=32,
               num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=16, sliding_window=7,
               num_kv_shared_layers=6, hidden_size_per_layer_input=10, use_double_wide_mlp=True,
               attention_bias=True, tie_word_embeddings=False, final_logit_softcapping=None),
        410, keep=("layer_types",),
        note="layer_types in config.json ends with sliding_attention; the reference makes the last layer full_attention "
             "(head size, rope and mask follow)"),
    "gemma4-mixed": Case(
        "policies no released model has together: experts, per-layer embeddings, shared and double-wide layers, keys as "
        "values", G4,
        gemma4(num_hidden_layers=8, period=4, layer_types=[S, S, F, S, S, F, S, F], hidden_size=24,
               intermediate_size=28, num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=16,
               num_global_key_value_heads=1, sliding_window=6, attention_k_eq_v=True, num_kv_shared_layers=2,
               hidden_size_per_layer_input=6, use_double_wide_mlp=True, enable_moe_block=True, num_experts=6,
               top_k_experts=2, moe_intermediate_size=10),
        411),
    "gemma4-image-mask": Case(
        "image positions see each other in sliding layers only, the window still cuts the left side", G4,
        gemma4(num_hidden_layers=6, hidden_size=28, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, num_global_key_value_heads=1,
               sliding_window=7, attention_k_eq_v=True, use_bidirectional_attention="vision"),
        412, prompt=30, images=((4, 9), (13, 22))),
    "gemma4-long": Case(
        "a prompt of several windows through shared layers, and positions that start far away", G4,
        gemma4(num_hidden_layers=7, layer_types=[S, S, F, S, S, F, F], hidden_size=32, intermediate_size=36,
               num_attention_heads=4, num_key_value_heads=1, head_dim=8, global_head_dim=16, sliding_window=64,
               num_kv_shared_layers=2, hidden_size_per_layer_input=8) | {"max_position_embeddings": 262144},
        413, kind="long", prompt=717, offset=200000, unseen=("per_layer_sum_unscaled",)),
    "gemma4-drafter": Case(
        "target with shared keys and per-layer embeddings; drafter with ordered embeddings", G4,
        gemma4(num_hidden_layers=6, layer_types=[S, S, F, S, S, F], hidden_size=24, intermediate_size=36,
               num_attention_heads=4, num_key_value_heads=1, head_dim=8, global_head_dim=16, sliding_window=8,
               num_kv_shared_layers=2, hidden_size_per_layer_input=6, use_double_wide_mlp=True),
        420, like="gemma-4-e2b with gemma-4-e2b-assistant", kind="drafter", prompt=23, new=20,
        drafter=dict(hidden_size=24, intermediate_size=40, centroids=32, top=5)),
    "gemma4-drafter-plain": Case(
        "target with keys as values and no sharing; drafter with a plain head", G4,
        gemma4(num_hidden_layers=6, hidden_size=28, intermediate_size=40, num_attention_heads=4,
               num_key_value_heads=2, head_dim=8, global_head_dim=16, num_global_key_value_heads=1, sliding_window=7,
               attention_k_eq_v=True),
        421, like="gemma-4-31b with gemma-4-31b-assistant", kind="drafter", spelling="published", prompt=21, new=20,
        drafter=dict(hidden_size=28, intermediate_size=40)),

    # ---- Gemma 3n ---------------------------------------------------------------------------------------------------
    "gemma3n-e2b": Case(
        "AltUp, LAuReL, sparse first layers, per-layer inputs, shared keys; taps inside the layers", G3N,
        gemma3n(num_hidden_layers=10, sparsity=[0.95] * 3, hidden_size=24, intermediate_size=[40] * 10,
                num_attention_heads=4, num_key_value_heads=2, head_dim=8, sliding_window=8, laurel_rank=8,
                hidden_size_per_layer_input=8, num_kv_shared_layers=3,
                layer_types=[S, F, S, S, F, S, F, S, S, F]),
        501, like="gemma-3n-e2b", family="gemma3n", spelling="published", inner=(0, 9), prompt=18),
    "gemma3n-e4b": Case(
        "two periods of four and one, the last one reading; wider feed-forward, a per-layer table shorter than the "
        "vocabulary", G3N,
        gemma3n(num_hidden_layers=10, sparsity=[0.95] * 4, hidden_size=24, intermediate_size=[56] * 10,
                num_attention_heads=8, num_key_value_heads=2, head_dim=8, sliding_window=7, laurel_rank=8,
                hidden_size_per_layer_input=8, num_kv_shared_layers=5, vocab_size_per_layer_input=180),
        502, like="gemma-3n-e4b", family="gemma3n", prompt=18),
    "gemma3n-sparsity": Case(
        "activation sparsity of several levels, a feed-forward width per layer, no sharing; float32 checkpoint", G3N,
        gemma3n(num_hidden_layers=6, sparsity=[0.95, 0.8, 0.5, 0.25], hidden_size=24,
                intermediate_size=[48, 64, 32, 56, 40, 72], num_attention_heads=6, num_key_value_heads=2, head_dim=6,
                sliding_window=6, laurel_rank=6, hidden_size_per_layer_input=6, num_kv_shared_layers=0,
                layer_types=[S, S, F, S, S, F]),
        503, family="gemma3n", dtype="float32", prompt=18),

    "gemma3n-eyes": Case(
        "a MobileNetV5 of three sizes with every kind of block, odd planes, two pictures, ids of the tower's own",
        "Gemma3nForConditionalGeneration",
        gemma3n(num_hidden_layers=4, sparsity=[0.9], hidden_size=20, intermediate_size=[28] * 4, num_attention_heads=2,
                num_key_value_heads=1, head_dim=8, sliding_window=6, laurel_rank=4, hidden_size_per_layer_input=4,
                num_kv_shared_layers=1, layer_types=[S, S, F, S], vocab_size_per_layer_input=184),
        504, like="gemma-3n-e2b", family="gemma3n", kind="eyes", nested="gemma3n", prompt=18, new=9,
        media=dict(pictures=2, pixels=30, stem=8, side=2, blocks=[
            ["er_r1_k3_s2_e3_c8", "er_r2_k3_s1_e2_c8"],
            ["uir_r1_a3_k5_s2_e4_c8", "uir_r1_a5_k0_s1_e3_c8", "uir_r1_a0_k3_s1_e2_c8", "mqa_r1_k3_h3_v2_s1_d8_c8",
             "uir_r1_a0_k0_s1_e2_c8"],
            ["uir_r1_a5_k0_s2_e2_c8", "mqa_r1_k3_h2_s1_d12_c8", "uir_r1_a0_k0_s1_e2_c8"]])),

    "gemma3n-ears": Case(
        "a conformer normed by all that was heard, seeing behind and ahead, one row of three kept, three clips in places that "
        "they do not fill, ids of the tower's own",
        "Gemma3nForConditionalGeneration",
        gemma3n(num_hidden_layers=5, sparsity=[0.9], hidden_size=20, intermediate_size=[28] * 5, num_attention_heads=2,
                num_key_value_heads=1, head_dim=8, sliding_window=6, laurel_rank=4, hidden_size_per_layer_input=4,
                num_kv_shared_layers=1, layer_types=[S, S, F, S, F], vocab_size_per_layer_input=180),
        505, like="gemma-3n-e2b", family="gemma3n", kind="ears", nested="gemma3n", prompt=19,
        media=dict(audio=dict(hidden_size=12, input_feat_size=20, conf_num_hidden_layers=2, conf_num_attention_heads=2,
                              conf_attention_chunk_size=4, conf_attention_context_left=5, conf_attention_context_right=2,
                              conf_attention_logit_cap=5.0, conf_conv_kernel_size=3, conf_reduction_factor=3,
                              sscp_conv_channel_size=[10, 6], sscp_conv_group_norm_eps=1e-2),
                   places=7, clips=(9701, 5300, 1700))),

    # ---- a real model -----------------------------------------------------------------------------------------------
    "real-270m": Case("Gemma 3 270M, Q4_K_M, every tensor dequantised to float32", G3, {}, 0, like="gemma-3-270m",
                      kind="real", family="gemma3"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "cases")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verify", nargs="+", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--model", type=pathlib.Path, help="the GGUF file of real-270m")
    arguments = parser.parse_args()

    if arguments.list:
        for name, case in CASES.items():
            print(f"{name:22} {case.content}")
        return 0
    if arguments.verify:
        from golden import verify
        return verify.folders(arguments.verify, arguments.model)

    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)} (--list names them)")
    from golden import make
    for name in arguments.cases or CASES:
        started = time.time()
        if CASES[name].kind == "real" and not arguments.model:
            print(f"{name:22} skipped: needs --model FILE.gguf")
            continue
        words = make.case(name, CASES[name], arguments.out / name, arguments.model)
        size = sum(f.stat().st_size for f in (arguments.out / name).rglob("*") if f.is_file())
        print(f"{name:22} {size / 1024:6.0f} KiB  {time.time() - started:5.1f} s  {words}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
