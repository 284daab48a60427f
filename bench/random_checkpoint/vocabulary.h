/// A vocabulary for a checkpoint that was never trained: enough for a tokenizer to accept it and to encode any text.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "g4/io/gguf_writer.h"

namespace g4::bench {

/// The family's first ids, the 256 bytes, printable characters and the visible blank, the marks of a model that sees or
/// hears, then one made-up word per id.
struct vocabulary {
  static constexpr std::size_t least = 4 + 256;
  enum kind : std::int32_t { normal = 1, unknown = 2, control = 3, byte = 6 };
  std::vector<std::string> pieces;
  std::vector<std::int32_t> kinds;

  explicit vocabulary(std::size_t size, const std::vector<std::string>& marks = {}) {
    const auto add = [&](std::string piece, kind k) {
      if (pieces.size() == size) return;
      pieces.push_back(std::move(piece));
      kinds.push_back(k);
    };
    add("<pad>", control);
    add("<eos>", control);
    add("<bos>", control);
    add("<unk>", unknown);
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (unsigned b = 0; b < 256; ++b) add(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">", byte);
    add("\xe2\x96\x81", normal);
    for (char c = '!'; c <= '~'; ++c) add(std::string(1, c), normal);
    for (const std::string& mark : marks) add(mark, control);
    for (std::size_t i = 0; pieces.size() < size; ++i) add("\xe2\x96\x81word" + std::to_string(i), normal);
  }

  /// Keys of a vocabulary by scores. No merge makes a word, so texts are encoded by characters and bytes.
  void write(io::gguf_keys& keys) const {
    const std::vector<float> scores(pieces.size(), -1e4f);
    keys.string("tokenizer.ggml.model", "llama").string("tokenizer.ggml.pre", "default");
    keys.strings("tokenizer.ggml.tokens", pieces).f32s("tokenizer.ggml.scores", scores);
    keys.i32s("tokenizer.ggml.token_type", kinds);
    keys.u32("tokenizer.ggml.bos_token_id", 2).u32("tokenizer.ggml.eos_token_id", 1);
    keys.u32("tokenizer.ggml.unknown_token_id", 3).u32("tokenizer.ggml.padding_token_id", 0);
    keys.boolean("tokenizer.ggml.add_bos_token", true).boolean("tokenizer.ggml.add_space_prefix", false);
  }

  /// The same as a tokenizer.json.
  [[nodiscard]] std::string json() const {
    nlohmann::ordered_json pieces_by_name = nlohmann::ordered_json::object();
    auto added = nlohmann::ordered_json::array();
    auto& object = pieces_by_name.get_ref<nlohmann::ordered_json::object_t&>();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      object.emplace_back(pieces[i], i);  // not operator[], which would look for the name among all before it
      if (kinds[i] != control && kinds[i] != unknown) continue;
      added.push_back({{"id", i}, {"content", pieces[i]}, {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                       {"normalized", false}, {"special", true}});
    }
    nlohmann::ordered_json file;
    file["version"] = "1.0";
    file["truncation"] = nullptr;
    file["padding"] = nullptr;
    file["added_tokens"] = std::move(added);
    file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xe2\x96\x81"}};
    file["pre_tokenizer"] = nullptr;
    file["post_processor"] = nullptr;
    file["decoder"] = nullptr;
    file["model"] = {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", "<unk>"}, {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr}, {"fuse_unk", true}, {"byte_fallback", true}, {"ignore_merges", false}};
    file["model"]["vocab"] = std::move(pieces_by_name);
    file["model"]["merges"] = nlohmann::ordered_json::array();
    return file.dump();
  }
};

}  // namespace g4::bench
