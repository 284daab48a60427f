/// A case folder, read (`conformance/README.md` has its layout).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "g4/core/result.h"
#include "g4/io/tensor_file.h"

namespace g4::conformance {

using json = nlohmann::json;

class case_folder {
 public:
  [[nodiscard]] static result<case_folder> open(const std::string& path);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string file(std::string_view inside) const { return path_ + "/" + std::string(inside); }
  [[nodiscard]] bool has_file(std::string_view inside) const;
  /// case.json, or cases.json where that is all there is.
  [[nodiscard]] const json& about() const { return about_; }
  /// config.json; null without one.
  [[nodiscard]] const json& config() const { return config_; }

  /// Names of the outputs in the order data flows through a model.
  [[nodiscard]] std::vector<std::string> outputs() const;
  /// Whether expected.safetensors holds it.
  [[nodiscard]] bool has(std::string_view tensor) const { return entry(tensor) != nullptr; }
  /// Whether case.json names it among the outputs: in a folder for an engine under test the answers are missing.
  [[nodiscard]] bool names(std::string_view tensor) const;
  /// As it lies in expected.safetensors, or as case.json has it.
  [[nodiscard]] std::vector<std::size_t> shape(std::string_view tensor) const;
  /// The tensor's numbers, empty if there is none.
  [[nodiscard]] std::vector<double> numbers(std::string_view tensor) const;
  [[nodiscard]] std::vector<std::int32_t> integers(std::string_view tensor) const;
  [[nodiscard]] bool is_integer(std::string_view tensor) const;
  /// `atol` of case.json.
  [[nodiscard]] std::optional<double> limit(std::string_view tensor) const;

 private:
  [[nodiscard]] const io::stored_tensor* entry(std::string_view tensor) const {
    return expected_ ? expected_->find(tensor) : nullptr;
  }

  std::string path_;
  std::string name_;
  json about_;
  json config_;
  std::optional<io::tensor_file> expected_;
};

/// A text file as JSON.
[[nodiscard]] result<json> read_json_file(const std::string& path);

}  // namespace g4::conformance
