/// The pieces of a vocabulary, held once, and found by id or by their bytes.
///
/// Half of a cold start is the vocabulary elsewhere; here it is one copy of the bytes and one pass that fills an
/// open-addressing table of (hash, id) pairs. No piece has an allocation of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace g4::text {

/// An id of the vocabulary; negative where there is none.
using token = std::int32_t;
inline constexpr token no_token = -1;

class piece_table {
 public:
  static constexpr std::size_t max_pieces = std::size_t{1} << 20;       // the family has 262144 to 262400
  static constexpr std::size_t max_piece_bytes = std::size_t{1} << 12;  // the longest of the family has 93
  static constexpr std::size_t max_text_bytes = std::size_t{1} << 30;

  enum class put_result : std::uint8_t { stored, id_taken, limit_exceeded };

  void reserve(std::size_t pieces, std::size_t bytes) {
    places_.reserve(pieces < max_pieces ? pieces : max_pieces);
    text_.reserve(bytes < max_text_bytes ? bytes : max_text_bytes);
  }

  /// Stores the bytes of piece `id`; ids may come in any order.
  [[nodiscard]] put_result put(std::size_t id, std::string_view piece) {
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

  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] bool has(std::size_t id) const { return id < places_.size() && places_[id].begin != absent; }
  [[nodiscard]] std::size_t longest() const { return longest_; }

  /// The bytes of piece `id`; empty for an id that has none.
  [[nodiscard]] std::string_view operator[](std::size_t id) const {
    if (!has(id)) return {};
    return std::string_view(text_).substr(places_[id].begin, places_[id].size);
  }

  enum class index_result : std::uint8_t { inserted, known_text, crowded };

  /// Makes room for finding `size()` pieces; call after the last `put`, then `index` each.
  void prepare_index() {
    std::size_t slots = 16;
    while (slots < 2 * size()) slots *= 2;
    slots_.assign(slots, 0);
    mask_ = slots - 1;
  }

  /// Makes piece `id` findable by its bytes. Of two pieces with the same bytes the first keeps them.
  [[nodiscard]] index_result index(std::size_t id) {
    const std::string_view piece = (*this)[id];
    const std::uint64_t h = hash(piece.data(), piece.size());
    std::size_t slot = static_cast<std::size_t>(h) & mask_;
    for (std::size_t probe = 0; probe < max_probes; ++probe, slot = (slot + 1) & mask_) {
      if (slots_[slot] == 0) {
        slots_[slot] = (h & tag_mask) | (static_cast<std::uint64_t>(id) + 1);
        return index_result::inserted;
      }
      if (((slots_[slot] ^ h) & tag_mask) == 0 && (*this)[id_in(slots_[slot])] == piece)
        return index_result::known_text;
    }
    return index_result::crowded;
  }

  /// The id of the piece with exactly these bytes, `no_token` if there is none.
  [[nodiscard]] token find(std::string_view piece) const {
    if (piece.size() > longest_ || slots_.empty()) return no_token;
    const std::uint64_t h = hash(piece.data(), piece.size());
    std::size_t slot = static_cast<std::size_t>(h) & mask_;
    for (std::size_t probe = 0; probe < max_probes && slots_[slot] != 0; ++probe, slot = (slot + 1) & mask_) {
      if (((slots_[slot] ^ h) & tag_mask) != 0) continue;
      const std::size_t id = id_in(slots_[slot]);
      if ((*this)[id] == piece) return static_cast<token>(id);
    }
    return no_token;
  }

 private:
  static constexpr std::uint32_t absent = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint64_t tag_mask = 0xFFFFFFFF00000000u;
  // Half-full linear probing needs a handful; a file that needs more was made to.
  static constexpr std::size_t max_probes = 512;

  struct place {
    std::uint32_t begin = absent;
    std::uint32_t size = 0;
  };

  [[nodiscard]] static std::size_t id_in(std::uint64_t slot) { return static_cast<std::size_t>(slot & ~tag_mask) - 1; }

  template <class Word>
  [[nodiscard]] static std::uint64_t load(const char* at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
  }

  /// Multiply and fold, eight bytes a step. The value depends on byte order, so it must never leave the process.
  [[nodiscard]] static std::uint64_t hash(const char* at, std::size_t size) {
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

  std::string text_;
  std::vector<place> places_;
  std::vector<std::uint64_t> slots_;
  std::size_t mask_ = 0;
  std::size_t longest_ = 0;
};

}  // namespace g4::text
