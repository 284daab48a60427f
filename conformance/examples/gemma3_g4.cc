// A Gemma 3 text as an engine for g4-conformance, with g4: what such a program has to do, line by line.
//
//     g4-conformance run --program build/release/bin/gemma3_g4 gemma3-270m
//
// A model is a type here, so that this program runs one case: its type was made of the case's config.json while it was built.
// conformance/engine makes the type of any case and compiles it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/g4.h"
#include "g4/io/safetensors.h"
#include "g4/io/safetensors_writer.h"
#include "small_gemma3.h"  // g4_add_variant(small_gemma3 CONFIG cases/gemma3-270m/config.json)

namespace {

using scalar = float;
using backend = g4::backend::reference<scalar>;

constexpr int passed = 0, failed = 1, not_applicable = 77;

/// The suite shows the last line that an engine prints.
int end(int status, const std::string& why) { return std::puts(why.c_str()), status; }

/// Everything that is computed, by its name in conformance/README.md.
class seen {
 public:
  /// `names` is `outputs` of case.json: what is asked for, and its shapes.
  explicit seen(const nlohmann::json& names) : names_(names) {}

  template <class T>
  void add(const std::string& name, std::span<const T> values) {
    if (!names_.contains(name)) return;
    g4::io::extents shape;
    for (const auto& size : names_.at(name).at("shape")) shape.push_back(size);
    static_assert(sizeof(T) == 4);
    plan_.push_back({name, {std::is_integral_v<T> ? "I32" : "F32", 1, sizeof(T), {}}, shape});
    const auto bytes = std::as_bytes(values);
    bytes_.emplace_back(bytes.begin(), bytes.end());
  }

  /// What a session shows: "attn.query" of layer 3 is `attn.3.query`.
  void see(const g4::tapped<scalar>& what) {
    std::string name = what.name;
    if (what.layer >= 0) {
      const auto dot = std::min(name.find('.'), name.size());
      name.insert(dot, "." + std::to_string(what.layer));
    }
    add(name, std::span(what.data, what.rows * what.width));
  }

  g4::result<void> write(const std::string& path) const {
    auto file = g4::io::write_safetensors(path, plan_);
    if (!file) return g4::unexpected(file.error());
    for (std::size_t i = 0; i < plan_.size(); ++i) {
      if (auto done = file->write(plan_[i].name, bytes_[i]); !done) return done;
    }
    return file->finish();
  }

 private:
  const nlohmann::json& names_;
  std::vector<g4::io::tensor_plan> plan_;
  std::vector<std::vector<std::byte>> bytes_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return end(2, "gemma3_g4 CASE_DIR OUT.safetensors");
  const std::string folder = argv[1];

  // The checkpoint: config.json and model.safetensors. Another model's is none of this program's.
  backend on;
  const auto checkpoint = g4::open_checkpoint(folder);
  if (!checkpoint) return end(not_applicable, checkpoint.error().message);
  if (auto same = g4::check_variant(*checkpoint, g4::small_gemma3::spec, "small_gemma3"); !same) {
    return end(not_applicable, same.error().message);
  }
  const auto weights = g4::open_weights<g4::small_gemma3>(*checkpoint, on);
  if (!weights) return end(failed, weights.error().message);

  // The inputs: the ids of the prompt, and how many tokens are to follow.
  const auto inputs = g4::io::open_safetensors(folder + "/expected.safetensors");
  if (!inputs) return end(failed, inputs.error().message);
  const g4::io::stored_tensor* given = inputs->find("input_ids");
  if (given == nullptr) return end(failed, "expected.safetensors has no input_ids");
  std::vector<g4::token_id> ids(given->dims.elements());
  std::memcpy(ids.data(), given->bytes.data(), given->bytes.size());
  const auto about = nlohmann::json::parse(std::ifstream(folder + "/case.json"), nullptr, false);
  if (about.is_discarded()) return end(failed, "case.json is no JSON text");
  const std::size_t steps = about.value("new_tokens", 0);

  // One pass over the prompt: a session shows its inner tensors, and hands out the logits of every token.
  seen out(about.at("outputs"));
  std::vector<scalar> logits;
  auto whole = g4::session<g4::small_gemma3, backend>::make(**weights, on, {.context = ids.size(), .batch = ids.size()});
  if (!whole) return end(failed, whole.error().message);
  whole->watch({&out, [](void* self, const g4::tapped<scalar>& what) { static_cast<seen*>(self)->see(what); }});
  const auto ran = whole->run_all({ids}, [&](std::size_t, std::span<const scalar> row) {
    logits.insert(logits.end(), row.begin(), row.end());
  });
  if (!ran) return end(failed, ran.error().message);
  out.add<scalar>("logits", logits);

  // The continuation: the prompt once more, then one token at a time through the cache.
  auto text = g4::session<g4::small_gemma3, backend>::make(**weights, on, {.context = ids.size() + steps, .batch = ids.size()});
  if (!text) return end(failed, text.error().message);
  std::vector<scalar> greedy_logits;
  std::vector<g4::token_id> greedy_ids, next = ids;
  for (std::size_t i = 0; i < steps; ++i) {
    const auto best = text->run(next);
    if (!best) return end(failed, best.error().message);
    greedy_logits.insert(greedy_logits.end(), best->begin(), best->end());
    greedy_ids.push_back(static_cast<g4::token_id>(std::max_element(best->begin(), best->end()) - best->begin()));
    next = {greedy_ids.back()};
  }
  out.add<scalar>("greedy_logits", greedy_logits);
  out.add<g4::token_id>("greedy_ids", greedy_ids);

  if (auto written = out.write(argv[2]); !written) return end(failed, written.error().message);
  return passed;
}
