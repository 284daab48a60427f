/// What g4 makes of a case, in a file that g4-conformance reads.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "conformance/runner/case_folder.h"
#include "conformance/runner/checks.h"

namespace g4::conformance {

class written {
 public:
  explicit written(const case_folder& folder) : folder_(folder) {}

  /// A tensor in the shape that case.json gives it; with more rows where a long case keeps some only. What the case does
  /// not name is left out.
  void add(const std::string& name, std::span<const double> values);
  void add(const std::string& name, const std::vector<std::int32_t>& values);
  /// A text as its bytes.
  void add(const std::string& name, const std::string& text);

  [[nodiscard]] result<void> save(const std::string& path) const;

 private:
  struct tensor {
    std::string name;
    const char* type;
    std::vector<std::size_t> shape;
    std::vector<std::byte> bytes;
  };
  const case_folder& folder_;
  std::vector<tensor> tensors_;
};

/// Runs a model case, knowing its inputs alone, and keeps every tensor that g4 shows: all inner ones, the continuation,
/// and what embedders and drafters make (write_case.cc).
result<void> write_model(const case_folder& folder, const running_on& on, written& out);
/// Answers the questions of a case (string_case.cc).
result<void> write_strings(const case_folder& folder, const check_options& options, written& out);
/// One operation (op_case.cc).
result<void> write_operation(const case_folder& folder, const std::string& backend, written& out);

}  // namespace g4::conformance
