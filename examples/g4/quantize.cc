#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine.h"
#include "g4/convert/quantise.h"
#include "g4/core/printable.h"
#include "g4/ops/kl_divergence.h"
#include "json_text.h"

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
  const auto ran = (*session)->run_all(
      g4::prompt_view<float>{ids},
      [&](std::size_t, std::span<const float> row) { r.logits.insert(r.logits.end(), row.begin(), row.end()); });
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

std::string json_report(const settings& s, const g4::quantised& done, const tensor_class& all, double seconds,
                        const std::optional<cost>& c) {
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
  return j.text();
}

std::string text_report(const settings& s, const g4::quantised& done, const tensor_class& all, double seconds,
                        const std::optional<cost>& c) {
  std::string text = fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", "tensors", "storage", "count",
                                 "before", "after", "error");
  for (const tensor_class& t : classes_of(done)) {
    text += fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", t.name,
                        fmt::format("{} > {}", g4::facts_of(t.from).name, g4::facts_of(t.to).name), t.count,
                        bytes_text(t.before), bytes_text(t.after), fmt::format("{:.3f} %", 100 * t.error()));
  }
  text += fmt::format("{:<20}  {:<12}  {:>6}  {:>9}  {:>9}  {:>8}\n", "all", "", all.count, bytes_text(all.before),
                      bytes_text(all.after), fmt::format("{:.3f} %", 100 * all.error()));
  if (done.left_out > 0) {
    text +=
        fmt::format("{} tensors of image and sound towers are left out; llama.cpp keeps those in a file of their own\n",
                    done.left_out);
  }
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

}  // namespace

g4::result<int> quantize(const settings& s) {
  const auto type = g4::load::file_type_called(s.quantize_to);
  if (!type) return g4::fail("--to: ", s.quantize_to, " is no type that g4 writes");
  if (auto fine = is_no_input(s.out, {s.model}); !fine) return g4::unexpected(std::move(fine.error()));
  auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(std::move(from.error()));

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
  g4::result<g4::quantised> done;
  {
    const interrupt_guard guard(interrupt_guard::always);
    done = g4::quantise_checkpoint(*from, *type, s.out, options);
    status.clear();
    if (!done && interrupt_guard::pressed()) return interrupt_guard::status();
  }
  if (!done) return g4::unexpected(done.error());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();

  std::optional<cost> measured;
  if (original) {
    auto e = open_engine(exact(s, s.out));
    if (!e) return g4::unexpected(std::move(e.error()));
    const auto other = read_sample(*e, ids);
    if (!other) return g4::unexpected(other.error());
    if (other->width != original->width) return g4::fail(s.out, ": has another vocabulary than ", s.model);
    measured = compare(*original, *other);
  }
  tensor_class all{"all", g4::storage::f32, g4::storage::f32};
  for (const g4::quantised_tensor& t : done->tensors) {
    all.add_sizes(t);
    // Norms are exact, and large enough to hide what the others lose.
    if (t.to != g4::storage::f32) all.add_error(t);
  }
  output out;
  out.write((s.json ? json_report : text_report)(s, *done, all, seconds, measured));
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
