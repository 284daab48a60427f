// Checkpoints with random weights: every kind of file reads as the model it was made for, loads and runs.
#include "bench/random_checkpoint/towers.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/load/config.h"
#include "g4/load/tower.h"
#include "g4/load/tower_config.h"
#include "g4/load/tower_text.h"
#include "g4/io/gguf.h"
#include "g4/io/safetensors.h"
#include "g4/media/patches.h"
#include "g4/model/tower/run.h"
#include "g4/model/transformer.h"
#include "g4/multimodal.h"
#include "g4/open/open.h"
#include "g4/ops/dequantise.h"
#include "g4/variants/all.h"
#include "tests/support/own_path.h"
#include "tests/support/small_mixed.h"

namespace g4::bench {
namespace {

using test::small_mixed;

struct small_gemma3 : transformer<
    shape{.layers = 6, .width = 96, .vocab = 320},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, scaled_by_root_of{64}>,
    repeat<times<5, local<head{64}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{64}, rope{.theta = 1e6f, .factor = 8}>>>,
    feed::gated<gelu_tanh, hidden{256}>,
    logits::uncapped> {};

std::string scratch(const std::string& name) { return test::own_path("g4_random_") + name; }

// The logits of some ids.
template <class V>
std::vector<float> run(const std::string& path) {
  backend::reference<float> on;
  auto model = open<V>(path, on);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto session = model->session({.context = 16});
  EXPECT_TRUE(session);
  const std::vector<token_id> ids{2, 270, 11, 310, 45};
  const auto logits = session->run(ids);
  EXPECT_TRUE(logits) << logits.error().message;
  return {logits->begin(), logits->end()};
}

void expect_alive(const std::vector<float>& logits) {
  ASSERT_FALSE(logits.empty());
  double sum = 0;
  double squares = 0;
  for (const float x : logits) {
    ASSERT_TRUE(std::isfinite(x));
    sum += static_cast<double>(x);
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  const auto n = static_cast<double>(logits.size());
  const double spread = std::sqrt(squares / n - sum * sum / n / n);
  EXPECT_GT(spread, 0.3);
  EXPECT_LT(spread, 5);
}

template <class V>
void expect_each_gguf_to_run(const std::string& name) {
  for (const load::file_type& type : load::file_types) {
    SCOPED_TRACE(std::string(type.name));
    const std::string path = scratch(name + ".gguf");
    const auto written = write_random_gguf(path, V::spec, type);
    ASSERT_TRUE(written) << written.error().message;
    expect_alive(run<V>(path));
    std::remove(path.c_str());
  }
}

TEST(random_checkpoint, gguf_of_gemma3_in_every_type) { expect_each_gguf_to_run<small_gemma3>("g3"); }
TEST(random_checkpoint, gguf_of_gemma4_in_every_type) { expect_each_gguf_to_run<small_mixed>("g4"); }

template <class V>
void expect_a_folder_to_run(const std::string& name) {
  const std::string folder = scratch(name);
  ::mkdir(folder.c_str(), 0777);
  const auto written = write_random_safetensors(folder, V::spec);
  ASSERT_TRUE(written) << written.error().message;
  expect_alive(run<V>(folder));
  for (const char* file : {"/config.json", "/model.safetensors", "/tokenizer.json"}) std::remove((folder + file).c_str());
  std::remove(folder.c_str());
}

TEST(random_checkpoint, folder_of_gemma3) { expect_a_folder_to_run<small_gemma3>("g3"); }
TEST(random_checkpoint, folder_of_gemma4) { expect_a_folder_to_run<small_mixed>("g4"); }

struct small_eyes
    : tower<picture::any_aspect{.side = 4}, patches{.side = 2}, centred, embed::linear<width{32}>,
            positions::per_axis{7},
            encoder<layers{2}, norm::sandwich<plain_weight>,
                    attention<heads{.query = 4, .key_value = 4}, head{8}, qk_norm, v_norm, unscaled, rope_2d{.theta = 30}>,
                    feed::gated<gelu_tanh, hidden{64}>, clipped_linears>,
            mean_pooled{.side = 2}, scaled_by_root_of_width, into_text<norm::unweighted>> {};
struct small_ears
    : tower<sound::waveform{.rate = 16'000}, log_mel{.bins = 8}, subsample{.first = 8, .second = 4},
            embed::linear<width{32}>,
            conformer<layers{2}, relative_attention{.heads = 2}, light_conv{.side = 5}, clipped_linears>,
            embed::linear<width{16}, biased>, into_text<norm::unweighted>> {};

template <class T>
void expect_a_tower_to_run() {
  constexpr int text = 12;
  backend::reference<float> on;
  std::vector<float> x(24 * static_cast<std::size_t>(T::input_width));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) / 101;
  std::vector<place> places;
  for (std::int32_t i = 0; i < 24; ++i) places.push_back({i % 6, i / 6});
  const auto check = [&](const io::tensor_file& file, load::format f) {
    const auto w = load::make_tower<T, text>(file, f, on);
    ASSERT_TRUE(w) << w.error().message;
    const auto rows = run_tower(on, **w, {x, T::of_pictures ? std::span<const place>(places) : std::span<const place>()});
    ASSERT_TRUE(rows) << rows.error().message;
    expect_alive({rows->view().data, rows->view().data + rows->count() * text});
  };
  const std::string path = scratch("tower");
  ASSERT_TRUE((write_tower_safetensors<T, text>(path)));
  const auto file = io::open_safetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  check(*file, load::format::safetensors);
  std::vector<detail::random_tensor> tensors;
  detail::plan_tower_tensors<T, text>(load::format::gguf, storage::bf16, tensors);
  ASSERT_TRUE(write_towers_gguf(path, tensors, T::of_pictures, !T::of_pictures));
  const auto second = io::open_gguf(path);
  ASSERT_TRUE(second) << second.error().message;
  check(second->tensors, load::format::gguf);
  std::remove(path.c_str());
}

TEST(random_checkpoint, towers_of_pictures_in_both_formats) { expect_a_tower_to_run<small_eyes>(); }
TEST(random_checkpoint, towers_of_sounds_in_both_formats) { expect_a_tower_to_run<small_ears>(); }

struct small_gemma4_text : transformer<
    shape{.layers = 2, .width = 48, .vocab = 400},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{16}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{16}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{64}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{30}> {};
struct wide_eyes
    : tower<picture::any_aspect{.side = 4}, patches{.side = 2}, centred, embed::linear<width{32}>,
            positions::per_axis{140},
            encoder<layers{1}, norm::sandwich<plain_weight>,
                    attention<heads{.query = 4, .key_value = 2}, head{8}, qk_norm, v_norm, unscaled, rope_2d{.theta = 100}>,
                    feed::gated<gelu_tanh, hidden{64}>>,
            mean_pooled{.side = 2}, scaled_by_root_of_width, standardised, into_text<norm::unweighted>> {};
struct small_gemma4
    : multimodal<small_gemma4_text,
                 sees<wide_eyes, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
                 hears<small_ears, soft_tokens{.most = 750}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
                 turns::gemma4<>> {};
struct ears_of_3n
    : tower<sound::waveform{.rate = 16'000}, log_mel{.bins = 8, .window = 512, .emphasised = true},
            subsample{.first = 5, .second = 3, .eps = 1e-3f, .cumulative = true}, embed::linear<width{12}>,
            conformer<layers{1}, relative_attention{.heads = 2, .past = 13, .chunk = 0, .scaled_keys = false},
                      light_conv{.side = 3}>,
            every{4}, into_text<norm::soft_and_hard, own_ids{.first = 380, .count = 20}>> {};
struct text_of_3n
    : transformer<shape{.layers = 10, .width = 64, .vocab = 400}, embed::tied_scaled, norm::sandwich<plain_weight>,
                  attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
                  repeat<times<4, local<head{32}, window{8}, rope{.theta = 1e4f}>>,
                         times<1, global<head{32}, rope{.theta = 1e6f}>>>,
                  share_kv<last{5}>, feed::gated<gelu_tanh, hidden{96}, sparse{0.95f, 2}>,
                  per_layer_embedding{.width = 32, .vocab = 380}, altup{4}, laurel{32}, logits::soft_cap{30}> {};
struct small_3n : multimodal<text_of_3n,
                             hears<ears_of_3n, soft_tokens{.most = 188, .filled_up = true},
                                   marked{"<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"}>,
                             turns::gemma3n> {};

/// What a model makes of a picture and a sound, from a folder of random weights to its last logits.
template <class M>
void expect_a_folder_with_towers_to_run(const std::string& name) {
  const std::string folder = scratch(name);
  ::mkdir(folder.c_str(), 0777);
  const auto written = write_random_model<M>(folder);
  ASSERT_TRUE(written) << written.error().message;
  backend::reference<float> on;
  const auto model = open<M>(folder, on);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<std::uint8_t> rgb(20 * 30 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 7);
  std::vector<float> samples(16'000);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = std::sin(0.05f * static_cast<float>(i));
  using model_type = multimodal_model<M, backend::reference<float>>;
  std::vector<typename model_type::shown> media;
  if constexpr (M::can_see) {
    auto seen = model->see({rgb, 20, 30});
    ASSERT_TRUE(seen) << seen.error().message;
    media.push_back(std::move(*seen));
  }
  auto heard = model->hear({samples, 16'000});
  ASSERT_TRUE(heard) << heard.error().message;
  media.push_back(std::move(*heard));
  typename model_type::turn question;
  question.said.emplace_back("a b ");
  for (const auto& one : media) question.said.emplace_back(one);
  const auto prompt = model->prompt({question});
  ASSERT_TRUE(prompt) << prompt.error().message;
  auto session = model->session({.context = prompt->ids.size(), .batch = prompt->ids.size()});
  ASSERT_TRUE(session) << session.error().message;
  const auto logits = session->run(prompt->view());
  ASSERT_TRUE(logits) << logits.error().message;
  expect_alive({logits->begin(), logits->end()});
  for (const char* file : {"/config.json", "/model.safetensors", "/tokenizer.json"}) std::remove((folder + file).c_str());
  std::remove(folder.c_str());
}

TEST(random_checkpoint, folder_of_gemma4_with_both_towers) {
  expect_a_folder_with_towers_to_run<small_gemma4>("g4_towers");
}
TEST(random_checkpoint, folder_of_gemma3n_with_its_ears) { expect_a_folder_with_towers_to_run<small_3n>("g3n_towers"); }

TEST(random_checkpoint, the_same_seed_the_same_file_another_seed_another) {
  const std::string path = scratch("seed.gguf");
  const auto bytes_with = [&](std::uint64_t seed) {
    random_options options;
    options.seed = seed;
    EXPECT_TRUE(write_random_gguf(path, small_gemma3::spec, load::file_types[1], options));
    const auto file = io::map_file(path);
    EXPECT_TRUE(file);
    const std::string text(io::text_of((*file)->bytes()));
    std::remove(path.c_str());
    return text;
  };
  const std::string first = bytes_with(1);
  EXPECT_TRUE(first == bytes_with(1));
  EXPECT_FALSE(first == bytes_with(2));
}

TEST(random_checkpoint, rows_no_multiple_of_256_fall_back) {
  const tensor_entry down{{"", "", grade::careful}, 3, 3, {4, 256, 96}};
  EXPECT_EQ(load::storage_in_gguf(down, small_mixed::spec, storage::q4_k), storage::q8_0);  // layer 3 has more bits
  const tensor_entry other{{"", "", grade::careful}, 2, 3, {4, 256, 96}};
  EXPECT_EQ(load::storage_in_gguf(other, small_mixed::spec, storage::q4_k), storage::q5_0);
  const tensor_entry gate{{}, 2, 2, {128, 256, 0}};
  EXPECT_EQ(load::storage_in_gguf(gate, small_mixed::spec, storage::q4_k), storage::q4_k);
  const tensor_entry odd{{}, 2, 2, {128, 40, 0}};
  EXPECT_EQ(load::storage_in_gguf(odd, small_mixed::spec, storage::q8_0), storage::f16);
}

TEST(random_checkpoint, every_storage_spreads_as_told) {
  for (const storage s : {storage::f32, storage::f16, storage::bf16, storage::q4_0, storage::q5_0, storage::q5_1, storage::q8_0,
                          storage::q4_k, storage::q6_k}) {
    SCOPED_TRACE(std::string(facts_of(s).name));
    constexpr std::size_t n = 1 << 16;
    const storage_facts facts = facts_of(s);
    std::vector<std::byte> bytes(row_bytes(s, n));
    random_bits random(7);
    fill_random(s, bytes.data(), n / facts.block_elements, 0.02f, 0, random);
    std::vector<float> x(n);
    dequantise(s, bytes.data(), n, x.data());
    double sum = 0;
    double squares = 0;
    for (const float v : x) {
      sum += static_cast<double>(v);
      squares += static_cast<double>(v) * static_cast<double>(v);
    }
    EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.001);
    EXPECT_LT(std::abs(sum / n), 0.0025);  // Q4_0 and its like have one more negative step than positive ones
  }
}

template <class... V>
void expect_configs_to_read_back(one_of<V...>) {
  const auto check = [](const text_spec& spec, std::string_view name) {
    const auto read = load::read_config(config_json(spec), std::string(name));
    ASSERT_TRUE(read) << read.error().message;
    for (const std::string& line : load::differences(*read, spec, name)) ADD_FAILURE() << name << ": " << line;
  };
  (check(V::spec, load::variant_name<V>()), ...);
}

TEST(random_checkpoint, config_json_of_every_decoder_reads_back) { expect_configs_to_read_back(all_variants{}); }
template <class Sense>
void expect_same_tower(const std::optional<tower_spec>& read, std::string_view name) {
  if constexpr (std::is_same_v<Sense, no_sense>) {
    EXPECT_FALSE(read) << name;
  } else {
    ASSERT_TRUE(read) << name;
    for (const std::string& line : load::differences(*read, Sense::tower::spec, "", name)) ADD_FAILURE() << line;
  }
}
template <class... M>
void expect_towers_to_read_back(one_of<M...>) {
  const auto check = []<class Model>(std::type_identity<Model>) {
    const std::string_view name = load::variant_name<Model>();
    const std::string config = config_json_with_towers<Model>();
    const auto read = load::read_towers(config, name);
    ASSERT_TRUE(read) << read.error().message;
    expect_same_tower<typename Model::seeing>(read->sees, name);
    expect_same_tower<typename Model::hearing>(read->hears, name);
    if constexpr (Model::can_see) {
      EXPECT_EQ(read->soft_tokens, Model::seeing::budget.most) << name;
    }
    const auto text = load::read_config(config, name);
    ASSERT_TRUE(text) << text.error().message;
    for (const std::string& line : load::differences(*text, Model::text::spec, name)) ADD_FAILURE() << name << ": " << line;
  };
  (check(std::type_identity<M>{}), ...);
}

TEST(random_checkpoint, config_json_with_the_towers_of_every_model_reads_back) {
  expect_towers_to_read_back(all_multimodal{});
}
TEST(random_checkpoint, config_json_of_every_drafter_reads_back) { expect_configs_to_read_back(all_drafters{}); }
TEST(random_checkpoint, config_json_of_every_embedder_reads_back) { expect_configs_to_read_back(all_embedders{}); }

}  // namespace
}  // namespace g4::bench
