#include "conformance/runner/report.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "conformance/runner/compare.h"

namespace g4::conformance {

void report::line(std::string_view tensor, std::string_view figures, std::string_view verdict) {
  std::printf("%-20s %-11s %-32.*s %-25.*s %.*s\n", case_.c_str(), backend_.c_str(), static_cast<int>(tensor.size()),
              tensor.data(), static_cast<int>(figures.size()), figures.data(), static_cast<int>(verdict.size()),
              verdict.data());
}

void report::note_failure(std::string_view tensor) {
  ++count_.failed;
  if (first_failure_.empty()) first_failure_ = tensor;
}

void report::compared(std::string_view tensor, double error, double limit) {
  char figures[64];
  std::snprintf(figures, sizeof figures, "%.2e  limit %.2e", error, limit);
  const bool ok = error <= limit;  // false for NaN
  std::string verdict = ok ? "ok" : "FAIL";
  if (std::getenv("G4_CONFORMANCE_BITS") != nullptr) {
    char bits[24];
    std::snprintf(bits, sizeof bits, "  %016" PRIx64, compared_bits);
    verdict += bits;
  }
  line(tensor, figures, verdict);
  ok ? static_cast<void>(++count_.passed) : note_failure(tensor);
}

void report::exact(std::string_view tensor, std::size_t wrong, std::size_t total) {
  char figures[64];
  std::snprintf(figures, sizeof figures, "%zu of %zu differ", wrong, total);
  line(tensor, figures, wrong == 0 ? "ok" : "FAIL");
  wrong == 0 ? static_cast<void>(++count_.passed) : note_failure(tensor);
}

void report::failed(std::string_view tensor, std::string_view why) {
  line(tensor, "", "FAIL: " + std::string(why));
  note_failure(tensor);
}

void report::skipped(std::string_view tensor, std::string_view why) {
  line(tensor, "", "skipped: " + std::string(why));
  ++count_.skipped;
  skips_.push_back(case_ + " " + backend_ + " " + std::string(tensor) + ": " + std::string(why));
}

void report::finish() const {
  if (first_failure_.empty()) return;
  std::printf("%s on %s: the first tensor to diverge is %s\n", case_.c_str(), backend_.c_str(), first_failure_.c_str());
}

}  // namespace g4::conformance
