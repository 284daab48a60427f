// Pictures, sounds and embeddings in the program: G4_SENSES_PROGRAM is built for the model of data/senses.json, whose
// weights are random here, and for the embedder of conformance/cases/embeddinggemma.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cli/refused.h"
#include "tests/cli/run_program.h"
#include "tests/cli/senses_folder.h"
#include "tests/support/own_path.h"

namespace {

namespace fs = std::filesystem;
using cli_test::ended;
using cli_test::expect_refused;
using nlohmann::json;
using namespace g4;

const fs::path source(G4_SOURCE_DIR);
std::string data(const std::string& file) { return (source / "tests/media_files/data" / file).string(); }

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A folder of our own with a model that sees and hears, and an embedder.
const fs::path& home() {
  static const fs::path path = [] {
    const fs::path folder = test::own_path("g4_cli_media");
    fs::remove_all(folder);
    EXPECT_EQ(test::make_senses_folder(source, folder), "");
    return folder;
  }();
  return path;
}
class cleaner : public ::testing::Environment {
 public:
  void TearDown() override { fs::remove_all(home()); }
};
const auto* const clean_up = ::testing::AddGlobalTestEnvironment(new cleaner);

ended run(std::vector<std::string> arguments, std::string_view input = {}) {
  arguments.insert(arguments.begin(), G4_SENSES_PROGRAM);
  if (arguments.size() > 1 && arguments[1] != "embed")
    arguments.insert(arguments.begin() + 2, {"-m", (home() / "model").string()});
  return cli_test::run_program(std::move(arguments), input);
}
ended generate(std::vector<std::string> more) {
  std::vector<std::string> all{"generate", "--mode", "exact", "--json", "--max-tokens", "6"};
  all.insert(all.end(), more.begin(), more.end());
  return run(std::move(all));
}
json read(const ended& e) {
  EXPECT_EQ(e.status, 0) << e.err;
  return e.status == 0 ? json::parse(e.out) : json();
}
TEST(towers, shown_and_timed) {
  const json shown = read(run({"inspect", "--json"}));
  EXPECT_EQ(shown["variant"], "tiny_senses");
  ASSERT_EQ(shown["towers"]["picture"].size(), 8u);
  EXPECT_EQ(shown["towers"]["picture"][0], "picture::any_aspect{.side = 6}");
  EXPECT_EQ(shown["towers"]["sound"][1], "frames{.samples = 10}");
  EXPECT_NE(run({"inspect"}).out.find("picture tower\n  picture::any_aspect{.side = 6}\n"), std::string::npos);
  const json timed = read(run({"bench", "-p", "8", "-n", "0", "-r", "2", "--json"}));
  ASSERT_EQ(timed.size(), 3u);
  EXPECT_EQ(timed[1]["test"], "picture 896x896");
  EXPECT_EQ(timed[1]["n_prompt"], 64);          // 8 x 8 patches: the most that 70 tokens leave of a square
  EXPECT_EQ(timed[2]["test"], "sound 0.469 s");  // all that this model hears at once
  EXPECT_EQ(timed[2]["n_prompt"], 750);
  EXPECT_GT(timed[2]["median_ts"], 0);
  EXPECT_FALSE(timed[1].contains("stages"));
}

TEST(towers, timed_by_stage) {
  const json timed = read(run({"bench", "-p", "8", "-n", "0", "-r", "2", "--json", "--verbose"}));
  ASSERT_EQ(timed.size(), 3u);
  EXPECT_FALSE(timed[0].contains("stages"));  // a text has none
  std::vector<std::string> names;
  double all = 0;
  for (const json& one : timed[1]["stages"]) {
    names.push_back(one["stage"]);
    all += one["seconds"].get<double>();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"features", "patch_ln1", "patch_dense", "patch_ln2", "pos_embedding",
                                             "pos_norm", "soft_tokens"}));
  // The fastest run, to the last stage.
  EXPECT_LE(all, 1.001 * 64 / timed[1]["max_ts"].get<double>());
  EXPECT_GT(all, 0);
  const ended shown = run({"bench", "-p", "8", "-n", "0", "-r", "1", "--verbose"});
  EXPECT_NE(shown.out.find("\npicture 896x896, its fastest run "), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("\nsoft_tokens "), std::string::npos);
}

#if defined(G4_PROGRAM_MEDIA)
TEST(media, pictures_and_sounds_take_tokens_and_matter) {
  const json seen = read(generate({"--image", data("rgb.png"), "--audio", data("16k_mono.wav"), "what"}));
  ASSERT_EQ(seen["media"].size(), 2u);
  EXPECT_EQ(seen["media"][0]["tokens"], 60);  // √(70·36/117)·(9, 13) = (41.8, 60.3) → 6 x 10 patches of 6
  EXPECT_EQ(seen["media"][1]["tokens"], 48);  // 480 samples, 10 in a frame
  EXPECT_EQ(seen["prompt_tokens"], 1 + (60 + 2) + (48 + 2) + 4);
  const json darker = read(generate({"--image", data("grey.jpg"), "--audio", data("16k_mono.wav"), "what"}));
  EXPECT_NE(seen["tokens"], darker["tokens"]);
  const json louder = read(generate({"--image", data("rgb.png"), "--audio", data("48k_float_3.wav"), "what"}));
  EXPECT_NE(seen["tokens"], louder["tokens"]);
  EXPECT_EQ(read(generate({"--image", data("rgb.png"), "--audio", data("16k_mono.wav"), "what"}))["tokens"],
            seen["tokens"]);
}

TEST(media, words_say_where_they_stand) {
  const json front = read(generate({"--image", data("rgb.png"), "what"}));
  EXPECT_EQ(read(generate({"--image", data("rgb.png"), "<image>what"}))["tokens"], front["tokens"]);
  const json behind = read(generate({"--image", data("rgb.png"), "what<image>"}));
  EXPECT_EQ(behind["prompt_tokens"], front["prompt_tokens"]);
  EXPECT_NE(behind["tokens"], front["tokens"]);
  // The first word is the first picture's.
  const std::vector<std::string> two{"--image", data("rgb.png"), "--image", data("grey.png"), "a<image>b<image>"};
  const std::vector<std::string> turned{"--image", data("grey.png"), "--image", data("rgb.png"), "a<image>b<image>"};
  EXPECT_NE(read(generate(two))["tokens"], read(generate(turned))["tokens"]);
  // Without a file the word is a word.
  EXPECT_EQ(read(generate({"<image>"}))["prompt_tokens"], 1 + 7);
  expect_refused(generate({"--image", data("rgb.png"), "<image> <image>"}),
                 "the text says <image> 2 times, and 1 files were given for it");
}

TEST(media, a_question_is_a_turn) {
  const json turn = read(generate({"--turn", "--image", data("rgb.png"), "what"}));
  EXPECT_GT(turn["prompt_tokens"], read(generate({"--image", data("rgb.png"), "what"}))["prompt_tokens"]);
}

/// A folder with three pictures of the data as frames.
std::string frames_of() {
  const fs::path folder = home() / "frames";
  fs::create_directories(folder);
  const char* const names[] = {"rgb.png", "rgba.png", "grey.png"};
  for (int i = 0; i < 3; ++i) {
    fs::copy_file(data(names[i]), folder / ("frame" + std::to_string(i) + ".png"), fs::copy_options::overwrite_existing);
  }
  return folder.string();
}

TEST(media, a_video_is_its_frames_with_their_times) {
  const std::string frames = frames_of();
  const json seen = read(generate({"--video", frames, "--video-rate", "0.5", "what"}));
  ASSERT_EQ(seen["media"].size(), 1u);
  const std::size_t tokens = seen["media"][0]["tokens"];
  EXPECT_EQ(tokens, 3 * 60);  // 13 x 9 pixels each, as a picture of 70 tokens
  // "00:00 <frame> 00:02 <frame> 00:04 <frame>what": this vocabulary has no digits, so that a time is one unknown token
  EXPECT_EQ(seen["prompt_tokens"], 1 + (2 + 62) + (3 + 62) + (3 + 62) + 4);
  // The same said with pictures, in their places.
  const json pictures =
      read(generate({"--image", frames + "/frame0.png", "--image", frames + "/frame1.png", "--image",
                     frames + "/frame2.png", "00:00 <image> 00:02 <image> 00:04 <image>what"}));
  EXPECT_EQ(pictures["prompt_tokens"], seen["prompt_tokens"]);
  EXPECT_EQ(pictures["tokens"], seen["tokens"]);
  EXPECT_NE(read(generate({"--video", frames, "what"}))["tokens"], json());
  const json behind = read(generate({"--video", frames, "--image", data("rgb.png"), "<image>what<video>"}));
  EXPECT_EQ(behind["prompt_tokens"], 1 + 62 + 4 + (2 + 62) + 2 * (3 + 62));
  expect_refused(generate({"--video", frames, "<video> <video>"}), "the text says <video> 2 times");
  // In a conversation it is the same video.
  const std::vector<std::string> chat{"chat", "--mode", "exact", "--temperature", "0", "--max-tokens", "5", "--stats"};
  const ended talk = run(chat, "/video " + frames + "\nwhat\n");
  EXPECT_EQ(talk.status, 0) << talk.err;
  EXPECT_NE(talk.err.find("frames: 3 of 3 frames, 0.12 seconds, 180 tokens in "), std::string::npos) << talk.err;
  auto at_once = chat;
  at_once.insert(at_once.end(), {"--video", frames});
  EXPECT_EQ(run(at_once, "what\n").out, talk.out);
  EXPECT_NE(run(chat, "what\n").out, talk.out);
}

TEST(media, videos_that_are_refused) {
  const fs::path empty = home() / "no_frames";
  fs::create_directories(empty);
  expect_refused(generate({"--video", empty.string(), "x"}), "no_frames: holds no frames");
  expect_refused(generate({"--video", (home() / "none.mp4").string(), "x"}), "none.mp4");
  expect_refused(generate({"--video", frames_of(), "--video-rate", "-1", "x"}), "need a time between two");
  expect_refused(generate({"--video", data("rgb.png"), "--draft", "lookup", "x"}), "--draft");
  expect_refused(run({"chat", "--max-tokens", "2"}, "/video\nwhat\n"), "/video needs a path");
}

TEST(media, refusals) {
  expect_refused(generate({"--image", data("none.png"), "x"}), "none.png");
  expect_refused(generate({"--image", data("16k_mono.wav"), "x"}), "16k_mono.wav: is no picture");
  expect_refused(generate({"--audio", data("rgb.png"), "x"}), "rgb.png: is no sound");
  expect_refused(generate({"--image", data("rgb.png"), "--image-tokens", "100", "x"}), "a budget of 100 soft tokens");
  expect_refused(generate({"--image", data("rgb.png"), "--draft", "lookup", "x"}), "--draft");
  const std::string text_only = (fs::path(G4_SOURCE_DIR) / "conformance/cases/gemma3-1b").string();
  expect_refused(
      cli_test::run_program({G4_SENSES_PROGRAM, "generate", "-m", text_only, "--image", data("rgb.png"), "x"}),
      "is no");
}

TEST(media, shown_in_a_conversation) {
  const std::vector<std::string> chat{"chat", "--mode", "exact", "--temperature", "0", "--max-tokens", "5", "--stats"};
  const ended talk = run(chat, "/image " + data("rgb.png") + "\nwhat\nand\n/audio " + data("16k_mono.wav") + "\nnow\n");
  EXPECT_EQ(talk.status, 0) << talk.err;
  EXPECT_NE(talk.err.find("rgb.png: 13 x 9 pixels, 60 tokens in "), std::string::npos) << talk.err;
  EXPECT_NE(talk.err.find("16k_mono.wav: 0.03 seconds, 48 tokens in "), std::string::npos) << talk.err;
  const ended blind = run(chat, "what\nand\nnow\n");
  EXPECT_EQ(blind.status, 0);
  EXPECT_NE(talk.out, blind.out);
  // The same conversation with the picture given at once, and other batches, says the same.
  auto at_once = chat;
  at_once.insert(at_once.end(), {"--image", data("rgb.png"), "--batch", "7"});
  EXPECT_EQ(run(at_once, "what\nand\n/audio " + data("16k_mono.wav") + "\nnow\n").out, talk.out);
  // Another picture at the same place after /clear is another text.
  const ended again =
      run(chat, "/image " + data("rgb.png") + "\nwhat\n/clear\n/image " + data("rgba.png") + "\nwhat\n");
  const ended alone = run(chat, "/image " + data("rgba.png") + "\nwhat\n");
  EXPECT_EQ(again.out.substr(again.out.size() - alone.out.size()), alone.out);
  expect_refused(run(chat, "/image " + data("none.png") + "\nwhat\n"), "none.png");
}
#endif

TEST(quantize, both_files_of_a_model_with_towers) {
  const fs::path folder = home() / "made";
  fs::create_directories(folder);
  const std::string out = (folder / "small.gguf").string(), beside = (folder / "mmproj-small.gguf").string();
  const auto quantize = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"quantize", "--to", "BF16", "--out", out};
    all.insert(all.end(), more.begin(), more.end());
    return run(std::move(all));
  };
  const json done = read(quantize({"--json"}));
  EXPECT_EQ(done["mmproj"]["out"], beside);
  EXPECT_EQ(done["mmproj"]["tensors"], 11);
  EXPECT_EQ(done["mmproj"]["relative_error"], 0);  // as they are, F32 here
  EXPECT_EQ(done["left_out"], 0);
  ASSERT_TRUE(fs::exists(beside));
  const auto said = [&](const std::string& model, const std::string& picture) {
    return cli_test::run_program({G4_SENSES_PROGRAM, "generate", "-m", model, "--mode", "exact", "--json",
                                  "--max-tokens", "6", "--image", data(picture), "--audio", data("16k_mono.wav"), "what"});
  };
#if defined(G4_PROGRAM_MEDIA)
  const json seen = read(said(out, "rgb.png"));
  EXPECT_EQ(seen["media"][0]["tokens"], 60);
  EXPECT_NE(seen["tokens"], read(said(out, "grey.jpg"))["tokens"]);
#endif
  const auto of_f32 = fs::file_size(beside);
  const json half = read(quantize({"--json", "--no-check", "--towers-to", "F16"}));
  EXPECT_GT(half["mmproj"]["relative_error"], 0);
  EXPECT_LT(fs::file_size(beside), of_f32);
  EXPECT_NE(quantize({"--no-check"}).out.find("mmproj-small.gguf: the towers\n"), std::string::npos);

  fs::remove(beside);
  const json alone = read(quantize({"--json", "--no-check", "--no-towers"}));
  EXPECT_EQ(alone["mmproj"], nullptr);
  EXPECT_EQ(alone["left_out"], 11);
  EXPECT_FALSE(fs::exists(beside));
  expect_refused(said(out, "rgb.png"), "no mmproj file lies beside it");

  expect_refused(quantize({"--no-check", "--mmproj", out}), "is to hold the text");
  expect_refused(quantize({"--no-check", "--mmproj", (home() / "model/model.safetensors").string()}), "model.safetensors");
  expect_refused(quantize({"--no-check", "--no-towers", "--towers-to", "F16"}), "has no towers that would be written");
  // Where the text cannot be written, its towers are not left alone.
  const fs::path taken = folder / "taken.gguf";
  fs::create_directories(taken);
  expect_refused(run({"quantize", "--to", "BF16", "--no-check", "--out", taken.string()}), "taken.gguf");
  EXPECT_FALSE(fs::exists(folder / "mmproj-taken.gguf"));
  // A program for a model of text alone does not quietly leave towers out.
  expect_refused(cli_test::run_program({G4_PROGRAM, "quantize", "-m", (home() / "model").string(), "--to", "BF16",
                                        "--no-check", "--out", out}),
                 "has towers that this program was not built for (--no-towers writes the text alone)");
}

TEST(embed, as_many_vectors_as_texts) {
  const std::string model = (home() / "embedder").string();
  const json j = read(run({"embed", "-m", model, "--mode", "exact", "a cat", "a dog"}));
  ASSERT_EQ(j["embeddings"].size(), 2u);
  for (const json& e : j["embeddings"]) {
    double sum = 0;
    for (const json& x : e["vector"]) sum += x.get<double>() * x.get<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_EQ(e["vector"].size(), 32u);
  }
  EXPECT_NE(j["embeddings"][0]["vector"], j["embeddings"][1]["vector"]);
  EXPECT_EQ(j["embeddings"][0]["tokens"], 2 + 5);  // begin, the letters, end

  // Lines of stdin are the same texts, and raw numbers the same numbers.
  const ended raw = run({"embed", "-m", model, "--mode", "exact", "--raw"}, "a cat\n\na dog\n");
  ASSERT_EQ(raw.out.size(), 2 * 32 * sizeof(float)) << raw.err;
  for (std::size_t i = 0; i < 64; ++i) {
    float x = 0;
    std::memcpy(&x, raw.out.data() + i * sizeof(float), sizeof(float));
    EXPECT_EQ(x, j["embeddings"][i / 32]["vector"][i % 32].get<float>());
  }
  const json short_ones = read(run({"embed", "-m", model, "--mode", "exact", "--numbers", "8", "a cat"}));
  const json& eight = short_ones["embeddings"][0]["vector"];
  ASSERT_EQ(eight.size(), 8u);
  const auto whole = j["embeddings"][0]["vector"];
  EXPECT_NEAR(eight[1].get<double>() / eight[0].get<double>(), whole[1].get<double>() / whole[0].get<double>(), 1e-4);
  EXPECT_NE(read(run({"embed", "-m", model, "--mode", "exact", "--task", "query", "a cat"}))["embeddings"][0]["vector"],
            whole);
}

TEST(embed, refusals) {
  const std::string model = (home() / "embedder").string();
  expect_refused(run({"embed", "-m", (home() / "model").string(), "x"}), "is a model that answers");
  expect_refused(run({"embed", "-m", model, "--numbers", "100", "x"}), "100 numbers of a vector that has 32");
  expect_refused(run({"embed", "-m", model, "--context", "3", "a cat"}), "text 1 of 1: has 7 tokens; --context leaves room for 3");
  expect_refused(run({"embed", "-m", model}, "\n"), "nothing to embed");
  expect_refused(cli_test::run_program({G4_PROGRAM, "embed", "-m", model, "x"}), "built for one model");
}

#if defined(G4_EXAMPLE_07)
TEST(examples, a_picture_described_and_a_sound_written_down) {
  const std::string model = (home() / "model").string();
  const ended picture = cli_test::run_program({G4_EXAMPLE_07, model, data("rgb.png"), "what"});
  EXPECT_EQ(picture.status, 0) << picture.err;
  EXPECT_EQ(picture.err, "13 x 9 pixels are 60 tokens\n");
  EXPECT_GT(picture.out.size(), 1u);
  EXPECT_EQ(cli_test::run_program({G4_EXAMPLE_07, model, data("none.png")}).status, 1);
  const ended sound = cli_test::run_program({G4_EXAMPLE_08, model, data("44k.mp3")});
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_GT(sound.out.size(), 1u);
}
#endif

#if defined(G4_EXAMPLE_09)
TEST(examples, ten_texts_in_the_order_of_their_nearness) {
  const ended e = cli_test::run_program({G4_EXAMPLE_09, (home() / "embedder").string(), "which planet is red"});
  EXPECT_EQ(e.status, 0) << e.err;
  EXPECT_EQ(std::count(e.out.begin(), e.out.end(), '\n'), 10);
  double before = 1.001;
  std::istringstream lines(e.out);
  for (std::string line; std::getline(lines, line);) {
    const double nearness = std::stod(line);
    EXPECT_LE(nearness, before);
    before = nearness;
  }
}
#endif

}  // namespace
