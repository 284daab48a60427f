// Finds the nearest of ten texts:  example_09_nearest_text embeddinggemma-300m "Which planet is red?"
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <iterator>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/cpu.h"
#include "g4/g4.h"
#include "g4/generate/embedder.h"
#if defined(G4_EXAMPLE_HEADER)
#include G4_EXAMPLE_HEADER  // the tests put a tiny model in place of this one
#else
#include "g4/variants/embeddinggemma_300m.h"
#define G4_EXAMPLE_MODEL g4::embeddinggemma_300m
#endif

constexpr std::string_view texts[] = {"Mercury is the planet nearest to the sun.",
                                      "Venus is hidden by clouds.",
                                      "Earth has one moon, and water.",
                                      "Mars is red with rust.",
                                      "Jupiter is heavier than all the others.",
                                      "Saturn has rings of ice.",
                                      "Uranus lies on its side.",
                                      "Neptune was found by reckoning.",
                                      "Cats sleep for most of the day.",
                                      "Bread needs flour, water, salt and time."};

int fail(const g4::error& why) { return std::fprintf(stderr, "%s\n", why.message.c_str()), 1; }

int main(int argc, char** argv) {
  if (argc != 3) return std::puts("usage: example_09_nearest_text MODEL QUERY"), 2;
  g4::backend::cpu on;
  const auto from = g4::open_checkpoint(argv[1]);
  if (!from) return fail(from.error());
  const auto vocabulary = from->tokenizer();
  if (!vocabulary) return fail(vocabulary.error());
  auto model = g4::embedder<G4_EXAMPLE_MODEL, g4::backend::cpu>::open(argv[1], on);
  if (!model) return fail(model.error());

  // A query and a passage are told apart by what stands in front of them.
  std::vector<std::vector<g4::token_id>> ids;
  const auto add = [&](g4::embedding_task task, std::string_view text) -> g4::result<void> {
    auto encoded = vocabulary->encode(g4::with_task(task, text), {.add_bos = true});
    if (!encoded) return g4::unexpected(encoded.error());
    ids.push_back(std::move(*encoded));
    ids.back().push_back(vocabulary->special().eos);
    return {};
  };
  auto added = add(g4::embedding_task::query, argv[2]);
  for (const std::string_view text : texts) {
    if (added) added = add(g4::embedding_task::document, text);
  }
  if (!added) return fail(added.error());

  // All in one pass over the weights.
  const auto embedded = model->embed_each(std::vector<std::span<const g4::token_id>>(ids.begin(), ids.end()));
  if (!embedded) return fail(embedded.error());
  const std::vector<float>& query = embedded->front().unit;
  std::vector<std::pair<float, std::string_view>> by_nearness;
  for (std::size_t i = 0; i < std::size(texts); ++i) {
    const std::vector<float>& there = (*embedded)[1 + i].unit;
    by_nearness.emplace_back(std::inner_product(query.begin(), query.end(), there.begin(), 0.0f), texts[i]);
  }
  std::sort(by_nearness.rbegin(), by_nearness.rend());
  for (const auto& [nearness, text] : by_nearness) {
    std::printf("%6.3f  %.*s\n", static_cast<double>(nearness), static_cast<int>(text.size()), text.data());
  }
}
