// A model case as an engine under test runs it: from its inputs alone.
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "conformance/runner/case_prompt.h"
#include "conformance/runner/checkpoint.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/media.h"
#include "conformance/runner/passes.h"
#include "conformance/runner/recorder.h"
#include "conformance/runner/written.h"

namespace g4::conformance {

namespace {

class model_writer {
 public:
  model_writer(const case_folder& folder, const running_on& on, loaded_model& model, case_prompt prompt, written& out)
      : folder_(folder), on_(on), model_(model), prompt_(std::move(prompt)), out_(out) {}

  result<void> run() {
    if (auto done = one_pass(); !done) return done;
    if (folder_.has("offset.input_ids")) {
      if (auto done = far_away(); !done) return done;
    }
    if (folder_.names("embedding")) return embeddings();
    if (folder_.names("greedy_ids")) {
      if (auto done = continuation(); !done) return done;
    }
    return folder_.names("draft.ids") ? rounds() : result<void>{};
  }

 private:
  [[nodiscard]] std::size_t tokens() const { return prompt_.what.ids.size(); }

  result<void> one_pass() {
    recorder seen([&](const std::string& name) { return folder_.names(name) && name.rfind("draft.", 0) != 0; });
    // A long prompt's logits are asked for at some rows, in order: all would be a gigabyte and more.
    const auto logits =
        all_logits(model_, prompt_.what, {.context = tokens(), .batch = tokens()}, &seen, folder_.integers("rows"));
    if (!logits) return unexpected(logits.error());
    for (const std::string& name : seen.names()) out_.add(name, seen[name]);
    if (!logits->empty()) out_.add("logits", *logits);
    return {};
  }

  result<void> far_away() {
    const prompt what{folder_.integers("offset.input_ids"), {}, {}, {}};
    const auto positions = folder_.integers("offset.position_ids");
    if (positions.empty()) return fail("offset.position_ids is missing");
    const auto logits =
        all_logits(model_, what, {.context = what.ids.size(), .batch = 64, .first_position = positions.front()}, nullptr);
    if (!logits) return unexpected(logits.error());
    const auto shape = folder_.shape("offset.logits");
    const std::size_t kept = shape.size() == 2 ? shape[0] * shape[1] : 0;
    if (kept <= logits->size()) out_.add("offset.logits", std::span(*logits).last(kept));
    return {};
  }

  result<void> embeddings() {
    for (const std::string prefix : {"", "short."}) {
      const auto ids = folder_.integers(prefix + "input_ids");
      if (ids.empty()) continue;
      const auto made = model_.embed(folder_.file(""), ids);
      if (!made) return unexpected(made.error());
      out_.add(prefix + "pooled", made->pooled);
      for (std::size_t i = 0; i < made->dense.size(); ++i) {
        out_.add(prefix + "dense." + std::to_string(i), made->dense[i]);
      }
      out_.add(prefix + "embedding", made->unit);
    }
    return {};
  }

  /// One prefill, then one token at a time.
  result<void> continuation() {
    const auto shape = folder_.shape("greedy_ids");
    const std::size_t count = shape.empty() ? 0 : shape[0];
    auto text = model_.start({.context = tokens() + count, .batch = tokens()});
    if (!text) return unexpected(text.error());
    std::vector<double> rows, chosen;
    prompt next = prompt_.what;
    for (std::size_t i = 0; i < count; ++i) {
      const auto logits = (*text)->run(next);
      if (!logits) return unexpected(logits.error());
      rows.insert(rows.end(), logits->begin(), logits->end());
      chosen.push_back(static_cast<double>(index_of_largest(*logits)));
      next = prompt{{static_cast<std::int32_t>(chosen.back())}, {}, {}, {}};
    }
    out_.add("greedy_logits", rows);
    out_.add("greedy_ids", chosen);
    return {};
  }

  /// Speculative decoding with the case's drafter.
  result<void> rounds() {
    const auto drafter_file = open_checkpoint(folder_, "assistant");
    if (!drafter_file) return unexpected(drafter_file.error());
    if (auto done = model_.load_drafter(*drafter_file, load::format::safetensors); !done) return done;
    const auto shape = folder_.shape("draft.ids");  // [rounds, drafts]
    if (shape.size() != 2) return fail("case.json gives draft.ids no shape [rounds, drafts]");
    const std::size_t count = shape[0], per_round = shape[1];

    auto target =
        model_.start({.context = tokens() + (count + 1) * (per_round + 1), .batch = std::max(tokens(), per_round + 1)});
    if (!target) return unexpected(target.error());
    auto drafter = model_.start_drafter(**target);
    if (!drafter) return unexpected(drafter.error());
    recorder seen([](const std::string& name) { return name.rfind("draft.", 0) == 0; });
    (*drafter)->watch(&seen);

    std::vector<double> positions, first_ids, drafts, accepted, next_ids, speculative, verified;
    const auto prefill = (*target)->run(prompt_.what);
    if (!prefill) return unexpected(prefill.error());
    auto id = static_cast<std::int32_t>(index_of_largest(*prefill));
    std::size_t n = tokens();
    for (std::size_t r = 0; r < count; ++r) {
      positions.push_back(static_cast<double>(n));
      first_ids.push_back(id);
      std::vector<std::int32_t> tried{id};
      for (const std::int32_t guess : (*drafter)->draft(id, per_round)) tried.push_back(guess);
      drafts.insert(drafts.end(), tried.begin() + 1, tried.end());
      const auto round = verify(**target, tried, verified);
      if (!round) return unexpected(round.error());
      const auto& [choices, agreed] = *round;
      accepted.push_back(static_cast<double>(agreed));
      next_ids.push_back(choices[agreed]);
      speculative.insert(speculative.end(), tried.begin(), tried.begin() + static_cast<std::ptrdiff_t>(agreed + 1));
      // Run again what was accepted, so that the drafter carries the state of the last verified token.
      if (auto back = (*target)->rewind(n); !back) return unexpected(back.error());
      tried.resize(agreed + 1);
      if (const auto again = (*target)->run(prompt{tried, {}, {}, {}}); !again) return unexpected(again.error());
      n += agreed + 1;
      id = choices[agreed];
    }
    speculative.push_back(id);
    const auto whole = folder_.shape("speculative_ids");
    if (!whole.empty()) speculative.resize(std::min(speculative.size(), whole[0]));

    for (const std::string& name : seen.names()) out_.add(name, seen[name]);
    out_.add("draft.ids", drafts);
    out_.add("round.position", positions);
    out_.add("round.first_id", first_ids);
    out_.add("round.accepted", accepted);
    out_.add("round.next_id", next_ids);
    out_.add("verify.logits", verified);
    out_.add("speculative_ids", speculative);
    return {};
  }

  const case_folder& folder_;
  const running_on& on_;
  loaded_model& model_;
  case_prompt prompt_;
  written& out_;
};

}  // namespace

result<void> write_model(const case_folder& folder, const running_on& on, written& out) {
  auto prompt = prompt_of(folder, on);
  if (!prompt) return unexpected(prompt.error());
  auto model = load_case_model(folder, on.how, on.mode);
  if (!model) return unexpected(model.error());
  const auto made = run_towers(folder, on, **model);
  if (!made) return unexpected(made.error());
  for (const char* soft : {"vision.soft_tokens", "audio.soft_tokens"}) {
    if (folder.names(soft) && made->count(soft) == 0)
      return fail("g4 has no tower that makes ", soft, " of this model");
  }
  for (const auto& [name, values] : *made) out.add(name, values);
  if (auto done = lay_in(folder, on, *made, *prompt); !done) return done;
  return model_writer(folder, on, **model, std::move(*prompt), out).run();
}

}  // namespace g4::conformance
