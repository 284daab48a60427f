/// tower_source.h, defined.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/load/matcher.h"
#include "g4/load/tower_source.h"
#include "g4/ops/dequantise.h"

namespace g4::load::detail {

/// Whether the extents agree where ones are not counted.
[[nodiscard]] inline bool same_but_for_ones(const io::extents& found, const tensor_entry& wanted) {
  std::size_t next = 0;
  const auto rank = static_cast<std::size_t>(wanted.rank);
  for (std::size_t i = 0; i < found.rank(); ++i) {
    if (found[i] == 1) continue;
    while (next < rank && wanted.extents[next] == 1) ++next;
    if (next == rank || found[i] != static_cast<std::size_t>(wanted.extents[next++])) return false;
  }
  while (next < rank && wanted.extents[next] == 1) ++next;
  return next == rank;
}

G4_INLINE tower_source::tower_source(const io::tensor_file& file, format f, const tower_spec& tower, checks look)
    : file_(file), format_(f), tower_(tower), look_(look) {
  const auto any_begins = [&](const std::string& with) {
    const auto& all = file.tensors();
    return std::any_of(all.begin(), all.end(), [&](const auto& t) { return t.name.starts_with(with); });
  };
  if (f == format::safetensors) {
    if (any_begins("model." + std::string(safetensors_rooms(tower)[0]))) prefix_ = "model.";
    // As Gemma 3 was published: the encoder once more inside the tower.
    if (any_begins(prefix_ + "vision_tower.vision_model.")) inner_ = "vision_model.";
  }
  if (const auto stack = tower.find<stage::encoder>(); stack.has_value() && !stack->gated) {
    // The first mmproj files of Gemma 3 call the way up down, and the other way round: their extents tell.
    const io::stored_tensor* const up = f == format::gguf ? file.find("v.blk.0.ffn_up.weight") : nullptr;
    const auto rows = static_cast<std::size_t>(stack->hidden);
    exchanged_ = up != nullptr && up->dims.rank() == 2 && up->dims[0] != rows && up->dims[1] == rows;
  }
}

G4_INLINE void tower_source::refuse(error why) {
  if (!failed_) failed_ = std::move(why);
}

template <class... Pieces>
void tower_source::refuse_saying(const Pieces&... pieces) {
  result<void> why = fail(pieces...);
  refuse(std::move(why.error()));
}

G4_INLINE std::string tower_source::name(const stage_tensor& t) const {
  if (format_ == format::gguf) {
    std::string all = t.gguf;
    if (exchanged_) {
      const bool up = all.find(".ffn_up.") != std::string::npos;
      if (const auto at = all.find(up ? ".ffn_up." : ".ffn_down."); at != std::string::npos) {
        all.replace(at, up ? 8 : 10, up ? ".ffn_down." : ".ffn_up.");
      }
    }
    return all;
  }
  constexpr std::string_view tower = "vision_tower.";
  if (!inner_.empty() && t.safetensors.starts_with(tower)) {
    return prefix_ + std::string(tower) + inner_ + t.safetensors.substr(tower.size());
  }
  return prefix_ + t.safetensors;
}

G4_INLINE const io::stored_tensor* tower_source::checked(const stage_tensor& t) {
  const std::string tensor = name(t);
  const bool turned = format_ == format::gguf && t.gguf_extents[0] != 0;
  tensor_entry wanted{};
  wanted.extents = turned ? t.gguf_extents : t.extents;
  wanted.rank =
      turned ? static_cast<int>(std::find(wanted.extents.begin(), wanted.extents.end(), 0) - wanted.extents.begin())
             : t.rank;
  const io::stored_tensor* found = file_.find(tensor);
  if (found == nullptr) {
    refuse_saying(file_.name(), ": the tensor ", tensor, " ", extents_text(wanted), " is missing");
    return nullptr;
  }
  known_.push_back(found);
  // An mmproj file, or a convolution, may give a patch's colours, rows and columns as three extents.
  const bool unfolded = colours_lie_apart(tower_, format_ == format::gguf) && t.as == stage_role::matrix &&
                        found->dims.rank() > 2 && found->dims[0] == static_cast<std::size_t>(t.extents[0]) &&
                        found->dims.elements() == static_cast<std::size_t>(wanted.elements()) &&
                        found->type.block_elements == 1;
  // A convolution of side 1 may be given as the matrix it is; an mmproj file gives a row of numbers as a plane.
  const bool convolves = tower_.find<stage::mobilenet>().has_value();
  if (!same_extents(*found, wanted) && !unfolded && !(convolves && same_but_for_ones(found->dims, wanted))) {
    refuse_saying(file_.file_name(*found), ": ", tensor, " is ", io::to_string(found->dims), "; the tower needs ",
                  extents_text(wanted));
    return nullptr;
  }
  // Biases may be zero; nothing else can be meant so.
  const bool may_be_zero = t.as == stage_role::bias || t.as == stage_role::softened;
  if (auto sound = check_contents(file_, *found, look_.contents, look_.contents && !may_be_zero); !sound) {
    refuse(std::move(sound.error()));
    return nullptr;
  }
  return found;
}

G4_INLINE std::optional<float> tower_source::bound(const stage_tensor& t) {
  const std::string tensor = name(t);
  const io::stored_tensor* const found = file_.find(tensor);
  if (found == nullptr) return std::nullopt;
  known_.push_back(found);
  if (found->dims.elements() != 1) {
    refuse_saying(file_.file_name(*found), ": ", tensor, " is ", io::to_string(found->dims),
                  "; the tower needs one number");
    return std::nullopt;
  }
  if (auto type = io::storage_of(file_, *found); !type) {
    refuse(std::move(type.error()));
    return std::nullopt;
  }
  float number = 0;
  if (found->type.block_elements != 1) {
    refuse_saying(file_.file_name(*found), ": ", tensor, " is no plain number");
    return std::nullopt;
  }
  dequantise(*found->type.weights, found->bytes.data(), 1, &number);
  if (!std::isnan(number)) return number;
  refuse_saying(file_.file_name(*found), ": ", tensor, " is not a number");
  return std::nullopt;
}

G4_INLINE void tower_source::refuse_unknown() {
  if (failed_ || format_ == format::gguf) return;
  for (const io::stored_tensor& t : file_.tensors()) {
    for (const std::string_view room : safetensors_rooms(tower_)) {
      if (!t.name.starts_with(prefix_ + std::string(room))) continue;
      if (std::find(known_.begin(), known_.end(), &t) != known_.end()) continue;
      return refuse_saying(file_.file_name(t), ": the tensor ", t.name, " ", io::to_string(t.dims),
                           " is no part of this tower");
    }
  }
}

G4_INLINE bool tower_source::holds_any() const {
  const auto& all = file_.tensors();
  return std::any_of(all.begin(), all.end(), [&](const auto& t) {
    const auto rooms = safetensors_rooms(tower_);
    return std::any_of(rooms.begin(), rooms.end(),
                       [&](std::string_view room) { return t.name.starts_with(prefix_ + std::string(room)); });
  });
}

G4_INLINE void tower_source::keep_in(std::vector<std::shared_ptr<const void>>& keep) const {
  keep.push_back(std::make_shared<io::tensor_file>(file_));
}

}  // namespace g4::load::detail
