// What a host that compiles without exceptions gets: every public header, and a call of each kind made.
#include "g4/backend/pool.h"
#include "g4/backend/reference.h"
#include "g4/g4.h"
#include "g4/generate/embedder.h"
#include "g4/generate/speculate.h"
#include "g4/multimodal.h"
#include "g4/open/any_drafter.h"
#include "g4/open/any_model.h"
#include "g4/variants/gemma3_270m.h"

#if defined(__cpp_exceptions)
#error "this file is compiled with -fno-exceptions"
#endif

bool answers(const std::string& path, g4::pool& threads);
bool answers(const std::string& path, g4::pool& threads) {
  g4::backend::reference<float> on;
  threads.run(1, [](std::size_t, std::size_t) {});
  auto model = g4::open_any<g4::one_of<g4::gemma3_270m>>(*g4::open_checkpoint(path), on);
  if (!model) return false;
  auto session = (*model)->session({});
  if (!session) return false;
  g4::thread_pool one(1);
  return g4::generate(**session, (*model)->tokenizer(), "a", {}, [](std::string_view) {}).has_value();
}
