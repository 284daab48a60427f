// A long case: a prompt of many windows, some of its rows kept, and positions that start far away.
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "conformance/runner/checkpoint.h"
#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/greedy.h"
#include "conformance/runner/recorder.h"
#include "conformance/runner/tolerance.h"

namespace g4::conformance {

namespace {

/// Picks rows of [T, width].
std::vector<double> rows_of(std::span<const double> all, std::size_t T, const std::vector<std::int32_t>& rows) {
  const std::size_t width = all.size() / T;
  std::vector<double> out;
  for (const std::int32_t r : rows) {
    const auto row = all.subspan(static_cast<std::size_t>(r) * width, width);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

void compare(const case_folder& folder, const running_on& on, report& out, const std::string& label,
             const std::string& tensor, std::span<const double> found) {
  const std::vector<double> expected = folder.numbers(tensor);
  const auto limit = limit_for(folder, tensor, expected, on.fast());
  if (!limit) return out.failed(label, "case.json gives no atol");
  out.compared(label, largest_error(found, expected), *limit);
}

result<void> whole_prompt(const case_folder& folder, const running_on& on, loaded_model& model, std::size_t batch,
                          report& out) {
  const prompt what{folder.integers("input_ids"), {}, {}, {}};
  const std::vector<std::int32_t> rows = folder.integers("rows");
  std::unordered_map<std::size_t, std::size_t> wanted;
  for (const std::int32_t r : rows) wanted.emplace(static_cast<std::size_t>(r), wanted.size());
  const std::size_t T = what.ids.size();
  for (const std::int32_t r : rows) {
    if (r < 0 || static_cast<std::size_t>(r) >= T) return fail("rows names position ", r, " of a prompt of ", T);
  }

  auto text = model.start({.context = T, .batch = batch});
  if (!text) return unexpected(text.error());
  recorder seen([&](const std::string& name) { return folder.has(name); });
  (*text)->watch(&seen);
  std::vector<double> logits;
  const auto ran = (*text)->run_all(what, [&](std::size_t t, std::span<const double> row) {
    if (wanted.count(t) != 0) logits.insert(logits.end(), row.begin(), row.end());
  });
  if (!ran) return unexpected(ran.error());

  const std::string suffix = " in chunks of " + std::to_string(batch);
  for (const std::string& name : folder.outputs()) {
    if (name == "logits") {
      compare(folder, on, out, name + suffix, name, logits);
    } else if (name.rfind("offset.", 0) != 0 && name.rfind("greedy_", 0) != 0) {
      if (!seen.has(name)) {
        out.skipped(name, "g4 shows no such tensor");
      } else {
        compare(folder, on, out, name + suffix, name, rows_of(seen[name], T, rows));
      }
    }
  }
  return {};
}

result<void> far_away(const case_folder& folder, const running_on& on, loaded_model& model, report& out) {
  const prompt what{folder.integers("offset.input_ids"), {}, {}, {}};
  const std::vector<std::int32_t> positions = folder.integers("offset.position_ids");
  if (what.ids.empty() || positions.size() != what.ids.size())
    return fail("offset.input_ids and offset.position_ids do not match");
  const std::size_t T = what.ids.size();
  auto text = model.start({.context = T, .batch = 64, .first_position = positions.front()});
  if (!text) return unexpected(text.error());
  const auto shape = folder.shape("offset.logits");
  const std::size_t kept = shape.empty() ? 0 : shape[0];
  std::vector<double> logits;
  const auto ran = (*text)->run_all(what, [&](std::size_t t, std::span<const double> row) {
    if (t + kept >= T) logits.insert(logits.end(), row.begin(), row.end());
  });
  if (!ran) return unexpected(ran.error());
  for (const char* name : {"offset.logits", "offset.logits_exact"}) {
    if (folder.has(name)) compare(folder, on, out, name, name, logits);
  }
  return {};
}

}  // namespace

result<void> check_long(const case_folder& folder, const running_on& on, report& out) {
  auto model = load_case_model(folder, on.how, on.mode);
  if (!model) return unexpected(model.error());
  for (const std::size_t batch : {std::size_t{256}, std::size_t{31}}) {
    if (auto done = whole_prompt(folder, on, **model, batch, out); !done) return done;
  }
  if (auto done = far_away(folder, on, **model, out); !done) return done;
  return check_greedy(folder, on, **model, {folder.integers("input_ids"), {}, {}, {}}, 256, out);
}

}  // namespace g4::conformance
