// Questions with one answer each: ids of texts, texts of ids, conversations as text.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/conversation.h"
#include "conformance/runner/vocabulary.h"
#include "g4/io/mapped_file.h"
#include "g4/io/shown.h"

namespace g4::conformance {

namespace {

/// The folder's own tokenizer.json, or the vocabulary of --model.
result<text::tokenizer> vocabulary_of(const case_folder& folder, const check_options& options) {
  if (!folder.has_file("tokenizer.json")) return open_vocabulary(options.model_file);
  const std::string path = folder.file("tokenizer.json");
  const auto map = io::map_file(path);
  if (!map) return unexpected(map.error());
  return load::tokenizer_from_json(io::text_of((*map)->bytes()), path);
}

/// What g4 answers, spelt as the case spells it.
result<json> answer_to(const json& question, bool gemma4, const text::tokenizer* vocabulary) {
  if (question.contains("messages")) {
    const auto prompt = prompt_of_row(gemma4, question);
    if (!prompt) return unexpected(prompt.error());
    return json(prompt->text);
  }
  if (question.contains("text")) {
    const auto ids = vocabulary->encode(question.at("text").get<std::string>(),
                                        {.parse_special = question.at("special").get<bool>()});
    if (!ids) return unexpected(ids.error());
    return json(std::vector<std::int32_t>(ids->begin(), ids->end()));
  }
  const auto text =
      vocabulary->decode(question.at("ids").get<std::vector<std::int32_t>>(), question.at("special").get<bool>());
  if (!text) return unexpected(text.error());
  return json(*text);
}

}  // namespace

result<void> check_strings(const case_folder& folder, const check_options& options, report& out) {
  const auto rows = read_json_file(folder.file("cases.json"));
  if (!rows) return unexpected(rows.error());
  const bool tokens = folder.about().at("kind").get<std::string>() == "tokenizer";
  if (tokens && !folder.has_file("tokenizer.json") && options.model_file.empty()) {
    return out.skipped("(the case)", "needs a file with the vocabulary: --model FILE.gguf"), result<void>{};
  }
  std::optional<text::tokenizer> vocabulary;
  if (tokens) {
    auto opened = vocabulary_of(folder, options);
    if (!opened) return unexpected(opened.error());
    vocabulary = std::move(*opened);
  }
  const bool gemma4 = folder.about().value("family", "") == "gemma4";
  std::size_t right = 0;
  for (const auto& [name, row] : rows->items()) {
    const auto found = answer_to(row.at("question"), gemma4, tokens ? &*vocabulary : nullptr);
    if (!found) {
      out.failed(name, found.error().message);
    } else if (*found != row.at("answer")) {
      out.failed(name,
                 io::shown(found->dump().substr(0, 80)) + " for " + io::shown(row.at("answer").dump().substr(0, 80)));
    } else {
      ++right;
    }
  }
  if (right > 0) out.exact("answers", 0, right);  // a line for all that are right
  return {};
}

}  // namespace g4::conformance
