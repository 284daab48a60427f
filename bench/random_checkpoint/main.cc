// g4_random_checkpoint: a checkpoint of the true shape of a released model, with random weights.
//
//   g4_random_checkpoint gemma4_e2b Q4_0 e2b-q4_0.gguf
//   g4_random_checkpoint gemma4_26b_a4b Q4_K a4b.gguf --vocabulary gemma-3-270m.gguf
//   g4_random_checkpoint gemma4_e2b safetensors e2b/        (config.json, model.safetensors, tokenizer.json)
//   g4_random_checkpoint gemma4_e2b safetensors e2b/ --text (the same without its towers)
//   g4_random_checkpoint gemma4_e2b mmproj mmproj.gguf      (its towers alone, in BF16)
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/random_checkpoint/towers.h"
#include "bench/random_checkpoint/write.h"
#include "g4/load/match.h"
#include "g4/open/checkpoint.h"
#include "g4/variants/all.h"

namespace {

using named_spec = std::pair<std::string_view, const g4::text_spec*>;

template <class... V>
void add(g4::one_of<V...>, std::vector<named_spec>& specs) {
  (specs.emplace_back(g4::load::variant_name<V>(), &V::spec), ...);
}

struct named_towers {
  std::string_view name;
  std::vector<g4::bench::detail::random_tensor> (*plan)(g4::load::format, g4::storage);
  bool sees, hears;
  std::vector<std::string> (*marks)();
  g4::result<void> (*write)(const std::string&, const g4::bench::random_options&);
};

template <class... M>
std::vector<named_towers> towers_of(g4::one_of<M...>) {
  return {{g4::load::variant_name<M>(), g4::bench::plan_towers<M>, M::can_see, M::can_hear,
           g4::bench::marks_of<M>, g4::bench::write_random_model<M>}...};
}

void tell(std::size_t done, std::size_t total) {
  static std::size_t shown = 101;
  const std::size_t percent = total == 0 ? 100 : done * 100 / total;
  if (percent == shown) return;
  shown = percent;
  std::fprintf(stderr, "\r%3zu %%%s", percent, done == total ? "\n" : "");
}

int usage(const std::vector<named_spec>& specs) {
  std::fputs("g4_random_checkpoint VARIANT TYPE PATH [--vocabulary FILE] [--seed N] [--text]\n  TYPE     safetensors, mmproj", stderr);
  for (const auto& t : g4::load::file_types) std::fprintf(stderr, ", %s", std::string(t.name).c_str());
  std::fputs("\n  VARIANT  one of:", stderr);
  for (const auto& [name, spec] : specs) std::fprintf(stderr, " %s", std::string(name).c_str());
  std::fputs("\n", stderr);
  return 2;
}

int refuse(const std::string& why) {
  std::fprintf(stderr, "g4_random_checkpoint: %s\n", why.c_str());
  return 1;
}

int run(int argc, char** argv) {
  std::vector<named_spec> specs;
  add(g4::all_variants{}, specs);
  add(g4::all_drafters{}, specs);
  g4::bench::random_options options;
  std::vector<std::string> words;
  bool only_text = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool option = word == "--vocabulary" || word == "--seed";
    if (option && i + 1 == argc) return usage(specs);
    if (word == "--vocabulary") {
      options.vocabulary = argv[++i];
    } else if (word == "--seed") {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--text") {
      only_text = true;
    } else {
      words.emplace_back(word);
    }
  }
  if (words.size() != 3) return usage(specs);
  const g4::text_spec* spec = nullptr;
  for (const auto& [name, known] : specs) {
    if (name == words[0]) spec = known;
  }
  const auto type = g4::load::file_type_called(words[1]);
  const bool folder = words[1] == "safetensors";
  const bool towers = words[1] == "mmproj";
  if (spec == nullptr || (!type && !folder && !towers)) return usage(specs);
  if (::isatty(STDERR_FILENO) != 0) options.tell = tell;

  const std::string& path = words[2];
  const std::vector<named_towers> models = towers_of(g4::all_multimodal{});
  const auto seeing = std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.name == words[0]; });
  const bool has_towers = seeing != models.end();
  if (towers) {
    if (!has_towers) return refuse(words[0] + " has no towers");
    const auto tensors = seeing->plan(g4::load::format::gguf, g4::storage::bf16);
    const auto written = g4::bench::write_towers_gguf(path, tensors, seeing->sees, seeing->hears, options);
    return written ? 0 : refuse(written.error().message);
  }
  if (has_towers) options.marks = seeing->marks();
  if (folder) ::mkdir(path.c_str(), 0777);  // one that exists is as good
  const auto written = !folder                     ? g4::bench::write_random_gguf(path, *spec, *type, options)
                       : has_towers && !only_text ? seeing->write(path, options)
                                                   : g4::bench::write_random_safetensors(path, *spec, options);
  if (!written) return refuse(written.error().message);

  // What was written must read as what was asked for.
  const auto from = g4::open_checkpoint(path);
  if (!from) return refuse(from.error().message);
  for (const std::string& line : g4::load::differences(from->spec, *spec, words[0], from->unsaid))
    return refuse(path + ": " + line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    return refuse(e.what());
  }
}
