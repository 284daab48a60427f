/// A `text_spec` as the keys of a GGUF file: the inverse of gguf_config.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/io/gguf_writer.h"
#include "g4/ops/sparsify.h"
#include "g4/spec/text.h"

namespace g4::load {

/// The first layer of a reach; layer 0 where there is none.
[[nodiscard]] inline const layer_kind& first_layer(const text_spec& m, reach sees) {
  for (int l = 0; l < m.layers; ++l) {
    if (m.layer[static_cast<std::size_t>(l)].sees == sees) return m.layer[static_cast<std::size_t>(l)];
  }
  return m.layer[0];
}

/// Tokens the published models were trained to hold, which says nothing about the arithmetic.
[[nodiscard]] inline int trained_context(const text_spec& m) {
  return generation_of(m) == generation::gemma3n || m.width < 1536 ? 32'768 : 131'072;
}

/// The keys of a GGUF file, without its tokenizer's.
///
/// name        what the model is called
/// file_type   see file_type.h
/// context     tokens the model was trained to hold
[[nodiscard]] inline io::gguf_keys gguf_header(const text_spec& m, std::string_view name, std::uint32_t file_type,
                                               int context) {
  const generation g = generation_of(m);
  const std::string arch = m.is_drafter()            ? "gemma4-assistant"
                           : g == generation::gemma4 ? "gemma4"
                           : g == generation::gemma3n ? "gemma3n"
                                                      : "gemma3";
  const layer_kind& local = first_layer(m, reach::local);
  const layer_kind& global = first_layer(m, reach::global);
  const auto L = static_cast<std::size_t>(m.layers);
  io::gguf_keys keys;
  keys.string("general.architecture", arch).string("general.type", "model").string("general.name", name);
  keys.u32("general.file_type", file_type).u32("general.quantization_version", 2);
  const auto u32 = [&](std::string_view key, int value) {
    keys.u32(arch + "." + std::string(key), static_cast<std::uint32_t>(value));
  };
  const auto f32 = [&](std::string_view key, float value) { keys.f32(arch + "." + std::string(key), value); };
  const auto one_or_each = [&](std::string_view key, int layer_kind::*member) {
    std::vector<std::uint32_t> list(L);
    for (std::size_t l = 0; l < L; ++l) list[l] = static_cast<std::uint32_t>(m.layer[l].*member);
    const bool one = std::all_of(list.begin(), list.end(), [&](std::uint32_t n) { return n == list[0]; });
    if (one) {
      keys.u32(arch + "." + std::string(key), list[0]);
    } else {
      keys.u32s(arch + "." + std::string(key), list);
    }
  };
  u32("context_length", context);
  u32("embedding_length", m.width);
  u32("block_count", m.layers);
  one_or_each("feed_forward_length", &layer_kind::hidden);
  u32("attention.head_count", m.query_heads);
  one_or_each("attention.head_count_kv", &layer_kind::key_value_heads);
  f32("attention.layer_norm_rms_epsilon", m.norm_eps);
  u32("attention.key_length", global.head_size);
  u32("attention.value_length", global.head_size);
  u32("attention.sliding_window", local.keys.back + 1);
  f32("rope.freq_base", global.rope.theta);
  if (global.rope.factor != 1) {
    keys.string(arch + ".rope.scaling.type", "linear");
    f32("rope.scaling.factor", global.rope.factor);
  }
  if (m.logit_cap != 0) f32("final_logit_softcapping", m.logit_cap);
  if (g == generation::gemma3 && m.score_cap != 0) f32("attn_logit_softcapping", m.score_cap);
  // Gemma 3's converter leaves it out; its readers know 1e4.
  if (g != generation::gemma3 || local.rope.theta != 1e4f) f32("rope.freq_base_swa", local.rope.theta);
  if (g != generation::gemma3) {
    const std::unique_ptr<bool[]> pattern(new bool[L]);
    for (std::size_t l = 0; l < L; ++l) pattern[l] = m.layer[l].sees == reach::local;
    keys.booleans(arch + ".attention.sliding_window_pattern", std::span<const bool>(pattern.get(), L));
    u32("attention.shared_kv_layers", m.shared_layers);
    u32("embedding_length_per_layer_input", m.per_layer->width);
  } else {
    // Not written by the converter, whose readers know the period of 6; another pattern needs it.
    int period = 1;
    while (period < m.layers && m.layer[static_cast<std::size_t>(period - 1)].sees == reach::local) ++period;
    if (period != 6) u32("attention.sliding_window_pattern", period);
  }
  if (g == generation::gemma4) {
    u32("attention.key_length_swa", local.head_size);
    u32("attention.value_length_swa", local.head_size);
    u32("rope.dimension_count", global.head_size);
    u32("rope.dimension_count_swa", local.head_size);
  }
  if (m.experts.has_value()) {
    u32("expert_count", m.experts->count);
    u32("expert_used_count", m.experts->chosen);
    u32("expert_feed_forward_length", m.experts->hidden);
  }
  if (m.altup.has_value()) {
    u32("altup.num_inputs", m.altup->streams);
    u32("altup.active_idx", 0);
    std::vector<float> z(L);
    for (std::size_t l = 0; l < L; ++l) {
      const float share = m.layer[l].sparsity;
      z[l] = share > 0 ? static_cast<float>(ops::normal_quantile(static_cast<double>(share)))
                       : -std::numeric_limits<float>::infinity();
    }
    keys.f32s(arch + ".activation_sparsity_scale", z);
  }
  if (m.is_drafter()) {
    u32("embedding_length_out", m.target->width);
    u32("nextn_predict_layers", m.layers);
  }
  return keys;
}

/// Gemma 4's `rope_freqs.weight`: what divides the frequencies of global layers. Pairs that do not turn are divided by
/// 1e30. Empty for the other generations, which have no such tensor.
[[nodiscard]] inline std::vector<float> rope_divisors(const text_spec& m) {
  if (generation_of(m) != generation::gemma4) return {};
  const layer_kind& global = first_layer(m, reach::global);
  const int pairs = global.head_size / 2;
  const auto turning = static_cast<int>(std::lround(global.rope.fraction * static_cast<float>(pairs)));
  std::vector<float> divisors(static_cast<std::size_t>(pairs), 1e30f);
  std::fill_n(divisors.begin(), turning, 1.0f);
  return divisors;
}

}  // namespace g4::load
