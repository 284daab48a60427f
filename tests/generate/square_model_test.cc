// A Gemma 3 and a Gemma 3n that see, from their folders to a prompt with a picture in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/io/safetensors.h"
#include "g4/load/tower.h"
#include "g4/model/tower/own_ids.h"
#include "g4/multimodal.h"
#include "tests/support/marked_vocabulary.h"
#include "tests/support/own_path.h"

namespace g4 {
namespace {

/// The type of conformance/cases/gemma3-eyes, whose files are opened here.
struct small_text : transformer<
    shape{.layers = 4, .width = 28, .vocab = 192},
    embed::tied_scaled,
    norm::sandwich<one_plus_weight>,
    attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{8}>,
    repeat<times<3, local<head{8}, window{8}, rope{.theta = 1e4f}>>, times<1, global<head{8}, rope{.theta = 1e6f}>>>,
    feed::gated<gelu_tanh, hidden{40}>,
    image_mask::bidirectional,
    logits::uncapped> {};
struct small_eyes : tower<
    picture::square{.side = 12}, patches{.side = 2}, centred, embed::linear<width{24}, biased>, positions::learned{36},
    encoder<layers{2}, norm::before<norm::layer_t{1e-6f}>,
            attention<heads{.query = 3, .key_value = 3}, head{8}, scaled_by_root_of{8}>,
            feed::plain<gelu_tanh, hidden{36}>, biased>,
    norm::layer_t{1e-6f}, mean_pooled{.side = 2}, into_text<norm::one_plus>> {};
struct small : multimodal<
    small_text,
    sees<small_eyes, soft_tokens{.most = 9}, marked{"<start_of_image>", "<image_soft_token>", "<end_of_image>"}>,
    turns::gemma3> {};

/// The type of conformance/cases/gemma3n-eyes, without its ears.
struct mobile_text
    : transformer<shape{.layers = 4, .width = 20, .vocab = 192}, embed::tied_scaled, norm::sandwich<plain_weight>,
                  attention<heads{.query = 2, .key_value = 1}, qk_norm, v_norm, unscaled>,
                  repeat<times<2, local<head{8}, window{6}, rope{.theta = 1e4f}>>,
                         times<1, global<head{8}, rope{.theta = 1e6f}>>>,
                  share_kv<last{1}>, feed::gated<gelu_tanh, hidden{28}, sparse{0.9f, 1}>, altup{.streams = 4},
                  laurel{.rank = 4}, per_layer_embedding{.width = 4, .vocab = 184}, logits::soft_cap{30}> {};
struct mobile_eyes
    : tower<picture::square{.side = 768}, patches{.side = 1},
            mobilenet<conv_stem{.channels = 8},
                      blocks<edge_residual{.channels = 8, .stride = 2, .wider = 3},
                             times<2, edge_residual{.channels = 8, .wider = 2}>>,
                      blocks<bottleneck{.channels = 8, .start = 3, .middle = 5, .stride = 2, .wider = 4},
                             bottleneck{.channels = 8, .start = 5, .wider = 3},
                             bottleneck{.channels = 8, .middle = 3, .wider = 2},
                             multi_query{.channels = 8, .heads = 3, .size = 8, .key_stride = 2},
                             bottleneck{.channels = 8, .wider = 2}>,
                      blocks<bottleneck{.channels = 8, .start = 5, .stride = 2, .wider = 2},
                             multi_query{.channels = 8, .heads = 2, .size = 12}, bottleneck{.channels = 8, .wider = 2}>,
                      fused{.channels = 2048, .side = 2}>,
            scaled_by_root_of_width, into_text<norm::soft_and_hard, own_ids{.first = 184, .count = 4}>> {};
struct mobile_model
    : multimodal<
          mobile_text,
          sees<mobile_eyes, soft_tokens{.most = 4}, marked{"<start_of_image>", "<image_soft_token>", "<end_of_image>"}>,
          turns::gemma3n> {};

std::string vocabulary() {
  return test::marked_vocabulary({"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>",
                                  "<start_of_image>", "<image_soft_token>", "<end_of_image>"},
                                 {"\\n", "▁"}, 192);
}

/// The model of a conformance case, with the vocabulary above.
template <class M>
auto opened(const char* of, backend::reference<float>& on) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(G4_SOURCE_DIR) / "conformance/cases" / of;
  const fs::path folder = test::own_path("g4_square_model");
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(from / name, folder / name);
  std::ofstream(folder / "tokenizer.json", std::ios::binary) << vocabulary();
  auto model = open<M>(folder.string(), on);
  fs::remove_all(folder);
  return model;
}

/// What a prompt is written as.
template <class Model, class Prompt>
std::string written(const Model& model, const Prompt& prompt) {
  std::string text;
  for (const token_id id : prompt.ids) text += model.tokenizer().piece(id);
  return text;
}

TEST(square_model, a_picture_stands_between_empty_lines) {
  backend::reference<float> on;
  const auto model = opened<small>("gemma3-eyes", on);
  ASSERT_TRUE(model) << model.error().message;

  std::vector<std::uint8_t> rgb(7 * 30 * 3);  // of any shape: a square is made of it
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 7);
  const auto cat = model->see({rgb, 7, 30});
  ASSERT_TRUE(cat) << cat.error().message;
  EXPECT_EQ(cat->rows.count(), 9u);
  const auto refused = model->see({rgb, 7, 30}, {.soft_tokens = 70});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "picture: 70 soft tokens; a picture always takes 9 here");

  const auto prompt = model->prompt({{.said = {"what is it", *cat, "then"}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  std::string rows;
  for (int i = 0; i < 9; ++i) rows += "<image_soft_token>";
  EXPECT_EQ(written(*model, *prompt), "<bos><start_of_turn>user\nwhat▁is▁it\n\n<start_of_image>" + rows +
                                          "<end_of_image>\n\nthen<end_of_turn>\n<start_of_turn>model\n");
  ASSERT_EQ(prompt->inlays.size(), 1u);
  EXPECT_TRUE(prompt->inlays[0].is_picture);
  EXPECT_EQ(prompt->inlays[0].count, 9u);

  // A long picture looked at closely: the whole, and its pieces behind a sentence that says so.
  std::vector<std::uint8_t> wide(256 * 600 * 3);
  for (std::size_t k = 0; k < wide.size(); ++k) wide[k] = static_cast<std::uint8_t>(k * 11);
  const auto close = model->see({wide, 256, 600}, {.pieces = 4});
  ASSERT_TRUE(close) << close.error().message;
  ASSERT_EQ(close->more.size(), 2u);
  EXPECT_EQ(close->tokens(), 27u);
  const auto closely = model->prompt({{.said = {"see", *close, *cat}}});
  ASSERT_TRUE(closely) << closely.error().message;
  ASSERT_EQ(closely->inlays.size(), 4u);
  const std::string image = "\n\n<start_of_image>" + rows + "<end_of_image>\n\n";
  // The vocabulary has no capital H: the sentence begins with what stands for it.
  const std::string said = written(*model, *closely);
  EXPECT_NE(said.find("ere▁is▁the▁original▁image▁" + image + "▁and▁here▁are▁some▁crops▁to▁help▁you▁see▁better▁" +
                      image + "▁" + image + image + "<end_of_turn>"),
            std::string::npos)
      << said;
}

TEST(mobile_model, a_picture_stands_between_empty_lines) {
  backend::reference<float> on;
  const auto model = opened<mobile_model>("gemma3n-eyes", on);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<std::uint8_t> rgb(7 * 30 * 3, 90);
  const auto cat = model->see({rgb, 7, 30});
  ASSERT_TRUE(cat) << cat.error().message;
  const auto prompt = model->prompt({{.said = {*cat, "what"}}});
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(written(*model, *prompt),
            "<bos><start_of_turn>user\n\n\n<start_of_image><image_soft_token><image_soft_token><image_soft_token>"
            "<image_soft_token><end_of_image>\n\nwhat<end_of_turn>\n<start_of_turn>model\n");
}

TEST(mobile_model, reads_ids_of_its_tower_by_their_own_rows) {
  backend::reference<float> on;
  const auto model = opened<mobile_model>("gemma3n-eyes", on);
  ASSERT_TRUE(model) << model.error().message;
  const auto tower = load::make_tower<mobile_eyes, 20>(
      *io::open_safetensors(std::string(G4_SOURCE_DIR) + "/conformance/cases/gemma3n-eyes/model.safetensors"),
      load::format::safetensors, on);
  ASSERT_TRUE(tower) << tower.error().message;
  const auto own = embed_own_ids<mobile_eyes, 20>(on, **tower);
  ASSERT_TRUE(own);

  // The same prompt, and the same id behind it, by a text that knows nothing of towers and is given the rows.
  const std::vector<token_id> ids{2, 40, 187, 41, 184, 184, 42}, behind{185};
  const float* const rows = own->view().rows;
  const std::vector<inlay<float>> laid{{2, 1, rows + 3 * 20}, {4, 1, rows}, {5, 1, rows}};
  const std::vector<inlay<float>> laid_behind{{0, 1, rows + 20}};
  auto knows = model->session({.context = 8, .batch = 3});
  auto told = model->text().session({.context = 8, .batch = 3});
  auto plain = model->text().session({.context = 8, .batch = 3});
  ASSERT_TRUE(knows && told && plain);
  const auto same = [&](auto&& a, auto&& b) {
    ASSERT_TRUE(a && b);
    for (std::size_t i = 0; i < 192; ++i) EXPECT_EQ((*a)[i], (*b)[i]) << i;
  };
  same(knows->run(ids), told->run({ids, laid}));
  same(knows->run(behind), told->run({behind, laid_behind}));
  const auto other = plain->run(ids);
  ASSERT_TRUE(other);
  knows->rewind(0).value();
  EXPECT_NE((*knows->run(ids))[50], (*other)[50]);
}

}  // namespace
}  // namespace g4
