#include <fmt/format.h>

#include <charconv>

#include "console.h"
#include "g4/open/checkpoint.h"
#include "json_text.h"
#include "program.h"

namespace program {

namespace {

/// "105, 2364 107": whole numbers between blanks and commas.
g4::result<std::vector<g4::token_id>> read_ids(std::string_view text) {
  std::vector<g4::token_id> ids;
  for (std::size_t at = 0;;) {
    at = text.find_first_not_of(" \t\r\n,[]", at);
    if (at == std::string_view::npos) return ids;
    const std::string_view word = text.substr(at, text.find_first_of(" \t\r\n,[]", at) - at);
    g4::token_id id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || end != word.data() + word.size()) {
      return g4::fail("ids: '", g4::io::shown(word),
                      "' is no token id; expected whole numbers with blanks between them");
    }
    ids.push_back(id);
    at += word.size();
  }
}

/// A piece on one line: line breaks and other control characters as \n, \t, \x1b.
std::string visible(std::string_view piece) {
  std::string text;
  for (const char c : piece) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      text += c;
    }
  }
  return text;
}

std::string dumped(const json& j) { return j.text(); }

}  // namespace

g4::result<int> tokenize(const settings& s) {
  const auto text = text_or_stdin(s);
  if (!text) return g4::unexpected(text.error());
  const auto from = g4::open_checkpoint(s.model);
  if (!from) return g4::unexpected(from.error());
  const auto vocabulary = from->tokenizer();
  if (!vocabulary) return g4::unexpected(vocabulary.error());
  say_note(*vocabulary);

  output out;
  json j;
  if (s.decode) {
    const auto ids = read_ids(*text);
    if (!ids) return g4::unexpected(ids.error());
    const auto decoded = vocabulary->decode(*ids, s.special);
    if (!decoded) return g4::unexpected(decoded.error());
    if (s.json) {
      j["ids"] = *ids;
      j["text"] = *decoded;
      out.write(dumped(j));
    } else {
      out.write(*decoded);
      if (is_terminal(STDOUT_FILENO)) out.write("\n");
    }
  } else {
    const g4::text::text_range all{0, text->size()};  // without --special nothing but text, as `generate` reads it
    const auto ids = vocabulary->encode(*text, {.parse_special = s.special,
                                                .add_bos = !s.raw && vocabulary->special().add_bos,
                                                .plain = {&all, s.special ? 0u : 1u}});
    if (!ids) return g4::unexpected(ids.error());
    if (s.json) {
      j["ids"] = *ids;
      auto& pieces = j["pieces"] = json::array();
      for (const g4::token_id id : *ids) pieces.push_back(vocabulary->piece(id));
      out.write(dumped(j));
    } else if (s.ids_only) {
      std::string line;
      for (const g4::token_id id : *ids) line += fmt::format("{}{}", line.empty() ? "" : " ", id);
      out.write(line + "\n");
    } else {
      std::string lines;
      for (const g4::token_id id : *ids) lines += fmt::format("{:>7}  {}\n", id, visible(vocabulary->piece(id)));
      out.write(lines);
    }
  }
  if (auto written = out.finish(); !written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
