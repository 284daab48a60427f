#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"
#include "g4/convert/mmproj.h"
#include "g4/convert/quantise.h"
#include "g4/core/printable.h"
#include "g4/io/mapped_file.h"
#include "g4/load/tower_config.h"
#include "g4/ops/kl_divergence.h"
#include "json_text.h"
#include "variants.h"

namespace program {

namespace {

/// What both models read. A little of each kind of text, because each kind suffers from other weights.
constexpr std::string_view sample_text =
    "The kettle had been on the stove for ten minutes before anyone remembered it. By then the water was half gone, "
    "and the kitchen window had turned white. \"Well,\" said Martha, \"at least we know that it works.\"\n\n"
    "Water boils when its vapour pressure equals that of the air around it: at 100 degrees Celsius by the sea, and at "
    "about 70 on the highest mountains, where tea is never quite right.\n\n"
    "for (int i = 0; i < count; ++i) {\n  total += price[i] * amount[i];\n}\nreturn total / count;\n\n"
    "Der Zug nach Hamburg f\xc3\xa4hrt heute von Gleis sieben. Le march\xc3\xa9 ouvre \xc3\xa0 huit heures le samedi.\n"
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55";

/// Logits of every position of a text.
struct reading {
  std::size_t width = 0;
  std::vector<float> logits;  // [tokens, width]
};

/// KL of each position in nats, and how often the likeliest token is the same.
struct cost {
  std::size_t tokens = 0;
  double mean = 0;
  double percentile_99 = 0;
  double largest = 0;
  double same_first = 0;
};

/// The settings under which both models run: float32 arithmetic, so that only the weights differ.
settings exact(const settings& s, const std::string& path) {
  settings of = s;
  of.model = path;
  of.mode = "exact";
  of.backend = "cpu";
  return of;
}

g4::result<reading> read_sample(engine& e, std::span<const g4::token_id> ids) {
  auto session = e.model->session({.context = ids.size(), .batch = std::min<std::size_t>(ids.size(), 64)});
  if (!session) return g4::unexpected(std::move(session.error()));
  reading r;
  r.width = (*session)->vocabulary();
  const auto ran = (*session)->run_all(g4::prompt_view<float>{ids}, [&](std::size_t, std::span<const float> row) {
    r.logits.insert(r.logits.end(), row.begin(), row.end());
  });
  if (!ran) return g4::unexpected(ran.error());
  return r;
}

cost compare(const reading& original, const reading& other) {
  std::vector<double> kl;
  std::size_t same = 0;
  const auto first = [](std::span<const float> x) { return std::max_element(x.begin(), x.end()) - x.begin(); };
  for (std::size_t at = 0; at < original.logits.size(); at += original.width) {
    const auto p = std::span(original.logits).subspan(at, original.width);
    const auto q = std::span(other.logits).subspan(at, original.width);
    kl.push_back(std::max(g4::ops::kl_divergence(p.data(), q.data(), p.size()), 0.0));
    same += first(p) == first(q) ? 1 : 0;
  }
  std::sort(kl.begin(), kl.end());
  cost c;
  c.tokens = kl.size();
  for (const double x : kl) c.mean += x / static_cast<double>(kl.size());
  c.percentile_99 = kl[(kl.size() * 99 - 1) / 100];
  c.largest = kl.back();
  c.same_first = static_cast<double>(same) / static_cast<double>(kl.size());
  return c;
}

/// Tensors of one name in all layers that became the same storage.
struct tensor_class {
  std::string name;
  g4::storage from;
  g4::storage to;
  std::size_t count = 0;
  std::size_t elements = 0;
  std::size_t before = 0;
  std::size_t after = 0;
  double squares = 0;
  double squared_error = 0;

  void add_sizes(const g4::quantised_tensor& t) {
    ++count;
    elements += t.elements;
    before += t.bytes_before;
    after += t.bytes_after;
  }
  void add_error(const g4::quantised_tensor& t) {
    squares += t.squares;
    squared_error += t.squared_error;
  }
  /// Root of Σ(y − x)² / Σx².
  [[nodiscard]] double error() const { return squares > 0 ? std::sqrt(squared_error / squares) : 0; }
};

std::vector<tensor_class> classes_of(const g4::quantised& done) {
  std::vector<tensor_class> classes;
  tensor_class small{"norms and scalars", g4::storage::f32, g4::storage::f32};
  for (const g4::quantised_tensor& t : done.tensors) {
    std::string name(t.what.gguf);
    if (name.ends_with(".weight")) name.resize(name.size() - 7);
    auto at = std::find_if(classes.begin(), classes.end(),
                           [&](const tensor_class& c) { return c.name == name && c.from == t.from && c.to == t.to; });
    if (at == classes.end() && t.to != g4::storage::f32) {
      const auto of_name = [&](const tensor_class& c) { return c.name == name; };
      at = std::find_if(classes.rbegin(), classes.rend(), of_name).base();  // beside those of the same name
      at = classes.insert(at == classes.begin() ? classes.end() : at, {name, t.from, t.to});
    }
    tensor_class& c = t.to == g4::storage::f32 ? small : *at;
    c.add_sizes(t);
    c.add_error(t);
  }
  classes.push_back(small);
  return classes;
}

/// The towers that were written, and where.
struct towers_done {
  std::string out;
  g4::written_towers towers;

  [[nodiscard]] double error() const {
    return towers.squares > 0 ? std::sqrt(towers.squared_error / towers.squares) : 0;
  }
};

/// Everything that was done.
struct report {
  g4::quantised text;
  tensor_class all;
  double seconds = 0;
  std::optional<cost> measured;
  std::optional<towers_done> towers;
};

std::string json_report(const settings& s, const report& r) {
  const auto& [done, all, seconds, c, towers] = r;
  json j;
  j["model"] = s.model;
  j["out"] = s.out;
  j["type"] = s.quantize_to;
  j["bytes_before"] = all.before;
  j["bytes_after"] = all.after;
  j["bits_per_weight"] = 8.0 * static_cast<double>(all.after) / static_cast<double>(all.elements);
  j["relative_error"] = all.error();
  j["seconds"] = seconds;
  j["left_out"] = done.left_out;
  j["tensors"] = json::array();
  for (const tensor_class& t : classes_of(done)) {
    j["tensors"].push_back(json::object({{"name", t.name},
                                         {"from", g4::facts_of(t.from).name},
                                         {"to", g4::facts_of(t.to).name},
                                         {"count", t.count},
                                         {"bytes_before", t.before},
                                         {"bytes_after", t.after},
                                         {"relative_error", t.error()}}));
  }
  if (c) {
    j["kl"] = json::object({{"tokens", c->tokens},
                            {"mean", c->mean},
                            {"p99", c->percentile_99},
                            {"max", c->largest},
                            {"same_first", c->same_first}});
  } else {
    j["kl"] = nullptr;
  }
  if (towers) {
    j["mmproj"] = json::object({{"out", towers->out},
                                {"tensors", towers->towers.tensors},
                                {"bytes_before", towers->towers.bytes_before},
                                {"bytes_after", towers->towers.bytes_after},
                                {"relative_error", towers->error()}});
  } else {
    j["mmproj"] = nullptr;
  }
  return j.text();
}

std::string text_report(const settings& s, const report& r) {
  const auto& [done, all, seconds, c, towers] = r;
  std::string text = fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", "tensors", "storage", "count",
                                 "before", "after", "error");
  for (const tensor_class& t : classes_of(done)) {
    text += fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", t.name,
                        fmt::format("{} > {}", g4::facts_of(t.from).name, g4::facts_of(t.to).name), t.count,
                        bytes_text(t.before), bytes_text(t.after), fmt::format("{:.3f} %", 100 * t.error()));
  }
  text += fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", "all", "", all.count, bytes_text(all.before),
                      bytes_text(all.after), fmt::format("{:.3f} %", 100 * all.error()));
  if (towers) {
    text += fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", "towers", "", towers->towers.tensors,
                        bytes_text(towers->towers.bytes_before), bytes_text(towers->towers.bytes_after),
                        fmt::format("{:.3f} %", 100 * towers->error()));
  }
  if (done.left_out > 0) {
    text += fmt::format("{} tensors of picture and sound towers are left out\n", done.left_out);
  }
  if (towers) text += fmt::format("\n{}: the towers", g4::printable(towers->out));
  text += fmt::format("\n{}: {:.2f} bits a weight, in {:.1f} s\n", g4::printable(s.out),
                      8.0 * static_cast<double>(all.after) / static_cast<double>(all.elements), seconds);
  if (c) {
    text += fmt::format(
        "KL from the input's weights, over {} tokens: mean {:.3g}, 99 % below {:.3g}, largest {:.3g}; the likeliest token is "
        "the same in {:.1f} %\n",
        c->tokens, c->mean, c->percentile_99, c->largest, 100 * c->same_first);
  }
  return text;
}

/// The towers of a folder, by the tensors that their types have; none where it has none, or a GGUF file is read.
g4::result<std::vector<g4::tower_tensors>> towers_of(const settings& s, const g4::checkpoint& from) {
  std::vector<g4::tower_tensors> none;
  if (s.no_towers || from.format == g4::load::format::gguf) return none;
  const auto only_text = [](const g4::error& why) {
    return g4::fail(why.message, " (--no-towers writes the text alone)");
  };
  const std::string config = from.path + "/config.json";
  const auto file = g4::io::map_file(config);
  if (!file) return g4::unexpected(file.error());
  const auto said = g4::load::read_towers(g4::io::text_of((*file)->bytes()), config);
  if (!said) return only_text(said.error());
  if (!said->any()) return none;
  const auto same = [](const g4::tower_spec* known, const std::optional<g4::tower_spec>& one) {
    return known == nullptr ? !one : one && *known == *one;
  };
  for (const known_senses& known : all_known_senses()) {
    if (known.width != from.spec.width || !same(known.sees, said->sees) || !same(known.hears, said->hears)) continue;
    auto towers = known.tensors();
    return g4::holds_towers(from, towers) ? towers : none;
  }
  return only_text({from.path + ": has towers that this program was not built for"});
}

/// Where towers go: mmproj- and the text's name, in the text's folder.
std::string file_of_towers(const settings& s) {
  if (!s.mmproj.empty()) return s.mmproj;
  const std::size_t name = s.out.find_last_of('/') + 1;
  return s.out.substr(0, name) + "mmproj-" + s.out.substr(name);
}

}  // namespace

g4::result<int> quantize(const settings& s) {
  const auto type = g4::load::file_type_called(s.quantize_to);
  if (!type) return g4::fail("--to: ", s.quantize_to, " is no type that g4 writes");
  if (auto fine = is_no_input(s.out, {s.model}); !fine) return g4::unexpected(std::move(fine.error()));
  auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(std::move(from.error()));
  const auto towers = towers_of(s, *from);
  if (!towers) return g4::unexpected(towers.error());
  if (towers->empty() && !(s.mmproj.empty() && s.towers_to.empty())) {
    return g4::fail(s.mmproj.empty() ? "--towers-to: " : "--mmproj: ", s.model, " has no towers that would be written");
  }
  const std::string beside = file_of_towers(s);
  if (!towers->empty()) {
    if (auto fine = is_no_input(beside, {s.model}); !fine) return g4::unexpected(std::move(fine.error()));
    if (beside == s.out) return g4::fail("--mmproj: ", beside, " is to hold the text; give another name");
  }

  std::vector<g4::token_id> ids;
  std::optional<reading> original;
  if (!s.no_check) {
    const auto only_written = [](const g4::error& why) {
      return g4::fail(why.message, " (--no-check quantises without running the model)");
    };
    auto e = open_engine(exact(s, s.model));
    if (!e) return only_written(e.error());
    auto encoded = e->model->tokenizer().encode(sample_text, {.add_bos = true});
    if (!encoded) return g4::unexpected(std::move(encoded.error()));
    constexpr std::size_t most = 256;  // positions; a row of logits of the larger vocabularies takes a MiB
    ids.assign(encoded->begin(), encoded->begin() + static_cast<std::ptrdiff_t>(std::min(encoded->size(), most)));
    auto r = read_sample(*e, ids);
    if (!r) return only_written(r.error());
    original = std::move(*r);
  }

  const auto begun = std::chrono::steady_clock::now();
  g4::thread_pool threads(threads_of(s));
  status_line status(is_terminal(STDERR_FILENO));
  g4::quantise_options options;
  options.threads = &threads;
  options.progress = {&status, [](void* self, std::size_t done, std::size_t total) {
                        static_cast<status_line*>(self)->percent("Quantising", done, total);
                      }};
  options.cancelled = interrupt_guard::pressed;
  report r;
  g4::result<g4::quantised> done;
  {
    const interrupt_guard guard(interrupt_guard::always);
    if (!towers->empty()) {
      g4::mmproj_options how;
      if (!s.towers_to.empty()) {
        how.matrices = s.towers_to == "F32"   ? g4::storage::f32
                       : s.towers_to == "F16" ? g4::storage::f16
                                              : g4::storage::bf16;
      }
      how.progress = {&status, [](void* self, std::size_t ready, std::size_t total) {
                        static_cast<status_line*>(self)->percent("Writing towers", ready, total);
                      }};
      how.cancelled = interrupt_guard::pressed;
      const auto written = g4::write_mmproj(*from, *towers, beside, how);
      status.clear();
      if (!written && interrupt_guard::pressed()) return interrupt_guard::status();
      if (!written) return g4::unexpected(written.error());
      r.towers = towers_done{beside, *written};
    }
    done = g4::quantise_checkpoint(*from, *type, s.out, options);
    status.clear();
    if (!done && r.towers) ::unlink(beside.c_str());  // of two files that belong together none is left alone
    if (!done && interrupt_guard::pressed()) return interrupt_guard::status();
  }
  if (!done) return g4::unexpected(done.error());
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  r.text = std::move(*done);
  if (r.towers) r.text.left_out = 0;

  if (original) {
    auto e = open_engine(exact(s, s.out));
    if (!e) return g4::unexpected(std::move(e.error()));
    const auto other = read_sample(*e, ids);
    if (!other) return g4::unexpected(other.error());
    if (other->width != original->width) return g4::fail(s.out, ": has another vocabulary than ", s.model);
    r.measured = compare(*original, *other);
  }
  r.all = {"all", g4::storage::f32, g4::storage::f32};
  for (const g4::quantised_tensor& t : r.text.tensors) {
    r.all.add_sizes(t);
    // Norms are exact, and large enough to hide what the others lose.
    if (t.to != g4::storage::f32) r.all.add_error(t);
  }
  output out;
  out.write((s.json ? json_report : text_report)(s, r));
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
