/// Gemma's tokenizer: text → ids and ids → bytes, for vocabularies with scores (GGUF "llama") and with merges (GGUF
/// "gemma4", tokenizer.json), by one code.
///
///     added tokens are cut out  →  ' ' becomes U+2581  →  characters  →  pairs join by urgency
///     →  a character that is no piece becomes its bytes <0xXX>, or the unknown token
///
/// Source: Hugging Face tokenizers (model BPE as Gemma's tokenizer.json uses it); SentencePiece for scores.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/text/added_tokens.h"
#include "g4/text/byte_pairs.h"
#include "g4/text/merge_rules.h"
#include "g4/text/piece_table.h"
#include "g4/text/utf8.h"

namespace g4::text {

/// What a piece is for; numbers as in GGUF's `tokenizer.ggml.token_type`.
enum class piece_kind : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// Ids that have a job. `no_token` where the vocabulary has none.
struct special_ids {
  token bos = no_token;
  token eos = no_token;
  token unknown = no_token;
  token padding = no_token;
  token end_of_turn = no_token;
  bool add_bos = true;        ///< a prompt begins with `bos`
  std::vector<token> ends{};  ///< ids that end an answer
};

/// A half-open range of bytes.
struct text_range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct encode_options {
  bool parse_special = false;  ///< control tokens written out in the text become their ids; off for untrusted text
  bool add_bos = false;        ///< begin with `special().bos`, where there is one
  /// With `parse_special`: ranges of the text, ascending and apart, where control tokens stay text all the same. What
  /// somebody said in a prompt whose markers are ours.
  std::span<const text_range> plain = {};
};

/// Immutable once built; holds copies of all it needs and may be shared between threads.
class tokenizer {
 public:
  static constexpr std::size_t max_text_bytes = std::size_t{1} << 30;

  /// Ids of `text`. Bytes that are not UTF-8 become byte tokens. Fails only on a text above `max_text_bytes` and on
  /// `plain` ranges that are none.
  [[nodiscard]] result<std::vector<token>> encode(std::string_view text, encode_options options = {},
                                                  encode_work* work = nullptr) const {
    if (text.size() > max_text_bytes) {
      return fail("text: ", text.size(), " bytes; at most ", max_text_bytes, " are encoded at once");
    }
    for (std::size_t i = 0; i < options.plain.size(); ++i) {
      const text_range& range = options.plain[i];
      if (range.begin > range.end || range.end > text.size() || (i > 0 && range.begin < options.plain[i - 1].end)) {
        return fail("text: plain range ", i, " is ", range.begin, " to ", range.end, " in ", text.size(),
                    " bytes; ranges ascend, keep apart and stay inside");
      }
    }
    std::vector<token> ids;
    ids.reserve(text.size() / 3 + 8);
    if (options.add_bos && special_.bos != no_token) ids.push_back(special_.bos);
    encode_work unasked;
    state s{options.parse_special, {}, {}, {}, work != nullptr ? *work : unasked, ids};
    for_each_match(verbatim_, text, options.plain, s, [&](std::size_t begin, std::size_t end) {
      normalize(text, begin, end, options.plain, s);
      for_each_match(normalized_, s.normal, s.normal_plain, s, [&](std::size_t from, std::size_t to) {
        merge_pairs(std::string_view(s.normal).substr(from, to - from), s);
      });
    });
    return ids;
  }

  /// The bytes `ids` stand for: decode(encode(x)) is x, unless x holds U+2581, which comes back as ' ', or a broken
  /// character right before a ' ', which comes back as U+2581. Control tokens are left out, or written as their names.
  /// Fails on an id outside the vocabulary.
  [[nodiscard]] result<std::string> decode(std::span<const token> ids, bool show_control = true) const {
    std::string text;
    for (const token id : ids) {
      if (!in_range(id)) return fail("id ", id, " is outside the vocabulary of ", pieces_.size(), " pieces");
      append_bytes(id, show_control, text);
    }
    return text;
  }

  /// Appends what one id below `size()` stands for; a byte token is one byte, an id without a piece is nothing.
  void append_bytes(token id, bool show_control, std::string& out) const {
    const auto i = static_cast<std::size_t>(id);
    switch (kinds_[i]) {
      case piece_kind::byte: out.push_back(byte_value(pieces_[i])); return;
      case piece_kind::control:
        if (show_control) append_with_plain_blanks(pieces_[i], out);
        return;
      default: append_with_plain_blanks(pieces_[i], out);
    }
  }

  [[nodiscard]] std::size_t size() const { return pieces_.size(); }
  [[nodiscard]] bool in_range(token id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  /// True where `id` has a piece; the vocabulary may keep some free.
  [[nodiscard]] bool contains(token id) const { return id >= 0 && pieces_.has(static_cast<std::size_t>(id)); }
  /// The piece as the vocabulary writes it; empty outside the vocabulary.
  [[nodiscard]] std::string_view piece(token id) const {
    return contains(id) ? pieces_[static_cast<std::size_t>(id)] : std::string_view{};
  }
  [[nodiscard]] piece_kind kind(token id) const {
    return contains(id) ? kinds_[static_cast<std::size_t>(id)] : piece_kind::unused;
  }
  /// The id written exactly so (`"<end_of_turn>"`), `no_token` if there is none.
  [[nodiscard]] token find(std::string_view piece) const { return pieces_.find(piece); }
  /// The longest piece in bytes: what `append_bytes` appends is never longer.
  [[nodiscard]] std::size_t longest_piece() const { return pieces_.longest(); }
  [[nodiscard]] const special_ids& special() const { return special_; }
  /// One line of a merges list.
  struct merge {
    std::string_view left;
    std::string_view right;
    token made = no_token;
  };
  /// The merges list in its order, as views of this tokenizer's pieces; empty for a vocabulary with scores.
  [[nodiscard]] std::vector<merge> merges() const {
    std::vector<merge> lines(rules_.size());
    rules_.each([&](std::uint32_t rank, token made, std::size_t left_bytes) {
      const std::string_view piece = pieces_[static_cast<std::size_t>(made)];
      lines[rank] = {piece.substr(0, left_bytes), piece.substr(left_bytes), made};
    });
    return lines;
  }
  /// True for an id that ends an answer.
  [[nodiscard]] bool ends_answer(token id) const {
    return std::find(special_.ends.begin(), special_.ends.end(), id) != special_.ends.end();
  }

 private:
  friend class tokenizer_builder;

  struct state {
    bool with_special;
    std::string normal;                    // a stretch of the text with visible blanks
    std::vector<text_range> normal_plain;  // its plain ranges
    byte_pairs pairs;
    encode_work& work;
    std::vector<token>& ids;
  };

  /// The value in "<0xXX>".
  [[nodiscard]] static char byte_value(std::string_view piece) {
    const auto digit = [piece](std::size_t i) { return piece[i] <= '9' ? piece[i] - '0' : piece[i] - 'A' + 10; };
    return static_cast<char>(digit(3) * 16 + digit(4));
  }

  /// Appends the ids of added tokens and calls `between(begin, end)` for what lies between them.
  template <class Between>
  void for_each_match(const added_tokens& added, std::string_view text, std::span<const text_range> plain, state& s,
                      Between between) const {
    std::size_t begin = 0;
    std::size_t range = 0;
    for (std::size_t at = 0; !added.empty() && at < text.size();) {
      while (range < plain.size() && plain[range].end <= at) ++range;
      std::size_t special_end = s.with_special ? text.size() : 0;
      if (s.with_special && range < plain.size()) special_end = plain[range].begin <= at ? 0 : plain[range].begin;
      const added_tokens::match found = added.at(text, at, special_end);
      if (found.size == 0) {
        ++at;
        continue;
      }
      if (at > begin) between(begin, at);
      s.ids.push_back(found.id);
      begin = at += found.size;
    }
    if (begin < text.size()) between(begin, text.size());
  }

  /// text[begin, end) with visible blanks, and the plain ranges where they then are.
  static void normalize(std::string_view text, std::size_t begin, std::size_t end, std::span<const text_range> plain,
                        state& s) {
    s.normal.clear();
    s.normal_plain.clear();
    const auto after =
        std::partition_point(plain.begin(), plain.end(), [=](const text_range& r) { return r.end <= begin; });
    for (auto range = after; range != plain.end() && range->begin < end; ++range) {
      const std::size_t from = std::max(begin, range->begin);
      const std::size_t to = std::min(end, range->end);
      append_with_visible_blanks(text.substr(begin, from - begin), s.normal);
      const std::size_t start = s.normal.size();
      append_with_visible_blanks(text.substr(from, to - from), s.normal);
      s.normal_plain.push_back({start, s.normal.size()});
      begin = to;
    }
    append_with_visible_blanks(text.substr(begin, end - begin), s.normal);
  }

  /// False for tokens that no text may become by merging: a control token could be one character long.
  [[nodiscard]] bool is_text(token id) const {
    const piece_kind kind = kinds_[static_cast<std::size_t>(id)];
    return kind == piece_kind::normal || kind == piece_kind::user_defined || kind == piece_kind::unused;
  }

  void merge_pairs(std::string_view plain, state& s) const {
    bool after_unknown = false;
    s.pairs.run(plain, pieces_, rules_, s.work, [&](const byte_pairs::symbol& symbol) {
      const bool known = symbol.id != no_token && is_text(symbol.id);
      if (known) {
        s.ids.push_back(symbol.id);
      } else if (byte_fallback_) {
        for (const char c : plain.substr(symbol.begin, symbol.size))
          s.ids.push_back(bytes_[static_cast<unsigned char>(c)]);
      } else if (!after_unknown || !fuse_unknown_) {
        s.ids.push_back(special_.unknown);
      }
      after_unknown = !known;
    });
  }

  piece_table pieces_;
  std::vector<piece_kind> kinds_;
  merge_rules rules_;
  added_tokens verbatim_;    // matched in the text as it is
  added_tokens normalized_;  // matched after ' ' became U+2581
  std::array<token, 256> bytes_{};
  bool byte_fallback_ = true;
  bool fuse_unknown_ = true;
  special_ids special_;
};

namespace detail {

/// A piece as an error shows it: in quotes, cut short, without line breaks or other control characters.
[[nodiscard]] inline std::string quoted(std::string_view piece) {
  constexpr std::size_t longest = 64;
  std::string out = "'";
  for (const char c : piece.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  if (piece.size() > longest) out += "...";
  return out + "'";
}

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

  explicit tokenizer_builder(options o) : options_(o) {
    made_.byte_fallback_ = o.byte_fallback;
    made_.fuse_unknown_ = o.fuse_unknown;
    made_.bytes_.fill(no_token);
  }

  /// What becomes of a character that is no piece, where the file says so only after its pieces.
  void unknown_characters(bool byte_fallback, bool fuse_unknown) {
    made_.byte_fallback_ = options_.byte_fallback = byte_fallback;
    made_.fuse_unknown_ = options_.fuse_unknown = fuse_unknown;
  }

  /// Id of the piece with exactly these bytes, among those given so far.
  [[nodiscard]] token find(std::string_view piece) {
    if (error_ || (!indexed_ && !make_index())) return no_token;
    return made_.pieces_.find(piece);
  }

  /// Sizes to expect; a hint.
  void reserve(std::size_t pieces, std::size_t bytes, std::size_t merges) {
    made_.pieces_.reserve(pieces, bytes);
    made_.kinds_.reserve(std::min(pieces, piece_table::max_pieces));
    if (options_.merges == order::by_score) urgency_.reserve(std::min(pieces, piece_table::max_pieces));
    merged_.reserve(std::min(merges, merge_rules::max_merges));
    left_bytes_.reserve(std::min(merges, merge_rules::max_merges));
  }

  /// Piece `id`. User-defined pieces are cut out of every text, control and unknown ones only out of texts encoded
  /// with `parse_special`. A guarded user-defined piece is matched as control pieces are, but shown as text is. `score`
  /// matters for `by_score` only.
  void piece(std::size_t id, std::string_view text, piece_kind kind, float score = 0, bool guarded = false) {
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
      made_.normalized_.add(text, static_cast<token>(id), !cut || guarded);
    }
  }

  /// A token that the file lists apart from the vocabulary (`added_tokens`), which it may extend. `special` tokens are
  /// control tokens; `normalized` ones match after ' ' became U+2581, the others in the text as it is.
  void added(std::size_t id, std::string_view content, bool special, bool normalized) {
    if (error_) return;
    if (content.empty()) return refuse(fail("added token ", id, " is empty"));
    if (!made_.pieces_.has(id)) {
      if (!store(id, content, piece_kind::user_defined)) return;
      indexed_ = false;
    } else if (made_.pieces_[id] != content) {
      return refuse(fail("added token ", id, " is ", detail::quoted(content), " but the vocabulary has ",
                         detail::quoted(made_.pieces_[id]), " there"));
    }
    if (made_.kinds_[id] != piece_kind::byte) {
      made_.kinds_[id] = special ? piece_kind::control : piece_kind::user_defined;
    }
    normal_.clear();
    if (normalized) append_with_visible_blanks(content, normal_);
    (normalized ? made_.normalized_ : made_.verbatim_)
        .add(normalized ? std::string_view(normal_) : content, static_cast<token>(id), special);
  }

  /// The next line of a merges list: `left` and `right` may join; earlier lines join first.
  void merge(std::string_view left, std::string_view right) {
    if (error_) return;
    if (!indexed_ && !make_index()) return;
    const std::size_t line = merged_.size();
    if (left.empty() || right.empty()) return refuse(fail("merge ", line, " has an empty half"));
    if (line >= merge_rules::max_merges) return refuse(fail("more than ", merge_rules::max_merges, " merges"));
    const token made = made_by(left, right);
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

  /// A merge as one string: "left right".
  void merge(std::string_view line) {
    if (error_) return;
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos) {
      return refuse(
          fail("merge ", merged_.size(), " is ", detail::quoted(line), "; expected two pieces with one blank between"));
    }
    merge(line.substr(0, blank), line.substr(blank + 1));
  }

  /// The tokenizer, or the first thing that was wrong with the vocabulary.
  [[nodiscard]] result<tokenizer> build(special_ids special) {
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

 private:
  void refuse(result<void> why) {
    if (!error_) error_ = std::move(why.error());
  }

  [[nodiscard]] bool store(std::size_t id, std::string_view text, piece_kind kind) {
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

  void note_byte(std::size_t id, std::string_view text) {
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>' || !is_digit(text[3]) || !is_digit(text[4])) {
      return refuse(fail("byte piece ", id, " is ", detail::quoted(text), "; expected <0x00> to <0xFF>"));
    }
    token& place = made_.bytes_[static_cast<unsigned char>(tokenizer::byte_value(text))];
    if (place != no_token)
      return refuse(fail("byte piece ", detail::quoted(text), " is both id ", place, " and id ", id));
    place = static_cast<token>(id);
  }

  [[nodiscard]] bool make_index() {
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

  /// Lists are sorted by the piece made, so it is mostly the last one made or the one after; the table knows the rest.
  [[nodiscard]] token made_by(std::string_view left, std::string_view right) {
    const std::size_t size = left.size() + right.size();
    if (size > made_.pieces_.longest()) return no_token;
    for (std::size_t id = cursor_; id < cursor_ + 2 && id < made_.size(); ++id) {
      const std::string_view piece = made_.pieces_[id];
      if (piece.size() == size && piece.starts_with(left) && piece.ends_with(right)) return static_cast<token>(id);
    }
    normal_.assign(left).append(right);
    return made_.pieces_.find(normal_);
  }

  void check(special_ids& special) {
    if (made_.size() == 0) return refuse(fail("the vocabulary is empty"));
    for (std::size_t byte = 0; options_.byte_fallback && byte < 256; ++byte) {
      if (made_.bytes_[byte] == no_token) {
        return refuse(fail("the vocabulary has no piece for byte ", byte, " (<0x00> to <0xFF> are needed)"));
      }
    }
    const auto in_range = [this](const char* name, token id, bool may_be_absent) {
      if ((id == no_token && may_be_absent) || made_.contains(id)) return;
      refuse(fail("the id of ", name, " is ", id, "; the vocabulary has ", made_.size(), " pieces"));
    };
    in_range("bos", special.bos, true);
    in_range("eos", special.eos, true);
    in_range("unknown", special.unknown, options_.byte_fallback);
    in_range("padding", special.padding, true);
    in_range("end of turn", special.end_of_turn, true);
    for (const token id : special.ends) in_range("an end of the answer", id, false);
  }

  options options_;
  tokenizer made_;
  std::vector<std::uint32_t> urgency_;
  std::vector<token> merged_;
  std::vector<std::uint16_t> left_bytes_;
  std::string normal_;
  std::size_t cursor_ = 0;
  std::size_t count_ = 0;
  bool indexed_ = false;
  std::optional<error> error_;
};

}  // namespace g4::text
