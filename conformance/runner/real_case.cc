// A real checkpoint: inner tensors and logits after several prompts, and what greedy decoding makes of them.
#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/recorder.h"
#include "conformance/runner/tolerance.h"
#include "g4/io/gguf.h"

namespace g4::conformance {

namespace {

/// KL of the fast mode counts over texts of at least so many tokens: shorter ones say too little.
constexpr std::size_t long_enough = 650;

class prompt_check {
 public:
  prompt_check(const case_folder& folder, const running_on& on, loaded_model& model, const json& facts, report& out)
      : folder_(folder),
        on_(on),
        model_(model),
        facts_(facts),
        out_(out),
        prefix_(std::to_string(facts.at("index").get<int>()) + ".") {
    const json& tolerance = folder.about().at("suggested_tolerance");
    logits_atol_ = tolerance.at("logits_atol").get<double>();
    hidden_rtol_ = on.fast() ? fast_relative : tolerance.at("hidden_rtol_of_max_abs").get<double>();
  }

  result<void> run() {
    prompt next{folder_.integers(prefix_ + "input_ids"), {}, {}, {}};
    if (next.ids.empty()) return fail("expected.safetensors has no ", prefix_, "input_ids");
    const std::vector<std::int32_t> greedy = folder_.integers(prefix_ + "greedy_ids");
    const std::size_t steps = std::max<std::size_t>(1, greedy.size());
    auto text = model_.start({.context = next.ids.size() + steps, .batch = 256});
    if (!text) return unexpected(text.error());

    recorder seen(
        [](const std::string& name) {
          return name == "embed" || name == "final_norm" || name.rfind("hidden.", 0) == 0;
        },
        true);
    (*text)->watch(&seen);
    std::size_t wrong = 0;
    double worst_top5 = 0;
    for (std::size_t step = 0; step < steps; ++step) {
      const auto logits = (*text)->run(next);
      if (!logits) return unexpected(logits.error());
      if (step == 0) {
        compare_inside(seen);
        compare_logits(*logits);
        (*text)->watch(nullptr);
      }
      if (greedy.empty()) break;
      if (counts(step) && index_of_largest(*logits) != static_cast<std::size_t>(greedy[step])) ++wrong;
      worst_top5 = std::max(worst_top5, top5_error(step, *logits));
      next = prompt{{greedy[step]}, {}, {}, {}};  // along the expected ids, so that later steps can be compared too
    }
    if (greedy.empty()) return {};
    if (!on_.fast()) {
      out_.compared(prefix_ + "greedy_top5_logits", worst_top5, logits_atol_);
    }
    out_.exact(prefix_ + "greedy_ids", wrong, strict_steps(greedy.size()));
    return {};
  }

 private:
  /// Greedy ids are compared before the first step whose two best are nearly the same.
  [[nodiscard]] std::size_t strict_steps(std::size_t steps) const {
    const auto first = facts_.find("first_step_with_margin_below_0_01");
    return first != facts_.end() && first->is_number_integer() ? std::min(steps, first->get<std::size_t>()) : steps;
  }
  [[nodiscard]] bool counts(std::size_t step) const {
    if (step >= strict_steps(std::numeric_limits<std::size_t>::max())) return false;
    if (!on_.fast()) return true;
    // In fast mode only choices that its error cannot turn: 40 % of a logit difference is a shift common to all.
    const std::vector<double> top = folder_.numbers(prefix_ + "greedy_top5_logits");
    return top.size() > step * 5 + 1 && top[step * 5] - top[step * 5 + 1] > 0.25;
  }

  void compare_inside(const recorder& seen) {
    compare_relative("embed", seen, "embed", 0);
    const std::vector<std::size_t> shape = folder_.shape(prefix_ + "hidden");
    if (shape.size() == 2) {
      for (std::size_t l = 0; l < shape[0]; ++l) compare_relative("hidden." + std::to_string(l), seen, "hidden", l);
    }
    compare_relative("final_norm", seen, "final_norm", 0);
  }

  void compare_relative(const std::string& tap, const recorder& seen, const char* tensor, std::size_t row) {
    const std::vector<double> all = folder_.numbers(prefix_ + tensor);
    if (all.empty()) return;
    const std::string label = prefix_ + tap;
    if (!seen.has(tap)) return out_.failed(label, "g4 shows no such tensor");
    const std::size_t width = seen[tap].size();
    if ((row + 1) * width > all.size()) return out_.failed(label, "has another size");
    const std::span<const double> expected(all.data() + row * width, width);
    out_.compared(label, largest_error(seen[tap], expected), hidden_rtol_ * largest_magnitude(expected));
  }

  void compare_logits(const std::vector<double>& logits) {
    const std::vector<std::int32_t> ids = folder_.integers(prefix_ + "top_ids");
    const std::vector<double> top = folder_.numbers(prefix_ + "top_logits");
    if (on_.fast()) return;  // raw differences are no measure there: see check_divergence
    double worst = 0;
    std::size_t misplaced = 0;
    for (std::size_t i = 0; i < ids.size() && i < top.size(); ++i) {
      worst = std::max(worst, std::abs(logits.at(static_cast<std::size_t>(ids[i])) - top[i]));
      // Its place in the order, where neighbours are further apart than two errors.
      const auto above = static_cast<std::size_t>(
          std::count_if(logits.begin(), logits.end(), [&](double l) { return l > top[i] + 2 * logits_atol_; }));
      misplaced += above > i ? 1 : 0;
    }
    out_.compared(prefix_ + "top_logits", worst, logits_atol_);
    out_.exact(prefix_ + "top_ids", misplaced, ids.size());
    std::vector<double> sampled;
    for (std::size_t i = 0; i < logits.size(); i += 64) sampled.push_back(logits[i]);
    out_.compared(prefix_ + "logits_every_64", largest_error(sampled, folder_.numbers(prefix_ + "logits_every_64")),
                  logits_atol_);
  }

  [[nodiscard]] double top5_error(std::size_t step, const std::vector<double>& logits) const {
    const std::vector<std::int32_t> ids = folder_.integers(prefix_ + "greedy_top5_ids");
    const std::vector<double> top = folder_.numbers(prefix_ + "greedy_top5_logits");
    double worst = 0;
    for (std::size_t i = 5 * step; i < 5 * (step + 1) && i < ids.size() && i < top.size(); ++i) {
      worst = std::max(worst, std::abs(logits.at(static_cast<std::size_t>(ids[i])) - top[i]));
    }
    return worst;
  }

  const case_folder& folder_;
  const running_on& on_;
  loaded_model& model_;
  const json& facts_;
  report& out_;
  std::string prefix_;
  double logits_atol_ = 0;
  double hidden_rtol_ = 0;
};

/// The fast mode's logits against the exact mode's, which the other checks hold to the case: mean KL over a text.
result<void> check_divergence(const case_folder& folder, const running_on& on, const io::tensor_file& file,
                              loaded_model& fast, report& out) {
  auto exact = on.how.load(file, load::format::gguf, backend::numeric::exact);
  if (!exact) return unexpected(exact.error());
  for (const json& facts : folder.about().at("prompts")) {
    const std::string name = std::to_string(facts.at("index").get<int>());
    const prompt what{folder.integers(name + ".input_ids"), {}, {}, {}};
    constexpr std::size_t piece = 32;  // logits of so many tokens are kept: a vocabulary row is 2 MB
    const std::size_t T = what.ids.size();
    auto a = (*exact)->start({.context = T, .batch = piece});
    if (!a) return unexpected(a.error());
    auto b = fast.start({.context = T, .batch = piece});
    if (!b) return unexpected(b.error());
    std::vector<double> kl;
    std::size_t same_top = 0;
    for (std::size_t first = 0; first < T; first += piece) {
      const auto end = static_cast<std::ptrdiff_t>(std::min(T, first + piece));
      const prompt part{{what.ids.begin() + static_cast<std::ptrdiff_t>(first), what.ids.begin() + end}, {}, {}, {}};
      std::vector<std::vector<double>> rows;
      if (auto ran = (*a)->run_all(
              part, [&](std::size_t, std::span<const double> row) { rows.emplace_back(row.begin(), row.end()); });
          !ran) {
        return unexpected(ran.error());
      }
      if (auto ran = (*b)->run_all(part,
                                   [&](std::size_t t, std::span<const double> row) {
                                     kl.push_back(kl_divergence(rows[t], row));
                                     same_top += index_of_largest(rows[t]) == index_of_largest(row) ? 1 : 0;
                                   });
          !ran) {
        return unexpected(ran.error());
      }
    }
    double sum = 0;
    for (const double k : kl) sum += k;
    std::sort(kl.begin(), kl.end());
    char p99[96];
    std::snprintf(p99, sizeof p99, ".logits (mean KL, %zu tokens, p99 %.1e, top-1 %.1f%%)", T, kl[kl.size() * 99 / 100],
                  100.0 * static_cast<double>(same_top) / static_cast<double>(T));
    const double mean = sum / static_cast<double>(T);
    if (T >= long_enough) {
      out.compared(name + p99, mean, fast_kl);
    } else {
      out.compared(name + p99, mean, 10 * fast_kl);
    }
  }
  return {};
}

}  // namespace

result<void> check_real(const case_folder& folder, const running_on& on, const check_options& options, report& out) {
  const auto file = io::open_gguf(options.model_file);
  if (!file) return unexpected(file.error());
  auto model = on.how.load(file->tensors, load::format::gguf, on.mode);
  if (!model) return unexpected(model.error());
  for (const json& facts : folder.about().at("prompts")) {
    if (auto done = prompt_check(folder, on, **model, facts, out).run(); !done) return done;
  }
  return on.fast() ? check_divergence(folder, on, file->tensors, **model, out) : result<void>{};
}

}  // namespace g4::conformance
