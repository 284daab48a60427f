/// tokenizer.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/text/tokenizer.h"

namespace g4::text {

G4_INLINE result<std::vector<token_id>> tokenizer::encode(std::string_view text, encode_options options,
                                                          encode_work* work) const {
  return guarded([&] { return encoded(text, options, work); });
}

G4_INLINE result<std::vector<token_id>> tokenizer::encoded(std::string_view text, const encode_options& options,
                                                           encode_work* work) const {
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
  std::vector<token_id> ids;
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

G4_INLINE result<std::string> tokenizer::decode(std::span<const token_id> ids, bool show_control) const {
  return guarded([&]() -> result<std::string> {
    std::string text;
    for (const token_id id : ids) {
      if (!in_range(id)) return fail("id ", id, " is outside the vocabulary of ", pieces_.size(), " pieces");
      append_bytes(id, show_control, text);
    }
    return text;
  });
}

G4_INLINE void tokenizer::append_bytes(token_id id, bool show_control, std::string& out) const {
  const auto i = static_cast<std::size_t>(id);
  switch (kinds_[i]) {
    case piece_kind::byte: out.push_back(byte_value(pieces_[i])); return;
    case piece_kind::control:
      if (show_control) append_with_plain_blanks(pieces_[i], out);
      return;
    default: append_with_plain_blanks(pieces_[i], out);
  }
}

G4_INLINE std::string_view tokenizer::piece(token_id id) const {
  return contains(id) ? pieces_[static_cast<std::size_t>(id)] : std::string_view{};
}

G4_INLINE piece_kind tokenizer::kind(token_id id) const {
  return contains(id) ? kinds_[static_cast<std::size_t>(id)] : piece_kind::unused;
}

G4_INLINE std::vector<tokenizer::merge> tokenizer::merges() const {
  std::vector<std::pair<std::uint32_t, merge>> ranked;
  ranked.reserve(rules_.size());
  rules_.each([&](std::uint32_t rank, token_id made, std::size_t left_bytes) {
    const std::string_view piece = pieces_[static_cast<std::size_t>(made)];
    ranked.push_back({rank, {piece.substr(0, left_bytes), piece.substr(left_bytes), made}});
  });
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<merge> lines;
  lines.reserve(ranked.size());
  for (const auto& [rank, line] : ranked) lines.push_back(line);
  return lines;
}

G4_INLINE bool tokenizer::ends_answer(token_id id) const {
  return std::find(special_.ends.begin(), special_.ends.end(), id) != special_.ends.end();
}

G4_INLINE char tokenizer::byte_value(std::string_view piece) {
  const auto digit = [piece](std::size_t i) { return piece[i] <= '9' ? piece[i] - '0' : piece[i] - 'A' + 10; };
  return static_cast<char>(digit(3) * 16 + digit(4));
}

G4_INLINE void tokenizer::normalize(std::string_view text, std::size_t begin, std::size_t end,
                                    std::span<const text_range> plain, state& s) {
  s.normal.clear();
  s.normal.reserve(end - begin);
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

G4_INLINE bool tokenizer::is_text(token_id id) const {
  const piece_kind kind = kinds_[static_cast<std::size_t>(id)];
  return kind == piece_kind::normal || kind == piece_kind::user_defined || kind == piece_kind::unused;
}

G4_INLINE void tokenizer::merge_pairs(std::string_view plain, state& s) const {
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

}  // namespace g4::text
