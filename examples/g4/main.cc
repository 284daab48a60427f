// g4: Gemma models on the command line. `g4 --help` says what it does; g4-<variant> is the same for one model.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "command_line.h"
#include "console.h"
#include "g4/comm/launched.h"
#include "g4/core/printable.h"
#include "g4/load/file_type.h"
#include "g4/text/embedding_task.h"
#include "program.h"
#include "ranks.h"
#include "this_cpu.h"

namespace {

using program::among;
using program::command_line;
using program::into;
using program::settings;

constexpr std::size_t most = std::size_t{1} << 30;   // of what is counted from 1
constexpr std::size_t fewer = std::size_t{1} << 24;  // of what may be 0

void add_model(command_line& c, settings& s) {
  c.value("-m,--model", "PATH", "A GGUF file, or a folder with config.json, tokenizer.json and safetensors",
          into(s.model), true);
}

void add_threads(command_line& c, settings& s) {
  c.value("-t,--threads", "N", "Threads to compute with (default: as many as the machine has)",
          into(s.threads, 1, 1024));
}

void add_cache(command_line& c, settings& s) {
  const std::vector<std::string> types(std::begin(program::cache_types), std::end(program::cache_types));
  c.value("--cache", "TYPE",
          "Keep keys and values as f32, i16, or q8_0, half of i16 (default: i16 in fast mode, f32 in exact); on a GPU as f32, f16 "
          "or q8_0 (default f32)",
          among(s.cache, types));
  c.value("--cache-global", "TYPE", "The same, of full-attention layers alone", among(s.cache_global, types));
}

void add_running(command_line& c, settings& s) {
  add_model(c, s);
  c.value("--mode", "MODE",
          "fast: weights in panels, activations rounded to 14 bits; fast8: a prompt's to 8; exact: float32 throughout "
          "(default fast)",
          among(s.mode, {"fast", "fast8", "exact"}));
  c.value("--backend", "NAME", "cpu, cuda (a GPU), or reference: the definitions, slow",
          among(s.backend, {"cpu", "cuda", "reference"}));
  add_threads(c, s);
  c.value("--batch", "N", "Most tokens run at once; less needs less memory (default 256)", into(s.batch, 1, most));
  add_cache(c, s);
  c.flag("--skip-checks", "Do not look every weight over for infinities and zeros while loading", s.skip_checks);
}

/// Of commands that several processes can run together.
void add_pipeline(command_line& c, settings& s) {
  c.value("--pipeline", "auto|LAYER[,LAYER]...",
          "Give each of several processes (mpirun -n N) a stretch of the layers, in place of a part of every layer: auto, as even as "
          "can be, or from these layers on. Cuts are built in: inspect --cuts says which, CMake's G4_CUTS adds others",
          [&s, layers = into(s.pipeline, 1, 1024)](std::string_view value) -> std::string {
            s.even_pipeline = value == "auto";
            if (s.even_pipeline) return "";
            return layers(value).empty() ? "" : "is neither auto nor a list of layers from 1, commas between them";
          });
}

void add_head(command_line& c, settings& s, const char* otherwise) {
  const std::string help = "ranked: compute only the logits that decide, for the same tokens; whole: all of them";
  c.value("--head", "HOW", help + " (default: " + otherwise + ")", among(s.head, {"auto", "ranked", "whole"}));
}

void add_context(command_line& c, settings& s) {
  c.value("--context", "N", "Most tokens to hold, prompt and answer together", into(s.context, 1, most));
}

void add_sampling(command_line& c, settings& s) {
  c.heading("Choosing tokens");
  c.value("--temperature", "X", "0: always the likeliest; 1: as the model says", into(s.sampling.temperature));
  c.value("--top-k", "N", "Only the N likeliest tokens; 0: all", into(s.sampling.top_k));
  c.value("--top-p", "X", "Only the likeliest tokens that make up this share", into(s.sampling.top_p));
  c.value("--min-p", "X", "Only tokens at least this share as likely as the likeliest", into(s.sampling.min_p));
  c.value("--repetition-penalty", "X", "Above 1: what was said becomes less likely",
          into(s.sampling.repetition_penalty));
  c.value("--seed", "N", "The same seed gives the same answer (default: a new one each time)", into(s.seed));
  c.value("--max-tokens", "N", "Stop after so many tokens (default 256)", into(s.max_tokens, 1, most));
}

void add_mmproj(command_line& c, settings& s) {
  c.value("--mmproj", "PATH", "The GGUF file with the model's towers (default: the mmproj file beside the model's)",
          into(s.mmproj));
}

void add_media(command_line& c, settings& s) {
  c.heading("Pictures, sounds and videos");
  const auto file = [&s](program::medium::kind kind) {
    return [&s, kind](std::string_view path) {
      s.media.push_back({kind, std::string(path)});
      return std::string();
    };
  };
  c.values("--image", "PATH", "Show a picture: PNG, JPEG, WebP or PPM; may be given several times",
           file(program::medium::picture));
  c.values("--audio", "PATH", "Play a sound: WAV, FLAC, MP3 or Ogg; may be given several times",
           file(program::medium::sound));
  c.values("--video", "PATH",
           "Show a video to a Gemma 4, 32 frames of it at most: a folder of pictures, or any file where ffmpeg is installed; may be given several times",
           file(program::medium::video));
  c.value("--video-rate", "X", "Pictures a second of a folder that --video shows (default 24)", into(s.video_rate));
  c.value("--image-tokens", "N",
          "Most tokens a picture may take; Gemma 4: 70, 140, 280, 560 or 1120 (default 280, of a video's frame 70)",
          into(s.image_tokens, 1, 4096));
  c.value("--image-pieces", "N", "Pan and scan, of Gemma 3: look at at most N pieces of a long picture as well",
          into(s.image_pieces, 1, 64));
  add_mmproj(c, s);
}

void add_report(command_line& c, settings& s, bool json) {
  if (json) c.flag("--json", "Write one JSON object in place of text", s.json);
  c.flag("--stats", "Say how fast it went (on stderr) even when stderr is no terminal", s.stats);
}

/// A sentence on stderr, on one line whatever stands in it.
void complain(std::string_view sentence) { std::fprintf(stderr, "g4: %s\n", g4::printable(sentence).c_str()); }

/// Runs what was asked for; every way to fail ends here as one sentence.
int run(g4::result<int> (*command)(const settings&), const settings& s) {
  g4::result<int> done = 1;
  if (auto fits = program::check_this_cpu(); !fits) {
    done = g4::unexpected(std::move(fits.error()));
  } else {
    done = command(s);
  }
  if (done) return *done;
  complain(done.error().message);
  return 1;
}

int shown(std::string_view text) {
  if (!program::leads()) return 0;
  program::output out;
  out.write(text);
  const auto written = out.finish();
  if (!written) complain(written.error().message);
  return written ? 0 : 1;
}

int guarded_main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away shows as a failed write
  std::signal(SIGXFSZ, SIG_IGN);  // and so does a file that may grow no further
  settings s;
  std::vector<std::pair<command_line, g4::result<int> (*)(const settings&)>> commands;
  commands.reserve(10);
  const auto add_command = [&](const char* name, const char* what, g4::result<int> (*does)(const settings&)) {
    return &commands.emplace_back(command_line(name, what), does).first;
  };

  command_line* const generate = add_command("generate", "Continue a text", program::generate);
  add_running(*generate, s);
  add_pipeline(*generate, s);
  add_head(*generate, s, "ranked for greedy choice, where that is faster");
  add_context(*generate, s);
  generate->value(
      "--draft", "lookup|PATH",
      "Guess tokens and check several at once: lookup (from the text itself), or the file of a Gemma 4 drafter",
      into(s.draft));
  generate->value("--guesses", "N", "How many tokens to guess at once with --draft (default 4)",
                  into(s.guesses, 1, 64));
  generate->flag("--compare", "With --draft: generate once more without it, and say how much faster it was", s.compare);
  add_report(*generate, s, true);
  add_sampling(*generate, s);
  generate->flag(
      "--special",
      "Control tokens written out in the text, like <start_of_turn>, count as such; those the model chooses are shown",
      s.special);
  generate->flag("--raw", "No <bos> before the text, and no stop at a token that ends an answer", s.raw);
  generate->flag("--turn", "The text is a question in a conversation, as `chat` asks it, and the answer is generated",
                 s.turn);
  add_media(*generate, s);
  generate->text("PROMPT", "The text to continue; - or none: read it from stdin", s.text);
  generate->footer(
      "What --image, --audio and --video show stands where the text says <image>, <audio> and <video>, or in front of it.\n\n"
      "Examples:\n"
      "  g4 generate -m gemma-3-270m.gguf \"Once upon a time\"\n"
      "  g4 generate -m gemma-3-270m.gguf --temperature 0.8 --top-p 0.95 --seed 7 \"Once upon a time\"\n"
      "  g4 generate -m gemma-3-270m.gguf --max-tokens 40 --json < prompt.txt | jq -r .text\n"
      "  g4 generate -m gemma-4-e2b.gguf --draft gemma-4-e2b-assistant --compare \"Count to twenty: one, two\"\n"
      "  g4 generate -m gemma-4-e2b-it --turn --image cat.jpg \"What is this?\"\n"
      "  g4 generate -m gemma-4-e2b-it --turn --image a.png --audio b.wav \"Is <audio> the sound of <image>?\"");

  command_line* const chat = add_command("chat", "Talk with an instruction-tuned model", program::chat);
  add_running(*chat, s);
  add_pipeline(*chat, s);
  add_head(*chat, s, "ranked for greedy choice, where that is faster");
  add_context(*chat, s);
  chat->value("--system", "TEXT", "What the model is told before the first question", into(s.system));
  chat->flag("--think", "Gemma 4: think before answering; thoughts are shown dimmed", s.think);
  chat->flag("--special", "Control tokens that the model chooses are shown; what is typed stays text", s.special);
  add_report(*chat, s, false);
  add_sampling(*chat, s);
  add_media(*chat, s);
  chat->footer(
      "Ctrl-C stops an answer. /clear forgets the conversation, /exit or Ctrl-D ends. /image PATH, /audio PATH and\n"
      "/video PATH show a file with the next question, as --image, --audio and --video do with the first: where it says\n"
      "<image>, <audio> or <video>, or in front. Without a terminal every line of stdin is a question, and stdout has the\n"
      "answers. Unless told otherwise: temperature 1, top k 64, top p 0.95.\n\n"
      "Examples:\n"
      "  g4 chat -m gemma-3-1b-it.gguf\n"
      "  g4 chat -m gemma-3-1b-it.gguf --system \"Answer in one sentence.\" --temperature 0\n"
      "  echo \"Why is the sky blue?\" | g4 chat -m gemma-3-1b-it.gguf");

  command_line* const tokenize = add_command("tokenize", "Text to token ids, or ids to text", program::tokenize);
  add_model(*tokenize, s);
  tokenize->flag("--json", "Write one JSON object in place of text", s.json);
  tokenize->flag("--decode", "The other way: TEXT is ids, blanks or commas between them", s.decode);
  tokenize->flag("--ids", "Only the ids, on one line", s.ids_only);
  tokenize->flag("--special", "Control tokens written out count as such; with --decode they are written out",
                 s.special);
  tokenize->flag("--raw", "No <bos> before the text", s.raw);
  tokenize->text("TEXT", "The text; - or none: read it from stdin", s.text);
  tokenize->footer(
      "Examples:\n"
      "  g4 tokenize -m gemma-3-270m.gguf \"Hello, world\"\n"
      "  g4 tokenize -m gemma-3-270m.gguf --special --ids \"<start_of_turn>user\"\n"
      "  g4 tokenize -m gemma-3-270m.gguf --decode \"9259 236764 1902\"");

  command_line* const inspect = add_command("inspect", "Show a model's layers, memory and tensors", program::inspect);
  inspect->value("-m,--model", "PATH", "A GGUF file, or a folder; also of a model that this program cannot run",
                 into(s.model));
  add_mmproj(*inspect, s);
  inspect->value("--variant", "NAME", "A variant by its name, without a file", into(s.variant));
  inspect->value("--batch", "N", "Tokens run at once, which the working memory grows with (default 256)",
                 into(s.batch, 1, std::size_t{1} << 20));
  add_cache(*inspect, s);
  inspect->value("--ranks", "N", "How it is shared out among N ranks, and what each of them has and takes",
                 into(s.ranks, 1, 1024));
  inspect->flag("--divided-sums", "With --ranks: the same where ranks divide sums, and meet half as often", s.divided_sums);
  inspect->flag("--cuts", "Where it can be cut into the stages of a pipeline, and why not elsewhere", s.cuts);
  inspect->value("--pipeline", "LAYER[,LAYER]...", "As a pipeline cut before these layers: what each stage has and takes",
                 into(s.pipeline, 1, 1024));
  inspect->flag("--tensors", "List every tensor", s.tensors);
  inspect->flag("--json", "Write one JSON object, tensors included", s.json);
  inspect->footer(
      "Examples:\n"
      "  g4 inspect -m gemma-3-270m.gguf --tensors\n"
      "  g4 inspect --variant gemma4_e2b\n"
      "  g4 inspect --variant gemma4_31b --ranks 4\n"
      "  g4 inspect --variant gemma4_e2b --cuts\n"
      "  g4 inspect -m gemma-3-270m.gguf --json | jq '.memory'");

  command_line* const perplexity =
      add_command("perplexity", "Measure how well a model predicts a text", program::perplexity);
  add_running(*perplexity, s);
  add_pipeline(*perplexity, s);
  add_context(*perplexity, s);
  add_report(*perplexity, s, true);
  perplexity->flag("--special", "Control tokens written out in the text count as such", s.special);
  perplexity->text("FILE", "The text; - or none: read it from stdin", s.text);
  perplexity->footer(
      "The text is cut into stretches that fit into the context (2048 unless --context says otherwise), each behind its\n"
      "own <bos>, and every token of it is counted once.\n\n"
      "Examples:\n"
      "  g4 perplexity -m gemma-3-270m.gguf book.txt\n"
      "  g4 perplexity -m gemma-3-270m.gguf --mode exact --context 512 --json book.txt");

  command_line* const logits = add_command("logits", "Write the logits of every position to a file", program::logits);
  add_running(*logits, s);
  add_pipeline(*logits, s);
  add_context(*logits, s);
  logits->value("--ids", "PATH", "Token ids, raw int32", into(s.ids), true);
  logits->value("--out", "PATH", "Where the logits go: raw float32, [tokens, vocabulary]", into(s.out), true);
  logits->footer(
      "Examples:\n"
      "  g4 logits -m gemma-3-270m.gguf --ids ids.i32 --out logits.f32 --mode exact");

  command_line* const bench = add_command("bench", "Measure tokens per second", program::bench);
  add_running(*bench, s);
  add_pipeline(*bench, s);
  add_head(*bench, s, "whole");
  bench->flag("--json", "Write a JSON array, one object per test", s.json);
  bench->value("-p,--prompt", "N", "Tokens of the prompt test; 0: none (default 512)", into(s.prompt_tokens, 0, fewer));
  bench->value("-n,--generate", "N", "Tokens of the generation test; 0: none (default 128)",
               into(s.generate_tokens, 0, fewer));
  bench->value("-d,--depth", "N", "Tokens that are in the cache before each test (default 0)", into(s.depth, 0, fewer));
  bench->value("--context", "N", "The generation test once more, with N tokens in the cache (default: not)",
               into(s.bench_context, 0, fewer));
  bench->value("--texts", "N,N,...", "The generation test with so many texts at once, all together, in place of one text alone (default: not)",
               into(s.texts_at_once, 1, 4096));
  bench->value("-r,--repetitions", "N", "How often each test is run, after once to warm up (default 5)",
               into(s.repetitions, 1, 10'000));
  bench->flag("--verbose", "Of a tower: where the time went, stage by stage", s.verbose);
  add_mmproj(*bench, s);
  bench->footer(
      "Of a model that sees or hears, one picture and ten seconds of sound go through its towers as well, where these are\n"
      "at hand: in the folder, in --mmproj, or beside the GGUF file. Their tokens are those they take in a prompt.\n\n"
      "Examples:\n"
      "  g4 bench -m gemma-3-270m.gguf\n"
      "  g4 bench -m gemma-3-270m.gguf --threads 1 -p 1024 -n 0 -r 9 --json\n"
      "  g4 bench -m gemma-3-270m.gguf --threads 1 --prompt 512 --generate 128 --context 1024\n"
      "  g4 bench -m gemma-3-270m.gguf -p 0 -n 128 -d 4096\n"
      "  g4 bench -m gemma-3-270m.gguf -p 0 -n 64 -d 64 --texts 1,2,4,8,15");

  command_line* const quantize =
      add_command("quantize", "Write a model in fewer bits, as a GGUF file", program::quantize);
  add_model(*quantize, s);
  std::vector<std::string> types;
  for (const g4::load::file_type& t : g4::load::file_types) types.emplace_back(t.name);
  quantize->value("--to", "TYPE",
                  "Q8_0, Q6_K, Q4_K or Q4_0: about 8.5, 6.6, 4.9 or 4.5 bits a weight where rows fit; BF16: 16",
                  among(s.quantize_to, types), true);
  quantize->value("--out", "PATH", "The file to write", into(s.out), true);
  quantize->value("--mmproj", "PATH",
                  "The file to write the model's towers to (default: mmproj- and the name of the other, beside it)",
                  into(s.mmproj));
  quantize->value("--towers-to", "TYPE", "What the towers' matrices become (default: they stay as they are)",
                  among(s.towers_to, {"BF16", "F16", "F32"}));
  quantize->flag("--no-towers", "Leave the towers out: only write the text", s.no_towers);
  add_threads(*quantize, s);
  quantize->flag("--no-check", "Only write the file; do not measure what it costs", s.no_check);
  quantize->flag("--json", "Write one JSON object in place of text", s.json);
  quantize->footer(
      "The model's weights must be F32, F16 or BF16. Matrices get the storage that llama.cpp's quantiser gives them for the\n"
      "type (token tables more bits, rows that do not fit a block the nearest that they do); norms stay F32. The error of\n"
      "each kind of tensor is that of its numbers, against their size. The cost is the Kullback-Leibler divergence of the\n"
      "next token's probabilities: both files read a short text, in float32 arithmetic. The towers of a folder go into a\n"
      "file of their own, which g4 and llama.cpp find beside the other.\n\n"
      "Examples:\n"
      "  g4 quantize -m gemma-3-270m --to Q8_0 --out gemma-3-270m-q8_0.gguf\n"
      "  g4 quantize -m gemma-3-4b-it --to Q4_K --out gemma-3-4b-it-q4_k.gguf   (and mmproj-gemma-3-4b-it-q4_k.gguf)\n"
      "  g4 quantize -m gemma-3-1b-it-bf16.gguf --to Q4_K --out gemma-3-1b-it-q4_k.gguf --threads 8\n"
      "  g4 quantize -m gemma-3-270m --to Q4_0 --out small.gguf --json | jq .kl.mean");

  command_line* const embed = add_command("embed", "Texts to vectors, with EmbeddingGemma", program::embed);
  add_running(*embed, s);
  embed->value("--context", "N", "Most tokens of a text (default 2048)", into(s.context, 1, fewer));
  embed->value("--file", "PATH", "Take the texts from the lines of a file (default: of stdin)", into(s.file));
  std::vector<std::string> tasks;
  for (const auto& task : g4::text::detail::named_tasks) tasks.emplace_back(task.name);
  embed->value("--task", "NAME",
               "What the vectors are for, which goes in front of each text: query, document, ... "
               "(default: the texts are taken as they are)",
               among(s.task, tasks));
  embed->value("--numbers", "N", "Only the first N numbers of each vector, of length 1 again: 512, 256 or 128",
               into(s.numbers, 1, most));
  embed->flag("--raw", "Write raw float32 numbers, one vector after the other, in place of JSON", s.raw_floats);
  embed->flag("--stats", "Say how fast it went (on stderr) even when stderr is no terminal", s.stats);
  embed->texts("TEXT...", "The texts; none: one on each line of --file or stdin", s.texts);
  embed->footer(
      "Two texts are as near as the sum of their vectors' products, number by number: 1 where they mean the same.\n\n"
      "Examples:\n"
      "  g4 embed -m embeddinggemma-300m --task query \"Which planet is red?\"\n"
      "  g4 embed -m embeddinggemma-300m --task document --raw --file passages.txt > passages.f32\n"
      "  g4 embed -m embeddinggemma-300m --numbers 256 \"a cat\" \"a dog\" | jq -c '.embeddings[].vector'");

  command_line* const serve = add_command("serve", "Answer over HTTP, many at once, as OpenAI's API has it", program::serve);
  add_running(*serve, s);
  serve->value("--context", "N", "Most tokens of a text, prompt and answer together (default 4096)", into(s.context, 64, most));
  serve->heading("Who comes in");
  serve->value("--host", "ADDRESS", "Where to listen (default 127.0.0.1: this machine alone)", into(s.host));
  serve->value("--port", "N", "0: any that is free, which is said on stderr (default 8080)", into(s.port, 0, 65535));
  serve->value("--token-file", "PATH", "Clients must know the secret on the file's first line: Authorization: Bearer ...",
               into(s.token_file));
  serve->value("--texts", "N", "Most texts answered at once, each with memory of its own (default 8)", into(s.places, 1, 4096));
  serve->value("--queue", "N", "Most requests that wait; behind them there is 503 (default 64)", into(s.queue, 0, 65536));
  serve->value("--connections", "N", "Most connections at once (default 128)", into(s.connections, 1, 16384));
  serve->value("--body-limit", "MiB", "Most of a request, pictures and sounds included (default 16)", into(s.body_limit, 1, 1024));
  serve->value("--answer-limit", "N", "Most tokens a request may ask for (default: as many as there is room for)",
               into(s.answer_limit, 1, most));
  serve->value("--prefixes", "N", "Most system prompts that are kept, read once for all who begin with them (default 4)",
               into(s.prefixes, 0, 1024));
  serve->value("--guesses", "N", "Most tokens of a text that a step guesses from what stands before them: answers that quote come\n"
               "sooner, and stay the same (default 0)", into(s.guesses_of_each, 0, 64));
  serve->value("--grace", "SECONDS", "How long answers may go on when the server is to end (default 5)", into(s.grace, 0, 3600));
  serve->heading("Models");
  serve->value("--name", "NAME", "What clients call the model (default: as its file)", into(s.name));
  serve->value("--embedder", "PATH", "A text embedder for /v1/embeddings, beside a model that answers", into(s.embedder));
  std::vector<std::string> tasks_served;
  for (const auto& task : g4::text::detail::named_tasks) tasks_served.emplace_back(task.name);
  serve->value("--task", "NAME", "What embedded texts are for, as `embed` has it", among(s.task, tasks_served));
  add_mmproj(*serve, s);
  serve->heading("Choosing tokens, where a request does not say");
  serve->value("--temperature", "X", "0: always the likeliest (default 1)", into(s.sampling.temperature));
  serve->value("--top-k", "N", "(default 64)", into(s.sampling.top_k));
  serve->value("--top-p", "X", "(default 0.95)", into(s.sampling.top_p));
  serve->value("--min-p", "X", "(default 0)", into(s.sampling.min_p));
  serve->value("--repetition-penalty", "X", "(default 1)", into(s.sampling.repetition_penalty));
  serve->footer(
      "POST /v1/chat/completions, /v1/completions, /v1/embeddings; GET /v1/models, /health, /metrics (for Prometheus), and /,\n"
      "a page to talk in. Ctrl-C and SIGTERM end it: what is being answered may go on for --grace seconds.\n\n"
      "Examples:\n"
      "  g4 serve -m gemma-3-1b-it.gguf\n"
      "  g4 serve -m gemma-4-e2b-it --embedder embeddinggemma-300m --texts 4 --context 8192\n"
      "  g4 serve -m gemma-3-1b-it.gguf --host 0.0.0.0 --token-file secret.txt\n"
      "  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\\n"
      "       -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Why is the sky blue?\"}]}'");

  const auto wrong = [](const std::string& why) {
    if (!program::leads()) return 2;
    std::fprintf(stderr, "%s\nRun with --help for more information.\n", g4::printable(why).c_str());
    return 2;
  };
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const std::string_view first = words.empty() ? std::string_view() : words[0];
  if (first == "-h" || first == "--help") {
    std::string text =
        "Gemma 3, 3n and 4 on this machine's CPU.\nUsage: g4 [OPTIONS] COMMAND\n\nOptions:\n"
        "  -h,--help     Print this and end\n  --version     Print the version and end\n\nCommands:\n";
    for (const auto& [c, does] : commands)
      text += "  " + c.name() + std::string(14 - c.name().size(), ' ') + c.what() + "\n";
    text +=
        "\n"
        "Examples:\n"
        "  g4 generate --model gemma-3-270m.gguf \"The three laws of thermodynamics are\"\n"
        "  g4 chat --model gemma-3-1b-it.gguf\n"
        "  g4 inspect --model gemma-3-270m.gguf\n"
        "  g4 COMMAND --help   has options and examples of each command\n"
        "\nExit status: 0 done, 1 refused (one sentence on stderr says why), 2 wrong usage."
        "\n";
    return shown(text);
  }
  if (first == "--version") return shown("g4 " G4_VERSION "\n");
  const auto chosen =
      std::find_if(commands.begin(), commands.end(), [&](const auto& c) { return c.first.name() == first; });
  if (chosen == commands.end()) {
    return wrong(words.empty() ? "A subcommand is required" : "'" + std::string(first) + "' is no subcommand");
  }
  command_line& line = chosen->first;
  const auto command = chosen->second;
  if (const std::string why = line.parse({words.begin() + 1, words.end()}); !why.empty()) return wrong(why);
  if (line.asks_for_help()) return shown(line.help());
  if (!program::leads()) return run(program::follow, s);
  s.has_text = line.has_text();
  const bool wants_text = command == program::generate || command == program::tokenize ||
                          command == program::perplexity || (command == program::embed && s.file.empty());
  if (wants_text && !s.has_text && program::is_terminal(STDIN_FILENO)) {
    return wrong(command == program::perplexity ? "FILE: give one, or pipe a text in" : "give a text, or pipe one in");
  }
  if (command == program::inspect && line.has("--model") == line.has("--variant")) {
    return wrong(line.has("--model") ? "--variant: a model is given as well" : "--model or --variant is required");
  }
  if (command == program::chat && !line.has("--temperature") && !line.has("--top-k") && !line.has("--top-p") &&
      !line.has("--min-p")) {
    s.sampling.temperature = 1;
    s.sampling.top_k = 64;
    s.sampling.top_p = 0.95f;
  }
  if (command == program::serve) {  // where a request says one thing the others stay as they are here
    if (!line.has("--temperature")) s.sampling.temperature = 1;
    if (!line.has("--top-k")) s.sampling.top_k = 64;
    if (!line.has("--top-p")) s.sampling.top_p = 0.95f;
  }
  return run(command, s);
}

}  // namespace

int main(int argc, char** argv) {
  int status = 1;
  try {
    if (auto joined = program::start_ranks(argc, argv); !joined) {
      if (g4::comm::number_among_processes() == 0) complain(joined.error().message);
      return 1;
    }
    status = guarded_main(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("g4: there is not enough memory\n", stderr);
  } catch (const std::exception& e) {
    complain(e.what());
  }
  if (!program::end_ranks()) {
    std::fflush(nullptr);
    // Others' patience ends with this one's: they say so before the launcher ends them.
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::_Exit(status != 0 ? status : 1);  // a rank is lost: whatever would wait for it is left out
  }
  return status;
}
