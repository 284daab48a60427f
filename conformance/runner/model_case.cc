// A model case: every inner tensor of one pass, then the same logits in chunks, and token by token through the cache.
#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "conformance/runner/case_prompt.h"
#include "conformance/runner/checkpoint.h"
#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/greedy.h"
#include "conformance/runner/media.h"
#include "conformance/runner/passes.h"
#include "conformance/runner/recorder.h"
#include "conformance/runner/tolerance.h"

namespace g4::conformance {

namespace {

bool starts_with_any(const std::string& name, std::initializer_list<const char*> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const char* p) { return name.rfind(p, 0) == 0; });
}

/// Outputs that other checks compare.
bool belongs_elsewhere(const std::string& name) {
  return name == "pooled" || name == "embedding" || name == "speculative_ids" || name.rfind("greedy_", 0) == 0 ||
         starts_with_any(name, {"dense.", "short.", "round.", "draft.", "verify.", "offset."});
}

class model_check {
 public:
  model_check(const case_folder& folder, const running_on& on, report& out, loaded_model& model, case_prompt prompt,
              tower_tensors made)
      : folder_(folder), on_(on), out_(out), model_(model), prompt_(std::move(prompt)), made_(std::move(made)) {}

  /// other   the prompt with other media in the same places, whose rows are `rows`; empty where the case has none
  result<void> run(const case_prompt& other, const tower_tensors& rows) {
    if (auto done = one_pass(); !done) return done;
    if (auto done = media_matter(other, rows); !done) return done;
    if (on_.spec.sees == visibility::everything) return {};  // an encoder has this one pass
    if (auto done = in_chunks(); !done) return done;
    const std::vector<std::int32_t> ids = folder_.integers("greedy_ids");
    if (std::any_of(ids.begin(), ids.end(),
                    [this](std::int32_t id) { return id >= prompt_.first_tower_id && !on_.how.embeds(id); })) {
      out_.skipped("greedy_logits", "the continuation holds ids of the image and sound embedders: not in this build");
      return {};
    }
    return check_greedy(folder_, on_, model_, prompt_.what, std::max<std::size_t>(8, least_batch()), out_);
  }

 private:
  [[nodiscard]] std::size_t tokens() const { return prompt_.what.ids.size(); }
  [[nodiscard]] bool sees_images() const { return !prompt_.what.image_run.empty() && on_.spec.sees_images(); }
  /// Tokens that must be run together.
  [[nodiscard]] std::size_t least_batch() const {
    return sees_images() ? std::max<std::size_t>(1, prompt_.longest_image) : 1;
  }

  void compare(const std::string& label, const std::string& tensor, std::span<const double> found,
               std::span<const double> expected) {
    const auto limit = limit_for(folder_, tensor, expected, on_.fast());
    if (!limit) return out_.failed(label, "case.json gives no atol");
    out_.compared(label, largest_error(found, expected), *limit);
  }

  result<std::vector<double>> all_logits(const session_options& options, observer* who) {
    return all_logits(prompt_.what, options, who);
  }
  result<std::vector<double>> all_logits(const prompt& what, const session_options& options, observer* who) {
    return conformance::all_logits(model_, what, options, who);
  }

  result<void> one_pass() {
    const std::vector<std::string> outputs = folder_.outputs();
    recorder seen([&](const std::string& name) { return folder_.has(name); });
    const auto logits = all_logits({.context = tokens(), .batch = tokens()}, &seen);
    if (!logits) return unexpected(logits.error());
    for (const std::string& name : outputs) {
      if (belongs_elsewhere(name)) continue;
      if (name == "logits") {
        compare(name, name, *logits, folder_.numbers(name));
        if (on_.fast()) compare_distributions(name, *logits, folder_.numbers(name));
      } else if (const auto made = made_.find(name); made != made_.end() && folder_.is_integer(name)) {
        compare_integers(name, made->second, true);
      } else if (made != made_.end()) {
        compare(name, name, made->second, folder_.numbers(name));
      } else if (starts_with_any(name, {"vision."})) {
        out_.skipped(name, "image tower: not in this build");
      } else if (starts_with_any(name, {"audio."})) {
        out_.skipped(name, "sound tower: not in this build");
      } else if (name == "logits_forward_masks") {
        out_.skipped(name, "the reference's masks without generate(), which g4 does not have");
      } else if (name == "logits_without_the_cap") {
        out_.skipped(name, "the reference without the cap, which g4 applies");
      } else if (!seen.has(name)) {
        out_.skipped(name, "g4 shows no such tensor");
      } else if (folder_.is_integer(name)) {
        compare_integers(name, seen[name]);
      } else {
        compare(name, name, seen[name], folder_.numbers(name));
      }
    }
    return {};
  }

  /// With other pictures and sounds every row is another, and so is what the text says after them.
  result<void> media_matter(const case_prompt& other, const tower_tensors& rows) {
    constexpr double noticed = 1e-5;
    const auto width = static_cast<std::size_t>(on_.spec.width);
    bool any = false;
    for (const auto& [name, others] : rows) {
      const auto own = made_.find(name);
      if (!name.ends_with(".soft_tokens") || own == made_.end() || own->second.size() != others.size()) continue;
      any = true;
      std::size_t same = 0;
      for (std::size_t i = 0; i + width <= others.size(); i += width) {
        const std::span<const double> a = std::span(own->second).subspan(i, width);
        same += largest_error(a, std::span(others).subspan(i, width)) > noticed ? 0 : 1;
      }
      out_.compared(name + " left unmoved", static_cast<double>(same), 0);
    }
    if (!any) return {};
    const session_options whole{.context = tokens(), .batch = tokens()};
    const auto a = all_logits(whole, nullptr), b = all_logits(other.what, whole, nullptr);
    if (!a || !b) return unexpected(a ? b.error() : a.error());
    const std::size_t last = a->size() - static_cast<std::size_t>(on_.spec.vocab);
    const bool reaches = largest_error(std::span(*a).subspan(last), std::span(*b).subspan(last)) > noticed;
    out_.compared("last logits left unmoved", reaches ? 0 : 1, 0);
    return {};
  }

  void compare_integers(const std::string& name, std::span<const double> found, bool always = false) {
    const std::vector<double> expected = folder_.numbers(name);
    if (on_.fast() && !always) return out_.skipped(name, "choices near a tie may differ in fast mode");
    std::size_t wrong = found.size() == expected.size() ? 0 : expected.size();
    for (std::size_t i = 0; i < expected.size() && wrong < expected.size(); ++i)
      wrong += found[i] != expected[i] ? 1 : 0;
    out_.exact(name, wrong, expected.size());
  }

  void compare_distributions(const std::string& name, std::span<const double> found, std::span<const double> expected) {
    const auto vocab = static_cast<std::size_t>(on_.spec.vocab);
    double sum = 0;
    for (std::size_t i = 0; i + vocab <= expected.size() && i + vocab <= found.size(); i += vocab) {
      sum += kl_divergence(expected.subspan(i, vocab), found.subspan(i, vocab));
    }
    out_.compared(name + " (mean KL)", sum / static_cast<double>(expected.size() / vocab), fast_kl);
  }

  /// Chunks that end inside, at and beyond a window; of one token, the cache is all there is.
  result<void> in_chunks() {
    if (!folder_.has("logits")) return {};
    int window = 0;
    for (int l = 0; l < on_.spec.layers; ++l) {
      const layer_kind& k = on_.spec.layer[static_cast<std::size_t>(l)];
      if (k.sees == reach::local && k.keys.back != key_span::unbounded) window = k.keys.back + 1;
    }
    std::set<std::size_t> sizes{1, 2, 7};
    if (window > 1)
      sizes.insert({static_cast<std::size_t>(window - 1), static_cast<std::size_t>(window),
                    static_cast<std::size_t>(window + 1)});
    if (sees_images()) sizes.insert(least_batch());
    const std::vector<double> expected = folder_.numbers("logits");
    for (const std::size_t size : sizes) {
      if (size >= tokens() || size < least_batch()) continue;
      const auto logits = all_logits({.context = tokens(), .batch = size}, nullptr);
      if (!logits) return unexpected(logits.error());
      compare("logits in chunks of " + std::to_string(size), "logits", *logits, expected);
    }
    return {};
  }

  const case_folder& folder_;
  const running_on& on_;
  report& out_;
  loaded_model& model_;
  case_prompt prompt_;
  tower_tensors made_;
};

}  // namespace

result<void> check_model(const case_folder& folder, const running_on& on, report& out) {
  auto prompt = prompt_of(folder, on);
  if (!prompt) return unexpected(prompt.error());
  auto model = load_case_model(folder, on.how, on.mode);
  if (!model) return unexpected(model.error());
  if (auto done = check_media(folder, on, out); !done) return done;
  auto made = run_towers(folder, on, **model);
  if (!made) return unexpected(made.error());
  case_prompt other = *prompt;
  if (auto done = lay_in(folder, on, *made, *prompt); !done) return done;
  auto others = run_towers(folder, on, **model, media_of::another);
  if (!others) return unexpected(others.error());
  if (auto done = lay_in(folder, on, *others, other); !done) return done;
  return model_check(folder, on, out, **model, std::move(*prompt), std::move(*made)).run(other, *others);
}

}  // namespace g4::conformance
