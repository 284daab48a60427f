#include "conformance/runner/greedy.h"

#include <vector>

#include "conformance/runner/compare.h"
#include "conformance/runner/tolerance.h"

namespace g4::conformance {

result<void> check_greedy(const case_folder& folder, const running_on& on, loaded_model& model, const prompt& first,
                          std::size_t batch, report& out) {
  const std::vector<std::int32_t> ids = folder.integers("greedy_ids");
  const std::vector<double> expected = folder.numbers("greedy_logits");
  if (ids.empty() || expected.empty()) return {};
  const auto vocab = static_cast<std::size_t>(on.spec.vocab);
  if (expected.size() != ids.size() * vocab)
    return fail("greedy_logits has ", expected.size(), " numbers for ", ids.size(), " ids");
  const auto limit = limit_for(folder, "greedy_logits", expected, on.fast());
  if (!limit) return fail("case.json gives no atol for greedy_logits");

  auto text = model.start({.context = first.ids.size() + ids.size(), .batch = batch});
  if (!text) return unexpected(text.error());
  std::vector<double> found;
  std::size_t wrong = 0;
  prompt next = first;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto logits = (*text)->run(next);
    if (!logits) return unexpected(logits.error());
    found.insert(found.end(), logits->begin(), logits->end());
    const std::size_t best = index_of_largest(*logits);
    const auto wanted = static_cast<std::size_t>(ids[i]);
    if (best != wanted && expected[i * vocab + wanted] - expected[i * vocab + best] > 2 * *limit) ++wrong;
    next = prompt{{ids[i]}, {}, {}, {}};
  }
  out.compared("greedy_logits", largest_error(found, expected), *limit);
  out.exact("greedy_ids", wrong, ids.size());
  return {};
}

}  // namespace g4::conformance
