#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "g4/load/matcher.h"
#include "g4/load/names.h"

namespace g4::load::detail {

G4_INLINE std::string extents_text(const tensor_entry& t) {
  std::string text = "[";
  for (int i = 0; i < t.rank; ++i) text += (i > 0 ? ", " : "") + std::to_string(t.extents[i]);
  return text + "]";
}

/// Where a safetensors file keeps its text model.
[[nodiscard]] inline std::string_view text_prefix_in(const io::tensor_file& file) {
  for (const std::string_view candidate : text_prefixes) {
    if (file.find(std::string(candidate) + "embed_tokens.weight") != nullptr) return candidate;
  }
  return "model.";
}

G4_INLINE matcher::matcher(const io::tensor_file& file, format f)
    : matcher(file, f, f == format::safetensors ? text_prefix_in(file) : std::string_view()) {}

G4_INLINE matcher::matcher(const io::tensor_file& file, format f, std::string_view prefix)
    : file_(file), format_(f), prefix_(prefix), known_(file.tensors().size()) {}

G4_INLINE result<const io::stored_tensor*> matcher::find(const tensor_entry& wanted, int number) {
  const std::string name = name_in(format_, prefix_, wanted, number);
  const io::stored_tensor* found = file_.find(name);
  if (found == nullptr) {
    if (wanted.needed == need::skippable) return nullptr;
    return fail(file_.name(), ": the tensor ", name, " ", extents_text(wanted), " is missing");
  }
  known_[found - file_.tensors().data()] = true;
  return found;
}

G4_INLINE error matcher::wrong_shape(const io::stored_tensor& found, const tensor_entry& wanted) const {
  return {file_.file_name(found) + ": " + found.name + " is " + io::to_string(found.dims) + "; the model needs " +
          extents_text(wanted)};
}

G4_INLINE bool matcher::knows(const io::stored_tensor& t) const { return known_[&t - file_.tensors().data()]; }

G4_INLINE result<bool> matcher::refuse_unknown() const {
  for (const io::stored_tensor& t : file_.tensors()) {
    if (!knows(t) && !is_skippable(format_, t.name)) {
      return fail(file_.file_name(t), ": the tensor ", t.name, " ", io::to_string(t.dims), " is no part of this model");
    }
  }
  return true;
}

G4_INLINE bool same_extents(const io::stored_tensor& found, const tensor_entry& wanted) {
  const std::size_t rank = wanted.rank;
  std::size_t skip = 0;
  while (found.dims.rank() - skip > rank && found.dims[skip] == 1) ++skip;
  if (found.dims.rank() == 0) return wanted.elements() == 1;
  if (found.dims.rank() - skip != rank) return false;
  for (std::size_t i = 0; i < rank; ++i) {
    if (found.dims[skip + i] != static_cast<std::size_t>(wanted.extents[i])) return false;
  }
  return true;
}

G4_INLINE result<std::vector<token_id>> token_ids(const io::tensor_file& file, const io::stored_tensor& e,
                                                  int vocabulary) {
  const bool wide = e.type.name == "I64";
  if (!wide && e.type.name != "I32") {
    return fail(file.file_name(e), ": ", e.name, " is stored as ", std::string(e.type.name), "; expected I64 or I32");
  }
  std::vector<token_id> ids(e.dims.elements());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::int64_t id = 0;
    if (wide) {
      std::memcpy(&id, e.bytes.data() + 8 * i, 8);
    } else {
      std::memcpy(&ids[i], e.bytes.data() + 4 * i, 4);
      id = ids[i];
    }
    if (id < 0 || id >= vocabulary) {
      return fail(file.file_name(e), ": ", e.name, " holds the token ", id, "; the vocabulary has ", vocabulary);
    }
    ids[i] = static_cast<token_id>(id);
  }
  return ids;
}

G4_INLINE bool fitting_extents(const io::stored_tensor& found, const tensor_entry& wanted, format f, generation g) {
  if (same_extents(found, wanted)) return true;
  return wanted.as == role::token_table && f == format::gguf && g == generation::gemma3 && found.dims.rank() == 2 &&
         found.dims[1] == static_cast<std::size_t>(wanted.extents[1]) && found.dims[0] > 0 &&
         found.dims[0] < static_cast<std::size_t>(wanted.extents[0]);
}

}  // namespace g4::load::detail
