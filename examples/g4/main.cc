// g4: Gemma models on the command line. `g4 --help` says what it does; g4-<variant> is the same for one model.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "g4/load/file_type.h"
#include "program.h"

namespace {

using program::settings;

const CLI::Range positive(std::size_t{1}, std::size_t{1} << 30, "a number from 1");

void add_model(CLI::App& command, settings& s) {
  command
      .add_option("-m,--model", s.model, "A GGUF file, or a folder with config.json, tokenizer.json and safetensors")
      ->required()
      ->type_name("PATH");
}

void add_threads(CLI::App& command, settings& s) {
  command.add_option("-t,--threads", s.threads, "Threads to compute with (default: as many as the machine has)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}, "a number from 1 to 1024"))
      ->type_name("N");
}

void add_cache(CLI::App& command, settings& s) {
  std::vector<std::string> names;
  for (const auto& [name, type] : program::cache_types) names.emplace_back(name);
  const CLI::IsMember types(names);
  command
      .add_option("--cache", s.cache,
                  "Keep keys and values as f32, i16, or q8_0, half of i16 (default: i16 in fast mode, f32 in exact)")
      ->check(types)
      ->type_name("TYPE");
  command.add_option("--cache-global", s.cache_global, "The same, of full-attention layers alone")
      ->check(types)
      ->type_name("TYPE");
}

void add_running(CLI::App& command, settings& s) {
  add_model(command, s);
  command
      .add_option("--mode", s.mode,
                  "fast: weights in panels, activations rounded to 14 bits; fast8: a prompt's to 8; exact: float32 "
                  "throughout (default fast)")
      ->check(CLI::IsMember({"fast", "fast8", "exact"}))
      ->type_name("MODE");
  command.add_option("--backend", s.backend, "cpu, or reference: the definitions, slow")
      ->check(CLI::IsMember({"cpu", "reference"}))
      ->type_name("NAME");
  add_threads(command, s);
  command.add_option("--batch", s.batch, "Most tokens run at once; less needs less memory (default 256)")
      ->check(positive)
      ->type_name("N");
  add_cache(command, s);
  command.add_flag("--skip-checks", s.skip_checks,
                   "Do not look every weight over for infinities and zeros while loading");
}

void add_head(CLI::App& command, settings& s, const char* otherwise) {
  const std::string help = "ranked: compute only the logits that decide, for the same tokens; whole: all of them";
  command.add_option("--head", s.head, help + " (default: " + otherwise + ")")
      ->check(CLI::IsMember({"auto", "ranked", "whole"}))
      ->type_name("HOW");
}

void add_context(CLI::App& command, settings& s) {
  command.add_option("--context", s.context, "Most tokens to hold, prompt and answer together")
      ->check(positive)
      ->type_name("N");
}

void add_sampling(CLI::App& command, settings& s) {
  auto* group = command.add_option_group("Choosing tokens");
  group->add_option("--temperature", s.sampling.temperature, "0: always the likeliest; 1: as the model says")
      ->type_name("X");
  group->add_option("--top-k", s.sampling.top_k, "Only the N likeliest tokens; 0: all")->type_name("N");
  group->add_option("--top-p", s.sampling.top_p, "Only the likeliest tokens that make up this share")->type_name("X");
  group->add_option("--min-p", s.sampling.min_p, "Only tokens at least this share as likely as the likeliest")
      ->type_name("X");
  group->add_option("--repetition-penalty", s.sampling.repetition_penalty, "Above 1: what was said becomes less likely")
      ->type_name("X");
  group->add_option("--seed", s.seed, "The same seed gives the same answer (default: a new one each time)")
      ->type_name("N");
  group->add_option("--max-tokens", s.max_tokens, "Stop after so many tokens (default 256)")
      ->check(positive)
      ->type_name("N");
  group->add_flag(
      "--special", s.special,
      "Control tokens written out in the text, like <start_of_turn>, count as such; those the model chooses are shown");
  group->add_flag("--raw", s.raw, "No <bos> before the text, and no stop at a token that ends an answer");
}

void add_report(CLI::App& command, settings& s, bool json) {
  if (json) command.add_flag("--json", s.json, "Write one JSON object in place of text");
  command.add_flag("--stats", s.stats, "Say how fast it went (on stderr) even when stderr is no terminal");
}

/// Runs what was asked for; every way to fail ends here as one sentence.
int run(g4::result<int> (*command)(const settings&), const settings& s) {
  const g4::result<int> done = command(s);
  if (done) return *done;
  fmt::print(stderr, "g4: {}\n", done.error().message);
  return 1;
}

int guarded_main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away shows as a failed write
  settings s;
  CLI::App app("Gemma 3, 3n and 4 on this machine's CPU.", "g4");
  app.footer(
      "Examples:\n"
      "  g4 generate --model gemma-3-270m.gguf \"The three laws of thermodynamics are\"\n"
      "  g4 chat --model gemma-3-1b-it.gguf\n"
      "  g4 inspect --model gemma-3-270m.gguf\n"
      "  g4 COMMAND --help   has options and examples of each command\n"
      "\nExit status: 0 done, 1 refused (one sentence on stderr says why), 2 wrong usage.");
  app.require_subcommand(1);
  app.set_version_flag("--version", "g4 " G4_VERSION);
  g4::result<int> (*command)(const settings&) = nullptr;
  const CLI::Range small(std::size_t{0}, std::size_t{1} << 24, "a number up to 16777216");
  const auto add_command = [&](const char* name, const char* what, g4::result<int> (*does)(const settings&)) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->callback([&command, does] { command = does; });
    return sub;
  };

  CLI::App* generate = add_command("generate", "Continue a text", program::generate);
  add_running(*generate, s);
  add_head(*generate, s, "ranked for greedy choice");
  add_context(*generate, s);
  add_sampling(*generate, s);
  add_report(*generate, s, true);
  generate
      ->add_option(
          "--draft", s.draft,
          "Guess tokens and check several at once: lookup (from the text itself), or the file of a Gemma 4 drafter")
      ->type_name("lookup|PATH");
  generate->add_option("--guesses", s.guesses, "How many tokens to guess at once with --draft (default 4)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{64}, "a number from 1 to 64"))
      ->type_name("N");
  generate->add_flag("--compare", s.compare,
                     "With --draft: generate once more without it, and say how much faster it was");
  CLI::Option* const prompt =
      generate->add_option("PROMPT", s.text, "The text to continue; - or none: read it from stdin")->type_name("");
  generate->footer(
      "Examples:\n"
      "  g4 generate -m gemma-3-270m.gguf \"Once upon a time\"\n"
      "  g4 generate -m gemma-3-270m.gguf --temperature 0.8 --top-p 0.95 --seed 7 \"Once upon a time\"\n"
      "  g4 generate -m gemma-3-270m.gguf --max-tokens 40 --json < prompt.txt | jq -r .text\n"
      "  g4 generate -m gemma-4-e2b.gguf --draft gemma-4-e2b-assistant --compare \"Count to twenty: one, two\"");

  CLI::App* chat = add_command("chat", "Talk with an instruction-tuned model", program::chat);
  add_running(*chat, s);
  add_head(*chat, s, "ranked for greedy choice");
  add_context(*chat, s);
  add_sampling(*chat, s);
  add_report(*chat, s, false);
  chat->add_option("--system", s.system, "What the model is told before the first question")->type_name("TEXT");
  chat->add_flag("--think", s.think, "Gemma 4: think before answering; thoughts are shown dimmed");
  chat->footer(
      "Ctrl-C stops an answer. /clear forgets the conversation, /exit or Ctrl-D ends. Without a terminal every line of\n"
      "stdin is a question, and stdout has the answers. Unless told otherwise: temperature 1, top k 64, top p 0.95.\n\n"
      "Examples:\n"
      "  g4 chat -m gemma-3-1b-it.gguf\n"
      "  g4 chat -m gemma-3-1b-it.gguf --system \"Answer in one sentence.\" --temperature 0\n"
      "  echo \"Why is the sky blue?\" | g4 chat -m gemma-3-1b-it.gguf");

  CLI::App* tokenize = add_command("tokenize", "Text to token ids, or ids to text", program::tokenize);
  add_model(*tokenize, s);
  add_report(*tokenize, s, true);
  tokenize->add_flag("--decode", s.decode, "The other way: TEXT is ids, blanks or commas between them");
  tokenize->add_flag("--ids", s.ids_only, "Only the ids, on one line");
  tokenize->add_flag("--special", s.special,
                     "Control tokens written out count as such; with --decode they are written out");
  tokenize->add_flag("--raw", s.raw, "No <bos> before the text");
  CLI::Option* const text =
      tokenize->add_option("TEXT", s.text, "The text; - or none: read it from stdin")->type_name("");
  tokenize->footer(
      "Examples:\n"
      "  g4 tokenize -m gemma-3-270m.gguf \"Hello, world\"\n"
      "  g4 tokenize -m gemma-3-270m.gguf --special --ids \"<start_of_turn>user\"\n"
      "  g4 tokenize -m gemma-3-270m.gguf --decode \"9259 236764 1902\"");

  CLI::App* inspect = add_command("inspect", "Show a model's layers, memory and tensors", program::inspect);
  CLI::Option* const inspected =
      inspect
          ->add_option("-m,--model", s.model, "A GGUF file, or a folder; also of a model that this program cannot run")
          ->type_name("PATH");
  inspect->add_option("--variant", s.variant, "A variant by its name, without a file")
      ->type_name("NAME")
      ->excludes(inspected);
  inspect->add_option("--batch", s.batch, "Tokens run at once, which the working memory grows with (default 256)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20, "a number from 1"))
      ->type_name("N");
  add_cache(*inspect, s);
  inspect->add_flag("--tensors", s.tensors, "List every tensor");
  inspect->add_flag("--json", s.json, "Write one JSON object, tensors included");
  inspect->footer(
      "Examples:\n"
      "  g4 inspect -m gemma-3-270m.gguf --tensors\n"
      "  g4 inspect --variant gemma4_e2b\n"
      "  g4 inspect -m gemma-3-270m.gguf --json | jq '.memory'");

  CLI::App* perplexity = add_command("perplexity", "Measure how well a model predicts a text", program::perplexity);
  add_running(*perplexity, s);
  add_context(*perplexity, s);
  add_report(*perplexity, s, true);
  perplexity->add_flag("--special", s.special, "Control tokens written out in the text count as such");
  CLI::Option* const file =
      perplexity->add_option("FILE", s.text, "The text; - or none: read it from stdin")->type_name("");
  perplexity->footer(
      "The text is cut into stretches that fit into the context (2048 unless --context says otherwise), each behind its\n"
      "own <bos>, and every token of it is counted once.\n\n"
      "Examples:\n"
      "  g4 perplexity -m gemma-3-270m.gguf book.txt\n"
      "  g4 perplexity -m gemma-3-270m.gguf --mode exact --context 512 --json book.txt");

  CLI::App* logits = add_command("logits", "Write the logits of every position to a file", program::logits);
  add_running(*logits, s);
  add_context(*logits, s);
  logits->add_option("--ids", s.ids, "Token ids, raw int32")->required()->type_name("PATH");
  logits->add_option("--out", s.out, "Where the logits go: raw float32, [tokens, vocabulary]")
      ->required()
      ->type_name("PATH");
  logits->footer(
      "Examples:\n"
      "  g4 logits -m gemma-3-270m.gguf --ids ids.i32 --out logits.f32 --mode exact");

  CLI::App* bench = add_command("bench", "Measure tokens per second", program::bench);
  add_running(*bench, s);
  add_head(*bench, s, "whole");
  bench->add_flag("--json", s.json, "Write a JSON array, one object per test");
  bench->add_option("-p,--prompt", s.prompt_tokens, "Tokens of the prompt test; 0: none (default 512)")
      ->check(small)
      ->type_name("N");
  bench->add_option("-n,--generate", s.generate_tokens, "Tokens of the generation test; 0: none (default 128)")
      ->check(small)
      ->type_name("N");
  bench->add_option("-d,--depth", s.depth, "Tokens that are in the cache before each test (default 0)")
      ->check(small)
      ->type_name("N");
  bench
      ->add_option("--context", s.bench_context,
                   "The generation test once more, with N tokens in the cache (default: not)")
      ->check(small)
      ->type_name("N");
  bench->add_option("-r,--repetitions", s.repetitions, "How often each test is run, after once to warm up (default 5)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000}, "a number from 1 to 10000"))
      ->type_name("N");
  bench->footer(
      "Examples:\n"
      "  g4 bench -m gemma-3-270m.gguf\n"
      "  g4 bench -m gemma-3-270m.gguf --threads 1 -p 1024 -n 0 -r 9 --json\n"
      "  g4 bench -m gemma-3-270m.gguf --threads 1 --prompt 512 --generate 128 --context 1024\n"
      "  g4 bench -m gemma-3-270m.gguf -p 0 -n 128 -d 4096");

  CLI::App* quantize = add_command("quantize", "Write a model in fewer bits, as a GGUF file", program::quantize);
  add_model(*quantize, s);
  std::vector<std::string> types;
  for (const g4::load::file_type& t : g4::load::file_types) types.emplace_back(t.name);
  quantize
      ->add_option("--to", s.quantize_to,
                   "Q8_0, Q6_K, Q4_K or Q4_0: about 8.5, 6.6, 4.9 or 4.5 bits a weight where rows fit; BF16: 16")
      ->required()
      ->check(CLI::IsMember(types))
      ->type_name("TYPE");
  quantize->add_option("--out", s.out, "The file to write")->required()->type_name("PATH");
  add_threads(*quantize, s);
  quantize->add_flag("--no-check", s.no_check, "Only write the file; do not measure what it costs");
  quantize->add_flag("--json", s.json, "Write one JSON object in place of text");
  quantize->footer(
      "The model's weights must be F32, F16 or BF16. Matrices get the storage that llama.cpp's quantiser gives them for the\n"
      "type (token tables more bits, rows that do not fit a block the nearest that they do); norms stay F32. The error of\n"
      "each kind of tensor is that of its numbers, against their size. The cost is the Kullback-Leibler divergence of the\n"
      "next token's probabilities: both files read a short text, in float32 arithmetic.\n\n"
      "Examples:\n"
      "  g4 quantize -m gemma-3-270m --to Q8_0 --out gemma-3-270m-q8_0.gguf\n"
      "  g4 quantize -m gemma-3-1b-it-bf16.gguf --to Q4_K --out gemma-3-1b-it-q4_k.gguf --threads 8\n"
      "  g4 quantize -m gemma-3-270m --to Q4_0 --out small.gguf --json | jq .kl.mean");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  s.has_text = prompt->count() + text->count() + file->count() > 0;
  const auto wrong = [](const char* why) {
    fmt::print(stderr, "{}\nRun with --help for more information.\n", why);
    return 2;
  };
  const bool wants_text =
      command == program::generate || command == program::tokenize || command == program::perplexity;
  if (wants_text && !s.has_text && program::is_terminal(STDIN_FILENO)) {
    return wrong(command == program::perplexity ? "FILE: give one, or pipe a text in" : "give a text, or pipe one in");
  }
  if (command == program::inspect && s.model.empty() && s.variant.empty())
    return wrong("--model or --variant is required");
  if (command == program::chat &&
      chat->count("--temperature") + chat->count("--top-k") + chat->count("--top-p") + chat->count("--min-p") == 0) {
    s.sampling.temperature = 1;
    s.sampling.top_k = 64;
    s.sampling.top_p = 0.95f;
  }
  return run(command, s);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return guarded_main(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("g4: there is not enough memory\n", stderr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "g4: %s\n", e.what());
  }
  return 1;
}
