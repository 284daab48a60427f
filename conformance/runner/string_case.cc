// Questions with one answer each: ids of texts, texts of ids, conversations as text.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/conversation.h"
#include "conformance/runner/vocabulary.h"
#include "conformance/runner/written.h"
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

/// Calls `see(name, row, answer)` for every row of a file of questions; nothing where a vocabulary is needed and missing.
template <class See>
result<bool> answer_all(const case_folder& folder, const char* file, const check_options& options, See&& see) {
  const auto rows = read_json_file(folder.file(file));
  if (!rows) return unexpected(rows.error());
  std::optional<text::tokenizer> vocabulary;
  if (folder.about().at("kind").get<std::string>() == "tokenizer") {
    if (!folder.has_file("tokenizer.json") && options.model_file.empty()) return false;
    auto opened = vocabulary_of(folder, options);
    if (!opened) return unexpected(opened.error());
    vocabulary = std::move(*opened);
  }
  const bool gemma4 = folder.about().value("family", "") == "gemma4";
  for (const auto& [name, row] : rows->items()) {
    const json& question = row.contains("question") ? row.at("question") : row;
    see(name, row, answer_to(question, gemma4, vocabulary ? &*vocabulary : nullptr));
  }
  return true;
}

constexpr const char* no_vocabulary = "needs a file with the vocabulary: --model FILE.gguf";

}  // namespace

result<void> check_strings(const case_folder& folder, const check_options& options, report& out) {
  std::size_t right = 0;
  const auto done =
      answer_all(folder, "cases.json", options, [&](const auto& name, const json& row, const auto& found) {
        const json& answer = row.at("answer");
        if (!found) {
          out.failed(name, found.error().message);
        } else if (*found != answer) {
          out.failed(name, io::shown(found->dump().substr(0, 80)) + " for " + io::shown(answer.dump().substr(0, 80)));
        } else {
          ++right;
        }
      });
  if (!done) return unexpected(done.error());
  if (!*done) return out.skipped("(the case)", no_vocabulary), result<void>{};
  if (right > 0) out.exact("answers", 0, right);  // a line for all that are right
  return {};
}

result<void> write_strings(const case_folder& folder, const check_options& options, written& out) {
  const auto done =
      answer_all(folder, "questions.json", options, [&](const auto& name, const json&, const auto& found) {
        if (!found) return;
        if (found->is_string()) {
          out.add(name, found->template get<std::string>());
        } else {
          out.add(name, found->template get<std::vector<std::int32_t>>());
        }
      });
  if (!done) return unexpected(done.error());
  if (!*done) return fail(no_vocabulary);
  return {};
}

}  // namespace g4::conformance
