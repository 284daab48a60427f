/// tokenizer.h, defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/json.h"
#include "g4/load/tokenizer.h"
#include "g4/text/markers.h"
#include "g4/text/tokenizer_builder.h"

namespace g4::load {

namespace detail {

/// Names that end an answer in the family, beside eos: Gemma 3's end of turn, Gemma 4's, and Gemma 4's request for the
/// result of a tool call. They count only where they are control or user-defined tokens.
inline constexpr std::string_view end_of_turn_names[] = {"<end_of_turn>", "<turn|>"};

inline constexpr std::string_view tool_response_name = "<|tool_response>";

[[nodiscard]] inline text::special_ids with_ends(text::tokenizer_builder& builder, text::special_ids special) {
  if (special.eos != no_token) special.ends.push_back(special.eos);
  for (const std::string_view name : end_of_turn_names) {
    const token_id id = builder.find(name);
    if (id == no_token) continue;
    if (special.end_of_turn == no_token) special.end_of_turn = id;
    if (id != special.eos) special.ends.push_back(id);
    if (name == end_of_turn_names[1] && builder.find(tool_response_name) != no_token) {
      special.ends.push_back(builder.find(tool_response_name));
    }
  }
  return special;
}

/// Markers that a file calls something else.
class doubts {
 public:
  void see(std::string_view marker) {
    if (count_++ == 0) first_ = text::detail::quoted(marker);
  }
  [[nodiscard]] bool any() const { return count_ != 0; }
  [[nodiscard]] std::string sentence(const std::string& where) const {
    const bool more = count_ > 1;
    return where + " does not call " + first_ + (more ? " and " + std::to_string(count_ - 1) + " more" : "") +
           (more ? " control tokens; they are taken as such" : " a control token; it is taken as one");
  }

 private:
  std::size_t count_ = 0;
  std::string first_;
};

/// What a piece of a GGUF file is, and where it is cut out; empty where its kind says so.
struct believed {
  text::piece_kind kind;
  std::optional<text::cut_out> where{};
};

[[nodiscard]] inline believed kind_believed(std::string_view piece, text::piece_kind stated, bool by_score) {
  using text::cut_out;
  using text::marker;
  using text::piece_kind;
  const bool user_defined = stated == piece_kind::user_defined;
  const marker is = text::marker_of(piece);
  if (is == marker::none) {
    if (!user_defined) return {stated};
    // Gemma 3's </s> is a tag that reads as the end of a sequence. llama.cpp guards it for that reason.
    if (!by_score || piece == "</s>") return {stated, cut_out::when_asked};
    if (text::written_as_marker(piece)) return {stated, cut_out::where_nobody_spoke};
    return {stated};
  }
  if (stated == piece_kind::control || stated == piece_kind::unknown) return {stated};
  // User-defined for being shown, not for being typed.
  if (user_defined && is == marker::shown) return {stated, cut_out::when_asked};
  if (user_defined && is == marker::medium) return {piece_kind::control, cut_out::where_nobody_spoke};
  return {piece_kind::control, cut_out::when_asked};
}

/// An id as a file states it; one that no vocabulary can hold is kept out of range for `build` to refuse.
[[nodiscard]] inline token_id token_of(std::uint64_t id) {
  return static_cast<token_id>(id < text::piece_table::max_pieces ? id : text::piece_table::max_pieces);
}

}  // namespace detail

G4_INLINE result<text::tokenizer> tokenizer_from_gguf(const io::gguf_metadata& keys, const std::string& name) {
  using text::tokenizer_builder;
  const auto model = keys.string("tokenizer.ggml.model");
  if (!model) return unexpected(model.error());
  const bool by_score = *model == "llama";
  if (!by_score && *model != "gemma4") {
    return fail(name, ": tokenizer.ggml.model is ", text::detail::quoted(*model),
                "; the Gemma family has 'llama' or 'gemma4'");
  }
  const auto pieces = keys.strings("tokenizer.ggml.tokens");
  if (!pieces) return unexpected(pieces.error());
  const auto kinds = keys.integers("tokenizer.ggml.token_type");
  if (!kinds) return unexpected(kinds.error());
  if (kinds->size() != pieces->size()) {
    return fail(name, ": tokenizer.ggml.token_type has ", kinds->size(), " entries for ", pieces->size(), " tokens");
  }
  io::gguf_floats scores;
  io::gguf_strings merges;
  if (by_score) {
    const auto found = keys.floats("tokenizer.ggml.scores");
    if (!found) return unexpected(found.error());
    scores = *found;
    if (scores.size() != pieces->size()) {
      return fail(name, ": tokenizer.ggml.scores has ", scores.size(), " entries for ", pieces->size(), " tokens");
    }
  } else {
    const auto found = keys.strings("tokenizer.ggml.merges");
    if (!found) return unexpected(found.error());
    merges = *found;
  }
  if (keys.has("tokenizer.ggml.add_space_prefix")) {
    const auto prefix = keys.boolean("tokenizer.ggml.add_space_prefix");
    if (!prefix) return unexpected(prefix.error());
    if (*prefix) return fail(name, ": tokenizer.ggml.add_space_prefix is true; Gemma's tokenizers add no blank");
  }

  tokenizer_builder builder(
      {.merges = by_score ? tokenizer_builder::order::by_score : tokenizer_builder::order::by_rank});
  detail::doubts doubted;
  std::size_t id = 0;
  builder.reserve(pieces->size(), 12 * pieces->size(), merges.size());
  for (const std::string_view piece : *pieces) {
    const std::int64_t number = (*kinds)[id];
    const bool known = number >= 1 && number <= 6;
    const auto stated = static_cast<text::piece_kind>(known ? number : 0);
    const detail::believed piece_is = detail::kind_believed(piece, stated, by_score);
    if (piece_is.kind != stated && piece_is.where == text::cut_out::when_asked) doubted.see(piece);
    builder.piece(id, piece, piece_is.kind, by_score ? scores[id] : 0.0f, piece_is.where);
    ++id;
  }
  if (doubted.any()) builder.note(doubted.sentence(name + ": tokenizer.ggml.token_type"));
  for (const std::string_view line : merges) builder.merge(line);

  text::special_ids special;
  const struct {
    const char* key;
    token_id* id;
  } named[] = {{"tokenizer.ggml.bos_token_id", &special.bos},
               {"tokenizer.ggml.eos_token_id", &special.eos},
               {"tokenizer.ggml.unknown_token_id", &special.unknown},
               {"tokenizer.ggml.padding_token_id", &special.padding}};
  for (const auto& [key, place] : named) {
    if (!keys.has(key)) continue;
    const auto value = keys.u64(key);
    if (!value) return unexpected(value.error());
    *place = detail::token_of(*value);
  }
  if (keys.has("tokenizer.ggml.add_bos_token")) {
    const auto add = keys.boolean("tokenizer.ggml.add_bos_token");
    if (!add) return unexpected(add.error());
    special.add_bos = *add;
  }
  // Early conversions of Gemma 4 say false; the models were trained with it.
  if (!by_score) special.add_bos = true;
  auto made = builder.build(detail::with_ends(builder, std::move(special)));
  if (!made) return fail_in(name, made.error());
  return made;
}

namespace detail {

/// Reads tokenizer.json in one walk: pieces and merges go straight into the builder, the rest becomes a small document.
class tokenizer_json_reader : public io::json_reader {
 public:
  explicit tokenizer_json_reader(text::tokenizer_builder& builder) : builder_(builder) {}

  /// A second walk takes the merges of a file that lists them before its pieces.
  [[nodiscard]] bool merges_wait() const { return merges_wait_; }
  [[nodiscard]] bool has_pieces() const { return has_pieces_; }
  [[nodiscard]] const io::json& rest() const { return rest_.root; }
  void start_second_walk() {
    rest_ = {};
    second_ = true;
    top_.clear();
  }

  bool null() override { return where_ == place::rest ? few() && rest_.null() : odd(); }
  bool boolean(bool value) override { return where_ == place::rest ? few() && rest_.boolean(value) : odd(); }
  bool number_integer(std::int64_t value) override {
    return where_ == place::rest ? few() && rest_.number_integer(value) : odd();
  }
  bool number_float(double value) override {
    return where_ == place::rest ? few() && rest_.number_float(value) : odd();
  }
  bool number_unsigned(std::uint64_t value) override {
    if (where_ == place::rest) return few() && rest_.number_unsigned(value);
    if (where_ != place::pieces) return odd();
    if (value >= text::piece_table::max_pieces) return refuse("model.vocab holds the id " + std::to_string(value));
    if (!second_) builder_.piece(static_cast<std::size_t>(value), piece_, kind_of(piece_));
    return true;
  }
  bool string(std::string& value) override {
    switch (where_) {
      case place::rest: return few() && rest_.string(value);
      case place::pieces: return odd();
      case place::merges:
        if (!skip_merges_) builder_.merge(value);
        return true;
      case place::merge_pair:
        if (halves_ == 2) return refuse("model.merges holds a list of more than two pieces");
        pair_[halves_++].swap(value);
        return true;
    }
    return false;
  }
  bool key(std::string& value) override {
    if (where_ == place::pieces) {
      piece_.swap(value);
      return true;
    }
    if (depth_ == 1) top_ = value;
    if (depth_ == 2) inner_ = value;
    return rest_.key(value) || refuse(rest_.problem);
  }
  bool start_object() override {
    if (where_ != place::rest) return odd();
    if (depth_ == 2 && top_ == "model" && inner_ == "vocab") {
      where_ = place::pieces;
      has_pieces_ = true;
      return true;
    }
    ++depth_;
    return few() && rest_.start_object();
  }
  bool end_object() override {
    if (where_ == place::pieces) {
      where_ = place::rest;
      return true;
    }
    --depth_;
    return rest_.end_object();
  }
  bool start_array() override {
    if (where_ == place::merges) {
      where_ = place::merge_pair;
      halves_ = 0;
      return true;
    }
    if (where_ != place::rest) return odd();
    if (depth_ == 2 && top_ == "model" && inner_ == "merges") {
      where_ = place::merges;
      skip_merges_ = !has_pieces_;
      merges_wait_ = merges_wait_ || skip_merges_;
      return true;
    }
    ++depth_;
    return few() && rest_.start_array();
  }
  bool end_array() override {
    if (where_ == place::merge_pair) {
      if (halves_ != 2) return refuse("model.merges holds a list of fewer than two pieces");
      if (!skip_merges_) builder_.merge(pair_[0], pair_[1]);
      where_ = place::merges;
      return true;
    }
    if (where_ == place::merges) {
      where_ = place::rest;
      return true;
    }
    --depth_;
    return rest_.end_array();
  }

 private:
  enum class place { rest, pieces, merges, merge_pair };

  /// The rest is kept as a document, which takes some tens of bytes a value; the largest of the family has 60 000.
  bool few() {
    constexpr std::size_t most = std::size_t{1} << 19;
    return ++values_ <= most || refuse("holds more than 524288 values beside its pieces and merges");
  }
  bool odd() {
    return refuse(where_ == place::pieces ? "model.vocab holds something other than ids"
                                          : "model.merges holds something other than pairs of pieces");
  }
  [[nodiscard]] static text::piece_kind kind_of(std::string_view piece) {
    const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
    const bool byte =
        piece.size() == 6 && piece.starts_with("<0x") && piece[5] == '>' && digit(piece[3]) && digit(piece[4]);
    return byte ? text::piece_kind::byte : text::piece_kind::normal;
  }

  text::tokenizer_builder& builder_;
  io::json_builder rest_;
  place where_ = place::rest;
  int depth_ = 0;
  std::string top_;
  std::string inner_;
  std::string piece_;
  std::string pair_[2];
  std::size_t halves_ = 0;
  std::size_t values_ = 0;
  bool has_pieces_ = false;
  bool skip_merges_ = false;
  bool merges_wait_ = false;
  bool second_ = false;
};

/// `object[key]`, null where there is no such thing.
[[nodiscard]] inline const io::json& member(const io::json& object, const char* key) {
  static const io::json nothing;
  const io::json* found = object.find(key);
  return found == nullptr ? nothing : *found;
}

[[nodiscard]] inline bool is_true(const io::json& value) { return value == true; }

[[nodiscard]] inline std::string_view string_or_empty(const io::json& value) {
  const auto* s = value.as<std::string>();
  return s == nullptr ? std::string_view{} : std::string_view(*s);
}

/// Refuses a tokenizer.json whose steps are not Gemma's; what is accepted is what text::tokenizer does.
[[nodiscard]] inline result<void> check_steps(const io::json& rest, const std::string& name) {
  const io::json& model = member(rest, "model");
  if (string_or_empty(member(model, "type")) != "BPE") {
    return fail(name, ": model.type is ", text::detail::quoted(string_or_empty(member(model, "type"))),
                "; expected 'BPE'");
  }
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const io::json& value = member(model, key);
    if (!value.is_null() && string_or_empty(value) != "")
      return fail(name, ": model.", key, " is set; g4 does not know it");
    if (value.is_number()) return fail(name, ": model.", key, " is set; g4 does not know it");
  }
  if (is_true(member(model, "ignore_merges"))) return fail(name, ": model.ignore_merges is true; g4 does not know it");
  const io::json& normalizer = member(rest, "normalizer");
  if (string_or_empty(member(normalizer, "type")) != "Replace" ||
      string_or_empty(member(member(normalizer, "pattern"), "String")) != " " ||
      string_or_empty(member(normalizer, "content")) != text::visible_blank) {
    return fail(name, ": the normalizer is not Gemma's, which replaces ' ' by U+2581");
  }
  // A split at ' ' splits nothing: the normalizer has left none.
  const io::json& split = member(rest, "pre_tokenizer");
  if (!split.is_null() && (string_or_empty(member(split, "type")) != "Split" ||
                           string_or_empty(member(member(split, "pattern"), "String")) != " ")) {
    return fail(name, ": the pre_tokenizer is not Gemma's, which splits at ' ' or not at all");
  }
  return {};
}

[[nodiscard]] inline result<void> take_added(const io::json& rest, text::tokenizer_builder& builder,
                                             const std::string& name) {
  const io::json& list = member(rest, "added_tokens");
  doubts doubted;
  if (!list.is_null() && !list.is_array()) return fail(name, ": added_tokens is not a list");
  for (const io::json& token : list) {
    const io::json& id = member(token, "id");
    const std::string_view content = string_or_empty(member(token, "content"));
    const auto* number = id.as<std::uint64_t>();
    if (number == nullptr) return fail(name, ": the added token ", text::detail::quoted(content), " has no id");
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      if (is_true(member(token, key))) {
        return fail(name, ": the added token ", text::detail::quoted(content), " has ", key,
                    ", which g4 does not know");
      }
    }
    const bool special = is_true(member(token, "special"));
    const bool marker = text::marker_of(content) != text::marker::none;
    if (marker && !special) doubted.see(content);
    builder.added(static_cast<std::size_t>(*number), content, special || marker, is_true(member(token, "normalized")));
  }
  for (const auto& names :
       {std::span<const std::string_view>(text::control_markers), {text::shown_markers}, {text::medium_markers}}) {
    for (const std::string_view name_of : names) {
      const token_id id = builder.find(name_of);
      if (id == no_token || builder.kind(id) == text::piece_kind::control) continue;
      doubted.see(name_of);
      builder.added(static_cast<std::size_t>(id), name_of, true, false);
    }
  }
  if (doubted.any()) builder.note(doubted.sentence(name + ": added_tokens"));
  return {};
}

/// The ids in generation_config.json, where they are a number or a list of numbers.
[[nodiscard]] inline std::vector<token_id> ids_of(const io::json& value) {
  std::vector<token_id> ids;
  const auto take = [&ids](const io::json& one) {
    if (const auto* id = one.as<std::uint64_t>()) ids.push_back(token_of(*id));
  };
  take(value);
  for (const io::json& one : value) take(one);
  return ids;
}

}  // namespace detail

G4_INLINE result<text::tokenizer> tokenizer_from_json(std::string_view json, const std::string& name,
                                                      std::string_view generation) {
  using text::tokenizer_builder;
  // The largest of the family has 33 MB; a piece has at most a few hundred bytes.
  const io::json_limits limits{.bytes = std::size_t{256} << 20, .depth = 32, .token = std::size_t{1} << 16};
  tokenizer_builder builder({.merges = tokenizer_builder::order::by_rank});
  // About 125 bytes of file for each piece, 60 for each merge; a hint only, and bounded by the file's size.
  builder.reserve(json.size() / 128, json.size() / 10, json.size() / 64);
  detail::tokenizer_json_reader reader(builder);
  if (auto read = io::read_json(json, name, limits, reader); !read) return unexpected(std::move(read.error()));
  if (!reader.has_pieces()) return fail(name, ": has no model.vocab");
  const io::json rest = reader.rest();
  if (auto steps = detail::check_steps(rest, name); !steps) return unexpected(std::move(steps.error()));
  if (auto added = detail::take_added(rest, builder, name); !added) return unexpected(std::move(added.error()));
  if (reader.merges_wait()) {
    reader.start_second_walk();
    if (auto read = io::read_json(json, name, limits, reader); !read) return unexpected(std::move(read.error()));
  }
  const io::json& model = detail::member(rest, "model");
  builder.unknown_characters(detail::is_true(detail::member(model, "byte_fallback")),
                             detail::is_true(detail::member(model, "fuse_unk")));

  text::special_ids special;
  special.bos = builder.find("<bos>");
  special.eos = builder.find("<eos>");
  special.padding = builder.find("<pad>");
  if (const auto unknown = detail::string_or_empty(detail::member(model, "unk_token")); !unknown.empty()) {
    special.unknown = builder.find(unknown);
  }
  special = detail::with_ends(builder, std::move(special));
  if (!generation.empty()) {
    const auto config = io::parse_json(generation, "generation_config.json");
    if (!config) return fail_in(name, config.error());
    if (auto ends = detail::ids_of(detail::member(*config, "eos_token_id")); !ends.empty())
      special.ends = std::move(ends);
  }
  auto made = builder.build(std::move(special));
  if (!made) return fail_in(name, made.error());
  return made;
}

}  // namespace g4::load
