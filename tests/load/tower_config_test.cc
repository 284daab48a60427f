// The towers of a config.json: what is read, what is refused, and the types that are written of it.
#include "g4/load/tower_config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "g4/load/model_source.h"
#include "g4/load/tower_text.h"
#include "g4/variants/gemma3_4b.h"
#include "g4/variants/gemma3n_e2b.h"
#include "g4/variants/gemma4_12b.h"
#include "g4/variants/gemma4_26b_a4b.h"
#include "g4/variants/gemma4_conformer.h"
#include "g4/variants/gemma4_e2b.h"
#include "tests/load/configs.h"

namespace g4::load {
namespace {

constexpr const char* both =
    R"({"model_type": "gemma4_unified", "text_config": {}, "vision_config": {VISION}, "audio_config": {AUDIO}})";
std::string config(const std::string& vision = "", const std::string& audio = "") {
  return with(with(both, "VISION", vision), "AUDIO", audio);
}
std::string refusal_of(const std::string& text) {
  const auto towers = read_towers(text, "config.json");
  return towers ? "accepted" : towers.error().message;
}
tower_specs towers_of(const std::string& text) {
  const auto towers = read_towers(text, "config.json");
  EXPECT_TRUE(towers) << towers.error().message;
  return towers ? *towers : tower_specs{};
}

/// The text without blanks and comments: the released variants stand their own comments beside the stages.
std::string bare(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0) i = std::min(text.find('\n', i), text.size() - 1);
    if (text[i] != ' ' && text[i] != '\n') out += text[i];
  }
  return out;
}

TEST(towers, of_the_12b_in_the_defaults) {
  const tower_specs t = towers_of(config());
  ASSERT_TRUE(t.sees && t.hears);
  EXPECT_TRUE(*t.sees == gemma4_patches::spec);
  EXPECT_TRUE(*t.hears == gemma4_frames::spec);
  EXPECT_EQ(t.soft_tokens, gemma4_12b::seeing::budget.most);
}

/// The config.json of a Gemma 4 with a picture tower, as it is released.
std::string seeing(const std::string& vision) {
  return R"({"model_type": "gemma4", "text_config": {}, "audio_config": null, "vision_config": {)" + vision + "}}";
}
constexpr const char* released_small =
    R"("model_type": "gemma4_vision", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16,
       "num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64, "patch_size": 16, "pooling_kernel_size": 3,
       "position_embedding_size": 10240, "rms_norm_eps": 1e-06, "hidden_activation": "gelu_pytorch_tanh",
       "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}, "standardize": false,
       "use_clipped_linears": true, "attention_bias": false, "attention_dropout": 0.0)";
constexpr const char* released_large =
    R"("hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
       "num_key_value_heads": 16, "head_dim": 72, "standardize": true)";

TEST(towers, of_the_released_gemma4) {
  const tower_specs small = towers_of(seeing(released_small)), large = towers_of(seeing(released_large));
  ASSERT_TRUE(small.sees && large.sees);
  EXPECT_TRUE(*small.sees == gemma4_vit_small::spec) << tower_source(*small.sees, "found");
  EXPECT_TRUE(*large.sees == gemma4_vit_large::spec) << tower_source(*large.sees, "found");
  EXPECT_FALSE(small.hears);
  EXPECT_EQ(small.soft_tokens, gemma4_e2b::seeing::budget.most);
  EXPECT_EQ(large.soft_tokens, gemma4_26b_a4b::seeing::budget.most);
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma4", "text_config": {}, "vision_config": null})").any());
}

TEST(towers, of_a_small_gemma4) {
  const tower_specs t = towers_of(seeing(
      R"("hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 12, "patch_size": 2, "pooling_kernel_size": 2,
         "position_embedding_size": 9, "rms_norm_eps": 1e-5, "rope_parameters": {"rope_theta": 50})"));
  ASSERT_TRUE(t.sees);
  const auto e = t.sees->find<stage::encoder>();
  EXPECT_EQ(e->layers, 2);
  EXPECT_EQ(e->query_heads, 4);
  EXPECT_EQ(e->key_value_heads, 2);
  EXPECT_EQ(e->head_size, 12);
  EXPECT_EQ(e->hidden, 28);
  EXPECT_EQ(e->rope_theta, 50.0f);
  EXPECT_EQ(e->norm_eps, 1e-5f);
  EXPECT_EQ(t.sees->find<stage::any_aspect>()->side, 4);
  EXPECT_EQ(t.sees->find<stage::mean_pooled>()->side, 2);
  EXPECT_EQ(t.sees->find<stage::into_text>()->eps, 1e-5f);
  EXPECT_EQ(t.soft_tokens, 4);  // as many as find a place in one row
}

TEST(towers, of_gemma4_refused_where_a_key_would_change_the_arithmetic) {
  EXPECT_EQ(refusal_of(seeing(R"("hidden_activation": "relu")")),
            "config.json: vision_config.hidden_activation is \"relu\"; expected \"gelu_pytorch_tanh\"");
  EXPECT_EQ(refusal_of(seeing(R"("num_key_value_heads": 5)")),
            "config.json: vision_config.num_key_value_heads does not divide num_attention_heads, 12");
  EXPECT_EQ(refusal_of(seeing(R"("head_dim": 6)")),
            "config.json: vision_config.head_dim is no multiple of 4, so that both axes could turn pairs of it");
  EXPECT_EQ(refusal_of(seeing(R"("rope_parameters": {"rope_type": "yarn"})")),
            "config.json: vision_config.rope_parameters.rope_type is \"yarn\"; expected \"axial\" or \"default\"");
  EXPECT_EQ(refusal_of(seeing(R"("num_hidden_layers": 100000)")),
            "config.json: vision_config.num_hidden_layers is 100000; expected a whole number from 1 to 256");
  EXPECT_EQ(refusal_of(seeing(R"("spatial_merge": 2)")),
            "config.json: vision_config.spatial_merge is a key that g4 does not know; it may change the arithmetic, so "
            "the model is refused");
  EXPECT_EQ(refusal_of(seeing(R"("attention_bias": true)")),
            "config.json: vision_config.attention_bias is true; expected false");
}

/// The config.json of a Gemma 3 that sees.
std::string square(const std::string& vision, const std::string& tokens = "256") {
  return R"({"model_type": "gemma3", "text_config": {}, "mm_tokens_per_image": )" + tokens + R"(, "vision_config": {)" +
         vision + "}}";
}
constexpr const char* released_siglip =
    R"("hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
       "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": false)";

TEST(towers, of_the_released_gemma3) {
  const tower_specs t = towers_of(square(released_siglip));
  ASSERT_TRUE(t.sees);
  EXPECT_TRUE(*t.sees == siglip_so400m::spec) << tower_source(*t.sees, "found");
  EXPECT_EQ(t.soft_tokens, gemma3_4b::seeing::budget.most);
  const std::string text = bare(model_source(gemma3_4b::text::spec, t, "gemma3_4b"));
  std::string by_hand = bare(file_text("include/g4/variants/gemma3_4b.h"));
  by_hand = by_hand.substr(by_hand.find("structgemma3_4b:multimodal"));
  by_hand.replace(by_hand.find("siglip_so400m"), 13, "gemma3_4b_patches");
  EXPECT_NE(text.find(by_hand), std::string::npos) << text;
}

/// The config.json of a Gemma 3n that sees.
std::string mobile(const std::string& vision, const std::string& tokens = "256") {
  return R"({"model_type": "gemma3n", "text_config": {}, "vision_soft_tokens_per_image": )" + tokens +
         R"(, "vision_config": {)" + vision + "}}";
}

TEST(towers, of_the_released_gemma3n) {
  const tower_specs t = towers_of(mobile(
      R"("architecture": "mobilenetv5_300m_enc", "do_pooling": false, "hidden_size": 2048, "label_names": ["LABEL_0"],
         "model_args": null, "model_type": "gemma3n_vision", "num_classes": 2, "rms_norm_eps": 1e-06,
         "vocab_offset": 262144, "vocab_size": 128)"));
  ASSERT_TRUE(t.sees);
  EXPECT_TRUE(*t.sees == mobilenet_v5_300m::spec) << tower_source(*t.sees, "found");
  EXPECT_EQ(t.soft_tokens, gemma3n_e2b::seeing::budget.most);
  const std::string by_hand = bare(file_text("include/g4/variants/mobilenet_v5_300m.h"));
  EXPECT_NE(by_hand.find(bare(tower_source(*t.sees, "mobilenet_v5_300m"))), std::string::npos);
}

/// The config.json of a Gemma 3n that hears.
std::string heard(const std::string& audio, const std::string& text = "") {
  return R"({"model_type": "gemma3n", "text_config": {)" + text + R"(}, "audio_config": {)" + audio + "}}";
}

TEST(towers, of_the_released_gemma3n_that_hears) {
  const tower_specs t = towers_of(heard(
      R"("model_type": "gemma3n_audio", "conf_attention_chunk_size": 12, "conf_attention_context_left": 13,
         "conf_attention_context_right": 0, "conf_attention_logit_cap": 50.0, "conf_conv_kernel_size": 5,
         "conf_num_attention_heads": 8, "conf_num_hidden_layers": 12, "conf_reduction_factor": 4,
         "conf_residual_weight": 0.5, "gradient_clipping": 1e10, "hidden_size": 1536, "input_feat_size": 128,
         "rms_norm_eps": 1e-06, "sscp_conv_channel_size": [128, 32], "sscp_conv_group_norm_eps": 0.001,
         "sscp_conv_kernel_size": [[3, 3], [3, 3]], "sscp_conv_stride_size": [[2, 2], [2, 2]],
         "vocab_offset": 262272, "vocab_size": 128)"));
  ASSERT_TRUE(t.hears && !t.sees);
  EXPECT_TRUE(*t.hears == gemma3n_conformer::spec) << tower_source(*t.hears, "found");
  EXPECT_TRUE(towers_of(heard("")).hears == t.hears);  // these are the defaults
  EXPECT_EQ(t.sound_tokens, gemma3n_e2b::hearing::budget.most);
  const std::string by_hand = bare(file_text("include/g4/variants/gemma3n_conformer.h"));
  EXPECT_NE(by_hand.find(bare(tower_source(*t.hears, "gemma3n_conformer"))), std::string::npos);
}

TEST(model_source, of_gemma3n_is_what_people_wrote) {
  const tower_specs t =
      towers_of(R"({"model_type": "gemma3n", "text_config": {}, "vision_config": {}, "audio_config": {}})");
  const std::string text = bare(model_source(gemma3n_e2b::text::spec, t, "gemma3n_e2b"));
  std::string by_hand = bare(file_text("include/g4/variants/gemma3n_e2b.h"));
  by_hand = by_hand.substr(by_hand.find("structgemma3n_e2b:multimodal"));
  by_hand.replace(by_hand.find("mobilenet_v5_300m"), 17, "gemma3n_e2b_patches");
  by_hand.replace(by_hand.find("gemma3n_conformer"), 17, "gemma3n_e2b_conformer");
  EXPECT_NE(text.find(by_hand), std::string::npos) << text;
}

TEST(towers, of_gemma3n_refused_where_a_conformer_would_be_another) {
  const auto why = [](const std::string& audio) { return refusal_of(heard(audio)); };
  const std::string audio = "config.json: audio_config.";
  EXPECT_EQ(why(R"("sscp_conv_kernel_size": [[3, 3], [5, 3]])"),
            audio + "sscp_conv_kernel_size[1] is a list of 2; expected [3, 3]");
  EXPECT_EQ(why(R"("sscp_conv_stride_size": [[2, 2], 2])"), audio + "sscp_conv_stride_size[1] is 2; expected [2, 2]");
  EXPECT_EQ(why(R"("input_feat_size": 30)"), audio + "input_feat_size is 30; expected a multiple of 4");
  EXPECT_EQ(why(R"("hidden_size": 100)"),
            audio + "hidden_size is 100; expected an even multiple of conf_num_attention_heads, 8");
  EXPECT_EQ(why(R"("vocab_size": 64)"),
            audio +
                "vocab_offset and vocab_size are 262272 and 64, which leaves out the text's last token, 262399: what a "
                "sound does not fill is filled with it");
  EXPECT_EQ(refusal_of(heard("", R"("vocab_size": 262300)")),
            audio + "vocab_size is 128; from vocab_offset, 262272, the text has 28 tokens");
  EXPECT_EQ(why(R"("attention_chunk_size": 12)"),
            audio +
                "attention_chunk_size is a key that g4 does not know; it may change the arithmetic, so the model is "
                "refused");
}

/// model_args with blocks of two sizes of planes: the first of each, and what follows it in the second.
std::string blocks(const std::string& rest, const std::string& first = "") {
  return mobile(R"("model_args": {"stem_size": 16, "msfa_output_resolution": 3, "block_args": [
      [{"block_type": "er", "out_chs": 16, "stride": 2, "exp_kernel_size": 5, "exp_ratio": 3.0)" +
                    first + R"(}],
      [{"block_type": "uir", "out_chs": 24, "stride": 2, "dw_kernel_size_start": 3, "dw_kernel_size_mid": 0, "exp_ratio": 2})" +
                    rest + "]]}",
                "9");
}

TEST(towers, of_a_small_gemma3n) {
  const std::string pair =
      R"(, {"block_type": "mqa", "out_chs": 24, "num_heads": 4, "key_dim": 8, "value_dim": 8, "kv_stride": 2, "se_ratio": 0.0},
           {"block_type": "uir", "out_chs": 24, "dw_kernel_size_mid": 0, "exp_ratio": 1.5, "noskip": false, "act_layer": null})";
  const tower_specs t = towers_of(blocks(pair + pair));
  ASSERT_TRUE(t.sees);
  EXPECT_EQ(bare(stage_text(*t.sees->find<stage::mobilenet>())),
            bare("mobilenet<conv_stem{.channels = 16},"
                 "blocks<edge_residual{.channels = 16, .side = 5, .stride = 2, .wider = 3}>,"
                 "blocks<bottleneck{.channels = 24, .start = 3, .stride = 2, .wider = 2},"
                 "in_turn<2, multi_query{.channels = 24, .heads = 4, .size = 8, .key_stride = 2},"
                 "bottleneck{.channels = 24, .wider = 1.5f}>>,"
                 "fused{.channels = 2048, .side = 3}>"));
}

TEST(towers, of_gemma3n_refused_where_blocks_are_none_that_g4_has) {
  const std::string args = "config.json: vision_config.model_args.block_args.";
  EXPECT_EQ(refusal_of(blocks(R"(, {"block_type": "ir", "out_chs": 24})")),
            args + R"(1.1.block_type is "ir"; expected "er", "uir" or "mqa")");
  EXPECT_EQ(refusal_of(blocks(R"(, {"block_type": "uir", "out_chs": 24, "dw_kernel_size_end": 3})")),
            args + "1.1.dw_kernel_size_end is 3; expected 0");
  EXPECT_EQ(refusal_of(blocks(R"(, {"block_type": "mqa", "out_chs": 32})")),
            args + "1.1.out_chs is another than the block is given, 24");
  EXPECT_EQ(
      refusal_of(blocks("", R"(, "group_size": 2)")),
      args + "0.0.group_size is a key that g4 does not know; it may change the arithmetic, so the model is refused");
  EXPECT_EQ(
      refusal_of(mobile(R"("model_args": {"block_args": 3})")),
      "config.json: vision_config.model_args.block_args is 3; expected two to four lists of blocks, one for each size "
      "of planes");
  EXPECT_EQ(
      refusal_of(mobile("", "100")),
      "config.json: vision_config.model_args has planes of 16 x 16 fused, which are not vision_soft_tokens_per_image, "
      "100");
  EXPECT_EQ(refusal_of(mobile(R"("architecture": "resnet50")")),
            "config.json: vision_config.architecture is \"resnet50\"; expected \"mobilenetv5_300m_enc\"");
}

TEST(towers, of_gemma3_refused_where_the_sizes_do_not_fit) {
  EXPECT_EQ(refusal_of(square(released_siglip, "255")),
            "config.json: vision_config.patch_size gives 64 patches on a side, which are no 255 squares of them "
            "(mm_tokens_per_image)");
  EXPECT_EQ(refusal_of(square(R"("image_size": 50, "patch_size": 8)", "9")),
            "config.json: vision_config.patch_size does not divide image_size, 50");
  EXPECT_EQ(refusal_of(square(R"("num_attention_heads": 7)", "49")),
            "config.json: vision_config.num_attention_heads does not divide hidden_size, 768");
  EXPECT_EQ(refusal_of(square(R"("hidden_act": "gelu")", "49")),
            "config.json: vision_config.hidden_act is \"gelu\"; expected \"gelu_pytorch_tanh\"");
  EXPECT_EQ(refusal_of(square(R"("num_channels": 4)", "49")),
            "config.json: vision_config.num_channels is not 3; pictures have three colours");
}

TEST(towers, of_a_small_model) {
  const tower_specs t =
      towers_of(config(R"("patch_size": 4, "mm_embed_dim": 40, "mm_posemb_size": 72, "output_proj_dims": 40,
                          "rms_norm_eps": 1e-5, "initializer_range": 0.02)",
                       R"("audio_embed_dim": 48, "hidden_size": 48)"));
  ASSERT_TRUE(t.sees && t.hears);
  EXPECT_EQ(t.sees->find<stage::any_aspect>()->side, 12);
  EXPECT_EQ(t.sees->find<stage::linear>()->width, 40);
  EXPECT_EQ(t.sees->find<stage::per_axis>()->places, 72);
  EXPECT_EQ(t.sees->find<stage::into_text>()->eps, 1e-5f);
  EXPECT_EQ(t.hears->find<stage::frames>()->samples, 48);
  EXPECT_EQ(t.soft_tokens, 70);  // no more have a place
}

TEST(towers, absent_where_the_file_has_none) {
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma4_unified", "text_config": {}})").any());
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma4_unified", "vision_config": null, "audio_config": null})").any());
  EXPECT_FALSE(towers_of(R"({"model_type": "gemma3_text"})").any());
}

TEST(towers, refused_where_a_key_would_change_the_arithmetic) {
  EXPECT_EQ(refusal_of(config(R"("use_clipped_linears": true)")),
            "config.json: vision_config.use_clipped_linears is a key that g4 does not know; it may change the "
            "arithmetic, so the model is refused");
  EXPECT_EQ(refusal_of(config("", R"("conv_kernel_size": 5)")),
            "config.json: audio_config.conv_kernel_size is a key that g4 does not know; it may change the arithmetic, so "
            "the model is refused");
  EXPECT_EQ(refusal_of(config(R"("output_proj_dims": 64)")),
            "config.json: vision_config.output_proj_dims is not mm_embed_dim, 3840; the rows that are projected are "
            "those that were embedded");
  EXPECT_EQ(refusal_of(config(R"("model_patch_size": 40)")),
            "config.json: vision_config.model_patch_size is not patch_size times pooling_kernel_size, 48");
  EXPECT_EQ(refusal_of(config("", R"("audio_samples_per_token": 320)")),
            "config.json: audio_config.audio_samples_per_token is not audio_embed_dim, 640, which it is another name of");
  EXPECT_EQ(refusal_of(config(R"("model_type": "siglip_vision_model")")),
            "config.json: vision_config.model_type is \"siglip_vision_model\"; expected \"gemma4_unified_vision\"");
  EXPECT_EQ(refusal_of(config("", R"("model_type": "gemma4_audio")")),
            "config.json: audio_config.model_type is \"gemma4_audio\"; expected \"gemma4_unified_audio\"");
  EXPECT_EQ(refusal_of(config(R"("patch_size": 0)")),
            "config.json: vision_config.patch_size is 0; expected a whole number from 1 to 1024");
  EXPECT_EQ(refusal_of(config(R"("mm_posemb_size": "many")")),
            "config.json: vision_config.mm_posemb_size is \"many\"; expected a whole number from 1 to 1048576");
}

constexpr const char* with_ears = R"({"model_type": "gemma4", "text_config": {}, "audio_config": {AUDIO}})";

TEST(towers, of_e2b_in_the_defaults) {
  const tower_specs t = towers_of(with(with_ears, "AUDIO", ""));
  ASSERT_TRUE(t.hears.has_value());
  EXPECT_TRUE(*t.hears == gemma4_conformer::spec) << tower_source(*t.hears, "found");
}

TEST(towers, of_a_small_conformer) {
  const tower_specs t = towers_of(with(with_ears, "AUDIO", R"("hidden_size": 32, "num_hidden_layers": 2,
      "num_attention_heads": 4, "subsampling_conv_channels": [64, 8], "attention_chunk_size": 8,
      "attention_context_left": 5, "attention_context_right": 3, "attention_logit_cap": 20.0, "conv_kernel_size": 7,
      "residual_weight": 0.25, "gradient_clipping": 100.0, "use_clipped_linears": false, "rms_norm_eps": 1e-5,
      "output_proj_dims": 40, "attention_invalid_logits_value": -1e9, "hidden_act": "silu")"));
  ASSERT_TRUE(t.hears.has_value());
  EXPECT_EQ(t.hears->find<stage::log_mel>()->bins, 64);
  EXPECT_TRUE(*t.hears->find<stage::subsample>() == (stage::subsample{64, 8, 1e-5f}));
  EXPECT_TRUE(*t.hears->find<stage::conformer>() ==
              (stage::conformer{2, 4, 4, 3, 8, true, 20.0f, 7, 4, 0.25f, 100.0f, 1e-5f, false}));
  EXPECT_EQ(stage_text(*t.hears->find<stage::conformer>()),
            "conformer<layers{2}, relative_attention{.heads = 4, .past = 4, .ahead = 3, .chunk = 8, .cap = 20}, "
            "light_conv{.side = 7, .eps = 1e-5f}, half_feed{.residual = 0.25f}, limited{.limit = 100}>");
}

TEST(towers, refused_where_a_conformer_would_be_another) {
  const auto why = [](const std::string& audio) { return refusal_of(with(with_ears, "AUDIO", audio)); };
  EXPECT_EQ(why(R"("hidden_act": "gelu")"), "config.json: audio_config.hidden_act is \"gelu\"; expected \"silu\"");
  EXPECT_EQ(why(R"("hidden_size": 1000, "num_attention_heads": 16)"),
            "config.json: audio_config.hidden_size is 1000; expected an even multiple of num_attention_heads, 16");
  EXPECT_EQ(why(R"("subsampling_conv_channels": [30, 8])"),
            "config.json: audio_config.subsampling_conv_channels begins with 30; expected a multiple of 4, as many as the "
            "features have bands");
  EXPECT_EQ(why(R"("attention_context_left": 1)"),
            "config.json: audio_config.attention_context_left is 1; expected a whole number from 2 to 1024");
  EXPECT_EQ(why(R"("attention_invalid_logits_value": -5.0)"),
            "config.json: audio_config.attention_invalid_logits_value is -5; expected a number far below the cap of "
            "scores");
  EXPECT_EQ(why(R"("conf_reduction_factor": 4)"),
            "config.json: audio_config.conf_reduction_factor is a key that g4 does not know; it may change the arithmetic, "
            "so the model is refused");
}

TEST(stage_text, as_a_variant_writes_it) {
  const auto written = [](const tower_spec& t) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < t.count; ++i) lines.push_back(stage_text(t.stages[i]));
    return lines;
  };
  EXPECT_EQ(written(gemma4_patches::spec),
            (std::vector<std::string>{"picture::any_aspect{.side = 48}", "patches{.side = 48}", "norm::layer",
                                      "embed::linear<width{3840}, biased>", "norm::layer", "positions::per_axis{1120}",
                                      "norm::layer", "into_text<norm::unweighted>"}));
  EXPECT_EQ(written(gemma4_frames::spec),
            (std::vector<std::string>{"sound::waveform{.rate = 16'000}", "frames{.samples = 640}",
                                      "into_text<norm::unweighted>"}));
  EXPECT_EQ(stage_text(gemma4_vit_small::spec.stages[5]),
            "encoder<layers{16}, norm::sandwich<plain_weight>,\n"
            "            attention<heads{.query = 12, .key_value = 12}, head{64}, qk_norm, v_norm, unscaled, "
            "rope_2d{.theta = 100}>,\n"
            "            feed::gated<gelu_tanh, hidden{3072}>, clipped_linears>");
  EXPECT_EQ(stage_text(stage::mean_pooled{3}), "mean_pooled{.side = 3}");
  EXPECT_EQ(stage_text(stage::standardised{}), "standardised");
  EXPECT_EQ(stage_text(stage::into_text{1e-5f}), "into_text<norm::unweighted_t{1e-5f}>");
  EXPECT_EQ(stage_text(stage::layer_norm{1e-6f}), "norm::layer_t{1e-6f}");
  EXPECT_EQ(stage_text(stage::linear{64, false}), "embed::linear<width{64}>");
}

TEST(tower_differences, stage_by_stage) {
  tower_spec file = gemma4_patches::spec;
  EXPECT_TRUE(differences(file, gemma4_patches::spec, "picture", "gemma4_12b").empty());
  file.stages[5] = stage::per_axis{1024};
  EXPECT_EQ(differences(file, gemma4_patches::spec, "picture", "gemma4_12b"),
            (std::vector<std::string>{"stage 6 of the picture tower: the file has positions::per_axis{1024}, gemma4_12b "
                                      "has positions::per_axis{1120}"}));
  file = gemma4_frames::spec;
  file.count = 2;
  EXPECT_EQ(differences(file, gemma4_frames::spec, "sound", "gemma4_12b"),
            (std::vector<std::string>{"stage 3 of the sound tower: the file has nothing, gemma4_12b has "
                                      "into_text<norm::unweighted>"}));
}

TEST(model_source, of_the_12b_is_what_people_wrote) {
  const std::string text = bare(model_source(gemma4_12b::text::spec, towers_of(config()), "gemma4_12b"));
  std::string by_hand = bare(file_text("include/g4/variants/gemma4_12b.h"));
  for (const auto& [person, machine] : {std::pair{"gemma4_patches", "gemma4_12b_patches"},
                                        std::pair{"gemma4_frames", "gemma4_12b_frames"}}) {
    for (std::size_t at = 0; (at = by_hand.find(person, at)) != std::string::npos; at += 20) {
      by_hand.replace(at, std::string(person).size(), machine);
    }
  }
  EXPECT_EQ(text, by_hand);
}

TEST(model_source, of_a_text_alone_is_its_text) {
  EXPECT_EQ(model_source(gemma4_12b::text::spec, {}, "alone"), variant_source(gemma4_12b::text::spec, "alone"));
}

}  // namespace
}  // namespace g4::load
