// Describes a picture:  example_07_describe_picture gemma-4-e2b-it cat.jpg "What is this?"
//
// The library takes pixels; reading them from a file is what examples/media is for.
#include <cstdio>
#include <string_view>

#include "examples/media/read_picture.h"
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
  if (argc < 3) return std::puts("usage: example_07_describe_picture MODEL PICTURE [QUESTION]"), 2;
  const auto pixels = media_files::read_picture(argv[2]);
  if (!pixels) return fail(pixels.error());

  g4::backend::cpu on;
  const auto model = g4::open<G4_EXAMPLE_MODEL>(argv[1], on);
  if (!model) return fail(model.error());
  const auto picture = model->see(pixels->view());  // rows of the text, [n, D]
  if (!picture) return fail(picture.error());
  std::fprintf(stderr, "%zu x %zu pixels are %zu tokens\n", pixels->width, pixels->height, picture->tokens());

  const std::string_view question = argc > 3 ? argv[3] : "Describe this picture.";
  const auto prompt = model->prompt({{.said = {*picture, question}}});
  if (!prompt) return fail(prompt.error());
  auto session = model->session({.context = 4096, .batch = 1120});  // a picture must fit into a batch
  if (!session) return fail(session.error());
  const auto done =
      g4::generate(*session, model->tokenizer(), *prompt, {.max_tokens = 200}, [](std::string_view piece) {
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
      });
  if (!done) return fail(done.error());
  std::puts("");
}
