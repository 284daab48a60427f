/// Gemma's tokenizer: text → ids and ids → bytes, for vocabularies with scores (GGUF "llama") and with merges (GGUF
/// "gemma4", tokenizer.json), by one code.
///
///     added tokens are cut out  →  ' ' becomes U+2581  →  characters  →  pairs join by urgency
///     →  a character that is no piece becomes its bytes <0xXX>, or the unknown token
///
/// Source: Hugging Face tokenizers (model BPE as Gemma's tokenizer.json uses it); SentencePiece for scores.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
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
  token_id bos = no_token;
  token_id eos = no_token;
  token_id unknown = no_token;
  token_id padding = no_token;
  token_id end_of_turn = no_token;
  bool add_bos = true;           ///< a prompt begins with `bos`
  std::vector<token_id> ends{};  ///< ids that end an answer
};

/// A half-open range of bytes.
struct text_range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct encode_options {
  bool parse_special = false;  ///< control tokens written out in the text become their ids; off for untrusted text
  bool add_bos = false;        ///< begin with `special().bos`, where there is one
  /// Ranges of the text, ascending and apart, where nothing but text is found: what somebody said in a prompt whose
  /// markers are ours. Control tokens stay text there whatever `parse_special` says, and so do user-defined ones that
  /// are written like markers (Gemma 3's image markers, `[multimodal]`), which count everywhere else.
  std::span<const text_range> plain = {};
};

/// Immutable once built; holds copies of all it needs and may be shared between threads.
class tokenizer {
 public:
  static constexpr std::size_t max_text_bytes = std::size_t{1} << 30;

  /// Ids of `text`. Bytes that are not UTF-8 become byte tokens. Fails only on a text above `max_text_bytes` and on
  /// `plain` ranges that are none.
  [[nodiscard]] result<std::vector<token_id>> encode(std::string_view text, encode_options options = {},
                                                     encode_work* work = nullptr) const;

  /// The bytes `ids` stand for: decode(encode(x)) is x, unless x holds U+2581, which comes back as ' ', or a broken
  /// character right before a ' ', which comes back as U+2581. Control tokens are left out, or written as their names.
  /// Fails on an id outside the vocabulary.
  [[nodiscard]] result<std::string> decode(std::span<const token_id> ids, bool show_control = true) const;

  /// Appends what one id below `size()` stands for; a byte token is one byte, an id without a piece is nothing.
  void append_bytes(token_id id, bool show_control, std::string& out) const;

  [[nodiscard]] std::size_t size() const { return pieces_.size(); }
  [[nodiscard]] bool in_range(token_id id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  /// True where `id` has a piece; the vocabulary may keep some free.
  [[nodiscard]] bool contains(token_id id) const { return id >= 0 && pieces_.has(static_cast<std::size_t>(id)); }
  /// The piece as the vocabulary writes it; empty outside the vocabulary.
  [[nodiscard]] std::string_view piece(token_id id) const;
  [[nodiscard]] piece_kind kind(token_id id) const;
  /// The id written exactly so (`"<end_of_turn>"`), `no_token` if there is none.
  [[nodiscard]] token_id find(std::string_view piece) const { return pieces_.find(piece); }
  /// The longest piece in bytes: what `append_bytes` appends is never longer.
  [[nodiscard]] std::size_t longest_piece() const { return pieces_.longest(); }
  [[nodiscard]] const special_ids& special() const { return special_; }
  /// What the file said of its tokens and is not believed, in one sentence to show; empty where there is nothing.
  [[nodiscard]] const std::string& note() const { return note_; }
  /// One line of a merges list.
  struct merge {
    std::string_view left;
    std::string_view right;
    token_id made = no_token;
  };
  /// The merges list in its order, as views of this tokenizer's pieces; empty for a vocabulary with scores.
  [[nodiscard]] std::vector<merge> merges() const;
  /// True for an id that ends an answer.
  [[nodiscard]] bool ends_answer(token_id id) const;

 private:
  friend class tokenizer_builder;

  [[nodiscard]] result<std::vector<token_id>> encoded(std::string_view text, const encode_options& options,
                                                      encode_work* work) const;

  struct state {
    bool with_special;
    std::string normal;                    // a stretch of the text with visible blanks
    std::vector<text_range> normal_plain;  // its plain ranges
    byte_pairs pairs;
    encode_work& work;
    std::vector<token_id>& ids;
  };

  /// The value in "<0xXX>".
  [[nodiscard]] static char byte_value(std::string_view piece);

  /// Appends the ids of added tokens and calls `between(begin, end)` for what lies between them.
  template <class Between>
  void for_each_match(const added_tokens& added, std::string_view text, std::span<const text_range> plain, state& s,
                      Between between) const {
    std::size_t begin = 0;
    std::size_t range = 0;
    for (std::size_t at = 0; !added.empty() && at < text.size();) {
      while (range < plain.size() && plain[range].end <= at) ++range;
      std::size_t ours = text.size();
      if (range < plain.size()) ours = plain[range].begin <= at ? 0 : plain[range].begin;
      const added_tokens::match found = added.at(text, at, {ours, s.with_special ? ours : 0});
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
                        state& s);

  /// False for tokens that no text may become by merging: a control token could be one character long.
  [[nodiscard]] bool is_text(token_id id) const;

  void merge_pairs(std::string_view plain, state& s) const;

  piece_table pieces_;
  std::vector<piece_kind> kinds_;
  merge_rules rules_;
  added_tokens verbatim_;    // matched in the text as it is
  added_tokens normalized_;  // matched after ' ' became U+2581
  std::array<token_id, 256> bytes_{};
  bool byte_fallback_ = true;
  bool fuse_unknown_ = true;
  special_ids special_;
  std::string note_;
};

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/tokenizer.inl"  // IWYU pragma: keep
#endif
