/// tokenizer_builder.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/text/markers.h"
#include "g4/text/tokenizer_builder.h"
#include "g4/text/utf8.h"

namespace g4::text {

namespace detail {

G4_INLINE std::string quoted(std::string_view piece) {
  constexpr std::size_t longest = 64;
  std::string out = "'";
  for (const char c : piece.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  if (piece.size() > longest) out += "...";
  return out + "'";
}

}  // namespace detail

G4_INLINE tokenizer_builder::tokenizer_builder(options o) : options_(o) {
  made_.byte_fallback_ = o.byte_fallback;
  made_.fuse_unknown_ = o.fuse_unknown;
  made_.bytes_.fill(no_token);
}

G4_INLINE void tokenizer_builder::unknown_characters(bool byte_fallback, bool fuse_unknown) {
  made_.byte_fallback_ = options_.byte_fallback = byte_fallback;
  made_.fuse_unknown_ = options_.fuse_unknown = fuse_unknown;
}

G4_INLINE token_id tokenizer_builder::find(std::string_view piece) {
  if (error_ || (!indexed_ && !make_index())) return no_token;
  return made_.pieces_.find(piece);
}

G4_INLINE void tokenizer_builder::reserve(std::size_t pieces, std::size_t bytes, std::size_t merges) {
  made_.pieces_.reserve(pieces, bytes);
  made_.kinds_.reserve(std::min(pieces, piece_table::max_pieces));
  if (options_.merges == order::by_score) urgency_.reserve(std::min(pieces, piece_table::max_pieces));
  merged_.reserve(std::min(merges, merge_rules::max_merges));
  left_bytes_.reserve(std::min(merges, merge_rules::max_merges));
}

G4_INLINE void tokenizer_builder::piece(std::size_t id, std::string_view text, piece_kind kind, float score,
                                        std::optional<cut_out> where) {
  if (error_) return;
  if (kind < piece_kind::normal || kind > piece_kind::byte) {
    return refuse(fail("piece ", id, " has type ", static_cast<int>(kind), "; types are 1 to 6"));
  }
  if (score != score) return refuse(fail("the score of piece ", id, " is not a number"));
  const bool cut = kind == piece_kind::user_defined;
  if (cut && text.find(' ') != std::string_view::npos) {
    normal_.clear();
    append_with_visible_blanks(text, normal_);
    text = normal_;
  }
  if (!store(id, text, kind)) return;
  if (options_.merges == order::by_score) {
    if (urgency_.size() <= id) urgency_.resize(id + 1, merge_rules::never);
    const bool mergeable = kind == piece_kind::normal || cut;
    urgency_[id] = mergeable ? merge_rules::urgency_of(score) : merge_rules::never;
  }
  if (kind == piece_kind::byte) note_byte(id, text);
  if (kind == piece_kind::unknown || kind == piece_kind::control || cut) {
    made_.normalized_.add(text, static_cast<token_id>(id),
                          where.value_or(cut ? cut_out::anywhere : cut_out::when_asked));
  }
}

G4_INLINE void tokenizer_builder::added(std::size_t id, std::string_view written, bool special, bool normalized) {
  if (error_) return;
  if (written.empty()) return refuse(fail("added token ", id, " is empty"));
  if (!made_.pieces_.has(id)) {
    if (!store(id, written, piece_kind::user_defined)) return;
    indexed_ = false;
  } else if (made_.pieces_[id] != written) {
    return refuse(fail("added token ", id, " is ", detail::quoted(written), " but the vocabulary has ",
                       detail::quoted(made_.pieces_[id]), " there"));
  }
  if (made_.kinds_[id] != piece_kind::byte) {
    made_.kinds_[id] = special ? piece_kind::control : piece_kind::user_defined;
  }
  normal_.clear();
  if (normalized) append_with_visible_blanks(written, normal_);
  (normalized ? made_.normalized_ : made_.verbatim_)
      .add(normalized ? std::string_view(normal_) : written, static_cast<token_id>(id),
           special                      ? cut_out::when_asked
           : written_as_marker(written) ? cut_out::where_nobody_spoke
                                        : cut_out::anywhere);
}

G4_INLINE void tokenizer_builder::merge(std::string_view left, std::string_view right) {
  if (error_) return;
  if (!indexed_ && !make_index()) return;
  const std::size_t line = merged_.size();
  if (left.empty() || right.empty()) return refuse(fail("merge ", line, " has an empty half"));
  if (line >= merge_rules::max_merges) return refuse(fail("more than ", merge_rules::max_merges, " merges"));
  const token_id made = made_by(left, right);
  if (made == no_token) {
    return refuse(fail("merge ", line, " makes ", detail::quoted(std::string(left).append(right)),
                       ", which is not in the vocabulary"));
  }
  const piece_kind kind = made_.kinds_[static_cast<std::size_t>(made)];
  if (kind == piece_kind::control || kind == piece_kind::unknown || kind == piece_kind::byte) {
    return refuse(fail("merge ", line, " makes ", detail::quoted(made_.pieces_[static_cast<std::size_t>(made)]),
                       ", which is no text but a token with a meaning"));
  }
  cursor_ = static_cast<std::size_t>(made);
  merged_.push_back(made);
  left_bytes_.push_back(static_cast<std::uint16_t>(left.size()));
}

G4_INLINE void tokenizer_builder::merge(std::string_view line) {
  if (error_) return;
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos) {
    return refuse(
        fail("merge ", merged_.size(), " is ", detail::quoted(line), "; expected two pieces with one blank between"));
  }
  merge(line.substr(0, blank), line.substr(blank + 1));
}

G4_INLINE result<tokenizer> tokenizer_builder::build(special_ids special) {
  if (!error_ && !indexed_) static_cast<void>(make_index());
  if (!error_) check(special);
  if (error_) return unexpected(std::move(*error_));
  if (options_.merges == order::by_score) {
    urgency_.resize(made_.size(), merge_rules::never);
    made_.rules_.use_scores(std::move(urgency_));
  } else {
    made_.rules_.use_merges(merged_, left_bytes_, made_.size());
  }
  made_.special_ = std::move(special);
  return std::move(made_);
}

G4_INLINE void tokenizer_builder::refuse(result<void> why) {
  if (!error_) error_ = std::move(why.error());
}

G4_INLINE bool tokenizer_builder::store(std::size_t id, std::string_view text, piece_kind kind) {
  if (text.empty() && kind != piece_kind::unused) {
    refuse(fail("piece ", id, " is empty"));
    return false;
  }
  switch (made_.pieces_.put(id, text)) {
    case piece_table::put_result::stored: break;
    case piece_table::put_result::id_taken: refuse(fail("piece ", id, " is given twice")); return false;
    case piece_table::put_result::limit_exceeded:
      refuse(fail("piece ", id, " (", text.size(), " bytes) is beyond the limits of ", piece_table::max_pieces,
                  " pieces, ", piece_table::max_piece_bytes, " bytes each and ", piece_table::max_text_bytes,
                  " together"));
      return false;
  }
  if (made_.kinds_.size() <= id) made_.kinds_.resize(id + 1, piece_kind::unused);
  made_.kinds_[id] = kind;
  ++count_;
  return true;
}

G4_INLINE void tokenizer_builder::note_byte(std::size_t id, std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>' || !is_digit(text[3]) || !is_digit(text[4])) {
    return refuse(fail("byte piece ", id, " is ", detail::quoted(text), "; expected <0x00> to <0xFF>"));
  }
  token_id& place = made_.bytes_[static_cast<unsigned char>(tokenizer::byte_value(text))];
  if (place != no_token)
    return refuse(fail("byte piece ", detail::quoted(text), " is both id ", place, " and id ", id));
  place = static_cast<token_id>(id);
}

G4_INLINE bool tokenizer_builder::make_index() {
  // Some vocabularies keep ids free (Gemma 3n: those of its image and audio tables); many more free than taken are
  // a mistake.
  if (count_ < made_.size() / 2) {
    refuse(fail("the vocabulary has ", count_, " pieces but ids up to ", made_.size() - 1));
    return false;
  }
  made_.pieces_.prepare_index();
  for (std::size_t id = 0; id < made_.size(); ++id) {
    if (made_.pieces_[id].empty()) continue;
    switch (made_.pieces_.index(id)) {
      case piece_table::index_result::inserted: break;
      case piece_table::index_result::known_text:
        if (made_.kinds_[id] == piece_kind::unused) break;
        refuse(fail("piece ", id, " and piece ", made_.pieces_.find(made_.pieces_[id]), " are both ",
                    detail::quoted(made_.pieces_[id])));
        return false;
      case piece_table::index_result::crowded:
        refuse(fail("too many pieces collide with piece ", id, " in the vocabulary's index"));
        return false;
    }
  }
  indexed_ = true;
  return true;
}

G4_INLINE token_id tokenizer_builder::made_by(std::string_view left, std::string_view right) {
  const std::size_t size = left.size() + right.size();
  if (size > made_.pieces_.longest()) return no_token;
  for (std::size_t id = cursor_; id < cursor_ + 2 && id < made_.size(); ++id) {
    const std::string_view piece = made_.pieces_[id];
    if (piece.size() == size && piece.starts_with(left) && piece.ends_with(right)) return static_cast<token_id>(id);
  }
  normal_.assign(left).append(right);
  return made_.pieces_.find(normal_);
}

G4_INLINE void tokenizer_builder::check(special_ids& special) {
  if (made_.size() == 0) return refuse(fail("the vocabulary is empty"));
  for (std::size_t byte = 0; options_.byte_fallback && byte < 256; ++byte) {
    if (made_.bytes_[byte] == no_token) {
      return refuse(fail("the vocabulary has no piece for byte ", byte, " (<0x00> to <0xFF> are needed)"));
    }
  }
  const auto in_range = [this](const char* name, token_id id, bool may_be_absent) {
    if ((id == no_token && may_be_absent) || made_.contains(id)) return;
    refuse(fail("the id of ", name, " is ", id, "; the vocabulary has ", made_.size(), " pieces"));
  };
  in_range("bos", special.bos, true);
  in_range("eos", special.eos, true);
  in_range("unknown", special.unknown, options_.byte_fallback);
  in_range("padding", special.padding, true);
  in_range("end of turn", special.end_of_turn, true);
  for (const token_id id : special.ends) in_range("an end of the answer", id, false);
}

}  // namespace g4::text
