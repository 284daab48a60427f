/// Keeps what a tap shows, chunk after chunk, under the names of the cases.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "conformance/runner/engine.h"

namespace g4::conformance {

class recorder final : public observer {
 public:
  /// Keeps only tensors whose name `wanted` accepts; with `last_row` only the newest row of each.
  explicit recorder(std::function<bool(const std::string&)> wanted, bool last_row = false)
      : wanted_(std::move(wanted)), last_row_(last_row) {}

  void see(const sight& what) override;

  /// What has been kept.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, rows] : kept_) all.push_back(name);
    return all;
  }
  [[nodiscard]] bool has(const std::string& name) const { return kept_.count(name) != 0; }
  /// [T, streams, width]
  [[nodiscard]] std::span<const double> operator[](const std::string& name) const { return kept_.at(name); }

 private:
  void keep(const std::string& name, const sight& what);

  std::function<bool(const std::string&)> wanted_;
  bool last_row_;
  std::map<std::string, std::vector<double>> kept_;
};

/// "hidden" of layer 3 is "hidden.3", "attn.query" is "attn.3.query".
[[nodiscard]] std::string name_of(std::string_view tap, int layer);

}  // namespace g4::conformance
