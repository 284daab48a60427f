// A text embedder: the mean of all rows, its dense heads, and the vector of length 1.
#include <string>
#include <vector>

#include "conformance/runner/checkpoint.h"
#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "conformance/runner/tolerance.h"

namespace g4::conformance {

namespace {

void compare(const case_folder& folder, const running_on& on, report& out, const std::string& name,
             std::span<const double> found) {
  if (!folder.has(name)) return;
  const std::vector<double> expected = folder.numbers(name);
  const auto limit = limit_for(folder, name, expected, on.fast());
  if (!limit) return out.failed(name, "case.json gives no atol");
  out.compared(name, largest_error(found, expected), *limit);
}

/// prefix   "" for the case's own text, "short." for the second one
result<void> compare_text(const case_folder& folder, const running_on& on, loaded_model& model,
                          const std::string& prefix, report& out) {
  const std::vector<std::int32_t> ids = folder.integers(prefix + "input_ids");
  if (ids.empty()) return {};
  const auto made = model.embed(folder.file(""), ids);
  if (!made) return unexpected(made.error());
  compare(folder, on, out, prefix + "pooled", made->pooled);
  for (std::size_t i = 0; i < made->dense.size(); ++i)
    compare(folder, on, out, prefix + "dense." + std::to_string(i), made->dense[i]);
  compare(folder, on, out, prefix + "embedding", made->unit);
  return {};
}

}  // namespace

result<void> check_embedder(const case_folder& folder, const running_on& on, report& out) {
  auto model = load_case_model(folder, on.how, on.mode);
  if (!model) return unexpected(model.error());
  for (const char* prefix : {"", "short."}) {
    if (auto done = compare_text(folder, on, **model, prefix, out); !done) return done;
  }
  return {};
}

}  // namespace g4::conformance
