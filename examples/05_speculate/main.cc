// Speculative decoding: guesses are checked several at a time, and the answer stays the same, token for token.
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "g4/backend/cpu.h"
#include "g4/g4.h"
#include "g4/variants/gemma3_270m.h"

static int complain(const g4::error& why) {
  std::fprintf(stderr, "%s\n", why.message.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s gemma-3-270m.gguf PROMPT\n", argv[0]), 2;

  g4::thread_pool threads(2);
  g4::backend::cpu on({.mode = g4::backend::numeric::fast, .pool = &threads});
  auto model = g4::open<g4::gemma3_270m>(argv[1], on);
  if (!model) return complain(model.error());
  auto session = model->session({.context = 1024, .batch = 64});
  if (!session) return complain(session.error());
  auto prompt = model->tokenizer().encode(argv[2], {.add_bos = true});
  if (!prompt) return complain(prompt.error());

  const auto seconds_since = [](std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };

  // The guesses here come from the text itself. A Gemma 4 drafter takes the place of `lookup` with `guess_with`.
  g4::prompt_lookup lookup;
  auto begun = std::chrono::steady_clock::now();
  auto fast = g4::speculate(*session, *prompt, 64, 5, g4::guess_by(lookup), [](g4::token_id) { return true; });
  if (!fast) return complain(fast.error());
  const double with = seconds_since(begun);

  if (auto empty = session->rewind(0); !empty) return complain(empty.error());
  begun = std::chrono::steady_clock::now();
  auto plain = g4::generate(*session, model->tokenizer(), *prompt, {.max_tokens = 64, .stop_at_end = false},
                            [](std::string_view) {});
  if (!plain) return complain(plain.error());
  const double without = seconds_since(begun);

  if (auto text = model->tokenizer().decode(fast->tokens)) std::printf("%s\n\n", text->c_str());
  std::printf("%zu of %zu guesses accepted (%.0f %%); %.2f times as fast as without; the same tokens: %s\n",
              fast->accepted, fast->guessed, 100 * fast->acceptance(), without / with,
              plain->tokens == fast->tokens ? "yes" : "no");
  return plain->tokens == fast->tokens ? 0 : 1;
}
