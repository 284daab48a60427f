/// The pieces of a vocabulary, held once, and found by id or by their bytes.
///
/// Half of a cold start is the vocabulary elsewhere; here it is one copy of the bytes and one pass that fills an
/// open-addressing table of (hash, id) pairs. No piece has an allocation of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/token_id.h"
#include "g4/text/utf8.h"

namespace g4::text {

class piece_table {
 public:
  static constexpr std::size_t max_pieces = std::size_t{1} << 20;       // the family has 262144 to 262400
  static constexpr std::size_t max_piece_bytes = std::size_t{1} << 12;  // the longest of the family has 93
  static constexpr std::size_t max_text_bytes = std::size_t{1} << 30;

  enum class put_result : std::uint8_t { stored, id_taken, limit_exceeded };

  void reserve(std::size_t pieces, std::size_t bytes);

  /// Stores the bytes of piece `id`; ids may come in any order.
  [[nodiscard]] put_result put(std::size_t id, std::string_view piece);

  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] bool has(std::size_t id) const { return id < places_.size() && places_[id].begin != absent; }
  [[nodiscard]] std::size_t longest() const { return longest_; }

  /// The bytes of piece `id`; empty for an id that has none.
  [[nodiscard]] std::string_view operator[](std::size_t id) const;

  enum class index_result : std::uint8_t { inserted, known_text, crowded };

  /// Makes room for finding `size()` pieces; call after the last `put`, then `index` each.
  void prepare_index();

  /// Makes piece `id` findable by its bytes. Of two pieces with the same bytes the first keeps them.
  [[nodiscard]] index_result index(std::size_t id);

  /// Whether some indexed piece holds a visible blank behind a character that ends in this byte.
  [[nodiscard]] bool joins_blank(char before) const { return joins_blank_[static_cast<unsigned char>(before)]; }

  /// The id of the piece with exactly these bytes, `no_token` if there is none.
  [[nodiscard]] token_id find(std::string_view piece) const;

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
  [[nodiscard]] static std::uint64_t hash(const char* at, std::size_t size);

  std::string text_;
  std::vector<place> places_;
  std::vector<std::uint64_t> slots_;
  std::size_t mask_ = 0;
  std::array<bool, 256> joins_blank_{};
  std::size_t longest_ = 0;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/piece_table.inl"  // IWYU pragma: keep
#endif
