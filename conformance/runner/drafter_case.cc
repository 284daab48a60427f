// A drafter beside its target: every step of every speculative round, and what the target makes of the drafts.
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "conformance/runner/checkpoint.h"
#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/passes.h"
#include "conformance/runner/recorder.h"
#include "conformance/runner/tolerance.h"

namespace g4::conformance {

namespace {

class drafter_check {
 public:
  drafter_check(const case_folder& folder, const running_on& on, report& out) : folder_(folder), on_(on), out_(out) {}

  result<void> run(loaded_model& model) {
    const std::vector<std::int32_t> positions = folder_.integers("round.position");
    const std::vector<std::int32_t> first_ids = folder_.integers("round.first_id");
    const std::vector<std::int32_t> accepted = folder_.integers("round.accepted");
    const std::vector<std::int32_t> next_ids = folder_.integers("round.next_id");
    const std::vector<std::int32_t> drafts = folder_.integers("draft.ids");
    const std::size_t rounds = positions.size();
    if (rounds == 0 || first_ids.size() != rounds || accepted.size() != rounds || next_ids.size() != rounds ||
        drafts.size() % rounds != 0) {
      return fail("the round.* and draft.* tensors do not belong together");
    }
    per_round_ = drafts.size() / rounds;

    // What is verified before a round: the prompt, then what the target chose.
    std::vector<std::int32_t> text = folder_.integers("input_ids");
    const std::size_t prompt_tokens = text.size();
    const std::vector<std::int32_t> greedy = folder_.integers("greedy_ids");
    text.insert(text.end(), greedy.begin(), greedy.end());

    auto target = model.start({.context = text.size() + per_round_ + 1, .batch = 32});
    if (!target) return unexpected(target.error());
    auto drafter = model.start_drafter(**target);
    if (!drafter) return unexpected(drafter.error());
    recorder seen([](const std::string& name) { return name.rfind("draft.", 0) == 0; });
    (*drafter)->watch(&seen);

    std::size_t at = 0;
    std::vector<std::int32_t> found_drafts, found_accepted, found_next, speculative;
    std::vector<double> verified;
    for (std::size_t r = 0; r < rounds; ++r) {
      const auto n = static_cast<std::size_t>(positions[r]);
      if (n < at || n >= text.size())
        return fail("round ", r, " starts at position ", n, " of a text of ", text.size());
      if (n > at) {
        const auto ran = (*target)->run(
            prompt{{text.begin() + static_cast<std::ptrdiff_t>(at), text.begin() + static_cast<std::ptrdiff_t>(n)},
                   {},
                   {},
                   {}});
        if (!ran) return unexpected(ran.error());
        at = n;
      }
      const auto guesses = (*drafter)->draft(first_ids[r], per_round_);
      found_drafts.insert(found_drafts.end(), guesses.begin(), guesses.end());

      // The target sees the case's drafts, so that one wrong guess of ours spoils nothing else.
      std::vector<std::int32_t> tried{first_ids[r]};
      tried.insert(tried.end(), drafts.begin() + static_cast<std::ptrdiff_t>(r * per_round_),
                   drafts.begin() + static_cast<std::ptrdiff_t>((r + 1) * per_round_));
      const auto round = verify(**target, tried, verified);
      if (!round) return unexpected(round.error());
      const auto& [choices, agreed] = *round;
      found_accepted.push_back(static_cast<std::int32_t>(agreed));
      found_next.push_back(choices[agreed]);
      speculative.insert(speculative.end(), tried.begin(), tried.begin() + static_cast<std::ptrdiff_t>(agreed + 1));
      if (r + 1 == rounds) speculative.push_back(choices[agreed]);
      if (auto back = (*target)->rewind(n); !back) return unexpected(back.error());
    }

    for (const char* name : {"draft.inputs", "draft.final_norm", "draft.centroid_logits"}) compare(name, seen);
    if (folder_.has("draft.centroid_index")) {
      if (seen.has("draft.centroid_index")) {
        compare_ids("draft.centroid_index", {seen["draft.centroid_index"].begin(), seen["draft.centroid_index"].end()});
      } else {
        out_.failed("draft.centroid_index", "the drafter shows none");
      }
    }
    compare("draft.logits", seen);
    compare_ids("draft.ids", {found_drafts.begin(), found_drafts.end()});
    compare("draft.carried", seen);
    compare_numbers("verify.logits", verified);
    compare_ids("round.accepted", {found_accepted.begin(), found_accepted.end()});
    compare_ids("round.next_id", {found_next.begin(), found_next.end()});
    const std::vector<double> whole = folder_.numbers("speculative_ids");
    if (!whole.empty() && static_cast<std::size_t>(positions.front()) == prompt_tokens) {
      speculative.resize(std::min(speculative.size(), whole.size()));
      compare_ids("speculative_ids", {speculative.begin(), speculative.end()},
                  {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(speculative.size())});
    }
    return {};
  }

 private:
  void compare(const std::string& name, const recorder& seen) {
    if (!folder_.has(name)) return;
    if (!seen.has(name)) return out_.failed(name, "the drafter shows none");
    compare_numbers(name, seen[name]);
  }
  void compare_numbers(const std::string& name, std::span<const double> found) {
    if (!folder_.has(name)) return;
    const std::vector<double> expected = folder_.numbers(name);
    const auto limit = limit_for(folder_, name, expected, on_.fast());
    if (!limit) return out_.failed(name, "case.json gives no atol");
    out_.compared(name, largest_error(found, expected), *limit);
  }
  void compare_ids(const std::string& name, const std::vector<double>& found) {
    compare_ids(name, found, folder_.numbers(name));
  }
  void compare_ids(const std::string& name, const std::vector<double>& found, const std::vector<double>& expected) {
    if (on_.fast()) return out_.skipped(name, "choices near a tie may differ in fast mode");
    std::size_t wrong = found.size() == expected.size() ? 0 : expected.size();
    for (std::size_t i = 0; i < found.size() && wrong < expected.size(); ++i) wrong += found[i] != expected[i] ? 1 : 0;
    out_.exact(name, wrong, expected.size());
  }

  const case_folder& folder_;
  const running_on& on_;
  report& out_;
  std::size_t per_round_ = 0;
};

}  // namespace

result<void> check_drafter(const case_folder& folder, const running_on& on, report& out) {
  auto model = load_case_model(folder, on.how, on.mode);
  if (!model) return unexpected(model.error());
  const auto file = open_checkpoint(folder, "assistant");
  if (!file) return unexpected(file.error());
  if (auto loaded = (*model)->load_drafter(*file, load::format::safetensors); !loaded)
    return unexpected(loaded.error());
  return drafter_check(folder, on, out).run(**model);
}

}  // namespace g4::conformance
