/// What an operation case gives, and what is made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "conformance/runner/case_folder.h"
#include "g4/tensor/matrix.h"

namespace g4::conformance::operation {

using numbers = std::vector<float>;

/// A variant of the operation: its facts and inputs, by the names of the case.
class variant_inputs {
 public:
  variant_inputs(const case_folder& folder, std::string name, const json& facts)
      : folder_(folder), name_(std::move(name)), facts_(facts) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string label(const std::string& of) const { return name_ + "." + of; }
  [[nodiscard]] bool has(const std::string& of) const { return folder_.has(label(of)); }
  [[nodiscard]] numbers floats(const std::string& of) const {
    const auto wide = folder_.numbers(label(of));
    return {wide.begin(), wide.end()};
  }
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& of) const { return folder_.integers(label(of)); }
  [[nodiscard]] std::size_t extent(const std::string& of, std::size_t axis) const {
    const auto shape = folder_.shape(label(of));
    return axis < shape.size() ? shape[axis] : 1;
  }
  [[nodiscard]] std::vector<std::size_t> shape(const std::string& of) const { return folder_.shape(label(of)); }
  [[nodiscard]] float fact(const std::string& of, float otherwise = 0) const { return facts_.value(of, otherwise); }
  [[nodiscard]] std::size_t count(const std::string& of) const { return facts_.at(of).get<std::size_t>(); }
  [[nodiscard]] std::string word(const std::string& of) const { return facts_.at(of).get<std::string>(); }

 private:
  const case_folder& folder_;
  std::string name_;
  const json& facts_;
};

/// What an operation makes, by the names of its outputs.
using outputs = std::map<std::string, std::vector<double>>;

template <class Numbers>
std::vector<double> wide(const Numbers& from) {
  return {from.begin(), from.end()};
}

/// A matrix of plain floats.
inline matrix_view plain(const numbers& w, std::size_t columns) {
  return {reinterpret_cast<const std::byte*>(w.data()), w.size() / columns, columns, storage::f32};
}

}  // namespace g4::conformance::operation
