// Vocabularies and texts. The first byte says what the rest is: a tokenizer.json, a GGUF file, calls of the builder
// one by one, or a text for two vocabularies that are sound.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "g4/io/gguf.h"
#include "g4/load/tokenizer.h"
#include "g4/text/tokenizer_builder.h"
#include "g4/text/utf8_stream.h"
#include "tests/fuzz/read_all.h"

namespace {

using namespace g4;
using fuzz::expect;

void expect_sentence(const error& e) {
  expect(!e.message.empty() && e.message.size() < 4000 && e.message.find('\n') == std::string::npos);
}

std::string joined(const text::tokenizer& tokens, const std::vector<token_id>& ids) {
  text::utf8_stream stream(tokens, true);
  std::string all;
  for (const token_id id : ids) {
    const std::string_view shown = stream.push(id);
    expect(is_utf8(shown));
    all += shown;
  }
  return all += stream.finish();
}

// What holds for any vocabulary that was accepted. `sound`: characters become text or bytes, never anything else.
void use(const text::tokenizer& tokens, std::string_view text, bool sound) {
  for (const bool special : {false, true}) {
    text::encode_work work;
    const auto ids = tokens.encode(text, {.parse_special = special, .add_bos = special}, &work);
    expect(ids.has_value());
    expect(work.lookups <= 4 * work.characters && work.queued <= 3 * work.characters);
    for (const token_id id : *ids) expect(tokens.contains(id));
    const auto decoded = tokens.decode(*ids);
    expect(decoded.has_value());
    if (special || !sound) continue;
    const bool utf8 = is_utf8(text);
    const bool blank = text.find(' ') != std::string_view::npos;
    if (text.find("\xE2\x96\x81") == std::string_view::npos && (utf8 || !blank)) expect(*decoded == text);
    const std::string shown = joined(tokens, *ids);
    if (utf8) expect(shown == *decoded);
  }
  const text::text_range plain[] = {{text.size() / 3, text.size() / 2}};
  expect(tokens.encode(text, {.parse_special = true, .plain = plain}).has_value());
}

struct reader {
  std::string_view left;
  unsigned byte() {
    if (left.empty()) return 0;
    const auto b = static_cast<unsigned char>(left[0]);
    left.remove_prefix(1);
    return b;
  }
  std::string_view piece() {
    const std::string_view p = left.substr(0, byte() % 16);
    left.remove_prefix(p.size() < left.size() ? p.size() : left.size());
    return p;
  }
};

void add_bytes(text::tokenizer_builder& builder) {
  for (unsigned b = 0; b < 256; ++b) {
    const char digits[] = "0123456789ABCDEF";
    const char name[] = {'<', '0', 'x', digits[b / 16], digits[b % 16], '>'};
    builder.piece(b, std::string_view(name, sizeof name), text::piece_kind::byte);
  }
}

result<text::tokenizer> build(reader& in) {
  const bool by_rank = in.byte() % 2 == 1;
  text::tokenizer_builder builder(
      {.merges = by_rank ? text::tokenizer_builder::order::by_rank : text::tokenizer_builder::order::by_score,
       .byte_fallback = in.byte() % 4 != 0,
       .fuse_unknown = in.byte() % 2 == 0});
  if (in.byte() % 4 != 0) add_bytes(builder);
  std::size_t id = 256;
  for (unsigned calls = in.byte(); calls > 0 && !in.left.empty(); --calls) {
    switch (in.byte() % 8) {
      case 0: builder.added(id++, in.piece(), in.byte() % 2 == 0, in.byte() % 2 == 0); break;
      case 1: builder.added(in.byte() * 3u, in.piece(), in.byte() % 2 == 0, in.byte() % 2 == 0); break;
      case 2: builder.merge(in.piece()); break;
      case 3: {
        const auto left = in.piece();
        builder.merge(left, in.piece());
        break;
      }
      case 4: builder.piece(in.byte() * 257u, in.piece(), static_cast<text::piece_kind>(in.byte() % 8)); break;
      default:
        builder.piece(id++, in.piece(), static_cast<text::piece_kind>(1 + in.byte() % 6),
                      static_cast<float>(in.byte()) - 128.0f, static_cast<text::cut_out>(in.byte() % 3));
    }
  }
  const auto some_id = [&] { return static_cast<token_id>(in.byte() * 2) - 1; };
  return builder.build({.bos = some_id(), .eos = some_id(), .unknown = some_id(), .ends = {some_id()}});
}

// A sound vocabulary over a few letters and blanks, in both orders.
const text::tokenizer& sound(bool by_rank) {
  const auto make = [](bool rank) {
    text::tokenizer_builder builder(
        {.merges = rank ? text::tokenizer_builder::order::by_rank : text::tokenizer_builder::order::by_score});
    add_bytes(builder);
    builder.piece(256, "<eos>", text::piece_kind::control);
    builder.piece(257, "<b>", text::piece_kind::user_defined);
    builder.piece(258, "   ", text::piece_kind::user_defined);
    std::vector<std::string> pieces{"a", "b", "<", "\n", "\xE2\x96\x81", "\xC3\xA9"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t k = 0; k < 6; ++k) merges.emplace_back(pieces[i], pieces[k]);
    }
    for (std::size_t i = 0; i < 20; ++i) merges.emplace_back(merges[i].first + merges[i].second, pieces[i % 6]);
    for (const auto& [left, right] : merges) {
      if (std::find(pieces.begin(), pieces.end(), left + right) == pieces.end()) pieces.push_back(left + right);
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      builder.piece(259 + i, pieces[i], text::piece_kind::normal, -static_cast<float>(i / 2));
    }
    if (rank) {
      for (const auto& [left, right] : merges) builder.merge(left, right);
    }
    auto made = builder.build({.eos = 256});
    expect(made.has_value());
    return std::move(*made);
  };
  static const text::tokenizer scores = make(false);
  static const text::tokenizer ranks = make(true);
  return by_rank ? ranks : scores;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  // The end of the input is also the text that the vocabulary is tried on.
  const std::string_view text = rest.substr(rest.size() - rest.size() / 4);
  std::optional<result<text::tokenizer>> made;
  switch (data[0] % 4) {
    case 0: made = load::tokenizer_from_json(rest, "fuzz"); break;
    case 1: {
      const auto file = io::read_gguf(std::as_bytes(std::span(rest)), "fuzz");
      if (!file) return 0;
      made = load::tokenizer_from_gguf(file->metadata, "fuzz");
      break;
    }
    case 2: {
      reader in{rest};
      made = build(in);
      break;
    }
    default:
      use(sound(false), rest, true);
      use(sound(true), rest, true);
      return 0;
  }
  if (!*made) {
    expect_sentence(made->error());
    return 0;
  }
  use(**made, text, false);
  return 0;
}
