#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "backends.h"
#include "g4/generate/any_senses.h"
#include "ranks.h"

namespace program {

engine::engine() = default;
engine::engine(engine&&) noexcept = default;
engine& engine::operator=(engine&&) noexcept = default;
engine::~engine() = default;

g4::result<void> add_backend(engine& e, const settings& s, bool settled) {
  e.on = std::make_unique<backends>();
  const auto mode = s.mode == "exact"   ? g4::backend::numeric::exact
                    : s.mode == "fast8" ? g4::backend::numeric::fast8
                                        : g4::backend::numeric::fast;
  if (s.backend == "reference") {
    e.on->reference = std::make_unique<g4::backend::reference<float>>();
  } else if (s.backend == "cuda") {
#ifdef G4_PROGRAM_CUDA
    auto gpu = g4::backend::cuda::open({.mode = mode});
    if (!gpu) return g4::fail("--backend cuda: ", gpu.error().message);
    e.on->cuda = std::make_unique<g4::backend::cuda>(std::move(*gpu));
#else
    return g4::fail("--backend cuda: this program was built without it; the build's option is -DG4_CUDA=ON, and it needs "
                    "CUDA's toolkit");
#endif
  } else {
    const std::size_t threads = threads_of(s);
    if (threads > 1) e.threads = std::make_unique<g4::thread_pool>(threads);
    const auto move = settled ? g4::backend::weights_move::at_load : g4::backend::weights_move::in_use;
    e.on->cpu = std::make_unique<g4::backend::cpu>(g4::backend::simd_options{mode, e.threads.get(), move});
  }
  return {};
}

g4::result<engine> open_engine(const settings& s, bool settled) {
  const auto begun = std::chrono::steady_clock::now();
  engine e;
  e.path = s.model;
  if (s.in_stages() && !on_ranks()) return g4::fail("--pipeline: ", why_no_stages());
  status_line status(is_terminal(STDERR_FILENO));
  auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(std::move(from.error()));
  e.spec = from->spec;
  for (const g4::io::stored_tensor& t : from->tensors.tensors()) e.weight_bytes += t.bytes.size();
  if (e.spec.is_drafter())
    return g4::fail(s.model, ": is a drafter, which guesses for another model; give it with --draft");
  if (e.spec.sees == g4::visibility::everything)
    return g4::fail(s.model, ": is a text embedder, which writes no text; g4 embed takes it");

  g4::open_options options;
  options.checks.contents = !s.skip_checks;
  options.progress = {&status, [](void* self, std::size_t done, std::size_t total) {
                        static_cast<status_line*>(self)->percent("Loading", done, total);
                      }};
  if (on_ranks()) {
    if (auto done = open_on_ranks(e, s, settled, options); !done) return g4::unexpected(std::move(done.error()));
    status.clear();
    e.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return e;
  }
  g4::result<std::unique_ptr<g4::any_model>> opened;
  if (auto made = add_backend(e, s, settled); !made) return g4::unexpected(std::move(made.error()));
  if (e.on->reference != nullptr) {
    opened = open_compiled(*from, *e.on->reference, options);
#ifdef G4_PROGRAM_CUDA
  } else if (e.on->cuda != nullptr) {
    opened = open_compiled(*from, *e.on->cuda, options);
#endif
  } else {
    opened = open_compiled(*from, *e.on->cpu, options);
  }
  if (!opened) return g4::unexpected(std::move(opened.error()));
  e.model = std::move(*opened);
  e.from = std::move(*from);
  e.from->keys = {};  // the vocabulary is read
  status.clear();
  say_note(e.model->tokenizer());
  e.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return e;
}

std::size_t threads_of(const settings& s) {
  return s.threads != 0 ? s.threads : std::max(1u, std::thread::hardware_concurrency());
}

const char* turn_mark(const engine& e) {
  return g4::generation_of(e.spec) == g4::generation::gemma4 ? "<|turn>" : "<start_of_turn>";
}

g4::storage usual_cache() { return g4::backend::cpu({.mode = g4::backend::numeric::fast}).cache_storage(); }

std::size_t deciding_logits(const settings& s) {
  // A drafter's guesses are checked against the logits of several tokens at once.
  if (s.head == "whole" || !s.draft.empty()) return 0;
  const std::size_t deciding = g4::sample::logits_that_decide(s.sampling);
  if (deciding > g4::cpu::best_rows::most) return 0;
  // Unasked for one logit alone, and on CPUs where that is faster; for 64 it may lose.
  const bool pays = deciding == 1 && (s.backend != "cpu" || g4::cpu::kernels::ranking_pays());
  return s.head == "ranked" || pays ? deciding : 0;
}

g4::session_options options_of(const settings& s, std::size_t context, std::size_t best_logits) {
  const auto type_of = [](const std::string& name) -> std::optional<g4::storage> {
    if (name == "f32") return g4::storage::f32;
    if (name == "f16") return g4::storage::f16;
    if (name == "i16") return g4::storage::i16;
    if (name == "q8_0") return g4::storage::q8_0;
    return {};
  };
  g4::session_options options{.context = context, .batch = s.batch};
  options.best_logits = best_logits;
  options.cache.local = type_of(s.cache);
  options.cache.global = type_of(s.cache_global.empty() ? s.cache : s.cache_global);
  return options;
}

g4::result<std::string> text_or_stdin(const settings& s) {
  if (s.has_text && s.text != "-") return s.text;
  return read_stdin();
}

g4::sample::sampler_options sampling_of(const settings& s) {
  g4::sample::sampler_options sampling = s.sampling;
  if (s.seed) {
    sampling.seed = *s.seed;
  } else if (sampling.temperature > 0) {
    sampling.seed = std::random_device{}();
  }
  return sampling;
}

}  // namespace program
