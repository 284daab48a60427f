/// A tokenizer of marks and letters, for models with small vocabularies.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace g4::test {

/// A tokenizer.json without merges: `marks`, which are special, the letters, and `more` as JSON has them; every other id
/// below `size` has a name that nothing is written with.
inline std::string marked_vocabulary(const std::vector<std::string>& marks, const std::vector<std::string>& more,
                                     std::size_t size) {
  std::vector<std::string> pieces = marks;
  for (char c = 'a'; c <= 'z'; ++c) pieces.emplace_back(1, c);
  pieces.insert(pieces.end(), more.begin(), more.end());
  while (pieces.size() < size) pieces.push_back("unused" + std::to_string(pieces.size()));
  std::string vocab, added;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    vocab += (i > 0 ? ", \"" : "\"") + pieces[i] + "\": " + std::to_string(i);
    if (i < marks.size()) {
      added += std::string(i > 0 ? ", " : "") + "{\"id\": " + std::to_string(i) + ", \"content\": \"" + pieces[i] +
               "\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, " +
               "\"normalized\": false}";
    }
  }
  return R"({"version": "1.0", "added_tokens": [)" + added +
         R"(], "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
  "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
  "post_processor": null,
  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}]},
  "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": false,
    "vocab": {)" +
         vocab + R"(}, "merges": []}})";
}

}  // namespace g4::test
