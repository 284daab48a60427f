#include "conformance/runner/passes.h"

#include <algorithm>
#include <span>

#include "conformance/runner/compare.h"

namespace g4::conformance {

result<std::vector<double>> all_logits(loaded_model& model, const prompt& what, const session_options& options,
                                       observer* who, const std::vector<std::int32_t>& rows) {
  auto text = model.start(options);
  if (!text) return unexpected(text.error());
  (*text)->watch(who);
  std::vector<double> logits;
  const auto ran = (*text)->run_all(what, [&](std::size_t t, std::span<const double> row) {
    if (!rows.empty() && !std::binary_search(rows.begin(), rows.end(), static_cast<std::int32_t>(t))) return;
    logits.insert(logits.end(), row.begin(), row.end());
  });
  if (!ran) return unexpected(ran.error());
  return logits;
}

result<verified_round> verify(running_text& target, const std::vector<std::int32_t>& tried, std::vector<double>& logits) {
  verified_round made;
  const auto ran = target.run_all(prompt{tried, {}, {}, {}}, [&](std::size_t, std::span<const double> row) {
    logits.insert(logits.end(), row.begin(), row.end());
    made.choices.push_back(static_cast<std::int32_t>(index_of_largest(row)));
  });
  if (!ran) return unexpected(ran.error());
  while (made.agreed + 1 < tried.size() && made.choices[made.agreed] == tried[made.agreed + 1]) ++made.agreed;
  return made;
}

}  // namespace g4::conformance
