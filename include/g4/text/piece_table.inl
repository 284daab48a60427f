/// piece_table.h, defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "g4/text/piece_table.h"

namespace g4::text {

G4_INLINE void piece_table::reserve(std::size_t pieces, std::size_t bytes) {
  places_.reserve(pieces < max_pieces ? pieces : max_pieces);
  text_.reserve(bytes < max_text_bytes ? bytes : max_text_bytes);
}

G4_INLINE piece_table::put_result piece_table::put(std::size_t id, std::string_view piece) {
  if (id >= max_pieces || piece.size() > max_piece_bytes || text_.size() + piece.size() > max_text_bytes) {
    return put_result::limit_exceeded;
  }
  if (id >= places_.size()) places_.resize(id + 1);
  if (places_[id].begin != absent) return put_result::id_taken;
  places_[id] = {static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(piece.size())};
  text_.append(piece);
  if (piece.size() > longest_) longest_ = piece.size();
  return put_result::stored;
}

G4_INLINE std::string_view piece_table::operator[](std::size_t id) const {
  if (!has(id)) return {};
  return std::string_view(text_).substr(places_[id].begin, places_[id].size);
}

G4_INLINE void piece_table::prepare_index() {
  std::size_t slots = 16;
  while (slots < 2 * size()) slots *= 2;
  slots_.assign(slots, 0);
  mask_ = slots - 1;
}

G4_INLINE piece_table::index_result piece_table::index(std::size_t id) {
  const std::string_view piece = (*this)[id];
  for (std::size_t at = piece.find(visible_blank, 1); at != std::string_view::npos;
       at = piece.find(visible_blank, at + 1)) {
    joins_blank_[static_cast<unsigned char>(piece[at - 1])] = true;
  }
  const std::uint64_t h = hash(piece.data(), piece.size());
  std::size_t slot = static_cast<std::size_t>(h) & mask_;
  for (std::size_t probe = 0; probe < max_probes; ++probe, slot = (slot + 1) & mask_) {
    if (slots_[slot] == 0) {
      slots_[slot] = (h & tag_mask) | (static_cast<std::uint64_t>(id) + 1);
      return index_result::inserted;
    }
    if (((slots_[slot] ^ h) & tag_mask) == 0 && (*this)[id_in(slots_[slot])] == piece) return index_result::known_text;
  }
  return index_result::crowded;
}

G4_INLINE token_id piece_table::find(std::string_view piece) const {
  if (piece.size() > longest_ || slots_.empty()) return no_token;
  const std::uint64_t h = hash(piece.data(), piece.size());
  std::size_t slot = static_cast<std::size_t>(h) & mask_;
  for (std::size_t probe = 0; probe < max_probes && slots_[slot] != 0; ++probe, slot = (slot + 1) & mask_) {
    if (((slots_[slot] ^ h) & tag_mask) != 0) continue;
    const std::size_t id = id_in(slots_[slot]);
    if ((*this)[id] == piece) return static_cast<token_id>(id);
  }
  return no_token;
}

G4_INLINE std::uint64_t piece_table::hash(const char* at, std::size_t size) {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15u;
  std::uint64_t h = size * odd;
  const auto mix = [&h](std::uint64_t word) {
    h = (h ^ word) * odd;
    h ^= h >> 32;
  };
  for (; size > 8; at += 8, size -= 8) mix(load<std::uint64_t>(at));
  if (size >= 4) {
    mix(load<std::uint32_t>(at) | load<std::uint32_t>(at + size - 4) << 32);
  } else if (size > 0) {
    mix(load<std::uint8_t>(at) | load<std::uint8_t>(at + size / 2) << 8 | load<std::uint8_t>(at + size - 1) << 16);
  }
  h *= odd;
  return h ^ (h >> 29);
}

}  // namespace g4::text
