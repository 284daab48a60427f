// The command line program, seen from outside: G4_PROGRAM is built for the variant of data/config.json, whose weights
// are random here, and G4_REAL_PROGRAM for Gemma 3 270M.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "g4/io/mapped_file.h"
#include "g4/io/safetensors_writer.h"
#include "g4/load/config.h"
#include "g4/ops/kl_divergence.h"
#include "tests/cli/refused.h"
#include "tests/cli/run_program.h"
#include "tests/support/random_checkpoint.h"

namespace {

namespace fs = std::filesystem;
using cli_test::ended;
using cli_test::expect_refused;
using cli_test::on_terminal;
using cli_test::run;
using nlohmann::json;

/// Unwraps, or ends the test with the sentence.
template <class T>
T must(g4::result<T> r) {
  if (!r) throw std::runtime_error(r.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

/// A folder of our own that holds a whole tiny model.
const std::string& tiny() {
  static const std::string path = [] {
    const fs::path folder = fs::path(::testing::TempDir()) / ("g4-cli-" + std::to_string(::getpid()));
    fs::create_directories(folder / "model");
    const fs::path source(G4_SOURCE_DIR);
    fs::copy_file(source / "tests/cli/data/config.json", folder / "model/config.json");
    fs::copy_file(source / "tests/text/data/small.json", folder / "model/tokenizer.json");
    const auto config = must(g4::io::map_file((folder / "model/config.json").string()));
    const g4::text_spec spec = must(g4::load::read_config(g4::io::text_of(config->bytes()), "config.json"));
    const g4::test::random_checkpoint weights(spec);
    std::vector<g4::io::tensor_plan> plan;
    for (const auto& t : weights.file().tensors()) plan.push_back({t.name, t.type, t.dims});
    auto out = must(g4::io::write_safetensors((folder / "model/model.safetensors").string(), plan));
    for (const auto& t : weights.file().tensors()) must(out.write(t.name, t.bytes));
    must(out.finish());
    std::ofstream(folder / "text.txt") << "the cat sat on the mat and the dog sat on the cat";
    return folder.string();
  }();
  return path;
}
std::string model() { return tiny() + "/model"; }

class cleaner : public ::testing::Environment {
 public:
  void TearDown() override { fs::remove_all(tiny()); }
};
const auto* const clean_up = ::testing::AddGlobalTestEnvironment(new cleaner);

/// Exit status 2, a hint at --help, nothing on stdout.
void expect_wrong_usage(const ended& e, std::string_view reason) {
  EXPECT_EQ(e.status, 2) << e.err;
  EXPECT_EQ(e.out, "");
  EXPECT_NE(e.err.find("--help"), std::string::npos) << e.err;
  EXPECT_NE(e.err.find(reason), std::string::npos) << e.err;
}

TEST(generate, the_same_seed_gives_the_same_text) {
  const std::vector<std::string> with_seed{"generate", "-m",           model(), "--temperature", "1",      "--seed",
                                           "7",        "--max-tokens", "20",    "--raw",         "the cat"};
  const ended first = run(with_seed);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_EQ(run(with_seed).out, first.out);
  auto another = with_seed;
  another[6] = "8";
  EXPECT_NE(run(another).out, first.out);
}

TEST(generate, threads_and_batches_without_influence_in_exact_mode) {
  const auto with = [](const char* threads, const char* batch) {
    return run({"generate", "-m", model(), "--mode", "exact", "-t", threads, "--batch", batch, "--max-tokens", "12",
                "--raw", "the cat sat on the mat"});
  };
  const ended one = with("1", "256");
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(with("3", "256").out, one.out);
  EXPECT_EQ(with("2", "3").out, one.out);
}

TEST(generate, quiet_when_nobody_is_looking) {
  const ended e = run({"generate", "-m", model(), "--max-tokens", "5", "the cat"});
  EXPECT_EQ(e.status, 0);
  EXPECT_EQ(e.err, "");
  const ended asked = run({"generate", "-m", model(), "--max-tokens", "5", "--stats", "the cat"});
  EXPECT_NE(asked.err.find("per second"), std::string::npos) << asked.err;
  EXPECT_EQ(asked.out, e.out);
}

TEST(generate, the_prompt_from_stdin) {
  const ended argument = run({"generate", "-m", model(), "--max-tokens", "8", "--raw", "the cat"});
  EXPECT_EQ(run({"generate", "-m", model(), "--max-tokens", "8", "--raw"}, "the cat").out, argument.out);
  EXPECT_EQ(run({"generate", "-m", model(), "--max-tokens", "8", "--raw", "-"}, "the cat").out, argument.out);
}

TEST(generate, json_with_everything) {
  const ended e = run({"generate", "-m", model(), "--json", "--max-tokens", "6", "--raw", "the cat"});
  ASSERT_EQ(e.status, 0) << e.err;
  const json j = json::parse(e.out);
  EXPECT_EQ(j["variant"], "tiny_gemma");
  EXPECT_EQ(j["tokens"].size(), 6u);
  EXPECT_EQ(j["stopped"], "token limit");
  EXPECT_EQ(j["prompt"], "the cat");
  EXPECT_EQ(j["text"].get<std::string>() + "\n",
            run({"generate", "-m", model(), "--max-tokens", "6", "--raw", "the cat"}).out);
}

TEST(generate, guesses_without_influence_on_the_answer) {
  const std::vector<std::string> plain{"generate", "-m",           model(), "--mode", "exact",
                                       "--json",   "--max-tokens", "40",    "--raw",  "the cat sat on the mat"};
  auto guessing = plain;
  guessing.insert(guessing.end() - 1, {"--draft", "lookup", "--guesses", "3", "--compare"});
  const ended e = run(guessing);
  ASSERT_EQ(e.status, 0) << e.err;
  const json j = json::parse(e.out);
  EXPECT_EQ(j["tokens"], json::parse(run(plain).out)["tokens"]);
  EXPECT_GT(j["guessed"], 0);
  EXPECT_EQ(j["drafter"], "lookup");
}

TEST(generate, refusals) {
  expect_refused(run({"generate", "-m", model() + "/none", "x"}), "none");
  expect_refused(run({"generate", "-m", model(), "--temperature", "-1", "x"}), "temperature is -1");
  expect_refused(run({"generate", "-m", model(), "--top-p", "0", "x"}), "top_p");
  expect_refused(run({"generate", "-m", model(), "--context", "4", "the cat sat on the mat"}), "context of 4 tokens");
  expect_refused(run({"generate", "-m", model(), "--raw", ""}), "nothing to continue");
  expect_refused(run({"generate", "-m", model(), "--draft", "lookup", "--temperature", "1", "x"}), "--draft");
  expect_refused(run({"generate", "-m", model(), "--draft", "lookup", "--repetition-penalty", "1.2", "x"}),
                 "--repetition-penalty");
  expect_refused(run({"generate", "-m", model(), "--draft", model(), "x"}), "is no drafter");
  expect_refused(run({"generate", "-m", model(), "--draft", "lookup", "--batch", "2", "x"}), "batch");
  expect_refused(run({"generate", "-m", std::string(G4_SOURCE_DIR) + "/conformance/cases/gemma3-1b", "x"}),
                 "the nearest is tiny_gemma");
  expect_refused(run({"generate", "-m", std::string(G4_SOURCE_DIR) + "/README.md", "x"}), "README.md");
#if defined(G4_PROGRAM_MEDIA)
  constexpr std::string_view blind = "tiny_gemma is a model of text alone: it neither sees nor hears";
#else
  constexpr std::string_view blind = "was built without what reads pictures and sounds";
#endif
  const std::string media = std::string(G4_SOURCE_DIR) + "/tests/media_files/data/";
  expect_refused(run({"generate", "-m", model(), "--image", media + "rgb.png", "x"}), blind);
  expect_refused(run({"generate", "-m", model(), "--audio", media + "16k_mono.wav", "x"}), blind);
  const fs::path frames = fs::path(testing::TempDir()) / ("g4_frames_" + std::to_string(getpid()));
  fs::create_directories(frames);
  fs::copy_file(media + "rgb.png", frames / "0001.png", fs::copy_options::overwrite_existing);
  expect_refused(run({"generate", "-m", model(), "--video", frames.string(), "x"}), blind);
  fs::remove_all(frames);
}

TEST(generate, on_a_gpu_or_a_sentence_why_not) {
  const auto with = [](const char* backend) {
    return run({"generate", "-m", model(), "--backend", backend, "--mode", "exact", "--temperature", "0", "--max-tokens",
                "12", "the cat"});
  };
  const ended e = with("cuda");
  if (e.status == 0) {
    EXPECT_EQ(e.out, with("cpu").out);
  } else {
    EXPECT_EQ(e.out, "");
    EXPECT_NE(e.err.find("--backend cuda: "), std::string::npos) << e.err;
    EXPECT_EQ(std::count(e.err.begin(), e.err.end(), '\n'), 1) << e.err;
  }
  for (std::vector<std::string> words : {std::vector<std::string>{"perplexity", tiny() + "/text.txt"},
                                         {"bench", "--prompt", "4", "--generate", "2"}}) {
    words.insert(words.begin() + 1, {"-m", model(), "--backend", "cuda"});
    const ended other = run(words);
    if (other.status != 0) expect_refused(other, "--backend cuda: ");
  }
  expect_refused(run({"embed", "-m", model(), "--backend", "cuda", "x"}),
                 "--backend cuda: texts are embedded on the cpu backend");
}

TEST(generate, wrong_usage) {
  expect_wrong_usage(run({}), "subcommand");
  expect_wrong_usage(run({"sing"}), "");
  expect_wrong_usage(run({"generate", "x"}), "--model");
  expect_wrong_usage(run({"generate", "-m", model(), "--threads", "0", "x"}), "--threads");
  expect_wrong_usage(run({"generate", "-m", model(), "--threads", "-3", "x"}), "--threads");
  expect_wrong_usage(run({"generate", "-m", model(), "--max-tokens", "many", "x"}), "many");
  expect_wrong_usage(run({"generate", "-m", model(), "--max-tokens", "99999999999999999999999", "x"}), "--max-tokens");
  expect_wrong_usage(run({"generate", "-m", model(), "--mode", "quick", "x"}), "quick");
  expect_wrong_usage(run({"generate", "-m", model(), "--loud", "x"}), "--loud");
  expect_wrong_usage(run({"inspect"}), "--variant");
}

TEST(help, examples_for_every_command) {
  for (const char* command :
       {"generate", "chat", "tokenize", "inspect", "perplexity", "logits", "bench", "quantize", "embed", "serve"}) {
    const ended e = run({command, "--help"});
    EXPECT_EQ(e.status, 0) << command;
    EXPECT_NE(e.out.find("Examples:\n  g4 " + std::string(command)), std::string::npos) << e.out;
  }
}

TEST(generate, a_reader_that_goes_away) {
  // The shell's status is the program's: closing stdin and stdout early must end in neither a signal nor a message.
  const std::string line = "{ '" G4_PROGRAM "' generate -m '" + model() + "' --max-tokens 400 --raw x; echo $? > '" +
                           tiny() + "/status'; } 2> '" + tiny() + "/errors' | head -c 1 > /dev/null";
  EXPECT_EQ(std::system(line.c_str()), 0);
  std::string status, errors;
  std::getline(std::ifstream(tiny() + "/status"), status);
  std::getline(std::ifstream(tiny() + "/errors"), errors);
  EXPECT_EQ(status, "0");
  EXPECT_EQ(errors, "");
}

TEST(generate, a_full_disk) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  const std::string line =
      "'" G4_PROGRAM "' generate -m '" + model() + "' --max-tokens 5 x > /dev/full 2> '" + tiny() + "/errors'";
  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1);
  std::string errors;
  std::getline(std::ifstream(tiny() + "/errors"), errors);
  EXPECT_NE(errors.find("stdout: cannot be written"), std::string::npos) << errors;
}

TEST(tokenize, there_and_back) {
  const ended ids = run({"tokenize", "-m", model(), "--ids", "--raw", "the cat sat"});
  ASSERT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(run({"tokenize", "-m", model(), "--decode", ids.out}).out, "the cat sat");
  EXPECT_EQ(run({"tokenize", "-m", model(), "--decode"}, ids.out).out, "the cat sat");
  EXPECT_EQ(run({"tokenize", "-m", model(), "--ids"}, "the cat sat").out, "2 " + ids.out);
  const json j = json::parse(run({"tokenize", "-m", model(), "--json", "a\nb"}).out);
  EXPECT_EQ(j["ids"].size(), j["pieces"].size());
  EXPECT_EQ(j["pieces"][0], "<bos>");
}

TEST(tokenize, control_tokens_only_when_asked_for) {
  EXPECT_EQ(run({"tokenize", "-m", model(), "--ids", "--special", "<start_of_turn>"}).out, "2 7\n");
  EXPECT_NE(run({"tokenize", "-m", model(), "--ids", "<start_of_turn>"}).out, "2 7\n");
  EXPECT_EQ(run({"tokenize", "-m", model(), "--decode", "--special", "7"}).out, "<start_of_turn>");
  EXPECT_EQ(run({"tokenize", "-m", model(), "--decode", "7"}).out, "");
}

TEST(tokenize, refusals) {
  expect_refused(run({"tokenize", "-m", model(), "--decode", "1 two 3"}), "'two' is no token id");
  expect_refused(run({"tokenize", "-m", model(), "--decode", "123456"}), "123456");
  expect_refused(run({"tokenize", "-m", model(), "--decode", "99999999999"}), "99999999999");
}

TEST(inspect, layers_and_memory_of_a_file) {
  const json j = json::parse(run({"inspect", "-m", model(), "--json"}).out);
  EXPECT_EQ(j["variant"], "tiny_gemma");
  EXPECT_EQ(j["fields"]["layers"], "6");
  EXPECT_EQ(j["fields"]["experts"], "none");
  ASSERT_EQ(j["layers"].size(), 6u);
  EXPECT_EQ(j["layers"][0]["window"], 32);
  EXPECT_EQ(j["layers"][5]["sees"], "global");
  EXPECT_EQ(j["layers"][5]["reads_cache_of"], 5);
  EXPECT_EQ(j["tensors"].size(), 2u + 6 * 13);
  EXPECT_GT(j["memory"]["sessions"][1]["cache"], j["memory"]["sessions"][0]["cache"]);
  const ended text = run({"inspect", "-m", model(), "--tensors"});
  EXPECT_NE(text.out.find("model.layers.5.mlp.down_proj.weight"), std::string::npos);
}

TEST(inspect, a_model_that_the_program_cannot_run) {
  const std::string other = std::string(G4_SOURCE_DIR) + "/conformance/cases/gemma4-e2b";
  const json j = json::parse(run({"inspect", "-m", other, "--json"}).out);
  EXPECT_TRUE(j["variant"].is_null());
  EXPECT_EQ(j["nearest"], "tiny_gemma");
  EXPECT_FALSE(j["differences"].empty());
  const ended text = run({"inspect", "-m", other});
  EXPECT_EQ(text.status, 0);
  EXPECT_NE(text.out.find("reads layer"), std::string::npos) << text.out;
}

TEST(inspect, a_variant_by_its_name) {
  EXPECT_NE(run({"inspect", "--variant", "tiny_gemma"}).out.find("may be absent"), 0u);
  EXPECT_EQ(run({"inspect", "--variant", "tiny_gemma"}).status, 0);
  expect_refused(run({"inspect", "--variant", "gemma9"}), "there is no gemma9; this program knows tiny_gemma");
}

TEST(inspect, where_a_pipeline_can_cut_it) {
  const ended cuts = run({"inspect", "--variant", "tiny_gemma", "--cuts"});
  EXPECT_NE(cuts.out.find("as a pipeline it can be cut before layers 1 to 5\n"), std::string::npos) << cuts.out;
  const ended stages = run({"inspect", "--variant", "tiny_gemma", "--pipeline", "2,5"});
  for (const char* line : {"a pipeline of 3 stages", "    0  0 to 1 ", "    1  2 to 4 ", "    2  5 "}) {
    EXPECT_NE(stages.out.find(line), std::string::npos) << line << " is not in\n" << stages.out;
  }
  const json both =
      json::parse(run({"inspect", "--variant", "tiny_gemma", "--cuts", "--pipeline", "2,5", "--json"}).out);
  EXPECT_EQ(both["cuts"]["last"], 5);
  ASSERT_EQ(both["cuts"]["even"].size(), 3u) << "two, three and four stages";
  for (std::size_t i = 0; i < 3; ++i) {
    const json& even = both["cuts"]["even"][i];
    EXPECT_EQ(even["cut_before"].size(), i + 1) << even;
    EXPECT_EQ(even["weights"].size(), i + 2) << even;
  }
  const json& three = both["pipeline"];
  EXPECT_EQ(three["cut_before"], json({2, 5}));
  EXPECT_EQ(three["weights"], both["cuts"]["even"][1]["weights"]) << "which is the same three";
  EXPECT_EQ(three["sessions"][1]["context"], 32'768);
  EXPECT_EQ(three["sessions"][1]["cache"].size(), 3u);
  EXPECT_EQ(three["sent_a_token"], 4 * both["width"].get<int>());
  EXPECT_FALSE(json::parse(run({"inspect", "--variant", "tiny_gemma", "--json"}).out).contains("cuts"));
  expect_refused(run({"inspect", "--variant", "tiny_gemma", "--pipeline", "6"}),
                 "--pipeline 6: it cannot be cut before layer 6, only before layers 1 to 5; --cuts says where it can be");
  expect_refused(run({"inspect", "--variant", "tiny_gemma", "--pipeline", "3,3"}),
                 "--pipeline 3,3: every cut stands behind the one before it");
  expect_refused(run({"generate", "-m", "/nowhere", "--pipeline", "auto", "a"}), "--pipeline: ");
  const ended unknown = run({"generate", "-m", "/nowhere", "--pipeline", "even", "a"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("--pipeline: 'even' is neither auto nor a list of layers from 1, commas between them"),
            std::string::npos)
      << unknown.err;
}

std::vector<float> floats_of(const std::string& path) {
  const auto file = must(g4::io::map_file(path));
  std::vector<float> numbers(file->bytes().size() / 4);
  std::memcpy(numbers.data(), file->bytes().data(), numbers.size() * 4);
  return numbers;
}

void write_ids(const std::string& path, const std::vector<std::int32_t>& ids) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(ids.size() * sizeof ids[0]));
}

TEST(logits, one_row_per_token_that_perplexity_agrees_with) {
  const json tokens =
      json::parse(run({"tokenize", "-m", model(), "--json"}, "the cat sat on the mat and the dog sat on the cat").out);
  const auto ids = tokens["ids"].get<std::vector<std::int32_t>>();
  write_ids(tiny() + "/ids.i32", ids);
  const ended e = run({"logits", "-m", model(), "--mode", "exact", "--batch", "3", "--ids", tiny() + "/ids.i32",
                       "--out", tiny() + "/logits.f32"});
  ASSERT_EQ(e.status, 0) << e.err;
  EXPECT_EQ(e.out + e.err, "");
  const std::vector<float> rows = floats_of(tiny() + "/logits.f32");
  ASSERT_EQ(rows.size(), ids.size() * 1024);
  double nll = 0;
  for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
    double sum = 0;
    for (std::size_t i = 0; i < 1024; ++i) sum += std::exp(static_cast<double>(rows[t * 1024 + i]));
    nll += std::log(sum) - static_cast<double>(rows[t * 1024 + static_cast<std::size_t>(ids[t + 1])]);
  }
  const ended p = run({"perplexity", "-m", model(), "--mode", "exact", "--json", tiny() + "/text.txt"});
  ASSERT_EQ(p.status, 0) << p.err;
  const json j = json::parse(p.out);
  EXPECT_EQ(j["tokens"], ids.size() - 1);
  EXPECT_NEAR(j["mean_nll"].get<double>(), nll / static_cast<double>(ids.size() - 1), 1e-5);
  EXPECT_NEAR(std::log(j["perplexity"].get<double>()), j["mean_nll"].get<double>(), 1e-9);
}

TEST(logits, refusals_that_leave_no_file) {
  std::ofstream(tiny() + "/odd.i32", std::ios::binary) << "abcde";
  expect_refused(run({"logits", "-m", model(), "--ids", tiny() + "/odd.i32", "--out", tiny() + "/never.f32"}),
                 "has 5 bytes");
  std::ofstream(tiny() + "/wild.i32", std::ios::binary) << "abcd";
  expect_refused(run({"logits", "-m", model(), "--ids", tiny() + "/wild.i32", "--out", tiny() + "/never.f32"}),
                 "outside the vocabulary");
  expect_refused(run({"logits", "-m", model(), "--ids", tiny() + "/wild.i32", "--out", tiny() + "/no/where.f32"}),
                 "where.f32");
  for (const auto& entry : fs::directory_iterator(tiny())) {
    EXPECT_EQ(entry.path().filename().string().find("never"), std::string::npos) << entry.path();
  }
}

TEST(quantize, a_file_that_runs_and_what_it_costs) {
  const std::string out = tiny() + "/q8.gguf";
  const ended e = run({"quantize", "-m", model(), "--to", "Q8_0", "--out", out, "--json"});
  ASSERT_EQ(e.status, 0) << e.err;
  EXPECT_EQ(e.err, "");
  const json j = json::parse(e.out);
  EXPECT_EQ(j["type"], "Q8_0");
  EXPECT_LT(j["bytes_after"], 0.3 * j["bytes_before"].get<double>());
  EXPECT_GT(j["kl"]["tokens"], 50);
  EXPECT_GT(j["kl"]["mean"], 0);
  EXPECT_LT(j["kl"]["mean"], 0.01);
  EXPECT_GT(j["kl"]["same_first"], 0.8);
  bool queries = false;
  for (const json& t : j["tensors"]) {
    if (t["name"] != "attn_q") continue;
    queries = true;
    EXPECT_EQ(t["count"], 6);
    EXPECT_EQ(t["to"], "Q8_0");
    EXPECT_LT(t["relative_error"], 0.01);
  }
  EXPECT_TRUE(queries);
  const ended ids = run({"tokenize", "-m", model(), "--ids", "the cat sat on the mat"});
  EXPECT_EQ(run({"tokenize", "-m", out, "--ids", "the cat sat on the mat"}).out, ids.out);
  EXPECT_EQ(run({"generate", "-m", out, "--max-tokens", "4", "--raw", "the cat"}).status, 0);
  fs::remove(out);
}

TEST(quantize, a_line_for_each_kind_of_tensor) {
  const std::string out = tiny() + "/q4.gguf";
  const ended e = run({"quantize", "-m", model(), "--to", "Q4_0", "--out", out, "--threads", "2"});
  ASSERT_EQ(e.status, 0) << e.err;
  for (const char* part :
       {"attn_q ", "F32 > Q4_0", "token_embd", "norms and scalars", "bits a weight", "KL from the input"}) {
    EXPECT_NE(e.out.find(part), std::string::npos) << part << "\n" << e.out;
  }
  const ended unchecked = run({"quantize", "-m", model(), "--to", "Q4_0", "--out", out, "--no-check"});
  ASSERT_EQ(unchecked.status, 0) << unchecked.err;
  EXPECT_EQ(unchecked.out.find("KL"), std::string::npos) << unchecked.out;
  expect_refused(run({"quantize", "-m", out, "--to", "Q8_0", "--out", tiny() + "/none"}), "quantised already");
  fs::remove(out);
}

TEST(quantize, refusals_that_leave_no_file) {
  const std::string out = tiny() + "/none.gguf";
  expect_refused(run({"quantize", "-m", model() + "/none", "--to", "Q8_0", "--out", out}), "none");
  expect_refused(run({"quantize", "-m", std::string(G4_SOURCE_DIR) + "/conformance/cases/gemma3-1b", "--to", "Q8_0",
                      "--out", out}),
                 "--no-check quantises without running the model");
  expect_refused(run({"quantize", "-m", model(), "--to", "Q8_0", "--out", "/nowhere/at/all.gguf"}),
                 "cannot be written");
  EXPECT_FALSE(fs::exists(out));
  expect_wrong_usage(run({"quantize", "-m", model(), "--to", "Q3_K", "--out", out}), "--to");
  expect_wrong_usage(run({"quantize", "-m", model(), "--to", "Q8_0"}), "--out");
}

TEST(perplexity, every_token_once_however_the_text_is_cut) {
  const auto tokens = [](const char* context) {
    return json::parse(
        run({"perplexity", "-m", model(), "--context", context, "--json", tiny() + "/text.txt"}).out)["tokens"];
  };
  EXPECT_EQ(tokens("2048"), tokens("7"));
  expect_refused(run({"perplexity", "-m", model(), "--context", "1", tiny() + "/text.txt"}), "expected at least 2");
  expect_refused(run({"perplexity", "-m", model(), tiny() + "/none.txt"}), "none.txt");
  expect_refused(run({"perplexity", "-m", model()}, ""), "nothing to measure");
}

TEST(bench, a_line_and_an_object_per_test) {
  const json j = json::parse(run({"bench", "-m", model(), "-p", "16", "-n", "4", "-d", "10", "-r", "3", "--json"}).out);
  ASSERT_EQ(j.size(), 2u);
  EXPECT_EQ(j[0]["test"], "pp16 @ d10");
  EXPECT_EQ(j[1]["n_gen"], 4);
  for (const json& test : j) {
    EXPECT_EQ(test["samples_ts"].size(), 3u);
    EXPECT_LE(test["min_ts"], test["median_ts"]);
    EXPECT_LE(test["median_ts"], test["max_ts"]);
    EXPECT_GT(test["min_ts"], 0.0);
  }
  const json deeper =
      json::parse(run({"bench", "-m", model(), "-p", "8", "-n", "4", "--context", "12", "-r", "1", "--json"}).out);
  ASSERT_EQ(deeper.size(), 3u);
  EXPECT_EQ(deeper[1]["test"], "tg4");
  EXPECT_EQ(deeper[2]["test"], "tg4 @ d12");
  expect_refused(run({"bench", "-m", model(), "-p", "0", "-n", "0"}), "nothing to measure");
  // Texts together stand in place of one alone.
  const json together = json::parse(run({"bench", "-m", model(), "-p", "0", "-n", "4", "--texts", "1,3", "-r", "1", "--json"}).out);
  ASSERT_EQ(together.size(), 2u) << together;
  EXPECT_EQ(together[0]["n_texts"], 1);
  EXPECT_EQ(together[1]["n_texts"], 3);
}

TEST(chat, one_answer_per_line_of_stdin) {
  const ended e =
      run({"chat", "-m", model(), "--temperature", "0", "--max-tokens", "5", "--stats"}, "hello\n\nand again\n");
  EXPECT_EQ(e.status, 0) << e.err;
  EXPECT_EQ(std::count(e.err.begin(), e.err.end(), '\n'), 2) << e.err;  // empty lines ask nothing
}

TEST(chat, only_the_new_turn_is_run) {
  const ended e = run({"chat", "-m", model(), "--temperature", "0", "--max-tokens", "5", "--stats"},
                      "one two three four five six seven\nhello\n/clear\nhello\n");
  ASSERT_EQ(e.status, 0) << e.err;
  std::size_t ran[3] = {}, all[3] = {};
  const char* at = e.err.c_str();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(std::sscanf(at, "%zu tokens read of %zu;", &ran[i], &all[i]), 2) << at;
    at = std::strchr(at, '\n') + 1;
  }
  EXPECT_EQ(ran[0], all[0]);
  EXPECT_LT(ran[1], all[1] - all[0] + 1);  // the answer before it has been run already, all but its last token
  EXPECT_GT(all[1], all[0]);
  EXPECT_LT(all[2], all[1]);  // after /clear the conversation is short again
}

TEST(chat, refusals) {
  expect_wrong_usage(run({"chat", "-m", model(), "--raw"}, "x\n"), "--raw");
  expect_refused(run({"chat", "-m", model(), "--think"}, "x\n"), "--think");
  expect_refused(run({"chat", "-m", model(), "--context", "8"}, "one two three four five six\n"),
                 "the context of 8 tokens is full");
  expect_refused(run({"chat", "-m", model(), "--temperature", "nan"}, "x\n"), "temperature");
}

TEST(chat, ctrl_c_stops_the_answer_and_not_the_program) {
  // Greedy over random weights seldom ends by itself; 4000 tokens take longer than this test waits.
  on_terminal talk({"chat", "-m", model(), "--temperature", "1.5", "--seed", "3", "--max-tokens", "1000000",
                    "--context", "1000000"});
  ASSERT_TRUE(talk.shows("\n> ")) << talk.shown();
  talk.type("hello\n");
  ASSERT_TRUE(talk.shows("hello")) << talk.shown();  // the terminal's echo
  ::usleep(300'000);
  talk.type("\x03");
  ASSERT_TRUE(talk.shows("\n> ")) << talk.shown();
  talk.type("\x03");  // at the prompt nothing is there to stop
  ASSERT_TRUE(talk.shows("> ")) << talk.shown();
  talk.type("/clear\n");
  ASSERT_TRUE(talk.shows("> ")) << talk.shown();
  talk.type("/exit\n");
  EXPECT_EQ(talk.ends(), 0) << talk.shown();
}

TEST(chat, ctrl_d_ends) {
  on_terminal talk({"chat", "-m", model()});
  ASSERT_TRUE(talk.shows("> ")) << talk.shown();
  talk.type("\x04");
  EXPECT_EQ(talk.ends(), 0) << talk.shown();
}

TEST(generate, progress_and_speed_on_a_terminal) {
  on_terminal e({"generate", "-m", model(), "--max-tokens", "5", "the cat"});
  EXPECT_TRUE(e.shows("Loading")) << e.shown();
  EXPECT_TRUE(e.shows("per second")) << e.shown();
  EXPECT_EQ(e.ends(), 0);
}

/// No unfinished file beside the others.
void expect_nothing_half_done() {
  for (const auto& entry : fs::directory_iterator(tiny()))
    EXPECT_EQ(entry.path().filename().string().find("partial"), std::string::npos) << entry.path();
}
int shell(const std::string& line) {
  const int status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(files, never_written_over_what_is_read) {
  write_ids(tiny() + "/few.i32", {2, 3, 4});
  const auto logits = [&](const std::string& out) {
    return run({"logits", "-m", model(), "--ids", tiny() + "/few.i32", "--out", out});
  };
  expect_refused(logits(tiny() + "/few.i32"), "is read by this command");
  expect_refused(logits(model() + "/../model/model.safetensors"), "is a file of the folder that is read");
  for (const char* name : {"tokenizer.json", "config.json", "model.safetensors"}) {
    const auto before = fs::file_size(model() + "/" + name);
    expect_refused(run({"quantize", "-m", model(), "--to", "Q8_0", "--no-check", "--out", model() + "/" + name}),
                   "is a file of the folder that is read");
    EXPECT_EQ(fs::file_size(model() + "/" + name), before);
  }
}

TEST(files, a_path_that_is_no_utf_8) {
  const std::string odd = tiny() + "/odd\xff";
  fs::create_directory_symlink(model(), odd);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"perplexity", "-m", odd, "--json", tiny() + "/text.txt"},
        std::vector<std::string>{"bench", "-m", odd, "--json", "-p", "4", "-n", "2", "-r", "1"},
        std::vector<std::string>{"quantize", "-m", odd, "--json", "--to", "Q8_0", "--out", tiny() + "/odd\xff.gguf"},
        std::vector<std::string>{"inspect", "-m", odd, "--json"},
        std::vector<std::string>{"generate", "-m", odd, "--json", "--max-tokens", "2", "the cat"}}) {
    const ended e = run(command);
    EXPECT_EQ(e.status, 0) << command[0] << ": " << e.err;
    EXPECT_TRUE(json::accept(e.out)) << e.out;
    EXPECT_NE(e.out.find("odd\xef\xbf\xbd"), std::string::npos) << e.out;
  }
  fs::remove(odd);
  fs::remove(tiny() + "/odd\xff.gguf");
}

TEST(files, none_half_done_after_a_signal_or_a_limit) {
  write_ids(tiny() + "/many.i32", std::vector<std::int32_t>(20'000, 5));
  const std::string logits = "'" G4_PROGRAM "' logits -m '" + model() + "' --ids '" + tiny() + "/many.i32' --out '" +
                             tiny() + "/many.f32'";
  // The shell waits for the unfinished file, and then asks the program to end.
  const std::string asked = logits + " & p=$!; until [ -n \"$(find '" + tiny() +
                            "' -name '*.partial*' -size +0)\" ]; do kill -0 $p || exit 99; done; kill -TERM $p; wait $p";
  EXPECT_EQ(shell(asked), 128 + SIGTERM);
  expect_nothing_half_done();
  EXPECT_EQ(shell("ulimit -f 8; " + logits + " 2> '" + tiny() + "/why'"), 1);
  expect_nothing_half_done();
  EXPECT_FALSE(fs::exists(tiny() + "/many.f32"));
}

TEST(errors, one_line_whatever_stands_in_them) {
  expect_refused(run({"generate", "-m", "/none\n\x1b[31mred\xff\xe2\x80\xae", "x"}),
                 "/none\\n\\x1b[31mred\\xff\\u{202e}: ");
  expect_wrong_usage(run({"generate", "-m", model(), "--lo\x1b[2Jud", "x"}), "--lo\\x1b[2Jud");
}

TEST(stdin, read_up_to_a_limit) {
  const std::string line = "head -c 70000000 /dev/zero | '" G4_PROGRAM "' tokenize -m '" + model() + "' 2> '" + tiny() +
                           "/errors' > /dev/null";
  EXPECT_EQ(shell(line), 1);
  std::string errors;
  std::getline(std::ifstream(tiny() + "/errors"), errors);
  EXPECT_NE(errors.find("stdin: has more than 64 MiB"), std::string::npos) << errors;
}

TEST(command_line, forms_of_an_option) {
  const ended plain = run({"generate", "-m", model(), "--max-tokens", "4", "--raw", "the cat"});
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_EQ(run({"generate", "-m" + model(), "--max-tokens=4", "--raw", "--", "the cat"}).out, plain.out);
  expect_wrong_usage(run({"generate", "-m", model(), "--mode", "exact", "--mode", "fast", "x"}), "twice");
  expect_wrong_usage(run({"generate", "-m", model(), "--raw=yes", "x"}), "--raw");
  expect_wrong_usage(run({"generate", "-m", model(), "x", "y"}), "'y'");
  expect_wrong_usage(run({"generate", "--model", "--raw"}), "--model");
  expect_wrong_usage(run({"inspect", "-m", model(), "--variant", "tiny_gemma"}), "--variant");
  EXPECT_EQ(run({"--version"}).out.find("g4 "), 0u);
}

TEST(chat, a_repetition_penalty_that_no_batch_changes) {
  const auto with = [](const char* batch) {
    return run({"chat", "-m", model(), "--mode", "exact", "--temperature", "0", "--repetition-penalty", "1.7", "--batch",
                batch, "--max-tokens", "24"},
               "the cat sat on the mat\nand the dog sat on the cat\n");
  };
  const ended whole = with("256");
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(with("2").out, whole.out);
}

TEST(which_variant, a_named_one_or_one_made_for_the_file) {
  const auto which = [](const std::string& path) {
    return cli_test::run_program({G4_VARIANT_HEADER, "--which", tiny() + "/made", path});
  };
  const ended made = which(model());
  EXPECT_EQ(made.status, 0) << made.err;
  ASSERT_EQ(made.out.find("made_"), 0u) << made.out;
  const std::string name = made.out.substr(0, made.out.size() - 1);
  std::stringstream header;
  header << std::ifstream(tiny() + "/made/" + name + ".h").rdbuf();
  EXPECT_NE(header.str().find("struct " + name + " : transformer<"), std::string::npos) << header.str();
  EXPECT_EQ(which(model()).out, made.out);
  expect_refused(which(tiny() + "/nothing"), "nothing");
  if (const char* real = std::getenv("G4_MODEL_270M"); real != nullptr) {
    EXPECT_EQ(which(real).out, "gemma3_270m\n");
  }
}

const char* real_model() { return std::getenv("G4_MODEL_270M"); }

// Under a sanitizer every token takes ten times as long, and a few of one prompt show what it looks for.
#ifdef __SANITIZE_ADDRESS__
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
constexpr const char* some_tokens = sanitized ? "4" : "24";

TEST(real_model, greedy_text_the_same_on_every_way) {
  if (real_model() == nullptr) GTEST_SKIP() << "set G4_MODEL_270M to the path of gemma-3-270m-q4_k_m.gguf";
  const auto with = [](std::vector<std::string> more) {
    more.insert(more.begin(), {G4_REAL_PROGRAM, "generate", "-m", real_model(), "--max-tokens", some_tokens});
    more.emplace_back("The three laws of thermodynamics are");
    return cli_test::run_program(more);
  };
  const ended fast = with({});
  EXPECT_EQ(fast.status, 0) << fast.err;
  EXPECT_EQ(fast.err, "");
  if (!sanitized) {
    EXPECT_NE(fast.out.find("first law"), std::string::npos) << fast.out;
  }
  EXPECT_EQ(with({"--mode", "exact"}).out, fast.out);
  if (sanitized) return;
  EXPECT_EQ(with({"--threads", "1"}).out, fast.out);
  EXPECT_EQ(with({"--draft", "lookup"}).out, fast.out);
}

TEST(real_model, a_ranked_head_chooses_the_same_tokens) {
  if (real_model() == nullptr) GTEST_SKIP() << "set G4_MODEL_270M to the path of gemma-3-270m-q4_k_m.gguf";
  std::ifstream file(G4_SOURCE_DIR "/conformance/cases/real-270m/case.json");
  const auto prompts = nlohmann::json::parse(file).at("prompts");
  ASSERT_GE(prompts.size(), 4u);
  for (const auto& prompt : prompts) {
    for (const std::vector<std::string>& choice :
         {std::vector<std::string>{}, {"--temperature", "1", "--top-k", "64", "--top-p", "0.95", "--seed", "7"}}) {
      const auto with = [&](const std::string& head) {
        std::vector<std::string> all{G4_REAL_PROGRAM, "generate",  "-m",     real_model(),
                                     "--max-tokens",  some_tokens, "--head", head};
        all.insert(all.end(), choice.begin(), choice.end());
        all.push_back(prompt.at("text"));
        return cli_test::run_program(all);
      };
      const ended whole = with("whole");
      EXPECT_EQ(whole.status, 0) << whole.err;
      EXPECT_EQ(with("ranked").out, whole.out) << prompt.at("name");
    }
    if (sanitized) break;
  }
}

TEST(real_model, kl_divergence_of_each_mode_within_its_budget) {
  if (real_model() == nullptr) GTEST_SKIP() << "set G4_MODEL_270M to the path of gemma-3-270m-q4_k_m.gguf";
  if (sanitized) GTEST_SKIP() << "hundreds of tokens of the real model take minutes under a sanitizer";
  std::stringstream text;
  text << std::ifstream(G4_SOURCE_DIR "/bench/compare/texts/prose.txt").rdbuf();
  const ended tokens =
      cli_test::run_program({G4_REAL_PROGRAM, "tokenize", "-m", real_model(), "--json", "-"}, text.str());
  ASSERT_EQ(tokens.status, 0) << tokens.err;
  auto ids = json::parse(tokens.out)["ids"].get<std::vector<std::int32_t>>();
  ASSERT_GE(ids.size(), 128u);
  ids.resize(128);
  const std::string path = tiny() + "/real";
  write_ids(path, ids);
  const auto logits = [&](const std::string& mode) {
    const std::string out = path + "." + mode;
    const ended e = cli_test::run_program(
        {G4_REAL_PROGRAM, "logits", "-m", real_model(), "--mode", mode, "--ids", path, "--out", out});
    EXPECT_EQ(e.status, 0) << e.err;
    std::vector<float> rows = floats_of(out);
    fs::remove(out);
    return rows;
  };
  const std::vector<float> exact = logits("exact");
  const std::size_t vocab = exact.size() / ids.size();
  const auto mean_kl = [&](const std::vector<float>& found) {
    double sum = 0;
    for (std::size_t i = 0; i < exact.size(); i += vocab)
      sum += g4::ops::kl_divergence(exact.data() + i, found.data() + i, vocab);
    return sum / static_cast<double>(ids.size());
  };
  EXPECT_LT(mean_kl(logits("fast")), 1e-5);
  const double fast8 = mean_kl(logits("fast8"));
  EXPECT_LT(fast8, 5e-3);
  EXPECT_GT(fast8, 1e-4);  // it is another arithmetic
}

TEST(real_model, another_variant_named_with_its_differences) {
  if (real_model() == nullptr) GTEST_SKIP() << "set G4_MODEL_270M to the path of gemma-3-270m-q4_k_m.gguf";
  expect_refused(run({"generate", "-m", real_model(), "x"}),
                 "the nearest is tiny_gemma: layers: the file has 18, tiny_gemma has 6");
}

}  // namespace
