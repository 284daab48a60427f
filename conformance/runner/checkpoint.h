/// The checkpoints of a case.
#pragma once

#include <memory>
#include <string>

#include "conformance/runner/case_folder.h"
#include "conformance/runner/engine.h"
#include "g4/io/safetensors.h"

namespace g4::conformance {

/// The tensors of a folder (`inside` the case's, or the case's own when empty).
[[nodiscard]] inline result<io::tensor_file> open_checkpoint(const case_folder& folder,
                                                             const std::string& inside = "") {
  const std::string prefix = inside.empty() ? "" : inside + "/";
  if (folder.has_file(prefix + "model.safetensors"))
    return io::open_safetensors(folder.file(prefix + "model.safetensors"));
  return io::open_safetensors(folder.file(prefix));
}

/// The case's model on a backend.
[[nodiscard]] inline result<std::unique_ptr<loaded_model>> load_case_model(const case_folder& folder, const engine& how,
                                                                           backend::numeric mode) {
  const auto file = open_checkpoint(folder);
  if (!file) return unexpected(file.error());
  return how.load(*file, load::format::safetensors, mode);
}

}  // namespace g4::conformance
