/// A module's tensors as they come out of a file: found, checked, and small numbers as float32. What of filling weights
/// does not depend on the module's type.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/core/token_id.h"
#include "g4/io/tensor_file.h"
#include "g4/load/matcher.h"
#include "g4/load/names.h"
#include "g4/model/schema.h"
#include "g4/spec/text.h"
#include "g4/tensor/matrix.h"

namespace g4::load {

/// What a checkpoint is looked at for before it is believed.
struct checks {
  /// Refuse infinities, NaNs, and weights that are all zero. Reads every tensor once, except the per-layer embedding
  /// table, of which only the rows that are needed are ever read.
  bool contents = true;
};

/// Told how far loading has come, in bytes. Null: nobody wants to know.
struct progress {
  void* self = nullptr;
  void (*tell)(void* self, std::size_t done, std::size_t total) = nullptr;
};

namespace detail {

/// Refuses a tensor in a storage that g4 does not read; with infinities or NaNs, where `finite` is asked for; of zeros
/// alone, where `filled` is.
[[nodiscard]] G4_INLINE result<void> check_contents(const io::tensor_file& file, const io::stored_tensor& t,
                                                    bool finite, bool filled);

/// What of a module decides how its tensors are read.
struct module_facts {
  bool norms_add_one = false;           ///< norms scale by 1 + weight; the weights of a model hold the sum
  std::optional<generation> text = {};  ///< of a text: its token table may be shorter in the file (`fitting_extents`)
};

/// The tensors of a module, one after the other. Of what is wrong the first is kept; what is asked afterwards no longer
/// counts.
class module_source {
 public:
  module_source(const io::tensor_file& file, format f, matcher match, module_facts facts, checks look, progress told);
  module_source(const module_source&) = delete;
  module_source& operator=(const module_source&) = delete;
  ~module_source();

  [[nodiscard]] format in() const { return format_; }
  [[nodiscard]] const io::tensor_file& file() const { return file_; }
  [[nodiscard]] bool failed() const { return failed_.has_value(); }
  /// What went wrong; only where something did.
  [[nodiscard]] unexpected why() { return unexpected(std::move(*failed_)); }
  void refuse(error why);

  /// The file's tensor with the right extents, a storage g4 reads, and sound contents; null if there is none.
  const io::stored_tensor* checked(const tensor_entry& t, int number = 0) { return found(t, number, true); }
  /// The same before infinities and NaNs are looked for, which `look_over` does in those of its rows that are used.
  const io::stored_tensor* known(const tensor_entry& t, int number = 0) { return found(t, number, false); }
  void look_over(const tensor_entry& t, const io::stored_tensor& of, const matrix_view& rows);
  /// A tensor of `n` numbers in float32, until the next call; none if there is none.
  [[nodiscard]] std::span<const float> numbers(const tensor_entry& t, std::size_t n);
  /// The numbers of a tensor as rows of `columns`.
  [[nodiscard]] static matrix_view rows_of(const io::stored_tensor& found, std::size_t columns);
  /// Tokens of a vocabulary.
  [[nodiscard]] std::vector<token_id> tokens(const tensor_entry& t, int vocabulary);
  /// Refuses the file if it holds a tensor that no part of the model is called.
  void refuse_unknown();

  /// Says that a tensor has been dealt with.
  void advance(const io::stored_tensor& e);

  /// Keeps alive what the weights point into.
  void keep_in(std::vector<std::shared_ptr<const void>>& keep) const;

 private:
  const io::stored_tensor* found(const tensor_entry& t, int number, bool all_is_used);
  /// Whether a tensor's numbers are looked at.
  [[nodiscard]] bool looks_at(const tensor_entry& t) const {
    return look_.contents && t.needed == need::required && t.as != role::table;
  }

  const io::tensor_file& file_;
  matcher match_;
  format format_;
  module_facts facts_;
  checks look_;
  progress told_;
  std::vector<float> numbers_;
  std::optional<error> failed_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
};

}  // namespace detail

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/module_source.inl"  // IWYU pragma: keep
#endif
