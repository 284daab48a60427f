/// What EmbeddingGemma was trained to find in front of a text.
///
/// Source: the model card of google/embeddinggemma-300m.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace g4::text {

enum class embedding_task {
  query,
  document,
  question_answering,
  fact_verification,
  classification,
  clustering,
  similarity,
  code_retrieval
};

namespace detail {

struct named_task {
  embedding_task is;
  std::string_view name;
  std::string_view prefix;  ///< of a document: up to its title
};
inline constexpr named_task named_tasks[] = {
    {embedding_task::query, "query", "task: search result | query: "},
    {embedding_task::document, "document", "title: "},
    {embedding_task::question_answering, "question-answering", "task: question answering | query: "},
    {embedding_task::fact_verification, "fact-verification", "task: fact checking | query: "},
    {embedding_task::classification, "classification", "task: classification | query: "},
    {embedding_task::clustering, "clustering", "task: clustering | query: "},
    {embedding_task::similarity, "similarity", "task: sentence similarity | query: "},
    {embedding_task::code_retrieval, "code-retrieval", "task: code retrieval | query: "}};

}  // namespace detail

/// The text with the prefix of its task; a document's prefix holds its title, "none" where it has none.
[[nodiscard]] inline std::string with_task(embedding_task task, std::string_view text,
                                           std::string_view title = "none") {
  std::string out;
  for (const detail::named_task& named : detail::named_tasks) {
    if (named.is == task) out = named.prefix;
  }
  if (task == embedding_task::document) out += std::string(title) + " | text: ";
  return out + std::string(text);
}

/// A task by its name: "query", "question-answering"; nothing where there is none of that name.
[[nodiscard]] inline std::optional<embedding_task> embedding_task_of(std::string_view name) {
  for (const detail::named_task& named : detail::named_tasks) {
    if (named.name == name) return named.is;
  }
  return {};
}

}  // namespace g4::text
