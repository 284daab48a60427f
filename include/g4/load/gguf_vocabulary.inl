/// gguf_vocabulary.h, defined.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "g4/load/gguf_vocabulary.h"
#include "g4/text/markers.h"

namespace g4::load {

G4_INLINE result<void> add_vocabulary(io::gguf_keys& keys, const text::tokenizer& from, generation g, std::size_t rows,
                                      const std::string& name) {
  using text::piece_kind;
  const bool by_score = g != generation::gemma4;
  const std::vector<text::tokenizer::merge> merges = from.merges();
  for (std::size_t id = rows; id < from.size(); ++id) {
    const piece_kind kind = from.kind(static_cast<token_id>(id));
    if (kind == piece_kind::normal || kind == piece_kind::byte) {
      return fail(name, ": has ", from.size(), " pieces; the model's embedding table has ", rows, " rows");
    }
  }
  std::vector<std::string> pieces(rows);
  std::vector<std::int32_t> kinds(rows);
  // Pieces that nothing merges into (characters, added tokens) come after all others.
  std::vector<float> scores(rows, by_score ? -static_cast<float>(merges.size()) : -1000.0f);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto id = static_cast<token_id>(i);
    const std::string_view piece = from.piece(id);
    piece_kind kind = from.kind(id);
    if (!by_score && text::marker_of(piece) == text::marker::shown) kind = piece_kind::user_defined;
    pieces[i] = piece;
    if (!from.contains(id)) pieces[i].append("[PAD").append(std::to_string(i)).append("]");
    kinds[i] = static_cast<std::int32_t>(kind);
  }
  std::vector<std::string> lines;
  for (std::size_t i = merges.size(); i-- > 0;) {
    if (static_cast<std::size_t>(merges[i].made) >= rows) continue;
    if (by_score) {
      scores[static_cast<std::size_t>(merges[i].made)] = -static_cast<float>(i);
    } else {
      lines.push_back(std::string(merges[i].left).append(" ").append(merges[i].right));
    }
  }
  std::reverse(lines.begin(), lines.end());

  keys.string("tokenizer.ggml.model", by_score ? "llama" : "gemma4");
  if (by_score) keys.string("tokenizer.ggml.pre", "default");
  keys.strings("tokenizer.ggml.tokens", pieces).f32s("tokenizer.ggml.scores", scores);
  keys.i32s("tokenizer.ggml.token_type", kinds);
  if (!by_score) keys.strings("tokenizer.ggml.merges", lines);
  const auto id_key = [&](const char* key, token_id id) {
    if (id != no_token && static_cast<std::size_t>(id) < rows) keys.u32(key, static_cast<std::uint32_t>(id));
  };
  id_key("tokenizer.ggml.bos_token_id", from.special().bos);
  id_key("tokenizer.ggml.eos_token_id", from.special().eos);
  id_key("tokenizer.ggml.unknown_token_id", from.special().unknown);
  id_key("tokenizer.ggml.padding_token_id", from.special().padding);
  keys.boolean("tokenizer.ggml.add_bos_token", true).boolean("tokenizer.ggml.add_space_prefix", false);
  return {};
}

}  // namespace g4::load
