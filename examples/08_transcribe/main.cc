// Writes down what is said in a sound of any length:  example_08_transcribe gemma-4-e2b-it talk.mp3
//
// A model hears thirty seconds at once. A longer sound is cut into stretches, which are heard and written down in turn.
#include <algorithm>
#include <cstdio>
#include <span>
#include <string_view>

#include "examples/media/read_sound.h"
#include "g4/backend/cpu.h"
#include "g4/g4.h"
#include "g4/multimodal.h"
#if defined(G4_EXAMPLE_HEADER)
#include G4_EXAMPLE_HEADER  // the tests put a tiny model in place of this one
#else
#include "g4/variants/gemma4_e2b.h"
#define G4_EXAMPLE_MODEL g4::gemma4_e2b
#endif

int fail(const g4::error& why) { return std::fprintf(stderr, "%s\n", why.message.c_str()), 1; }

int main(int argc, char** argv) {
  if (argc != 3) return std::puts("usage: example_08_transcribe MODEL SOUND"), 2;
  const auto clip = media_files::read_sound(argv[2], 16'000);  // one channel, 16,000 samples a second
  if (!clip) return fail(clip.error());

  g4::backend::cpu on;
  const auto model = g4::open<G4_EXAMPLE_MODEL>(argv[1], on);
  if (!model) return fail(model.error());
  auto session = model->session({.context = 4096});
  if (!session) return fail(session.error());

  for (std::span<const float> left = clip->samples; !left.empty();) {
    const auto stretch = left.first(std::min(left.size(), model->most_samples()));
    left = left.subspan(stretch.size());
    const auto heard = model->hear({stretch});
    if (!heard) return fail(heard.error());
    const auto prompt = model->prompt({{.said = {*heard, "Write down what is said, and nothing else."}}});
    if (!prompt) return fail(prompt.error());
    if (const auto anew = session->rewind(0); !anew) return fail(anew.error());
    const auto done =
        g4::generate(*session, model->tokenizer(), *prompt, {.max_tokens = 400}, [](std::string_view piece) {
          std::fwrite(piece.data(), 1, piece.size(), stdout);
          std::fflush(stdout);
        });
    if (!done) return fail(done.error());
    std::puts("");
  }
}
