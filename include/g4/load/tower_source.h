/// A tower's tensors as they come out of a file: found by their names in either format, and checked. What of filling
/// weights does not depend on the tower's type.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/load/module_source.h"
#include "g4/load/names.h"
#include "g4/model/tower/names.h"
#include "g4/model/tower/part.h"
#include "g4/spec/tower.h"

namespace g4::load::detail {

/// The tensors of a tower, one after the other. Of what is wrong the first is kept; what is asked afterwards no longer
/// counts.
class tower_source {
 public:
  tower_source(const io::tensor_file& file, format f, const tower_spec& tower, checks look);

  [[nodiscard]] format in() const { return format_; }
  [[nodiscard]] const io::tensor_file& file() const { return file_; }
  [[nodiscard]] bool failed() const { return failed_.has_value(); }
  /// What went wrong; only where something did.
  [[nodiscard]] unexpected why() { return unexpected(std::move(*failed_)); }
  void refuse(error why);

  /// What the file calls a tensor whose names are whole (`named`).
  [[nodiscard]] std::string name(const stage_tensor& t) const;
  /// The file's tensor with the right extents, a storage g4 reads, and sound contents; null if there is none.
  const io::stored_tensor* checked(const stage_tensor& t);
  /// A bound, in whatever rank the file gives it; nothing where it has none.
  [[nodiscard]] std::optional<float> bound(const stage_tensor& t);
  /// Refuses a tensor that would be this tower's if it had such a part. An mmproj file may hold other towers as well.
  void refuse_unknown();
  /// Whether the file holds any tensor that begins as this tower's do.
  [[nodiscard]] bool holds_any() const;

  /// Keeps alive what the weights point into.
  void keep_in(std::vector<std::shared_ptr<const void>>& keep) const;

 private:
  template <class... Pieces>
  void refuse_saying(const Pieces&... pieces);

  const io::tensor_file& file_;
  format format_;
  tower_spec tower_;
  checks look_;
  std::string prefix_;      ///< "model.", where the file nests its modules
  std::string inner_;       ///< "vision_model.", where a tower's tensors are once more inside it
  bool exchanged_ = false;  ///< the names of a plain feed-forward's two maps
  std::vector<const io::stored_tensor*> known_;
  std::optional<error> failed_;
};

}  // namespace g4::load::detail

#if !defined(G4_COMPILED)
#include "g4/load/tower_source.inl"  // IWYU pragma: keep
#endif
