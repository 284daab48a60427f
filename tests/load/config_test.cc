// config.json: both spellings, the defaults of each generation, and every refusal with its sentence.
#include "g4/load/config.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "g4/load/match.h"
#include "g4/variants/all.h"
#include "tests/load/configs.h"

namespace g4::load {
namespace {

template <class... V>
void each_variant_reads_as_itself(one_of<V...>) {
  const auto check = [](const std::string& name, const text_spec& want) {
    const auto spec = released(name);
    ASSERT_TRUE(spec) << spec.error().message;
    text_spec read = *spec;
    read.pooled = want.pooled;  // stands in modules.json, not in config.json
    EXPECT_TRUE(read == want) << name;
    for (const std::string& line : differences(*spec, want, name)) ADD_FAILURE() << line;
  };
  (check(std::string(variant_name<V>()), V::spec), ...);
}

TEST(config, of_every_released_decoder) { each_variant_reads_as_itself(all_variants{}); }
TEST(config, of_every_released_drafter) { each_variant_reads_as_itself(all_drafters{}); }
TEST(config, of_every_released_embedder) { each_variant_reads_as_itself(all_embedders{}); }

// A small text model of each generation, as the reference writes it; what is not said takes the reference's default.
constexpr const char* gemma3 = R"({"model_type": "gemma3_text"})";
constexpr const char* gemma3n = R"({"model_type": "gemma3n_text"})";
constexpr const char* gemma4 = R"({"model_type": "gemma4_text"})";
constexpr const char* unified = R"({"model_type": "gemma4_unified_text"})";

text_spec spec_of(const std::string& text) {
  const auto spec = read_config(text, "config.json");
  EXPECT_TRUE(spec) << spec.error().message;
  return spec ? *spec : text_spec{};
}
std::string refusal_of(const std::string& text) {
  const auto spec = read_config(text, "config.json");
  return spec ? "accepted" : spec.error().message;
}
/// The object with more keys.
std::string plus(const std::string& object, const std::string& keys) {
  return object.substr(0, object.rfind('}')) + (keys.empty() ? "" : ", ") + keys + "}";
}

TEST(config_defaults, of_gemma_3) {
  const text_spec m = spec_of(gemma3);
  EXPECT_EQ(m.layers, 26);
  EXPECT_EQ(m.width, 2304);
  EXPECT_EQ(m.vocab, 262'208);
  EXPECT_EQ(m.query_heads, 8);
  EXPECT_EQ(m.key_value_heads, 4);
  EXPECT_EQ(m.layer[0].head_size, 256);
  EXPECT_EQ(m.layer[0].hidden, 9216);
  EXPECT_EQ(m.layer[0].keys, (key_span{4095, 0}));
  EXPECT_EQ(m.layer[5].sees, reach::global);
  EXPECT_EQ(m.layer[25].sees, reach::local);
  EXPECT_FLOAT_EQ(m.query_scale, 1.0f / 16);
  EXPECT_EQ(m.layer[0].rope, (rope_spec{1e4f, 1, 1}));
  EXPECT_EQ(m.layer[5].rope, (rope_spec{1e6f, 1, 1}));
  EXPECT_TRUE(m.one_plus_weight);
  EXPECT_FALSE(m.v_norm);
  EXPECT_EQ(m.logit_cap, 0);
  EXPECT_EQ(m.sees, visibility::causal);
}

TEST(config_defaults, of_gemma_3n) {
  const text_spec m = spec_of(gemma3n);
  EXPECT_EQ(m.layers, 35);
  EXPECT_EQ(m.width, 2048);
  EXPECT_EQ(m.vocab, 262'400);
  EXPECT_EQ(m.shared_layers, 15);
  EXPECT_EQ(m.layer[34].sees, reach::global);
  EXPECT_EQ(m.producer[33], 18);
  EXPECT_EQ(m.producer[34], 19);
  EXPECT_EQ(m.layer[9].sparsity, 0.95f);
  EXPECT_EQ(m.layer[10].sparsity, 0);
  EXPECT_EQ(m.altup->streams, 4);
  EXPECT_TRUE(m.altup->output_scale);
  EXPECT_EQ(m.laurel->rank, 64);
  EXPECT_EQ(m.per_layer->width, 256);
  EXPECT_EQ(m.per_layer->vocab, 262'144);
  EXPECT_EQ(m.logit_cap, 30);
  EXPECT_EQ(m.query_scale, 1);
}

TEST(config_defaults, of_gemma_3n_with_ten_layers_have_no_sparsity) {
  const text_spec m = spec_of(plus(gemma3n, R"("num_hidden_layers": 10, "num_kv_shared_layers": 0)"));
  for (int l = 0; l < 10; ++l) EXPECT_EQ(m.layer[l].sparsity, 0);
}

TEST(config_defaults, of_gemma_4) {
  const text_spec m = spec_of(gemma4);
  EXPECT_EQ(m.layers, 30);
  EXPECT_EQ(m.width, 2304);
  EXPECT_EQ(m.vocab, 262'144);
  EXPECT_EQ(m.layer[0].keys, (key_span{511, 0}));
  EXPECT_EQ(m.layer[5].head_size, 512);
  EXPECT_EQ(m.layer[5].key_value_heads, 4);
  EXPECT_EQ(m.layer[5].rope, (rope_spec{1e6f, 1, 0.25f}));
  EXPECT_EQ(m.per_layer->width, 256);
  EXPECT_EQ(m.logit_cap, 0);
  EXPECT_EQ(m.sees, visibility::causal);
  EXPECT_TRUE(m.layer_scalar);
  EXPECT_TRUE(m.v_norm);
}

TEST(config_defaults, of_the_unified_gemma_4) {
  const text_spec m = spec_of(unified);
  EXPECT_EQ(m.layer[0].keys, (key_span{1023, 0}));
  EXPECT_FALSE(m.per_layer);
  EXPECT_EQ(m.sees, visibility::images_on_local);
  EXPECT_EQ(spec_of(plus(unified, R"("use_bidirectional_attention": null)")).sees, visibility::causal);
}

TEST(config, with_the_last_layer_full_in_gemma_4_but_not_in_gemma_3) {
  const std::string pattern = R"("num_hidden_layers": 2, "layer_types": ["full_attention", "sliding_attention"])";
  const text_spec four = spec_of(plus(gemma4, pattern));
  EXPECT_EQ(four.layer[1].sees, reach::global);
  EXPECT_EQ(four.layer[1].head_size, 512);
  EXPECT_EQ(four.layer[1].rope.fraction, 0.25f);
  EXPECT_EQ(spec_of(plus(gemma3, pattern)).layer[1].sees, reach::local);
}

TEST(config, with_a_forced_last_layer_that_per_layer_config_leaves_alone) {
  // The override names layers; a layer that is merely forced to be full keeps the model's head size.
  const text_spec m =
      spec_of(plus(gemma4, R"("num_hidden_layers": 2, "layer_types": ["full_attention", "sliding_attention"],
      "per_layer_config": {"00": {"head_dim": 64}})"));
  EXPECT_EQ(m.layer[0].head_size, 64);
  EXPECT_EQ(m.layer[1].sees, reach::global);
  EXPECT_EQ(m.layer[1].head_size, 256);
}

TEST(config, with_layers_named_5_or_05_alike) {
  const text_spec a = spec_of(plus(gemma4, R"("num_hidden_layers": 6, "per_layer_config": {"5": {"head_dim": 64}})"));
  const text_spec b = spec_of(plus(gemma4, R"("num_hidden_layers": 6, "per_layer_config": {"05": {"head_dim": 64}})"));
  const text_spec released_spelling = spec_of(plus(gemma4, R"("num_hidden_layers": 6, "global_head_dim": 64)"));
  EXPECT_TRUE(a == b);
  EXPECT_TRUE(a == released_spelling);
}

TEST(config, with_global_key_value_heads_only_where_keys_are_values) {
  const std::string heads = R"("num_global_key_value_heads": 1)";
  EXPECT_EQ(spec_of(plus(gemma4, heads)).layer[5].key_value_heads, 4);
  const text_spec m = spec_of(plus(gemma4, heads + R"(, "attention_k_eq_v": true)"));
  EXPECT_EQ(m.layer[5].key_value_heads, 1);
  EXPECT_TRUE(m.layer[5].key_is_value);
  EXPECT_EQ(m.layer[4].key_value_heads, 4);
  EXPECT_FALSE(m.layer[4].key_is_value);
}

TEST(config, of_an_encoder_counts_its_window_as_its_generation_does) {
  // Gemma 3: |d| < 9//2 + 1. Gemma 4: |d| ≤ 8//2 + 1.
  EXPECT_EQ(spec_of(plus(gemma3, R"("use_bidirectional_attention": true, "sliding_window": 9)")).layer[0].keys,
            (key_span{4, 4}));
  EXPECT_EQ(spec_of(plus(gemma3, R"("use_bidirectional_attention": true, "sliding_window": 512)")).layer[0].keys,
            (key_span{256, 256}));
  const text_spec m =
      spec_of(plus(gemma4, R"("use_bidirectional_attention": "all", "sliding_window": 8, "is_causal": false)"));
  EXPECT_EQ(m.layer[0].keys, (key_span{5, 5}));
  EXPECT_EQ(m.layer[5].keys, (key_span{key_span::unbounded, key_span::unbounded}));
  EXPECT_EQ(m.sees, visibility::everything);
}

TEST(config, of_a_gemma_3_with_images_lets_them_see_themselves) {
  const text_spec m = spec_of(R"({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}})");
  EXPECT_EQ(m.sees, visibility::images_everywhere);
}

TEST(config, with_rope_in_three_spellings) {
  const text_spec old = spec_of(plus(gemma3, R"("rope_theta": 5e5, "rope_local_base_freq": 2e4,
      "rope_scaling": {"rope_type": "linear", "factor": 8.0})"));
  const text_spec now = spec_of(plus(gemma3, R"("rope_parameters": {
      "full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 500000.0},
      "sliding_attention": {"rope_type": "default", "rope_theta": 20000}})"));
  const text_spec mixed = spec_of(plus(gemma3, R"("rope_theta": 5e5, "rope_parameters": {
      "full_attention": {"rope_type": "linear", "factor": 8}, "sliding_attention": {"rope_theta": 20000}})"));
  EXPECT_EQ(old.layer[0].rope, (rope_spec{2e4f, 1, 1}));
  EXPECT_EQ(old.layer[5].rope, (rope_spec{5e5f, 8, 1}));
  EXPECT_TRUE(old == now);
  EXPECT_TRUE(old == mixed);
}

TEST(config, with_a_width_and_a_sparsity_for_every_layer) {
  const text_spec m = spec_of(
      plus(gemma3n, R"("num_hidden_layers": 5, "num_kv_shared_layers": 0, "intermediate_size": [8, 16, 8, 8, 24],
      "activation_sparsity_pattern": [0.5, 0, 0.25, 0.0, 0])"));
  EXPECT_EQ(m.layer[1].hidden, 16);
  EXPECT_EQ(m.layer[4].hidden, 24);
  EXPECT_EQ(m.layer[2].sparsity, 0.25f);
  EXPECT_EQ(m.layer[3].sparsity, 0);
}

TEST(config, with_doubled_feed_forwards_only_where_layers_share) {
  const std::string doubled = R"("use_double_wide_mlp": true)";
  EXPECT_FALSE(spec_of(plus(gemma4, doubled)).doubled_where_shared);
  const text_spec m = spec_of(plus(gemma4, doubled + R"(, "num_kv_shared_layers": 12)"));
  EXPECT_EQ(m.layer[17].hidden, 9216);
  EXPECT_EQ(m.layer[18].hidden, 18'432);
}

TEST(config, with_its_activation_in_either_spelling) {
  const text_spec plain = spec_of(gemma3);
  EXPECT_EQ(plain.activation, activation_kind::gelu_tanh);
  EXPECT_TRUE(spec_of(plus(gemma3, R"("hidden_activation": "gelu_pytorch_tanh")")) == plain);
  EXPECT_TRUE(spec_of(plus(gemma3, R"("hidden_act": "gelu_pytorch_tanh")")) == plain);
}

TEST(config, of_a_drafter_shares_every_layer_and_caps_nothing) {
  const text_spec m = spec_of(R"({"model_type": "gemma4_assistant", "text_config": {"model_type": "gemma4_text",
      "num_hidden_layers": 4, "final_logit_softcapping": 30.0}})");
  EXPECT_EQ(m.target->width, 1536);
  EXPECT_EQ(m.shared_layers, 4);
  EXPECT_EQ(m.producer[0], -1);
  EXPECT_EQ(m.logit_cap, 0);
  EXPECT_FALSE(m.clusters);
}

TEST(config, with_other_choices_that_the_reference_knows) {
  EXPECT_EQ(spec_of(plus(gemma3, R"("attn_logit_softcapping": 50.0)")).score_cap, 50);
  EXPECT_EQ(spec_of(plus(gemma3, R"("final_logit_softcapping": 20)")).logit_cap, 20);
  EXPECT_EQ(spec_of(plus(gemma3n, R"("final_logit_softcapping": null)")).logit_cap, 0);
  EXPECT_FALSE(spec_of(plus(gemma3n, R"("altup_correct_scale": false)")).altup->output_scale);
  EXPECT_TRUE(spec_of(plus(gemma4, R"("attention_bias": true)")).attention_bias);
  EXPECT_FALSE(spec_of(plus(gemma4, R"("tie_word_embeddings": false)")).tied_head);
  EXPECT_EQ(spec_of(plus(gemma4, R"("rms_norm_eps": 1e-5)")).norm_eps, 1e-5f);
  EXPECT_EQ(spec_of(plus(gemma4, R"("rope_parameters": null)")).layer[5].rope.fraction, 0.25f);
}

TEST(config, as_transformers_writes_it_for_a_gguf_file) {
  EXPECT_EQ(spec_of(plus(gemma3, R"("unk_token_id": 3)")), spec_of(gemma3));
}

struct refusal {
  const char* what;
  std::string config;
  const char* sentence;
};

TEST(config_refusals, with_their_sentences) {
  const std::string pattern6 = R"("num_hidden_layers": 6)";
  const std::vector<refusal> cases = {
      {"no JSON", "{", "config.json: is not valid JSON"},
      {"no object", "[1]", "config.json: is a list of 1; expected an object"},
      {"no type", "{}", "config.json: model_type is missing; expected one of gemma3_text, gemma3, "},
      {"another family", R"({"model_type": "llama"})",
       "config.json: model_type is \"llama\"; expected one of gemma3_text"},
      {"another type inside", R"({"model_type": "gemma4", "text_config": {"model_type": "gemma3_text"}})",
       "config.json: text_config.model_type is \"gemma3_text\"; expected \"gemma4_text\""},
      {"a text_config that is none", R"({"model_type": "gemma4", "text_config": 3})",
       "config.json: text_config is 3; expected an object"},
      {"an unknown key", plus(gemma4, R"("rope_wobble": 2)"),
       "config.json: rope_wobble is a key that g4 does not know; it may change the arithmetic, so the model is refused"},
      {"an unknown key inside", R"({"model_type": "gemma3", "text_config": {"rope_wobble": 2}})",
       "config.json: text_config.rope_wobble is a key that g4 does not know"},
      {"an unknown key outside", R"({"model_type": "gemma3", "wobble": true})",
       "config.json: wobble is a key that g4 does not know"},
      {"a quantised checkpoint", plus(gemma3, R"("quantization_config": {"bits": 4})"),
       "config.json: quantization_config is a key"},
      {"a key of another generation", plus(gemma3, R"("num_kv_shared_layers": 2)"),
       "config.json: num_kv_shared_layers is a key"},
      {"a key that comes twice", R"({"model_type": "gemma3_text", "model_type": "gemma3_text"})",
       "config.json: holds the key model_type twice"},
      {"another activation", plus(gemma4, R"("hidden_activation": "silu")"),
       "config.json: hidden_activation is \"silu\"; expected \"gelu_pytorch_tanh\""},
      {"another activation by its usual name", plus(gemma3, R"("hidden_act": "silu")"),
       "config.json: hidden_act is \"silu\"; expected \"gelu_pytorch_tanh\""},
      {"no activation", plus(gemma3, R"("hidden_activation": null)"),
       "config.json: hidden_activation is null; expected \"gelu_pytorch_tanh\""},
      {"no layers", plus(gemma4, R"("num_hidden_layers": 0)"),
       "config.json: num_hidden_layers is 0; expected a whole number from 1 to 128"},
      {"too many layers", plus(gemma4, R"("num_hidden_layers": 129)"),
       "num_hidden_layers is 129; expected a whole number from 1 to 128"},
      {"negative layers", plus(gemma4, R"("num_hidden_layers": -1)"),
       "num_hidden_layers is -1; expected a whole number"},
      {"layers beyond all counting", plus(gemma4, R"("num_hidden_layers": 18446744073709551615)"),
       "num_hidden_layers is 18446744073709551615; expected"},
      {"a layer and a half", plus(gemma4, R"("num_hidden_layers": 1.5)"),
       "num_hidden_layers is 1.5; expected a whole number"},
      {"layers in words", plus(gemma4, R"("num_hidden_layers": "ten")"),
       "num_hidden_layers is \"ten\"; expected a whole number"},
      {"no number", plus(gemma4, R"("hidden_size": null)"), "hidden_size is null; expected a whole number"},
      {"a width that would overflow", plus(gemma4, R"("hidden_size": 2147483647)"),
       "hidden_size is 2147483647; expected"},
      {"heads that do not divide", plus(gemma4, R"("num_attention_heads": 3, "num_key_value_heads": 2)"),
       "config.json: query heads must be a multiple of key/value heads, so that every group shares one key; layer 0 has 3 and 2"},
      {"an odd head", plus(gemma3, R"("head_dim": 15)"),
       "config.json: the head size must be a positive even number, because rotary embedding turns pairs; layer 0 has 15"},
      {"no window", plus(gemma3, R"("sliding_window": null)"),
       "a local layer needs a window, so that it knows which keys to keep"},
      {"a window of nothing", plus(gemma3, R"("sliding_window": 0)"),
       "sliding_window is 0; expected a whole number from 1"},
      {"an epsilon of 0", plus(gemma3, R"("rms_norm_eps": 0)"), "rms_norm_eps is 0; expected a positive number"},
      {"a scale of 0", plus(gemma3, R"("query_pre_attn_scalar": 0)"),
       "query_pre_attn_scalar is 0; expected a positive number"},
      {"a negative cap", plus(gemma3, R"("final_logit_softcapping": -30.0)"),
       "final_logit_softcapping is -30; expected a positive number or null"},
      {"too few layer types", plus(gemma4, pattern6 + R"(, "layer_types": ["full_attention"])"),
       "layer_types is a list of 1; expected a list of 6, one for each layer"},
      {"an unknown layer type", plus(gemma3, R"("num_hidden_layers": 1, "layer_types": ["linear_attention"])"),
       "layer_types[0] is \"linear_attention\"; expected \"sliding_attention\" or \"full_attention\""},
      {"a saved period without layer types", plus(gemma3, R"("_sliding_window_pattern": 4)"),
       "_sliding_window_pattern is 4; expected 6, or layer_types"},
      {"another rope", plus(gemma3, R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0})"),
       "config.json: rope_scaling.rope_type is \"yarn\"; expected \"default\", \"linear\" or \"proportional\""},
      {"a rope type under its old name", plus(gemma3, R"("rope_scaling": {"type": "linear", "factor": 8.0})"),
       "rope_scaling.type is an old name that the reference no longer heeds; say rope_type"},
      {"a linear rope without a factor", plus(gemma3, R"("rope_scaling": {"rope_type": "linear"})"),
       "rope_scaling.factor is missing; rope_type \"linear\" needs it"},
      {"a default rope with a factor", plus(gemma3, R"("rope_scaling": {"factor": 4.0})"),
       "rope_scaling.factor is set, but rope_type \"default\" has none"},
      {"a default rope with a fraction", plus(gemma4, R"("rope_parameters": {"full_attention": {"rope_theta": 1e6,
          "partial_rotary_factor": 0.5}, "sliding_attention": {"rope_theta": 1e4}})"),
       "rope_parameters.full_attention.partial_rotary_factor is set, but rope_type \"default\" turns every pair"},
      {"a fraction above 1",
       plus(gemma4, R"("rope_parameters": {"full_attention": {"rope_theta": 1e6, "rope_type": "proportional",
          "partial_rotary_factor": 1.5}, "sliding_attention": {"rope_theta": 1e4}})"),
       "rope_parameters.full_attention.partial_rotary_factor is 1.5; expected a number from 0 to 1"},
      {"an unknown rope key", plus(gemma3, R"("rope_scaling": {"rope_type": "linear", "factor": 8, "beta_fast": 32})"),
       "rope_scaling.beta_fast is a key that g4 does not know"},
      {"half a rope", plus(gemma4, R"("rope_parameters": {"full_attention": {"rope_theta": 1e6}})"),
       "rope_parameters.sliding_attention is missing"},
      {"a rope without a base",
       plus(gemma4, R"("rope_parameters": {"full_attention": {}, "sliding_attention": {"rope_theta": 1e4}})"),
       "rope_parameters.full_attention.rope_theta is missing"},
      {"one rope for all", plus(gemma3, R"("rope_parameters": {"rope_theta": 1e6, "rope_type": "default"})"),
       "rope_parameters.rope_theta is a key that g4 does not know"},
      {"an override of no layer", plus(gemma4, pattern6 + R"(, "per_layer_config": {"6": {"head_dim": 64}})"),
       "per_layer_config.6 is no layer; expected 0 to 5"},
      {"an override given twice",
       plus(gemma4, pattern6 + R"(, "per_layer_config": {"5": {"head_dim": 64}, "05": {"head_dim": 32}})"),
       "is given twice"},
      {"an override of something else",
       plus(gemma4, pattern6 + R"(, "per_layer_config": {"5": {"intermediate_size": 64}})"),
       "per_layer_config.5.intermediate_size is a key that g4 does not know"},
      {"an override that is none", plus(gemma4, pattern6 + R"(, "per_layer_config": {"5": 64})"),
       "per_layer_config.5 is 64; expected an object"},
      {"an unknown mask", plus(gemma4, R"("use_bidirectional_attention": "some")"),
       "use_bidirectional_attention is \"some\"; expected null, \"vision\" or \"all\""},
      {"a mask of another generation", plus(gemma3, R"("use_bidirectional_attention": "vision")"),
       "use_bidirectional_attention is \"vision\"; expected true or false"},
      {"an encoder of Gemma 3n", plus(gemma3n, R"("use_bidirectional_attention": true)"),
       "use_bidirectional_attention is true; expected false"},
      {"a decoder that is not causal", plus(gemma4, R"("is_causal": false)"), "is_causal is false; expected true"},
      {"a list of widths in Gemma 4", plus(gemma4, R"("intermediate_size": [8, 8])"),
       "intermediate_size is a list of 2; expected a whole"},
      {"too few widths", plus(gemma3n, R"("intermediate_size": [8, 8])"),
       "intermediate_size is a list of 2; expected a list of 35"},
      {"a sparsity of 1",
       plus(gemma3n, R"("num_hidden_layers": 1, "num_kv_shared_layers": 0, "activation_sparsity_pattern": [1.0])"),
       "activation_sparsity_pattern[0] is 1; expected a number from 0 to below 1"},
      {"too few sparsities", plus(gemma3n, R"("activation_sparsity_pattern": [0.5])"),
       "activation_sparsity_pattern is a list of 1; expected a list of 35"},
      {"another active stream", plus(gemma3n, R"("altup_active_idx": 1)"), "altup_active_idx is 1; expected 0"},
      {"one stream", plus(gemma3n, R"("altup_num_inputs": 1)"),
       "altup_num_inputs is 1; expected a whole number from 2 to 64"},
      {"experts without a number", plus(gemma4, R"("enable_moe_block": true, "num_experts": 4, "top_k_experts": 2)"),
       "moe_intermediate_size is missing; enable_moe_block needs it"},
      {"more experts than there are", plus(gemma4, R"("enable_moe_block": true, "num_experts": 4, "top_k_experts": 5,
          "moe_intermediate_size": 8)"),
       "a router chooses at least one expert and at most all of them; it chooses 5 of 4"},
      {"more experts than fit", plus(gemma4, R"("enable_moe_block": true, "num_experts": 65536, "top_k_experts": 5,
          "moe_intermediate_size": 1048576)"),
       "g4 counts the numbers of all experts up to 2^31; there are 65536 experts of width 1048576, in a model of width"},
      {"experts in the unified model", plus(unified, R"("enable_moe_block": true)"),
       "enable_moe_block is true; expected false"},
      {"per-layer embeddings in the unified model", plus(unified, R"("hidden_size_per_layer_input": 8)"),
       "hidden_size_per_layer_input is 8; expected"},
      {"per-layer embeddings without rows", plus(gemma4, R"("vocab_size_per_layer_input": 0)"),
       "per-layer embeddings need a width and a table; they have width 256 and 0 rows"},
      {"more shared layers than there are", plus(gemma4, R"("num_kv_shared_layers": 31)"),
       "num_kv_shared_layers is 31; expected"},
      {"sharing without a producer", plus(gemma4, pattern6 + R"(, "num_kv_shared_layers": 3)"),
       "a layer that shares keys and values needs an earlier layer of its own reach that makes them; layer 5 has none"},
      {"a reuser of another size", plus(gemma4, R"("num_hidden_layers": 4, "num_kv_shared_layers": 1,
          "layer_types": ["sliding_attention", "full_attention", "full_attention", "full_attention"],
          "per_layer_config": {"3": {"head_dim": 64}})"),
       "a layer that shares keys and values must have the key/value heads and head size of the layer that makes them; layer 3 has 4 "
       "of size 64, layer 2 has 4 of size 256"},
      {"a drafter with keys of its own",
       R"({"model_type": "gemma4_assistant", "text_config": {"num_kv_shared_layers": 3,
          "num_hidden_layers": 4}})",
       "text_config.num_kv_shared_layers is 3; a drafter shares all its 4 layers"},
      {"clusters that do not divide",
       R"({"model_type": "gemma4_assistant", "use_ordered_embeddings": true, "num_centroids": 1000,
          "text_config": {"num_hidden_layers": 4}})",
       "clusters of tokens are of equal size, so that their number must divide the vocabulary; there are 262144 tokens and 1000 clusters"},
      {"more clusters than there are",
       R"({"model_type": "gemma4_assistant", "use_ordered_embeddings": true, "num_centroids": 16,
          "text_config": {"num_hidden_layers": 4}})",
       "it chooses 32 of 16"},
      {"an encoder and a decoder", plus(gemma3, R"("is_encoder_decoder": true)"),
       "is_encoder_decoder is true; expected false"},
      {"pruned heads", plus(gemma3, R"("pruned_heads": {"0": [1]})"), "pruned_heads is an object of 1; expected none"},
  };
  for (const refusal& c : cases) {
    const std::string sentence = refusal_of(c.config);
    EXPECT_NE(sentence.find(c.sentence), std::string::npos)
        << c.what << "\n  said: " << sentence << "\n  want: " << c.sentence;
    EXPECT_TRUE(sentence.starts_with("config.json: ")) << c.what << "\n  said: " << sentence;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << c.what;
  }
}

}  // namespace
}  // namespace g4::load
