// The program as several processes of MPI: G4_PROGRAM and G4_REAL_PROGRAM, built for 2 and 4 ranks, started by G4_MPIRUN.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "g4/io/mapped_file.h"
#include "g4/io/safetensors_writer.h"
#include "g4/load/config.h"
#include "tests/cli/run_program.h"
#include "tests/support/random_checkpoint.h"

namespace {

namespace fs = std::filesystem;
using cli_test::ended;
using nlohmann::json;
using words = std::vector<std::string>;

template <class T>
T must(g4::result<T> r) {
  if (!r) throw std::runtime_error(r.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

/// A folder with the tiny model, of weights that `seed` gives.
class tiny_model {
 public:
  explicit tiny_model(unsigned seed)
      : folder_(fs::path(::testing::TempDir()) / ("g4-ranks-" + std::to_string(::getpid()) + "-" + std::to_string(seed))) {
    const fs::path source(G4_SOURCE_DIR);
    fs::create_directories(folder_);
    fs::copy_file(source / "tests/cli/data/config.json", folder_ / "config.json");
    fs::copy_file(source / "tests/text/data/small.json", folder_ / "tokenizer.json");
    const auto config = must(g4::io::map_file((folder_ / "config.json").string()));
    const g4::text_spec spec = must(g4::load::read_config(g4::io::text_of(config->bytes()), "config.json"));
    const g4::test::random_checkpoint weights(spec, seed);
    std::vector<g4::io::tensor_plan> plan;
    for (const auto& t : weights.file().tensors()) plan.push_back({t.name, t.type, t.dims});
    auto out = must(g4::io::write_safetensors((folder_ / "model.safetensors").string(), plan));
    for (const auto& t : weights.file().tensors()) must(out.write(t.name, t.bytes));
    must(out.finish());
  }
  tiny_model(const tiny_model&) = delete;
  tiny_model& operator=(const tiny_model&) = delete;
  ~tiny_model() { fs::remove_all(folder_); }
  [[nodiscard]] std::string path() const { return folder_.string(); }

 private:
  fs::path folder_;
};

words mpirun(int ranks, words command) {
  words all{G4_MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", std::to_string(ranks)};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}
words answer_by(const std::string& program, const std::string& model, words more) {
  words all{program, "generate", "-m", model, "-t", "1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// What of an answer does not depend on the clock.
std::string answer_of(const ended& e) {
  EXPECT_EQ(e.status, 0) << e.err;
  if (e.status != 0) return e.err;
  const json j = json::parse(e.out);
  return j["tokens"].dump() + j["text"].dump();
}

TEST(ranks_by_mpi, answer_as_one_process_does) {
  const tiny_model model(1);
  for (const words& how : {words{"--mode", "exact"}, words{"--temperature", "0.9", "--seed", "7"}}) {
    words more{"--json", "--raw", "--max-tokens", "24", "the cat sat on the mat and the dog"};
    more.insert(more.begin(), how.begin(), how.end());
    const std::string one = answer_of(cli_test::run_program(answer_by(G4_PROGRAM, model.path(), more)));
    for (const int ranks : {2, 4}) {
      EXPECT_EQ(answer_of(cli_test::run_program(mpirun(ranks, answer_by(G4_PROGRAM, model.path(), more)))), one)
          << ranks << " ranks, " << how[0];
    }
  }
}

TEST(ranks_by_mpi, with_a_real_model_answer_as_one_process_does) {
  const char* const model = std::getenv("G4_MODEL_270M");
  if (model == nullptr || *model == 0) GTEST_SKIP() << "needs G4_MODEL_270M";
  const words more{"--json", "--raw", "--max-tokens", "128", "The three laws of thermodynamics are"};
  const std::string one = answer_of(cli_test::run_program(answer_by(G4_REAL_PROGRAM, model, more)));
  for (const int ranks : {2, 4}) {
    EXPECT_EQ(answer_of(cli_test::run_program(mpirun(ranks, answer_by(G4_REAL_PROGRAM, model, more)))), one) << ranks;
  }
}

/// Expects a refusal that says so, once.
void refused(const words& command, const std::string& sentence) {
  const ended e = cli_test::run_program(command);
  EXPECT_NE(e.status, 0);
  EXPECT_EQ(e.out, "");
  const auto at = e.err.find(sentence);
  EXPECT_NE(at, std::string::npos) << e.err;
  EXPECT_EQ(e.err.find(sentence, at + 1), std::string::npos) << e.err;
}
/// One process of each.
words pair(const words& first, const words& second) {
  words all = mpirun(1, first);
  all.insert(all.end(), {":", "-n", "1"});
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

TEST(ranks_by_mpi, that_do_not_fit_together_are_refused_with_one_sentence) {
  const tiny_model one(1), other(2);
  const words usual = answer_by(G4_PROGRAM, one.path(), {"the cat"});
  refused(pair(usual, answer_by(G4_PROGRAM, other.path(), {"the cat"})), "rank 1 has another file than rank 0");
  refused(pair(usual, answer_by(G4_PROGRAM, one.path(), {"--mode", "exact", "the cat"})),
          "rank 1 has another mode than rank 0");
  refused(pair(usual, answer_by(G4_PROGRAM, "/nowhere", {"the cat"})), "rank 1: /nowhere");
  refused(mpirun(3, usual), "this program was built for 2, 4 ranks; 3 were started");
  refused(mpirun(2, answer_by(G4_PROGRAM, "/nowhere", {"the cat"})), "/nowhere");
  refused(mpirun(2, answer_by(G4_SENSES_PROGRAM, one.path(), {"the cat"})),
          "this program was started 2 times, and runs as one process");
}

TEST(stages_by_mpi, answer_as_one_process_does) {
  const tiny_model model(1);
  for (const words& how : {words{"--mode", "exact"}, words{"--temperature", "0.9", "--seed", "7"}, words{"--draft", "lookup"}}) {
    words more{"--json", "--raw", "--max-tokens", "24", "--batch", "6", "the cat sat on the mat and the dog"};
    more.insert(more.begin(), how.begin(), how.end());
    const std::string one = answer_of(cli_test::run_program(answer_by(G4_PROGRAM, model.path(), more)));
    for (const auto& [stages, cuts] : {std::pair{2, "auto"}, {4, "auto"}, {2, "1"}}) {
      words staged = more;
      staged.insert(staged.begin(), {"--pipeline", cuts});
      EXPECT_EQ(answer_of(cli_test::run_program(mpirun(stages, answer_by(G4_PROGRAM, model.path(), staged)))), one)
          << stages << " stages, " << cuts << ", " << how[0];
    }
  }
}

TEST(stages_by_mpi, with_a_real_model_answer_as_one_process_does) {
  const char* const model = std::getenv("G4_MODEL_270M");
  if (model == nullptr || *model == 0) GTEST_SKIP() << "needs G4_MODEL_270M";
  words more{"--json", "--raw", "--max-tokens", "64", "The three laws of thermodynamics are"};
  const std::string one = answer_of(cli_test::run_program(answer_by(G4_REAL_PROGRAM, model, more)));
  more.insert(more.begin(), {"--pipeline", "auto"});
  EXPECT_EQ(answer_of(cli_test::run_program(mpirun(2, answer_by(G4_REAL_PROGRAM, model, more)))), one);
}

TEST(stages_by_mpi, that_are_not_built_or_cannot_be_are_refused_with_one_sentence) {
  const tiny_model model(1);
  const auto in_stages = [&](const std::string& cuts) { return answer_by(G4_PROGRAM, model.path(), {"--pipeline", cuts, "the cat"}); };
  refused(in_stages("auto"), "--pipeline: 1 process was started, and each stage is one; mpirun -n 2 starts two");
  refused(mpirun(2, in_stages("6")), "tiny_gemma: it cannot be cut before layer 6, only before layers 1 to 5");
  refused(mpirun(2, in_stages("2,4")), "tiny_gemma: a pipeline of 3 stages runs on as many ranks; 2 were started");
  refused(mpirun(2, in_stages("2")), "tiny_gemma: this program was built for pipelines cut before 4 or 1,3,5 or 1");
  refused(mpirun(3, in_stages("auto")), "cut before 4 or 1,3,5 or 1; 3 ranks were started");
  refused(pair(in_stages("auto"), in_stages("1")), "rank 1 has another pipeline than rank 0: cut before 1, not cut before 4");
  refused(pair(in_stages("auto"), answer_by(G4_PROGRAM, model.path(), {"the cat"})),
          "rank 1 has another pipeline than rank 0: none, not cut before 4");
  refused(mpirun(2, answer_by(G4_PROGRAM, model.path(), {"--pipeline", "auto", "--draft", model.path(), "the cat"})),
          "--draft: on several ranks this program guesses from the text alone: --draft lookup");
}

TEST(stages_by_mpi, are_said_and_measured) {
  const tiny_model model(1);
  const ended cuts = cli_test::run_program({G4_PROGRAM, "inspect", "-m", model.path(), "--cuts"});
  EXPECT_NE(cuts.out.find("this program runs it cut before 4 or 1,3,5 or 1: mpirun -n STAGES, --pipeline\n"), std::string::npos)
      << cuts.out << cuts.err;
  const ended measured = cli_test::run_program(
      mpirun(2, {G4_PROGRAM, "bench", "-m", model.path(), "--pipeline", "auto", "-p", "8", "-n", "2", "-r", "1", "-t", "1", "--json"}));
  ASSERT_EQ(measured.status, 0) << measured.err;
  const json all = json::parse(measured.out);
  ASSERT_EQ(all.size(), 2u);
  for (const json& test : all) {
    EXPECT_EQ(test["n_stages"], 2) << test;
    EXPECT_GT(test["n_exchanges"], 0) << test;
  }
}

TEST(ranks_by_mpi, are_measured_beside_one_process) {
  const tiny_model model(1);
  const std::string chart = model.path() + "/chart.svg", raw = model.path() + "/raw.json";
  const words command{G4_SOURCE_DIR "/bench/ranks/run", "--model", model.path(), "--program", G4_PROGRAM, "--exchange", G4_EXCHANGE,
                      "--mpirun", G4_MPIRUN, "--prompt", "8", "--generate", "4", "--depth", "3", "-r", "1", "--rounds", "1",
                      "--exchange-rounds", "20", "--chart", chart, "--raw", raw};
  const ended e = cli_test::run_program(command);
  ASSERT_EQ(e.status, 0) << e.err;
  for (const char* row : {"\n| none | 1 | ", "\n| shared memory | 2 | ", "\n| shared memory | 4 | ", "10 GbE (reckoned) | "}) {
    EXPECT_NE(e.out.find(row), std::string::npos) << e.out;
  }
  std::ifstream drawn(chart);
  const std::string picture{std::istreambuf_iterator<char>(drawn), {}};
  EXPECT_EQ(picture.find("<svg "), 0u);
  EXPECT_NE(picture.find("stroke-dasharray"), std::string::npos) << "the model is not drawn";
  // As often as the plan says, and as much.
  const json all = json::parse(std::ifstream(raw));
  std::size_t seen = 0;
  for (const json& run : all["runs"]) {
    const int ranks = run[1];
    ASSERT_EQ(run[3][0].size(), static_cast<std::size_t>(ranks)) << "memory of every rank";
    for (const json& rank : run[3][0]) EXPECT_GT(rank["peak"], 0.0) << "MiB";
    if (ranks == 1) continue;
    const json plan = json::parse(cli_test::run_program({G4_PROGRAM, "inspect", "-m", model.path(), "--ranks", std::to_string(ranks),
                                                         "--json"}).out)["ranks"];
    const json& decoding = run[2][0][1];
    EXPECT_EQ(decoding["n_ranks"], ranks);
    EXPECT_EQ(decoding["n_exchanges"], 4 * plan["exchanges_a_token"].get<std::size_t>());
    const std::size_t sent = decoding["exchanged_bytes"], planned = 4 * plan["sent_a_token"].get<std::size_t>();
    EXPECT_GE(sent, planned);
    EXPECT_LT(sent, planned + 4 * 512) << "besides, the leader's word";
    EXPECT_GT(decoding["exchange_s"], 0.0);
    ++seen;
  }
  EXPECT_EQ(seen, 2u);
}

TEST(ranks_by_mpi, are_measured_over_links_that_can_be_had) {
  const tiny_model model(1);
  words command{G4_SOURCE_DIR "/bench/ranks/run", "--model", model.path(), "--program", G4_PROGRAM, "--exchange", G4_EXCHANGE,
                "--mpirun", G4_MPIRUN, "--ranks", "1,2", "--prompt", "4", "--generate", "2", "--depth", "0", "-r", "1", "--rounds", "1",
                "--exchange-rounds", "5", "--links", "1gbit"};
  const ended e = cli_test::run_program(command);
  if (e.status == 0) {
    EXPECT_NE(e.out.find("\n| 1gbit | 2 | "), std::string::npos) << e.out;
  } else {  // no root, or a kernel without
    EXPECT_EQ(e.err.find("bench/ranks/run: "), 0u) << e.err;
    EXPECT_NE(e.err.find("--links shm needs none"), std::string::npos) << e.err;
  }
  command.back() = "3lightyears";
  const ended none = cli_test::run_program(command);
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.err.find("bench/ranks/run: "), 0u) << none.err;
  EXPECT_EQ(std::count(none.err.begin(), none.err.end(), '\n'), 1) << none.err;
}

TEST(ranks_by_mpi, that_serve_or_bench_many_texts_are_refused) {
  const tiny_model model(1);
  const ended texts = cli_test::run_program(mpirun(2, {G4_PROGRAM, "bench", "-m", model.path(), "-n", "2", "--texts", "2"}));
  EXPECT_NE(texts.status, 0);
  EXPECT_NE(texts.err.find("--texts: on several ranks one text is measured"), std::string::npos) << texts.err;
  const ended serve = cli_test::run_program(mpirun(2, {G4_PROGRAM, "serve", "-m", model.path(), "--port", "0"}));
  EXPECT_NE(serve.status, 0);
  EXPECT_NE(serve.err.find("serve: "), std::string::npos) << serve.err;
}

#if defined(G4_PROGRAM_MEDIA)
TEST(ranks_by_mpi, that_are_shown_pictures_or_sounds_are_refused_with_one_sentence) {
  const tiny_model model(1);
  const std::string data(G4_SOURCE_DIR "/tests/media_files/data/");
  for (const auto& [option, file] : {std::pair{"--image", "rgb.png"}, {"--audio", "16k_mono.wav"}}) {
    const words shown = answer_by(G4_PROGRAM, model.path(), {option, data + file, "the cat"});
    refused(mpirun(2, shown), "pictures and sounds: this program shows none to a model on several ranks");
    // One process says something else: it is the ranks that are refused.
    EXPECT_EQ(cli_test::run_program(shown).err.find("several ranks"), std::string::npos) << option;
  }
}
#endif

/// The process of a rank among the children of `parent`, or 0.
pid_t process_of_rank(pid_t parent, int rank) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat"), environment(entry.path() / "environ", std::ios::binary);
    std::string line, all;
    if (!std::getline(stat, line)) continue;
    std::istringstream behind(line.substr(line.rfind(')') + 1));
    char state = 0;
    pid_t of = 0;
    behind >> state >> of;
    if (of != parent) continue;
    all.assign(std::istreambuf_iterator<char>(environment), {});
    const std::string wanted("OMPI_COMM_WORLD_RANK=" + std::to_string(rank));
    if (("\0" + all).find(wanted + '\0') != std::string::npos) return std::atoi(name.c_str());
  }
  return 0;
}

/// What comes of a signal to rank 1 of 4 in the middle of an answer.
struct aftermath {
  int status = 0;
  std::string err;
  double seconds = 0;  ///< from the signal to the end of the job, or to the last rank's sentence
};
constexpr const char* no_answer = "no answer from rank 1 for 2 s; this model cannot go on";
aftermath lose_a_rank(int signal) {
  // A launcher that ends the job with the first rank that fails would take the last words of the others.
  const bool all_may_speak = signal == SIGSTOP;
  const tiny_model model(1);
  const std::string out = model.path() + "/out", err = model.path() + "/err";
  words command = mpirun(4, answer_by(G4_PROGRAM, model.path(), {"--raw", "--max-tokens", "1000000", "--context", "60000",
                                                                "--cache", "q8_0", "the cat"}));
  const auto argv = cli_test::argument_pointers(command);
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    ::setenv("G4_PATIENCE", "2", 1);
    if (all_may_speak) ::setenv("OMPI_MCA_orte_abort_on_non_zero_status", "0", 1);
    (void)!std::freopen("/dev/null", "r", stdin);
    (void)!std::freopen(out.c_str(), "w", stdout);
    (void)!std::freopen(err.c_str(), "w", stderr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  const auto wait_for = [](auto&& what) {
    for (int i = 0; i < 3000 && !what(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  wait_for([&] { return fs::exists(out) && fs::file_size(out) > 0; });  // it answers
  const pid_t rank = process_of_rank(launcher, 1);
  EXPECT_NE(rank, 0);
  const auto begun = std::chrono::steady_clock::now();
  if (rank != 0) ::kill(rank, signal);
  const auto seconds = [begun] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); };
  aftermath after;
  const auto read = [&] {
    std::ifstream said(err);
    after.err.assign(std::istreambuf_iterator<char>(said), {});
  };
  if (all_may_speak) {
    wait_for([&] {
      read();
      std::size_t sentences = 0;
      for (std::size_t at = 0; (at = after.err.find(no_answer, at)) != std::string::npos; ++at) ++sentences;
      return sentences == 3;
    });
    after.seconds = seconds();
    if (rank != 0) ::kill(rank, SIGKILL);
    ::kill(launcher, SIGTERM);  // it would wait on
  }
  int status = 0;
  wait_for([&] { return ::waitpid(launcher, &status, WNOHANG) == launcher; });
  after.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (!all_may_speak) after.seconds = seconds();
  read();
  return after;
}

TEST(ranks_by_mpi, a_stopped_rank_gives_a_sentence_within_patience_and_a_second) {
  const aftermath after = lose_a_rank(SIGSTOP);
  for (const char* other : {"rank 0: ", "rank 2: ", "rank 3: "}) {
    EXPECT_NE(after.err.find(std::string(other) + no_answer), std::string::npos) << after.err;
  }
  EXPECT_LT(after.seconds, 2 + 1 + 5) << "on a machine that others may keep busy";
}

TEST(ranks_by_mpi, a_killed_rank_ends_the_job) {
  const aftermath after = lose_a_rank(SIGKILL);
  EXPECT_NE(after.status, 0);
  EXPECT_LT(after.seconds, 5);
}

}  // namespace
