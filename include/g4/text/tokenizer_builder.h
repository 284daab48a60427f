/// A tokenizer from its vocabulary, whatever file that is in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/text/merge_rules.h"
#include "g4/text/piece_table.h"
#include "g4/text/tokenizer.h"

namespace g4::text {

namespace detail {

/// A piece as an error shows it: in quotes, cut short, without line breaks or other control characters.
[[nodiscard]] G4_INLINE std::string quoted(std::string_view piece);

}  // namespace detail

/// Takes a vocabulary piece by piece, from whatever file holds it, and checks it as a whole at the end.
///
/// Order of calls: `piece` for every id, `added` for tokens that the file lists apart, `merge` for every line of a
/// merges list, `build`. The first thing wrong is remembered and returned by `build`; what follows it is ignored.
class tokenizer_builder {
 public:
  enum class order : std::uint8_t { by_score, by_rank };

  struct options {
    order merges = order::by_score;
    bool byte_fallback = true;  ///< unknown characters become bytes; needs all 256 byte pieces
    bool fuse_unknown = true;   ///< without byte fallback: neighbouring unknown characters become one unknown token
  };

  explicit tokenizer_builder(options o);

  /// What becomes of a character that is no piece, where the file says so only after its pieces.
  void unknown_characters(bool byte_fallback, bool fuse_unknown);

  /// Id of the piece with exactly these bytes, among those given so far.
  [[nodiscard]] token_id find(std::string_view piece);

  /// Sizes to expect; a hint.
  void reserve(std::size_t pieces, std::size_t bytes, std::size_t merges);

  /// Piece `id`. User-defined, control and unknown ones are cut out of texts before any merging; `where` for those that
  /// are not as their kind has it: user-defined ones anywhere, the others when asked. `score` matters for `by_score`
  /// only.
  void piece(std::size_t id, std::string_view text, piece_kind kind, float score = 0,
             std::optional<cut_out> where = {});

  /// The kind of a piece given so far.
  [[nodiscard]] piece_kind kind(token_id id) const { return made_.kinds_[static_cast<std::size_t>(id)]; }

  /// A token that the file lists apart from the vocabulary (`added_tokens`), which it may extend. `special` tokens are
  /// control tokens; `normalized` ones match after ' ' became U+2581, the others in the text as it is. What is written
  /// as a marker but is not special is cut out where nobody spoke.
  void added(std::size_t id, std::string_view written, bool special, bool normalized);

  /// The next line of a merges list: `left` and `right` may join; earlier lines join first.
  void merge(std::string_view left, std::string_view right);

  /// A merge as one string: "left right".
  void merge(std::string_view line);

  /// What the tokenizer is to say of its file; see `tokenizer::note`.
  void note(std::string sentence) { made_.note_ = std::move(sentence); }

  /// The tokenizer, or the first thing that was wrong with the vocabulary.
  [[nodiscard]] result<tokenizer> build(special_ids special);

 private:
  void refuse(result<void> why);

  [[nodiscard]] bool store(std::size_t id, std::string_view text, piece_kind kind);

  void note_byte(std::size_t id, std::string_view text);

  [[nodiscard]] bool make_index();

  /// Lists are sorted by the piece made, so it is mostly the last one made or the one after; the table knows the rest.
  [[nodiscard]] token_id made_by(std::string_view left, std::string_view right);

  void check(special_ids& special);

  options options_;
  tokenizer made_;
  std::vector<std::uint32_t> urgency_;
  std::vector<token_id> merged_;
  std::vector<std::uint16_t> left_bytes_;
  std::string normal_;
  std::size_t cursor_ = 0;
  std::size_t count_ = 0;
  bool indexed_ = false;
  std::optional<error> error_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/tokenizer_builder.inl"  // IWYU pragma: keep
#endif
