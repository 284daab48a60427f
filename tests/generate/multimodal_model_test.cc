// A model that sees and hears, from its folder to what it says.
#include "g4/multimodal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/g4.h"
#include "g4/io/safetensors_writer.h"
#include "tests/support/marked_vocabulary.h"
#include "tests/support/own_path.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/random_tower.h"

namespace g4 {
namespace {

struct tiny_text : transformer<
    shape{.layers = 2, .width = 24, .vocab = 120},
    embed::tied_scaled,
    norm::sandwich<plain_weight>,
    attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
    repeat<times<1, local<head{8}, window{8}, rope{.theta = 1e4f}>>,
           times<1, global<head{8}, partial_rope{.theta = 1e6f, .fraction = 0.25f}>>>,
    feed::gated<gelu_tanh, hidden{32}>,
    layer_scalar,
    image_mask::bidirectional_on_local,
    logits::soft_cap{30}> {};
struct tiny_patches : tower<picture::any_aspect{.side = 6}, patches{.side = 6}, norm::layer,
                            embed::linear<width{16}, biased>, norm::layer, positions::per_axis{70}, norm::layer,
                            into_text<norm::unweighted>> {};
struct tiny_frames : tower<sound::waveform{.rate = 16'000}, frames{.samples = 10}, into_text<norm::unweighted>> {};
struct tiny : multimodal<tiny_text,
                         sees<tiny_patches, soft_tokens{.most = 70}, marked{"<|image>", "<|image|>", "<image|>"}>,
                         hears<tiny_frames, soft_tokens{.most = 8}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
                         turns::gemma4<>> {};

struct tiny_conformer : tower<
    sound::waveform{.rate = 16'000}, log_mel{.bins = 8}, subsample{.first = 8, .second = 2}, embed::linear<width{8}>,
    conformer<layers{1}, relative_attention{.heads = 2}, light_conv{.side = 3}, clipped_linears>,
    embed::linear<width{12}, biased>, into_text<norm::unweighted>> {};
struct tiny_listener : multimodal<
    tiny_text, hears<tiny_conformer, soft_tokens{.most = 10}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
    turns::gemma4<>> {};

constexpr const char* config = R"({"model_type": "gemma4_unified",
  "text_config": {"num_hidden_layers": 2, "hidden_size": 24, "vocab_size": 120, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "global_head_dim": 8, "sliding_window": 8, "intermediate_size": 32,
    "layer_types": ["sliding_attention", "full_attention"], "final_logit_softcapping": 30.0},
  "vision_config": {"patch_size": 2, "pooling_kernel_size": 3, "mm_embed_dim": 16, "mm_posemb_size": 70,
    "output_proj_dims": 16},
  "audio_config": {"audio_embed_dim": 10}})";
constexpr const char* listener_config = R"({"model_type": "gemma4",
  "text_config": {"num_hidden_layers": 2, "hidden_size": 24, "vocab_size": 120, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "global_head_dim": 8, "sliding_window": 8, "intermediate_size": 32,
    "layer_types": ["sliding_attention", "full_attention"], "final_logit_softcapping": 30.0,
    "use_bidirectional_attention": "vision", "hidden_size_per_layer_input": 0},
  "audio_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "conv_kernel_size": 3,
    "subsampling_conv_channels": [8, 2], "output_proj_dims": 12}})";

std::string vocabulary() {
  return test::marked_vocabulary({"<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>",
                                  "<|image>", "<|image|>", "<image|>", "<|audio>", "<|audio|>", "<audio|>",
                                  "<|tool_response>"},
                                 {"W", "?", "\\n", "▁", "<", "|", ">"}, 120);
}

void write_file(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

/// A folder as released models have it.
class folder {
 public:
  explicit folder(const std::string& said = config) : path_(test::own_path("g4_multimodal")) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
    write_file(path_ / "config.json", said);
    write_file(path_ / "tokenizer.json", vocabulary());
    const test::random_checkpoint text(tiny_text::spec);
    const test::random_tower<tiny_patches, 24> patches(2);
    const test::random_tower<tiny_frames, 24> frames(3);
    const test::random_tower<tiny_conformer, 24> conformer(4);
    std::vector<io::tensor_file> files{text.file(), patches.file(), frames.file()};
    if (said == listener_config) files = {text.file(), conformer.file()};
    std::vector<io::tensor_plan> plan;
    for (const auto& file : files) {
      for (const auto& t : file.tensors()) plan.push_back({t.name, t.type, t.dims});
    }
    auto out = io::write_safetensors((path_ / "model.safetensors").string(), plan);
    EXPECT_TRUE(out);
    for (const auto& file : files) {
      for (const auto& t : file.tensors()) EXPECT_TRUE(out->write(t.name, t.bytes));
    }
    EXPECT_TRUE(out->finish());
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

const std::vector<std::uint8_t>& some_pixels() {
  static const std::vector<std::uint8_t> rgb = [] {
    std::vector<std::uint8_t> made(20 * 30 * 3);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::uint8_t>(i * 7);
    return made;
  }();
  return rgb;
}
const media::picture picture{some_pixels(), 20, 30};
const std::vector<float> samples(27, 0.25f);

TEST(multimodal, sees_hears_and_answers) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;

  const auto cat = model->see(picture);  // √(70·36/600)·(20, 30) = (40.9, 61.4) → 36 x 60 pixels, 6 x 10 patches
  ASSERT_TRUE(cat) << cat.error().message;
  EXPECT_EQ(cat->rows.count(), 60u);
  const auto purr = model->hear({samples});
  ASSERT_TRUE(purr) << purr.error().message;
  EXPECT_EQ(purr->rows.count(), 3u);

  const auto prompt = model->prompt({{.from = text::role::user, .said = {"What is this? ", *cat, *purr}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  const text::tokenizer& names = model->tokenizer();
  ASSERT_EQ(prompt->inlays.size(), 2u);
  EXPECT_TRUE(prompt->inlays[0].is_picture);
  EXPECT_FALSE(prompt->inlays[1].is_picture);
  for (const auto& [inlay, before, each, behind] :
       {std::tuple{prompt->inlays[0], "<|image>", "<|image|>", "<image|>"},
        std::tuple{prompt->inlays[1], "<|audio>", "<|audio|>", "<audio|>"}}) {
    EXPECT_EQ(names.piece(prompt->ids[inlay.first - 1]), before);
    EXPECT_EQ(names.piece(prompt->ids[inlay.first]), each);
    EXPECT_EQ(names.piece(prompt->ids[inlay.first + inlay.count - 1]), each);
    EXPECT_EQ(names.piece(prompt->ids[inlay.first + inlay.count]), behind);
  }

  auto session = model->session({.context = 256, .batch = 64});
  ASSERT_TRUE(session) << session.error().message;
  const auto said = generate(*session, names, *prompt, {.max_tokens = 5, .stop_at_end = false}, [](std::string_view) {});
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->tokens.size(), 5u);

  // The picture is looked at: another one, another answer's first logits.
  auto again = model->session({.context = 256, .batch = 64});
  auto other = model->session({.context = 256, .batch = 64});
  const std::vector<std::uint8_t> black(some_pixels().size());
  const auto night = model->see({black, 20, 30});
  ASSERT_TRUE(again && other && night);
  const auto darker = model->prompt({{.said = {"What is this? ", *night, *purr}}});
  ASSERT_TRUE(darker);
  const auto a = again->run(prompt->view());
  const auto b = other->run(darker->view());
  ASSERT_TRUE(a && b);
  EXPECT_NE(std::vector<float>(a->begin(), a->end()), std::vector<float>(b->begin(), b->end()));
}

TEST(multimodal, a_session_goes_on_behind_an_answer) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const auto cat = model->see(picture);
  const auto purr = model->hear({samples});
  ASSERT_TRUE(cat && purr);
  const auto first = model->prompt({{.said = {"What? ", *cat}}});
  auto session = model->session({.context = 512, .batch = 64});
  ASSERT_TRUE(first && session);
  const auto quiet = [](std::string_view) {};
  const auto answer = generate(*session, model->tokenizer(), *first, {.max_tokens = 3, .stop_at_end = false}, quiet);
  ASSERT_TRUE(answer) << answer.error().message;
  const auto then = model->prompt_behind(*answer, {{.said = {"and", *purr, *cat}}});
  ASSERT_TRUE(then) << then.error().message;
  // The last token of the answer was not run; then its turn ends, and nothing begins anew.
  EXPECT_EQ(then->ids.front(), answer->tokens.back());
  EXPECT_EQ(then->ids[1], model->tokenizer().find("<turn|>"));
  EXPECT_EQ(std::count(then->ids.begin(), then->ids.end(), model->tokenizer().special().bos), 0);
  ASSERT_EQ(then->inlays.size(), 2u);
  EXPECT_EQ(model->tokenizer().piece(then->ids[then->inlays[0].first]), "<|audio|>");
  EXPECT_EQ(then->inlays[1].rows, cat->rows.view().data);  // the same rows, not encoded again
  const auto further = session->run(then->view());
  ASSERT_TRUE(further) << further.error().message;
  const std::vector<float> gone_on(further->begin(), further->end());

  // All of it at once in another session is the same text.
  laid_prompt<float> all = *first;
  all.ids.insert(all.ids.end(), answer->tokens.begin(), answer->tokens.end() - 1);
  for (auto one : then->inlays) {
    one.first += all.ids.size();
    all.inlays.push_back(one);
  }
  all.ids.insert(all.ids.end(), then->ids.begin(), then->ids.end());
  auto fresh = model->session({.context = 512, .batch = 64});
  ASSERT_TRUE(fresh);
  const auto at_once = fresh->run(all.view());
  ASSERT_TRUE(at_once) << at_once.error().message;
  double furthest = 0;
  for (std::size_t i = 0; i < gone_on.size(); ++i)
    furthest = std::max(furthest, std::abs(double{gone_on[i]} - (*at_once)[i]));
  EXPECT_LT(furthest, 1e-4);
}

TEST(multimodal, rows_are_kept_and_given_back) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const auto cat = model->see(picture);
  ASSERT_TRUE(cat);
  const std::vector<float> kept = model->numbers_of(*cat);
  EXPECT_EQ(kept.size(), cat->tokens() * 24);
  const auto again = model->shown_again(kept, true);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->tokens(), cat->tokens());
  EXPECT_EQ(model->numbers_of(*again), kept);
  const auto refused = model->shown_again(std::span(kept).first(25), true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "rows: 25 numbers are no rows of 24");
}

TEST(multimodal, a_video_is_its_frames_with_their_times) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<media::picture> frames(3, picture);
  const auto clip = model->watch(frames, 0.5);
  ASSERT_TRUE(clip) << clip.error().message;
  EXPECT_EQ(clip->seconds, (std::vector<double>{0, 2, 4}));
  EXPECT_EQ(clip->tokens(), 3u * 60);
  const auto prompt = model->prompt({{.said = {"a", *clip}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  ASSERT_EQ(prompt->inlays.size(), 3u);
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_GT(prompt->inlays[i].first, prompt->inlays[i - 1].first + 60 + 2);  // the time stands between two frames
  }
  EXPECT_FALSE(model->watch({}, 1));
  EXPECT_FALSE(model->watch(frames, 0));
}

TEST(multimodal, a_mark_that_somebody_writes_is_text) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const auto purr = model->hear({samples});
  ASSERT_TRUE(purr);
  const auto prompt = model->prompt({{.said = {"is <|image|> this", *purr}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(prompt->inlays.size(), 1u);
  EXPECT_EQ(std::count(prompt->ids.begin(), prompt->ids.end(), model->tokenizer().find("<|image|>")), 0);
}

TEST(multimodal, text_alone_of_the_same_folder) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny::text>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
}

TEST(multimodal, what_cannot_be_seen_or_heard_refused) {
  const folder here;
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const auto why = [](const auto& made) { return made ? std::string("it is fine") : made.error().message; };
  EXPECT_EQ(why(model->see({some_pixels(), 20, 31})), "picture: 1800 bytes are no picture of 20 x 31 pixels of 3");
  EXPECT_EQ(why(model->see(picture, {.soft_tokens = 100})),
            "image: a budget of 100 soft tokens; Gemma 4 knows 70, 140, 280, 560 and 1120");
  EXPECT_EQ(why(model->hear({samples, 44'100})), "sound: 44100 samples a second; the model hears 16000");
  EXPECT_EQ(why(model->hear({})), "sound: there is nothing to hear");
  const std::vector<float> long_one(81);
  EXPECT_EQ(why(model->hear({long_one})),
            "sound: 81 samples; the model hears 80 at once, 0.005 seconds: cut it into stretches of 80 samples and show "
            "them one after the other");
}

TEST(multimodal, hears_through_a_conformer) {
  const folder here(listener_config);
  backend::reference<float> on;
  const auto model = open<tiny_listener>(here.path(), on);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> second(6'400, 0.1f);
  const auto purr = model->hear({std::span(second).first(3'000)});  // 18 frames
  ASSERT_TRUE(purr) << purr.error().message;
  EXPECT_EQ(purr->rows.count(), 5u);
  const auto most = model->hear({second});
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_EQ(most->rows.count(), 10u);

  const auto why = [&](std::span<const float> x) {
    const auto made = model->hear({x});
    return made ? std::string("it is heard") : made.error().message;
  };
  EXPECT_EQ(why(std::span(second).first(160)), "sound: 160 samples are too few to hear anything in");
  const std::vector<float> long_one(6'401);
  EXPECT_EQ(why(long_one), "sound: 6401 samples; the model hears 6400 at once, 0.400 seconds: cut it into stretches of "
                           "6400 samples and show them one after the other");
  EXPECT_TRUE(open<tiny_listener::text>(here.path(), on));
}

TEST(multimodal, another_tower_in_the_file_refused) {
  std::string said = config;
  const std::string width = "\"mm_posemb_size\": 70";
  said.replace(said.find(width), width.size(), "\"mm_posemb_size\": 80");
  const folder here(said);
  backend::reference<float> on;
  const auto model = open<tiny>(here.path(), on);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            here.path() + ": is not tiny: stage 6 of the picture tower: the file has positions::per_axis{80}, tiny has "
                          "positions::per_axis{70}");
}

TEST(multimodal, gguf_without_its_towers_refused) {
  // A text in a GGUF file has its towers in another file; without that one there is a sentence and no guess.
  backend::reference<float> on;
  const auto model = open<tiny>("nowhere.gguf", on);
  ASSERT_FALSE(model);
}

}  // namespace
}  // namespace g4
