#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "g4/io/finite.h"
#include "g4/load/module_source.h"
#include "g4/ops/dequantise.h"

namespace g4::load::detail {

G4_INLINE result<void> check_contents(const io::tensor_file& file, const io::stored_tensor& t, bool finite,
                                      bool filled) {
  if (auto type = io::storage_of(file, t); !type) return unexpected(std::move(type.error()));
  if (auto sound = finite ? io::check_finite(file, t) : result<void>{}; !sound) return sound;
  return filled ? io::check_not_all_zero(file, t) : result<void>{};
}

G4_INLINE module_source::module_source(const io::tensor_file& file, format f, matcher match, module_facts facts,
                                       checks look, progress told)
    : file_(file), match_(std::move(match)), format_(f), facts_(facts), look_(look), told_(told) {
  for (const io::stored_tensor& t : file_.tensors()) total_ += t.bytes.size();
}

G4_INLINE module_source::~module_source() = default;

G4_INLINE void module_source::refuse(error why) {
  if (!failed_) failed_ = std::move(why);
}

G4_INLINE const io::stored_tensor* module_source::found(const tensor_entry& t, int number,
                                                           bool all_is_used) {
  auto found = match_.find(t, number);
  if (!found) {
    refuse(std::move(found.error()));
    return nullptr;
  }
  if (*found == nullptr) return nullptr;
  const io::stored_tensor& e = **found;
  if (!(facts_.text ? fitting_extents(e, t, format_, *facts_.text) : same_extents(e, t))) {
    refuse(match_.wrong_shape(e, t));
    return nullptr;
  }
  const bool looked_at = looks_at(t);
  // A norm weight of zeros is meant where norms add one to it; biases may be zero.
  const bool matters = is_matrix(t.as) || (t.as == role::norm_weight && !facts_.norms_add_one);
  if (auto sound = check_contents(file_, e, looked_at && all_is_used, looked_at && matters); !sound) {
    refuse(std::move(sound.error()));
    return nullptr;
  }
  return &e;
}

G4_INLINE void module_source::look_over(const tensor_entry& t, const io::stored_tensor& of, const matrix_view& rows) {
  if (!looks_at(t) || failed()) return;
  const io::stored_tensor some{of.name, of.type, {rows.rows, rows.columns}, {rows.data, rows.rows * rows.stride()}, of.file};
  if (auto sound = io::check_finite(file_, some); !sound) refuse(std::move(sound.error()));
}

G4_INLINE std::span<const float> module_source::numbers(const tensor_entry& t, std::size_t n) {
  const io::stored_tensor* found = checked(t);
  if (found == nullptr) return {};
  numbers_.resize(n);
  dequantise(*found->type.weights, found->bytes.data(), n, numbers_.data());
  if (t.as == role::norm_weight && facts_.norms_add_one && format_ == format::safetensors) {
    for (float& number : numbers_) number += 1.0f;  // GGUF files hold 1 + w already
  }
  advance(*found);
  return numbers_;
}

G4_INLINE matrix_view module_source::rows_of(const io::stored_tensor& found, std::size_t columns) {
  return {found.bytes.data(), found.dims.elements() / columns, columns, *found.type.weights};
}

G4_INLINE std::vector<token_id> module_source::tokens(const tensor_entry& t, int vocabulary) {
  auto found = match_.find(t);
  if (!found) {
    refuse(std::move(found.error()));
    return {};
  }
  const io::stored_tensor& e = **found;
  if (!same_extents(e, t)) {
    refuse(match_.wrong_shape(e, t));
    return {};
  }
  auto ids = token_ids(file_, e, vocabulary);
  if (!ids) {
    refuse(std::move(ids.error()));
    return {};
  }
  return std::move(*ids);
}

G4_INLINE void module_source::refuse_unknown() {
  if (auto known = match_.refuse_unknown(); !known) refuse(std::move(known.error()));
}

G4_INLINE void module_source::advance(const io::stored_tensor& e) {
  done_ += e.bytes.size();
  if (told_.tell != nullptr) told_.tell(told_.self, done_, total_);
}

G4_INLINE void module_source::keep_in(std::vector<std::shared_ptr<const void>>& keep) const {
  keep.push_back(std::make_shared<io::tensor_file>(file_));
}

}  // namespace g4::load::detail
