/// What the checks found: a line per tensor, and the counts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace g4::conformance {

/// One case on one backend. Lines are written to standard output as they come, in the order data flows, so that the
/// first FAIL is the first tensor that diverged.
class report {
 public:
  report(std::string case_name, std::string backend) : case_(std::move(case_name)), backend_(std::move(backend)) {}

  /// A tensor whose largest absolute error (or what else `limit` bounds) is `error`. NaN fails.
  void compared(std::string_view tensor, double error, double limit);
  /// Integers: `wrong` of `total` differ.
  void exact(std::string_view tensor, std::size_t wrong, std::size_t total);
  void failed(std::string_view tensor, std::string_view why);
  void skipped(std::string_view tensor, std::string_view why);
  /// Names the first tensor that failed, if any did.
  void finish() const;

  [[nodiscard]] const std::string& case_name() const { return case_; }

  struct counts {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;
  };
  [[nodiscard]] const counts& count() const { return count_; }
  [[nodiscard]] const std::vector<std::string>& skips() const { return skips_; }

 private:
  void line(std::string_view tensor, std::string_view figures, std::string_view verdict);
  void note_failure(std::string_view tensor);

  std::string case_;
  std::string backend_;
  counts count_;
  std::string first_failure_;
  std::vector<std::string> skips_;  ///< "case backend tensor: reason"
};

}  // namespace g4::conformance
