// A Gemma 3 that sees, from its folder to a prompt with a picture in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
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

std::string vocabulary() {
  return test::marked_vocabulary({"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>",
                                  "<start_of_image>", "<image_soft_token>", "<end_of_image>"},
                                 {"\\n", "▁"}, 192);
}

TEST(square_model, a_picture_stands_between_empty_lines) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(G4_SOURCE_DIR) / "conformance/cases/gemma3-eyes";
  const fs::path folder = test::own_path("g4_square_model");
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(from / name, folder / name);
  std::ofstream(folder / "tokenizer.json", std::ios::binary) << vocabulary();
  backend::reference<float> on;
  const auto model = open<small>(folder.string(), on);
  fs::remove_all(folder);
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
  std::string written;
  for (const token_id id : prompt->ids) written += model->tokenizer().piece(id);
  std::string rows;
  for (int i = 0; i < 9; ++i) rows += "<image_soft_token>";
  EXPECT_EQ(written, "<bos><start_of_turn>user\nwhat▁is▁it\n\n<start_of_image>" + rows +
                         "<end_of_image>\n\nthen<end_of_turn>\n<start_of_turn>model\n");
  ASSERT_EQ(prompt->inlays.size(), 1u);
  EXPECT_TRUE(prompt->inlays[0].is_picture);
  EXPECT_EQ(prompt->inlays[0].count, 9u);
}

}  // namespace
}  // namespace g4
