// Many texts at once: every pass over the weights advances all of them, and each says what it would have said alone.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "g4/backend/cpu.h"
#include "g4/g4.h"
#include "g4/generate/batch.h"
#include "g4/variants/gemma3_270m.h"

static int complain(const g4::error& why) {
  std::fprintf(stderr, "%s\n", why.message.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: %s gemma-3-270m.gguf PROMPT…\n", argv[0]), 2;

  g4::thread_pool threads(2);
  g4::backend::cpu on({.mode = g4::backend::numeric::fast, .pool = &threads});
  auto model = g4::open<g4::gemma3_270m>(argv[1], on);
  if (!model) return complain(model.error());

  auto texts = g4::make_batch(*model, {.texts = 4, .context = 1024});
  if (!texts) return complain(texts.error());
  std::vector<std::string> said(argv + 2, argv + argc);
  std::vector<g4::text_id> inside;
  std::size_t next = 0;
  while (next < said.size() || texts->running() > 0) {
    while (next < said.size() && texts->running() < texts->options().texts) {
      std::string& text = said[next++];
      auto id = texts->join(std::string(text), {.max_tokens = 24}, [&text](std::string_view piece) { text += piece; });
      if (!id) return complain(id.error());
      inside.push_back(*id);
    }
    if (auto ran = texts->step(); !ran) return complain(ran.error());
    for (auto id = inside.begin(); id != inside.end();) {
      if (texts->running(*id)) {
        ++id;
        continue;
      }
      if (auto done = texts->leave(*id); !done) return complain(done.error());
      id = inside.erase(id);
    }
  }
  for (const std::string& text : said) std::printf("%s\n\n", text.c_str());
}
