// A Gemma 3n that hears, from its folder to a prompt with two sounds in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/multimodal.h"
#include "tests/support/marked_vocabulary.h"
#include "tests/support/own_path.h"

namespace g4 {
namespace {

/// The type of conformance/cases/gemma3n-ears without its eyes, whose files are opened here.
struct small_text
    : transformer<
          shape{.layers = 5, .width = 20, .vocab = 192}, embed::tied_scaled, norm::sandwich<plain_weight>,
          attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
          repeat<
              times<2, local<head{8}, window{6}, rope{.theta = 1e4f}>>, times<1, global<head{8}, rope{.theta = 1e6f}>>,
              times<1, local<head{8}, window{6}, rope{.theta = 1e4f}>>, times<1, global<head{8}, rope{.theta = 1e6f}>>>,
          share_kv<last{1}>, feed::gated<gelu_tanh, hidden{28}, sparse{0.9f, 1}>, altup{.streams = 4},
          laurel{.rank = 4}, per_layer_embedding{.width = 4, .vocab = 180}, logits::soft_cap{30}> {};
struct small_ears
    : tower<sound::waveform{.rate = 16'000}, log_mel{.bins = 20, .window = 512, .emphasised = true},
            subsample{.first = 10, .second = 6, .eps = 1e-2f, .cumulative = true}, embed::linear<width{12}>,
            conformer<layers{2},
                      relative_attention{.heads = 2, .past = 5, .ahead = 3, .chunk = 0, .cap = 5, .scaled_keys = false},
                      light_conv{.side = 3}>,
            every{3}, into_text<norm::soft_and_hard, own_ids{.first = 184, .count = 8}>> {};
struct small : multimodal<small_text,
                          hears<small_ears, soft_tokens{.most = 7, .filled_up = true},
                                marked{"<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"}>,
                          turns::gemma3n> {};

std::string vocabulary() {
  return test::marked_vocabulary({"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>",
                                  "<start_of_audio>", "<audio_soft_token>", "<end_of_audio>"},
                                 {"\\n", "▁"}, 192);
}

/// n samples of a tone that rises.
std::vector<float> rising(std::size_t n, float from) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float at = static_cast<float>(i) / 16'000;
    x[i] = 0.3f * std::sin((from + 2'000 * at) * at);
  }
  return x;
}

class listening_model : public testing::Test {
 protected:
  listening_model() {
    namespace fs = std::filesystem;
    const fs::path from = fs::path(G4_SOURCE_DIR) / "conformance/cases/gemma3n-ears";
    const fs::path folder = test::own_path("g4_listening_model");
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(from / name, folder / name);
    std::ofstream(folder / "tokenizer.json", std::ios::binary) << vocabulary();
    model = open<small>(folder.string(), on);
    fs::remove_all(folder);
  }
  std::vector<float> rows(const multimodal_model<small, backend::reference<float>>::shown& what) {
    const float* const at = what.rows.view().data;
    return {at, at + what.rows.count() * 20};
  }

  backend::reference<float> on;
  result<multimodal_model<small, backend::reference<float>>> model = fail("not yet");
};

TEST_F(listening_model, a_sound_stands_between_empty_lines_and_takes_all_its_places) {
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> samples = rising(4'000, 3'000);  // 23 frames, 6 rows, 2 of them kept
  const auto purr = model->hear({samples});
  ASSERT_TRUE(purr) << purr.error().message;
  ASSERT_EQ(purr->rows.count(), 7u);
  const std::vector<float> made = rows(*purr);
  const auto row = [&](std::size_t i) {
    return std::vector<float>(made.begin() + 20 * i, made.begin() + 20 * (i + 1));
  };
  EXPECT_NE(row(1), row(2));
  for (std::size_t i = 3; i < 7; ++i) EXPECT_EQ(row(i), row(2)) << i;  // the vocabulary's last token

  const auto prompt = model->prompt({{.said = {"what is it", *purr, "then", *purr}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  std::string written, places;
  for (const token_id id : prompt->ids) written += model->tokenizer().piece(id);
  for (int i = 0; i < 7; ++i) places += "<audio_soft_token>";
  const std::string sound = "\n\n<start_of_audio>" + places + "<end_of_audio>\n\n";
  EXPECT_EQ(written,
            "<bos><start_of_turn>user\nwhat▁is▁it" + sound + "then" + sound + "<end_of_turn>\n<start_of_turn>model\n");
  ASSERT_EQ(prompt->inlays.size(), 2u);
  EXPECT_FALSE(prompt->inlays[1].is_picture);
  EXPECT_EQ(prompt->inlays[1].count, 7u);
}

TEST_F(listening_model, what_is_heard_is_answered_to) {
  ASSERT_TRUE(model) << model.error().message;
  const auto logits = [&](const std::vector<float>& samples) {
    const auto heard = model->hear({samples});
    EXPECT_TRUE(heard);
    const auto prompt = model->prompt({{.said = {"say", *heard}}});
    EXPECT_TRUE(prompt);
    auto session = model->session({.context = 64, .batch = 5});
    EXPECT_TRUE(session);
    const auto last = session->run(prompt->view());
    EXPECT_TRUE(last);
    return std::vector<float>(last->begin(), last->end());
  };
  const auto low = logits(rising(4'000, 1'000));
  EXPECT_EQ(low, logits(rising(4'000, 1'000)));
  EXPECT_NE(low, logits(rising(4'000, 9'000)));
}

TEST_F(listening_model, refuses_what_it_cannot_hear) {
  ASSERT_TRUE(model) << model.error().message;
  const auto why = [&](std::size_t n) {
    const std::vector<float> samples(n, 0.1f);
    const auto heard = model->hear({samples});
    return heard ? std::string("heard") : heard.error().message;
  };
  EXPECT_EQ(why(13'440), "heard");  // 7 rows of 3 quarters of 4 frames
  EXPECT_EQ(
      why(13'441),
      "sound: 13441 samples; the model hears 13440 at once, 0.840 seconds: cut it into stretches of 13440 samples "
      "and show them one after the other");
  EXPECT_EQ(why(512), "sound: 512 samples are too few to hear anything in");
  EXPECT_EQ(why(513), "heard");
}

}  // namespace
}  // namespace g4
