// Headers of GGUF files: every released model written as llama.cpp's converter writes it, and every refusal.
#include "g4/load/gguf_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/gguf_writer.h"
#include "g4/load/match.h"
#include "g4/ops/sparsify.h"
#include "g4/variants/all.h"

namespace g4::load {
namespace {

/// A header in the making: keys as they stand in a file, and tensors without their bytes.
struct header {
  std::string architecture;
  io::gguf_keys keys;
  std::vector<io::stored_tensor> tensors;
  std::vector<float> divisors;  // of rope_freqs.weight
  std::string leave_out;        // a key that is not written

  explicit header(std::string arch) : architecture(std::move(arch)) {
    keys.string("general.architecture", architecture);
  }

  [[nodiscard]] bool skips(const std::string& key) const { return key == leave_out; }
  [[nodiscard]] std::string full(const std::string& key) const { return architecture + "." + key; }
  void u32(const std::string& key, int value) {
    if (!skips(key)) keys.u32(full(key), static_cast<std::uint32_t>(value));
  }
  void u32s(const std::string& key, const std::vector<std::uint32_t>& values) {
    if (!skips(key)) keys.u32s(full(key), values);
  }
  void f32(const std::string& key, float value) {
    if (!skips(key)) keys.f32(full(key), value);
  }
  void tensor(const std::string& name, std::initializer_list<int> sizes) {
    io::extents dims;
    for (const int size : sizes) dims.push_back(static_cast<std::size_t>(size));
    tensors.push_back({name, io::element_of(storage::f32), dims, {}});
  }
  [[nodiscard]] io::gguf_file file() {
    std::string bytes = "GGUF";
    const auto put = [&bytes](auto value) {
      const std::size_t at = bytes.size();
      bytes.resize(at + sizeof value);
      std::memcpy(bytes.data() + at, &value, sizeof value);
    };
    put(std::uint32_t{3});
    put(std::uint64_t{0});
    put(static_cast<std::uint64_t>(keys.names().size()));
    text_ = std::make_unique<std::string>(bytes + std::string(keys.bytes()));
    auto out = io::read_gguf(std::as_bytes(std::span(*text_)), "model.gguf");
    EXPECT_TRUE(out) << out.error().message;
    if (!divisors.empty()) {
      io::extents dims;
      dims.push_back(divisors.size());
      tensors.push_back({"rope_freqs.weight", io::element_of(storage::f32), dims, std::as_bytes(std::span(divisors))});
    }
    auto made = io::tensor_file::make("model.gguf", tensors, {});
    EXPECT_TRUE(made);
    out->tensors = *made;
    return *out;
  }

 private:
  std::unique_ptr<std::string> text_;
};

/// A model as llama.cpp's converter writes its header.
header header_of(const text_spec& m, const std::string& leave_out = "") {
  const generation g = generation_of(m);
  const std::string arch = m.is_drafter()                     ? "gemma4-assistant"
                           : g == generation::gemma4          ? "gemma4"
                           : g == generation::gemma3n         ? "gemma3n"
                           : m.sees == visibility::everything ? "gemma-embedding"
                                                              : "gemma3";
  header h(arch);
  h.leave_out = leave_out;
  const auto L = static_cast<std::size_t>(m.layers);
  const auto each = [&](int layer_kind::*member) {
    std::vector<std::uint32_t> list(L);
    for (std::size_t l = 0; l < L; ++l) list[l] = static_cast<std::uint32_t>(m.layer[l].*member);
    return list;
  };
  const auto one_or_each = [&](const std::string& key, const std::vector<std::uint32_t>& list) {
    if (std::all_of(list.begin(), list.end(), [&](std::uint32_t n) { return n == list[0]; })) {
      h.u32(key, static_cast<int>(list[0]));
    } else {
      h.u32s(key, list);
    }
  };
  std::size_t global = 0;
  std::size_t local = 0;
  while (global + 1 < L && m.layer[global].sees != reach::global) ++global;
  while (local + 1 < L && m.layer[local].sees != reach::local) ++local;
  h.u32("block_count", m.layers);
  h.u32("embedding_length", m.width);
  one_or_each("feed_forward_length", each(&layer_kind::hidden));
  h.u32("attention.head_count", m.query_heads);
  one_or_each("attention.head_count_kv", each(&layer_kind::key_value_heads));
  h.f32("attention.layer_norm_rms_epsilon", m.norm_eps);
  h.u32("attention.key_length", m.layer[global].head_size);
  h.u32("attention.value_length", m.layer[global].head_size);
  const key_span window = m.layer[local].keys;
  h.u32("attention.sliding_window", window.ahead == 0 ? window.back + 1 : 2 * window.back);
  h.f32("rope.freq_base", m.layer[global].rope.theta);
  if (m.layer[global].rope.factor != 1) {
    h.keys.string(h.full("rope.scaling.type"), "linear");
    h.f32("rope.scaling.factor", m.layer[global].rope.factor);
  }
  if (m.logit_cap != 0) h.f32("final_logit_softcapping", m.logit_cap);
  if (g != generation::gemma3) {
    h.f32("rope.freq_base_swa", m.layer[local].rope.theta);
    std::unique_ptr<bool[]> pattern(new bool[L]);
    for (std::size_t l = 0; l < L; ++l) pattern[l] = m.layer[l].sees == reach::local;
    if (!h.skips("attention.sliding_window_pattern")) {
      h.keys.booleans(h.full("attention.sliding_window_pattern"), std::span<const bool>(pattern.get(), L));
    }
    h.u32("embedding_length_per_layer_input", m.per_layer->width);
    h.u32("attention.shared_kv_layers", m.shared_layers);
  }
  if (g == generation::gemma4) {
    h.u32("attention.key_length_swa", m.layer[local].head_size);
    h.u32("attention.value_length_swa", m.layer[local].head_size);
    for (int i = 0; i < 256; ++i) h.divisors.push_back(i < 64 ? 1.0f : 1e30f);
  }
  if (m.experts.has_value()) {
    h.u32("expert_count", m.experts->count);
    h.u32("expert_used_count", m.experts->chosen);
    h.u32("expert_feed_forward_length", m.experts->hidden);
  }
  if (m.altup.has_value()) {
    h.u32("altup.num_inputs", m.altup->streams);
    h.u32("altup.active_idx", 0);
    std::vector<float> z(L);
    for (std::size_t l = 0; l < L; ++l) {
      z[l] = m.layer[l].sparsity > 0
                 ? static_cast<float>(ops::normal_quantile(static_cast<double>(m.layer[l].sparsity)))
                 : -std::numeric_limits<float>::infinity();
    }
    h.keys.f32s(h.full("activation_sparsity_scale"), z);
    h.tensor("blk.0.laurel_l.weight", {m.laurel->rank, m.width});
  }
  if (m.is_drafter()) h.u32("embedding_length_out", m.target->width);
  h.tensor("token_embd.weight", {m.vocab, m.width});
  if (m.per_layer.has_value()) h.tensor("per_layer_token_embd.weight", {m.per_layer->vocab, m.layers * m.per_layer->width});
  if (m.clusters.has_value()) h.tensor("masked_embd_centroids.weight", {m.clusters->count, m.width});
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[static_cast<std::size_t>(l)];
    if (k.role == cache_role::reuser) continue;
    const std::string blk = "blk." + std::to_string(l) + ".";
    h.tensor(blk + "attn_k.weight", {k.key_value_heads * k.head_size, m.width});
    if (!k.key_is_value) h.tensor(blk + "attn_v.weight", {k.key_value_heads * k.head_size, m.width});
  }
  return h;
}

template <class... V>
void each_reads_as_itself(one_of<V...>) {
  const auto check = [](const std::string& name, const text_spec& spec) {
    header h = header_of(spec);
    const io::gguf_file file = h.file();
    const auto read = read_config(file);
    ASSERT_TRUE(read) << name << ": " << read.error().message;
    for (const std::string& line : differences(*read, spec, name, laxity_of(file))) ADD_FAILURE() << line;
  };
  (check(std::string(variant_name<V>()), V::spec), ...);
}

TEST(gguf_config, of_every_released_decoder) { each_reads_as_itself(all_variants{}); }
TEST(gguf_config, of_every_released_drafter) { each_reads_as_itself(all_drafters{}); }
TEST(gguf_config, of_every_released_embedder) { each_reads_as_itself(all_embedders{}); }

text_spec spec_of(header h) {
  const auto spec = read_config(h.file());
  EXPECT_TRUE(spec) << spec.error().message;
  return spec ? *spec : text_spec{};
}

TEST(gguf_config, without_a_local_rope_base_takes_10000) {
  EXPECT_EQ(spec_of(header_of(gemma3_270m::spec)).layer[0].rope.theta, 1e4f);
}

TEST(gguf_config, of_gemma_3_27b_scales_by_the_width_of_a_head_of_the_residual) {
  text_spec want;
  scaled_by_root_of{168}.describe(want);
  EXPECT_EQ(spec_of(header_of(gemma3_27b::text::spec)).query_scale, want.query_scale);
}

TEST(gguf_config, of_gemma_3n_keeps_twenty_layers_with_keys_where_no_key_says_so) {
  EXPECT_EQ(spec_of(header_of(gemma3n_e2b::text::spec, "attention.shared_kv_layers")).shared_layers, 10);
  EXPECT_EQ(spec_of(header_of(gemma3n_e4b::text::spec, "attention.shared_kv_layers")).shared_layers, 15);
}

TEST(gguf_config, of_gemma_4_lets_images_see_themselves_where_there_are_no_per_layer_embeddings) {
  EXPECT_EQ(spec_of(header_of(gemma4_31b::text::spec)).sees, visibility::images_on_local);
  EXPECT_EQ(spec_of(header_of(gemma4_e4b::text::spec)).sees, visibility::causal);
}

TEST(gguf_config, with_a_head_of_its_own_is_not_tied) {
  header h = header_of(gemma3_270m::spec);
  h.tensor("output.weight", {262'144, 640});
  EXPECT_FALSE(spec_of(std::move(h)).tied_head);
}

TEST(gguf_config, knows_the_turning_pairs_from_the_rope_divisors) {
  header h = header_of(gemma4_31b::text::spec);
  for (std::size_t i = 0; i < h.divisors.size(); ++i) h.divisors[i] = i < 128 ? 1.0f : 1e30f;
  EXPECT_EQ(spec_of(std::move(h)).layer[5].rope.fraction, 0.5f);
}

TEST(gguf_config, of_a_rope_factor_without_a_type_and_by_its_older_name_is_linear) {
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
    header h = header_of(gemma3_270m::spec);
    h.f32(key, 8);
    EXPECT_EQ(spec_of(std::move(h)).layer[5].rope.factor, 8) << key;
  }
  header off = header_of(gemma3_270m::spec);
  off.f32("rope.scale_linear", 0);
  EXPECT_EQ(spec_of(std::move(off)).layer[5].rope.factor, 1);
}

TEST(gguf_config, with_keys_that_change_nothing_reads_as_without) {
  header h = header_of(gemma3_270m::spec);
  h.u32("context_length", 32768);
  h.u32("rope.dimension_count", 256);
  h.u32("vision.block_count", 27);
  h.u32("mm.tokens_per_image", 256);
  h.u32("expert_count", 0);
  h.keys.boolean("gemma3.attention.causal", true);
  const laxity unsaid{.images = true, .fewer_rows = true};
  EXPECT_TRUE(differences(spec_of(std::move(h)), gemma3_270m::spec, "it", unsaid).empty());
}

struct refusal {
  const char* what;
  std::function<header()> make;
  const char* sentence;
};

TEST(gguf_config_refusals, with_their_sentences) {
  const auto without = [](const text_spec& m, const char* key) { return [&m, key] { return header_of(m, key); }; };
  const auto changed = [](const text_spec& m, const char* key, int value) {
    return [&m, key, value] {
      header h = header_of(m, key);
      h.leave_out.clear();
      h.u32(key, value);
      return h;
    };
  };
  const auto with = [](const text_spec& m, const char* key, int value) {
    return [&m, key, value] {
      header h = header_of(m);
      h.u32(key, value);
      return h;
    };
  };
  const refusal cases[] = {
      {"another family", [] { return header("llama"); },
       "general.architecture is \"llama\"; expected gemma3, gemma-embedding"},
      {"no depth", without(gemma3_270m::spec, "block_count"), "the key gemma3.block_count is missing"},
      {"too deep", changed(gemma3_270m::spec, "block_count", 129),
       "gemma3.block_count is 129; expected a whole number from 1 to 128"},
      {"no width", changed(gemma3_270m::spec, "embedding_length", 0), "gemma3.embedding_length is 0; expected"},
      {"no window", without(gemma4_e2b::text::spec, "attention.sliding_window"),
       "the key gemma4.attention.sliding_window is missing"},
      {"no pattern", without(gemma4_e2b::text::spec, "attention.sliding_window_pattern"),
       "gemma4.attention.sliding_window_pattern is missing; expected a list of bools"},
      {"another value size", changed(gemma4_e2b::text::spec, "attention.value_length", 128),
       "gemma4.attention.value_length is not the key length"},
      {"heads that do not divide", changed(gemma3_1b::spec, "attention.head_count_kv", 3),
       "query heads must be a multiple of key/value heads, so that every group shares one key; layer 0 has 4 and 3"},
      {"an odd head",
       [] {
         header h = header_of(gemma3_270m::spec, "attention.key_length");
         h.leave_out.clear();
         h.u32("attention.key_length", 255);
         return h;
       },
       "attention.value_length is not the key length"},
      {"more shared layers than there are", changed(gemma4_e2b::text::spec, "attention.shared_kv_layers", 36),
       "gemma4.attention.shared_kv_layers is 36; expected"},
      {"too few widths",
       [] {
         header h = header_of(gemma4_e2b::text::spec, "feed_forward_length");
         h.leave_out.clear();
         h.u32s("feed_forward_length", {1, 2, 3});
         return h;
       },
       "gemma4.feed_forward_length has 3 entries; expected one, or one for each of 35 layers"},
      {"another rope",
       [] {
         header h = header_of(gemma3_270m::spec);
         h.keys.string("gemma3.rope.scaling.type", "yarn");
         return h;
       },
       "gemma3.rope.scaling.type is \"yarn\"; expected \"none\" or \"linear\""},
      {"heads that turn in part", with(gemma3_270m::spec, "rope.dimension_count", 128),
       "gemma3.rope.dimension_count is not the key length, 256; g4 turns whole heads"},
      {"local heads that turn in part", with(gemma4_e2b::text::spec, "rope.dimension_count_swa", 512),
       "gemma4.rope.dimension_count_swa is not the key length, 256; g4 turns whole heads"},
      {"a key nobody knows", with(gemma3_270m::spec, "attention.temperature", 2),
       "the key gemma3.attention.temperature is not known; it may change the arithmetic"},
      {"experts where there are none", with(gemma3_270m::spec, "expert_count", 8),
       "the key gemma3.expert_count is not known"},
      {"two factors",
       [] {
         header h = header_of(gemma3_270m::spec);
         h.f32("rope.scaling.factor", 8);
         h.f32("rope.scale_linear", 4);
         return h;
       },
       "gemma3.rope.scale_linear is not rope.scaling.factor"},
      {"a decoder that is none",
       [] {
         header h = header_of(gemma4_e2b::text::spec);
         h.keys.boolean("gemma4.attention.causal", false);
         return h;
       },
       "gemma4.attention.causal is false; g4 knows that of Gemma 3 alone"},
      {"no epsilon", without(gemma3_270m::spec, "attention.layer_norm_rms_epsilon"),
       "the key gemma3.attention.layer_norm_rms_epsilon is missing"},
      {"too many experts chosen", changed(gemma4_26b_a4b::text::spec, "expert_used_count", 129),
       "a router chooses at least one expert and at most all of them; it chooses 129 of 128"},
      {"another active stream", changed(gemma3n_e2b::text::spec, "altup.active_idx", 1),
       "gemma3n.altup.active_idx is not 0"},
      {"divisors that are no switch",
       [] {
         header h = header_of(gemma4_31b::text::spec);
         h.divisors[200] = 8;
         return h;
       },
       "rope_freqs.weight holds 8; g4 knows 1 for pairs that turn, and then 1e30"},
      {"no table",
       [] {
         header h = header_of(gemma3_270m::spec);
         h.tensors.clear();
         return h;
       },
       "the tensor token_embd.weight is missing"},
  };
  for (const refusal& c : cases) {
    header h = c.make();
    const auto spec = read_config(h.file());
    const std::string sentence = spec ? "accepted" : spec.error().message;
    EXPECT_NE(sentence.find(c.sentence), std::string::npos)
        << c.what << "\n  said: " << sentence << "\n  want: " << c.sentence;
    EXPECT_TRUE(sentence.starts_with("model.gguf: ")) << c.what << "\n  said: " << sentence;
  }
}

}  // namespace
}  // namespace g4::load
