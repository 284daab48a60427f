// Gemma 3 270M in your own program. Headers only: the reference backend is the definitions themselves, slow and exact.
#include <cstdio>
#include <string_view>

#include "g4/backend/reference.h"
#include "g4/g4.h"
#include "g4/variants/gemma3_270m.h"

static int complain(const g4::error& why) {
  std::fprintf(stderr, "%s\n", why.message.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s gemma-3-270m.gguf PROMPT\n", argv[0]), 2;

  g4::backend::reference<float> on;
  auto model = g4::open<g4::gemma3_270m>(argv[1], on);
  if (!model) return complain(model.error());
  auto session = model->session({.context = 512, .batch = 64});
  if (!session) return complain(session.error());

  const auto print = [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  };
  auto answer = g4::generate(*session, model->tokenizer(), std::string_view(argv[2]), {.max_tokens = 32}, print);
  if (!answer) return complain(answer.error());
  std::printf("\n%.1f tokens per second\n", answer->tokens_per_second());
}
