/// config.json → what the model sees and hears with.
///
/// Reads the vision_config and audio_config of a unified Gemma 4 (the 12B). As in `load/config.h`, an absent key has the
/// reference's default, and every other key is used, is known not to touch the arithmetic, or is an error that names it.
/// Of the other Gemma 4 it reads the towers, of Gemma 3 the vision_config, and of Gemma 3n both. A model of another family is
/// its text.
///
/// Source: transformers 5.23.0, configuration_gemma4_unified.py, configuration_gemma4.py, configuration_gemma3.py,
/// configuration_gemma3n.py; timm 1.0.31, models/_efficientnet_builder.py.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/json.h"
#include "g4/load/config.h"
#include "g4/load/config_object.h"
#include "g4/policy/attention.h"
#include "g4/policy/mobilenet.h"
#include "g4/spec/tower.h"

namespace g4::load {

/// The towers of a model; nothing where it has none.
struct tower_specs {
  std::optional<tower_spec> sees;
  std::optional<tower_spec> hears;
  /// Rows of a prompt that one picture may take: the most that the reference allows unasked and that find a place.
  int soft_tokens = 0;
  int sound_tokens = 750;  ///< rows that one sound may take, or does

  [[nodiscard]] bool any() const { return sees || hears; }
};

namespace detail {

/// More layers than any tower has: what a damaged file may not ask for.
inline constexpr int most_tower_layers = 256;

[[nodiscard]] inline tower_spec read_patches(config_object& keys, int& soft_tokens) {
  constexpr int most_side = 1 << 10;
  keys.only_text("model_type", "gemma4_unified_vision");
  const int patch = keys.whole("patch_size", 16, 1, most_side);
  const int merged = keys.whole("pooling_kernel_size", 3, 1, 16);
  const int side = patch * merged;
  const int width = keys.whole("mm_embed_dim", 3840, 1, most_width);
  const int places = keys.whole("mm_posemb_size", 1120, 1, most_width);
  const float eps = keys.positive("rms_norm_eps", 1e-6f);
  if (keys.whole("output_proj_dims", 3840, 1, most_width) != width) {
    keys.refuse("output_proj_dims", " is not mm_embed_dim, " + std::to_string(width) +
                                        "; the rows that are projected are those that were embedded");
  }
  if (keys.whole("model_patch_size", side, 1, most_side * 16) != side) {
    keys.refuse("model_patch_size", " is not patch_size times pooling_kernel_size, " + std::to_string(side));
  }
  keys.ignore(harmless_keys);
  keys.only("is_encoder_decoder", false);
  keys.finish();

  for (const int budget : {70, 140, 280}) {
    if (budget <= places) soft_tokens = budget;
  }
  if (soft_tokens == 0) soft_tokens = places;
  tower_spec t;
  t.then(stage::any_aspect{side});
  t.then(stage::patches{side});
  t.then(stage::layer_norm{});
  t.then(stage::linear{width, true});
  t.then(stage::layer_norm{});
  t.then(stage::per_axis{places});
  t.then(stage::layer_norm{});
  t.then(stage::into_text{eps});
  return t;
}

/// Rows of a prompt for a picture: as many of the reference's budgets as find a place, in rows of `side` patches.
[[nodiscard]] inline int budget_within(int places, int side, int most) {
  int budget = 0;
  for (const int one : {70, 140, 280, 560, 1120}) {
    if (one <= most && one * side <= places) budget = one;
  }
  return budget != 0 ? budget : std::max(1, places / side);
}

/// The vision_config of a Gemma 4 with a picture tower.
///
/// most   soft tokens of a picture at most
[[nodiscard]] inline tower_spec read_gemma4_vision(config_object& keys, std::string& problem, int most,
                                                   int& soft_tokens) {
  constexpr int most_side = 1 << 10;
  keys.only_text("model_type", "gemma4_vision");
  const int patch = keys.whole("patch_size", 16, 1, most_side);
  const int pooled = keys.whole("pooling_kernel_size", 3, 1, 16);
  const int width = keys.whole("hidden_size", 768, 1, most_width);
  const int places = keys.whole("position_embedding_size", 10 * 1024, 1, 1 << 20);
  stage::encoder e;
  e.layers = keys.whole("num_hidden_layers", 16, 1, most_tower_layers);
  e.query_heads = keys.whole("num_attention_heads", 12, 1, most_width);
  e.key_value_heads = keys.whole("num_key_value_heads", 12, 1, most_width);
  e.head_size = keys.whole("head_dim", 64, 1, most_width);
  e.hidden = keys.whole("intermediate_size", 3072, 1, most_width);
  e.norm_eps = keys.positive("rms_norm_eps", 1e-6f);
  e.clipped = keys.truth("use_clipped_linears", false);
  e.norms = encoder_norms::sandwich;
  e.gated = e.qk_norm = e.v_norm = true;
  e.rope_theta = 100.0f;
  if (const io::json* rope = keys.object("rope_parameters")) {
    config_object turning(*rope, keys.path("rope_parameters."), problem);
    const std::string_view kind = turning.text("rope_type", "axial");
    if (kind != "axial" && kind != "default") {
      turning.refuse("rope_type", " is \"" + io::shown(kind) + "\"; expected \"axial\" or \"default\"");
    }
    e.rope_theta = turning.positive("rope_theta", 100.0f);
    turning.finish();
  }
  if (e.query_heads % e.key_value_heads != 0) {
    keys.refuse("num_key_value_heads", " does not divide num_attention_heads, " + std::to_string(e.query_heads));
  }
  if (e.head_size % 4 != 0) keys.refuse("head_dim", " is no multiple of 4, so that both axes could turn pairs of it");
  const bool standardised = keys.truth("standardize", false);
  const std::string_view activation = keys.text("hidden_activation", "gelu_pytorch_tanh");
  if (activation != "gelu_pytorch_tanh") {
    keys.refuse("hidden_activation", " is \"" + io::shown(activation) + "\"; expected \"gelu_pytorch_tanh\"");
  }
  keys.only("attention_bias", false);
  keys.ignore(harmless_keys);
  keys.ignore({"default_output_length"});
  keys.only("is_encoder_decoder", false);
  keys.finish();

  soft_tokens = budget_within(places, pooled, most);
  tower_spec t;
  t.then(stage::any_aspect{patch * pooled});
  t.then(stage::patches{patch});
  t.then(stage::centred{});
  t.then(stage::linear{width, false});
  t.then(stage::per_axis{places});
  t.then(e);
  t.then(stage::mean_pooled{pooled});
  t.then(stage::root_scaled{});
  if (standardised) t.then(stage::standardised{});
  t.then(stage::into_text{e.norm_eps});
  return t;
}

/// The vision_config of a Gemma 3.
///
/// tokens   rows of a prompt for a picture, a square number
[[nodiscard]] inline tower_spec read_gemma3_vision(config_object& keys, int tokens) {
  constexpr int most_side = 1 << 14;
  keys.only_text("model_type", "siglip_vision_model");
  const int side = keys.whole("image_size", 224, 1, most_side);
  const int patch = keys.whole("patch_size", 16, 1, most_side);
  const int width = keys.whole("hidden_size", 768, 1, most_width);
  stage::encoder e;
  e.layers = keys.whole("num_hidden_layers", 12, 1, most_tower_layers);
  e.query_heads = e.key_value_heads = keys.whole("num_attention_heads", 12, 1, most_width);
  e.hidden = keys.whole("intermediate_size", 3072, 1, most_width);
  e.norm_eps = keys.positive("layer_norm_eps", 1e-6f);
  e.norms = encoder_norms::before;
  e.biased = true;
  if (width % e.query_heads != 0) {
    keys.refuse("num_attention_heads", " does not divide hidden_size, " + std::to_string(width));
  }
  e.head_size = std::max(1, width / e.query_heads);
  stack_spec scaled;
  scaled_by_root_of{static_cast<float>(e.head_size)}.describe(scaled);
  e.query_scale = scaled.query_scale;
  const std::string_view activation = keys.text("hidden_act", "gelu_pytorch_tanh");
  if (activation != "gelu_pytorch_tanh") {
    keys.refuse("hidden_act", " is \"" + io::shown(activation) + "\"; expected \"gelu_pytorch_tanh\"");
  }
  if (keys.whole("num_channels", 3, 1, 1 << 10) != 3)
    keys.refuse("num_channels", " is not 3; pictures have three colours");
  keys.ignore(harmless_keys);
  keys.ignore({"vision_use_head"});  // what would pool a picture into one row: the projector reads all rows
  keys.only("is_encoder_decoder", false);
  const int across = side / patch;
  if (side % patch != 0) keys.refuse("patch_size", " does not divide image_size, " + std::to_string(side));
  int rows = 1;
  while ((rows + 1) * (rows + 1) <= tokens) ++rows;
  if (rows * rows != tokens || across % rows != 0 || across < rows) {
    keys.refuse("patch_size", " gives " + std::to_string(across) + " patches on a side, which are no " +
                                  std::to_string(tokens) + " squares of them (mm_tokens_per_image)");
  }
  keys.finish();

  tower_spec t;
  t.then(stage::square{side});
  t.then(stage::patches{patch});
  t.then(stage::centred{});
  t.then(stage::linear{width, true});
  t.then(stage::learned{across * across});
  t.then(e);
  t.then(stage::layer_norm{e.norm_eps});
  t.then(stage::mean_pooled{std::max(1, across / rows)});
  t.then(stage::into_text{e.norm_eps, true});
  return t;
}

[[nodiscard]] inline tower_spec read_frames(config_object& keys) {
  keys.only_text("model_type", "gemma4_unified_audio");
  const int samples = keys.whole("audio_embed_dim", 640, 1, most_width);
  for (const std::string_view other : {"hidden_size", "output_proj_dims", "audio_samples_per_token"}) {
    if (keys.whole(other, samples, 1, most_width) != samples) {
      keys.refuse(other, " is not audio_embed_dim, " + std::to_string(samples) + ", which it is another name of");
    }
  }
  const float eps = keys.positive("rms_norm_eps", 1e-6f);
  keys.ignore(harmless_keys);
  keys.only("is_encoder_decoder", false);
  keys.finish();

  tower_spec t;
  t.then(stage::waveform{16'000});
  t.then(stage::frames{samples});
  t.then(stage::into_text{eps});
  return t;
}

/// The conformer of E2B and E4B. The features' bands are not in config.json, but they are as many as the first
/// convolution's channels: the linear map behind the convolutions takes a quarter of those times the second's.
[[nodiscard]] inline tower_spec read_conformer(config_object& keys) {
  constexpr int most_side = 1 << 10;
  keys.only_text("model_type", "gemma4_audio");
  stage::conformer c;
  const int width = keys.whole("hidden_size", 1024, 1, most_width);
  c.layers = keys.whole("num_hidden_layers", 12, 1, max_layers);
  c.heads = keys.whole("num_attention_heads", 8, 1, most_width);
  if (width % 2 != 0 || width % c.heads != 0) {
    keys.refuse("hidden_size", " is " + std::to_string(width) + "; expected an even multiple of num_attention_heads, " +
                                   std::to_string(c.heads));
  }
  const std::string_view act = keys.text("hidden_act", "silu");
  if (act != "silu") keys.refuse("hidden_act", " is \"" + io::shown(act) + "\"; expected \"silu\"");
  int channels[2] = {128, 32};
  if (const io::json* list = keys.list("subsampling_conv_channels", 2)) {
    for (std::size_t i = 0; i < 2; ++i) {
      channels[i] = keys.whole_of("subsampling_conv_channels", (*list)[i], 1, most_side);
    }
  }
  if (channels[0] % 4 != 0) {
    keys.refuse("subsampling_conv_channels", " begins with " + std::to_string(channels[0]) +
                                                 "; expected a multiple of 4, as many as the features have bands");
  }
  c.chunk = keys.whole("attention_chunk_size", 12, 1, most_side);
  c.past = keys.whole("attention_context_left", 13, 2, most_side) - 1;
  c.ahead = keys.whole("attention_context_right", 0, 0, most_side);
  c.cap = keys.positive("attention_logit_cap", 50.0f);
  c.side = keys.whole("conv_kernel_size", 5, 1, most_side);
  c.residual = keys.positive("residual_weight", 0.5f);
  c.limit = keys.positive("gradient_clipping", 1e10f);
  c.clipped = keys.truth("use_clipped_linears", true);
  const float eps = keys.positive("rms_norm_eps", 1e-6f);
  c.conv_eps = eps;
  // What a key that is not seen counts as: less than any score that the cap lets through, however large.
  if (const io::json* value = keys.take_set("attention_invalid_logits_value")) {
    (void)keys.real_of("attention_invalid_logits_value", *value, -1e30f, -10 * c.cap - 1000,
                       "a number far below the cap of scores");
  }
  const int out = keys.whole("output_proj_dims", 1536, 1, most_width);
  keys.ignore(harmless_keys);
  keys.only("is_encoder_decoder", false);
  keys.finish();

  tower_spec t;
  t.then(stage::waveform{16'000});
  t.then(stage::log_mel{channels[0]});
  t.then(stage::subsample{channels[0], channels[1], eps});
  t.then(stage::linear{width, false});
  t.then(c);
  t.then(stage::linear{out, true});
  t.then(stage::into_text{eps});
  return t;
}

/// A list of two pairs that must all be `number`: sides and strides of the convolutions.
inline void only_squares(config_object& keys, std::string_view key, std::uint64_t number) {
  const io::json* list = keys.list(key, 2);
  if (list == nullptr) return;
  for (std::size_t i = 0; i < 2; ++i) {
    const io::json& pair = (*list)[i];
    bool right = pair.is_array() && pair.size() == 2;
    for (std::size_t k = 0; right && k < 2; ++k) {
      const auto* n = pair[k].as<std::uint64_t>();
      right = n != nullptr && *n == number;
    }
    const std::string side = std::to_string(number);
    if (!right) {
      keys.expected(std::string(key) + "[" + std::to_string(i) + "]", pair, "[" + side + ", " + side + "]");
    }
  }
}

/// The conformer of Gemma 3n.
///
/// vocab   tokens of the text, among them those of sounds' own
[[nodiscard]] inline tower_spec read_gemma3n_audio(config_object& keys, int vocab) {
  constexpr int most_side = 1 << 10;
  keys.only_text("model_type", "gemma3n_audio");
  const int width = keys.whole("hidden_size", 1536, 1, most_width);
  const int bands = keys.whole("input_feat_size", 128, 1, most_side);
  stage::conformer c;
  c.layers = keys.whole("conf_num_hidden_layers", 12, 1, max_layers);
  c.heads = keys.whole("conf_num_attention_heads", 8, 1, most_width);
  if (width % 2 != 0 || width % c.heads != 0) {
    keys.refuse("hidden_size", " is " + std::to_string(width) +
                                   "; expected an even multiple of conf_num_attention_heads, " +
                                   std::to_string(c.heads));
  }
  if (bands % 4 != 0) keys.refuse("input_feat_size", " is " + std::to_string(bands) + "; expected a multiple of 4");
  int channels[2] = {128, 32};
  if (const io::json* list = keys.list("sscp_conv_channel_size", 2)) {
    for (std::size_t i = 0; i < 2; ++i) {
      channels[i] = keys.whole_of("sscp_conv_channel_size", (*list)[i], 1, most_side);
    }
  }
  only_squares(keys, "sscp_conv_kernel_size", 3);
  only_squares(keys, "sscp_conv_stride_size", 2);
  const float conv_eps = keys.positive("sscp_conv_group_norm_eps", 1e-3f);
  (void)keys.whole("conf_attention_chunk_size", 12, 1, most_side);  // how the reference goes about it, and no more
  c.chunk = 0;
  c.past = keys.whole("conf_attention_context_left", 13, 1, most_side);
  const int ahead = keys.whole("conf_attention_context_right", 0, 0, most_side);
  c.ahead = ahead == 0 ? 0 : ahead + 1;
  c.cap = keys.positive("conf_attention_logit_cap", 50.0f);
  c.scaled_keys = false;
  c.side = keys.whole("conf_conv_kernel_size", 5, 1, most_side);
  c.residual = keys.positive("conf_residual_weight", 0.5f);
  c.limit = keys.positive("gradient_clipping", 1e10f);
  const int kept = keys.whole("conf_reduction_factor", 4, 1, most_side);
  const float eps = keys.positive("rms_norm_eps", 1e-6f);
  c.conv_eps = eps;
  const int first = keys.whole("vocab_offset", 262'272, 1, most_width);
  const int count = keys.whole("vocab_size", 128, 1, most_width);
  if (first > vocab - 1 || count < vocab - first) {
    keys.refuse("vocab_offset", " and vocab_size are " + std::to_string(first) + " and " + std::to_string(count) +
                                    ", which leaves out the text's last token, " + std::to_string(vocab - 1) +
                                    ": what a sound does not fill is filled with it");
  } else if (count > vocab - first) {
    keys.refuse("vocab_size", " is " + std::to_string(count) + "; from vocab_offset, " + std::to_string(first) +
                                  ", the text has " + std::to_string(vocab - first) + " tokens");
  }
  keys.ignore(harmless_keys);
  keys.only("is_encoder_decoder", false);
  keys.finish();

  tower_spec t;
  t.then(stage::waveform{16'000});
  t.then(stage::log_mel{bands, 512, 160, true});
  t.then(stage::subsample{channels[0], channels[1], conv_eps, true});
  t.then(stage::linear{width, false});
  t.then(c);
  t.then(stage::every{kept});
  t.then(stage::into_text_with_ids{eps, first, count});
  return t;
}

/// The towers of a Gemma 4 E2B, E4B, 26B-A4B or 31B.
[[nodiscard]] inline result<tower_specs> read_gemma4_towers(const io::json& document, const std::string& file) {
  tower_specs out;
  std::string problem;
  config_object outer(document, file + ": ", problem);
  const int most = outer.whole("vision_soft_tokens_per_image", 280, 1, 1 << 20);
  if (const io::json* vision = outer.object("vision_config")) {
    config_object keys(*vision, outer.path("vision_config."), problem);
    out.sees = read_gemma4_vision(keys, problem, most, out.soft_tokens);
  }
  if (const io::json* audio = outer.object("audio_config")) {
    config_object keys(*audio, outer.path("audio_config."), problem);
    out.hears = read_conformer(keys);
  }
  if (!problem.empty()) return fail(problem);
  return out;
}

/// Blocks of one size of planes as entries: alike in a row, or two that take turns.
inline void add_blocks(const std::vector<mobile_block>& blocks, stage::mobilenet& net) {
  // How often the `period` blocks from `at` on follow each other.
  const auto rounds = [&](std::size_t at, std::size_t period) {
    std::size_t n = 1;
    while (at + (n + 1) * period <= blocks.size() &&
           std::equal(blocks.begin() + static_cast<std::ptrdiff_t>(at),
                      blocks.begin() + static_cast<std::ptrdiff_t>(at + period),
                      blocks.begin() + static_cast<std::ptrdiff_t>(at + n * period))) {
      ++n;
    }
    return n;
  };
  for (std::size_t i = 0; i < blocks.size();) {
    std::size_t period = 1, n = i == 0 ? 1 : rounds(i, 1);  // the first halves the planes, and stands alone
    if (i != 0 && n == 1 && i + 1 < blocks.size() && rounds(i, 2) > 1) n = rounds(i, period = 2);
    for (std::size_t k = 0; k < period; ++k) {
      mobile_block entry = blocks[i + k];
      entry.times = static_cast<int>(n);
      entry.in_turn = k > 0;
      net.then(entry);
    }
    i += period * n;
  }
}

/// The blocks of mobilenetv5_300m_enc, where a configuration does not list others.
[[nodiscard]] inline stage::mobilenet mobilenet_v5_300m_blocks() {
  const auto again = [](std::vector<mobile_block>& to, int times, std::initializer_list<mobile_block> some) {
    for (int i = 0; i < times; ++i) to.insert(to.end(), some);
  };
  const auto attending = [](int channels, int heads, int size, int key_stride) {
    return multi_query{.channels = channels, .heads = heads, .size = size, .key_stride = key_stride}.block();
  };
  const auto narrowed = [](int channels, int start, float wider) {
    return bottleneck{.channels = channels, .start = start, .wider = wider}.block();
  };
  const auto halved = [](int channels, int start) {
    return bottleneck{.channels = channels, .start = start, .middle = 5, .stride = 2, .wider = 6}.block();
  };
  std::vector<mobile_block> sizes[4];
  again(sizes[0], 1, {edge_residual{.channels = 128, .stride = 2}.block()});
  again(sizes[0], 2, {edge_residual{.channels = 128}.block()});
  again(sizes[1], 1, {halved(256, 3)});
  again(sizes[1], 2, {narrowed(256, 5, 4), narrowed(256, 3, 4)});
  again(sizes[2], 1, {halved(640, 5)});
  again(sizes[2], 7, {narrowed(640, 5, 4)});
  again(sizes[2], 1, {narrowed(640, 0, 1)});
  again(sizes[2], 14, {attending(640, 12, 64, 2), narrowed(640, 0, 2)});
  again(sizes[3], 1, {halved(1280, 5)});
  again(sizes[3], 19, {attending(1280, 16, 96, 1), narrowed(1280, 0, 2)});
  stage::mobilenet net;
  for (const auto& blocks : sizes) add_blocks(blocks, net);
  return net;
}

/// One block of a list in model_args, as timm writes it: every key that it may have.
[[nodiscard]] inline mobile_block read_mobile_block(config_object& keys, bool first, int in) {
  constexpr int most_side = 31, most_channels = 1 << 14;
  const std::string_view type = keys.text("block_type", "");
  mobile_block b;
  b.channels = whole_channels(keys.whole("out_chs", 0, 1, most_channels));
  const int stride = keys.whole("stride", 1, 1, 2);
  b.stride = first ? stride : 1;  // timm leaves out any other
  if (first && stride != 2) keys.refuse("stride", " is 1; the first block of a size of planes halves the one before");
  const auto nothing = [&](std::string_view key) {
    if (const io::json* value = keys.take_set(key)) (void)keys.real_of(key, *value, 0, 0, "0");
  };
  const auto wider = [&] {
    const float ratio = keys.positive("exp_ratio", 1.0f);
    if (ratio > 64) keys.refuse("exp_ratio", " is above 64");
    return std::min(ratio, 64.0f);
  };
  if (type == "er") {
    b.kind = mobile::edge;
    b.side = keys.whole("exp_kernel_size", 3, 1, most_side);
    b.wider = wider();
    if (keys.whole("pw_kernel_size", 1, 1, most_side) != 1) keys.refuse("pw_kernel_size", " is not 1");
    nothing("force_in_chs");
  } else if (type == "uir") {
    b.kind = mobile::bottleneck;
    b.start = keys.whole("dw_kernel_size_start", 0, 0, most_side);
    b.middle = keys.whole("dw_kernel_size_mid", 3, 0, most_side);
    b.wider = wider();
    nothing("dw_kernel_size_end");
    if (b.stride == 2 && b.start == 0 && b.middle == 0)
      keys.refuse("stride", " is 2, and there is no convolution to have it");
  } else if (type == "mqa") {
    b.kind = mobile::attention;
    b.heads = keys.whole("num_heads", 8, 1, most_channels);
    b.head_size = keys.whole("key_dim", 64, 1, most_channels);
    if (keys.whole("value_dim", b.head_size, 1, most_channels) != b.head_size) {
      keys.refuse("value_dim", " is not key_dim, " + std::to_string(b.head_size));
    }
    b.key_stride = keys.whole("kv_stride", 1, 1, 8);
    const int side = keys.whole("dw_kernel_size", 3, 1, most_side);
    b.side = b.key_stride > 1 ? side : 0;
    if (first) keys.refuse("block_type", " is \"mqa\"; the first block of a size of planes halves the one before");
    if (b.channels != in) keys.refuse("out_chs", " is another than the block is given, " + std::to_string(in));
  } else {
    keys.refuse("block_type", " is \"" + io::shown(type) + "\"; expected \"er\", \"uir\" or \"mqa\"");
  }
  nothing("se_ratio");
  keys.only("noskip", false);
  if (const io::json* other = keys.take_set("act_layer")) keys.expected("act_layer", *other, "null");
  keys.finish();
  return b;
}

/// The blocks of model_args.
inline void read_mobile_blocks(config_object& keys, std::string& problem, stage::mobilenet& net) {
  constexpr std::size_t most_sizes = 4, most_blocks = 256;
  const io::json* sizes = keys.take_set("block_args");
  if (sizes == nullptr) {
    const int stem = net.stem;
    net = mobilenet_v5_300m_blocks();
    net.stem = stem;
    return;
  }
  if (!sizes->is_array() || sizes->size() < 2 || sizes->size() > most_sizes) {
    return keys.expected("block_args", *sizes, "two to four lists of blocks, one for each size of planes");
  }
  int in = net.stem;
  for (std::size_t s = 0; s < sizes->size(); ++s) {
    const io::json& list = (*sizes)[s];
    const std::string name = "block_args." + std::to_string(s);
    if (!list.is_array() || list.size() == 0 || list.size() > most_blocks) {
      return keys.expected(name, list, "a list of blocks");
    }
    std::vector<mobile_block> blocks;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string here = name + "." + std::to_string(i);
      if (!list[i].is_object()) return keys.expected(here, list[i], "an object");
      config_object block(list[i], keys.path(here + "."), problem);
      blocks.push_back(read_mobile_block(block, i == 0, in));
      in = blocks.back().channels;
    }
    add_blocks(blocks, net);
  }
  if (net.entries > static_cast<int>(stage::mobilenet::most_entries)) {
    keys.refuse("block_args",
                " has more different blocks in a row than g4 reads, " + std::to_string(stage::mobilenet::most_entries));
  }
}

/// The vision_config of a Gemma 3n. The picture's size is the processor's, not the configuration's.
///
/// tokens   rows of a prompt for a picture
[[nodiscard]] inline tower_spec read_gemma3n_vision(config_object& keys, std::string& problem, int tokens) {
  constexpr int side = 768, made = 2048;
  keys.only_text("model_type", "gemma3n_vision");
  keys.only_text("architecture", "mobilenetv5_300m_enc");
  if (keys.whole("hidden_size", made, 1, most_width) != made) {
    keys.refuse("hidden_size", " is not " + std::to_string(made) + ", which the architecture makes");
  }
  stage::into_text_with_ids end;
  end.eps = keys.positive("rms_norm_eps", 1e-6f);
  end.first = keys.whole("vocab_offset", 262'144, 1, most_vocab);
  end.count = keys.whole("vocab_size", 128, 1, most_width);
  stage::mobilenet net;
  net.stem = 64;
  net.side = 16;
  const int released_stem = net.stem, released_side = net.side;
  if (const io::json* given = keys.object("model_args")) {
    config_object more(*given, keys.path("model_args."), problem);
    net.stem = whole_channels(more.whole("stem_size", released_stem, 1, 1 << 14));
    const int fused_side = more.whole("msfa_output_resolution", released_side, 1, 1 << 10);
    read_mobile_blocks(more, problem, net);
    net.side = fused_side;
    more.finish();
  } else {
    net = mobilenet_v5_300m_blocks();
    net.stem = released_stem;
    net.side = released_side;
  }
  net.fused = made;
  if (net.side * net.side != tokens) {
    keys.refuse("model_args", " has planes of " + std::to_string(net.side) + " x " + std::to_string(net.side) +
                                  " fused, which are not vision_soft_tokens_per_image, " + std::to_string(tokens));
  }
  keys.only("do_pooling", false);
  keys.ignore(harmless_keys);
  keys.ignore({"label_names", "num_classes"});  // of a classifier that is not there
  keys.only("is_encoder_decoder", false);
  keys.finish();

  tower_spec t;
  t.then(stage::square{side});
  t.then(stage::patches{1});
  t.then(net);
  t.then(stage::root_scaled{});
  t.then(end);
  return t;
}

/// The towers of a Gemma 3n.
[[nodiscard]] inline result<tower_specs> read_gemma3n_towers(const io::json& document, const std::string& file) {
  tower_specs out;
  std::string problem;
  config_object outer(document, file + ": ", problem);
  int vocab = 262'400;
  if (const io::json* text = outer.object("text_config")) {
    vocab = config_object(*text, outer.path("text_config."), problem).whole("vocab_size", vocab, 1, most_width);
  }
  out.soft_tokens = outer.whole("vision_soft_tokens_per_image", 256, 1, 1 << 20);
  out.sound_tokens = outer.whole("audio_soft_tokens_per_image", 188, 1, 1 << 20);
  if (const io::json* vision = outer.object("vision_config")) {
    config_object keys(*vision, outer.path("vision_config."), problem);
    out.sees = read_gemma3n_vision(keys, problem, out.soft_tokens);
  }
  if (const io::json* audio = outer.object("audio_config")) {
    config_object keys(*audio, outer.path("audio_config."), problem);
    out.hears = read_gemma3n_audio(keys, vocab);
  }
  if (!problem.empty()) return fail(problem);
  return out;
}

/// The tower of a Gemma 3 that sees.
[[nodiscard]] inline result<tower_specs> read_gemma3_towers(const io::json& document, const std::string& file) {
  tower_specs out;
  std::string problem;
  config_object outer(document, file + ": ", problem);
  out.soft_tokens = outer.whole("mm_tokens_per_image", 256, 1, 1 << 20);
  if (const io::json* vision = outer.object("vision_config")) {
    config_object keys(*vision, outer.path("vision_config."), problem);
    out.sees = read_gemma3_vision(keys, out.soft_tokens);
  }
  if (!problem.empty()) return fail(problem);
  return out;
}

}  // namespace detail

/// Reads the towers that a config.json describes. `read_config` reads its text.
///
/// name   what errors call it: a path
[[nodiscard]] inline result<tower_specs> read_towers(std::string_view json_text, std::string_view name) {
  const std::string file(name);
  const auto document = io::parse_json(json_text, name);
  if (!document) return unexpected(document.error());
  tower_specs out;
  if (!document->is_object()) return fail(file, ": is ", detail::shown_json(*document), "; expected an object");
  const io::json* type = document->find("model_type");
  const std::string* said = type == nullptr ? nullptr : type->as<std::string>();
  if (said != nullptr && *said == "gemma4") return detail::read_gemma4_towers(*document, file);
  if (said != nullptr && *said == "gemma3") return detail::read_gemma3_towers(*document, file);
  if (said != nullptr && *said == "gemma3n") return detail::read_gemma3n_towers(*document, file);
  if (said == nullptr || *said != "gemma4_unified") return out;

  std::string problem;
  detail::config_object outer(*document, file + ": ", problem);
  if (const io::json* vision = outer.object("vision_config")) {
    detail::config_object keys(*vision, outer.path("vision_config."), problem);
    out.sees = detail::read_patches(keys, out.soft_tokens);
  }
  if (const io::json* audio = outer.object("audio_config")) {
    detail::config_object keys(*audio, outer.path("audio_config."), problem);
    out.hears = detail::read_frames(keys);
  }
  if (!problem.empty()) return fail(problem);
  return out;
}

}  // namespace g4::load
