// Conversations as the text a model reads, and what stands at the placeholders of images, sound and video.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/conversation.h"
#include "conformance/runner/vocabulary.h"
#include "g4/io/json.h"
#include "g4/io/shown.h"
#include "g4/load/chat.h"
#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"
#include "g4/text/placeholders.h"

namespace g4::conformance {

result<text::prompt> prompt_of_row(bool gemma4, const json& row) {
  const auto said = io::parse_json(row.at("messages").dump(), "messages");
  if (!said) return unexpected(said.error());
  auto messages = load::messages_from_json(*said);
  if (!messages) return unexpected(messages.error());
  const json options = row.contains("options") ? row.at("options") : row;
  const bool generation = options.value("add_generation_prompt", false);
  if (!gemma4) return text::gemma3_prompt(*messages, {.generation_prompt = generation});
  std::vector<text::tool> tools;
  if (options.contains("tools") && !options.at("tools").is_null()) {
    const auto listed = io::parse_json(options.at("tools").dump(), "tools");
    if (!listed) return unexpected(listed.error());
    auto read = load::tools_from_json(*listed);
    if (!read) return unexpected(read.error());
    tools = std::move(*read);
  }
  return text::gemma4_prompt(
      *messages,
      {.generation_prompt = generation, .thinking = options.value("enable_thinking", false), .tools = tools});
}

namespace {

/// "a{<x>*3}b" → "a<x><x><x>b": the expansions of case.json, which are long.
std::string without_run_lengths(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t star = text.find(">*", at);
    const std::size_t close = text.find('}', at);
    if (text.compare(at, 2, "{<") == 0 && star != std::string::npos && close != std::string::npos && star < close) {
      const std::string mark = text.substr(at + 1, star - at);
      const std::string digits = text.substr(star + 2, close - star - 2);
      if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos) {
        for (int n = std::stoi(digits); n > 0; --n) out += mark;
        at = close + 1;
        continue;
      }
    }
    out += text[at++];
  }
  return out;
}

void compare(report& out, const std::string& name, const std::string& found, const std::string& expected) {
  if (found == expected) return out.exact(name, 0, 1);
  std::size_t at = 0;
  while (at < found.size() && at < expected.size() && found[at] == expected[at]) ++at;
  const std::size_t from = at < 20 ? 0 : at - 20;
  out.failed(name, "differs at byte " + std::to_string(at) + ": \"" + io::shown(found.substr(from, 60)) + "\" for \"" +
                       io::shown(expected.substr(from, 60)) + "\"");
}

/// What the row's media amount to; for Gemma 3 an image for every mark.
result<std::vector<text::medium>> media_of_row(bool gemma4, const json& row) {
  std::vector<text::medium> media;
  if (!gemma4) {
    const auto prompt = row.at("prompt").get<std::string>();
    for (std::size_t at = prompt.find("<start_of_image>"); at != std::string::npos;
         at = prompt.find("<start_of_image>", at + 1)) {
      media.emplace_back();
    }
    return media;
  }
  for (const json& m : row.at("media")) {
    text::medium next;
    if (m.contains("samples")) {
      next.is = text::medium::kind::audio;
      const auto size = text::gemma4_audio_size(m.at("samples").get<std::size_t>());
      if (!size) return unexpected(size.error());
      next.soft_tokens = size->soft_tokens;
    } else {
      const bool video = m.contains("fps");
      const std::size_t budget = video ? text::gemma4_video_budget : row.value("image_budget", std::size_t{280});
      const auto size =
          text::gemma4_image_size(m.at("height").get<std::size_t>(), m.at("width").get<std::size_t>(), budget);
      if (!size) return unexpected(size.error());
      next.soft_tokens = size->soft_tokens;
      if (video) {
        next.is = text::medium::kind::video;
        const auto frames = text::gemma4_video_sample(m.at("total_frames").get<std::size_t>(),
                                                      m.value("sampled", text::gemma4_video_frames));
        for (const std::size_t frame : frames)
          next.seconds.push_back(static_cast<double>(frame) / m.at("fps").get<double>());
      }
    }
    media.push_back(std::move(next));
  }
  return media;
}

void check_media(bool gemma4, const std::string& name, const json& row, report& out) {
  const auto media = media_of_row(gemma4, row);
  if (!media) return out.failed(name + " soft tokens", media.error().message);
  if (const auto counts = row.find("soft_tokens"); counts != row.end()) {
    std::size_t wrong = media->size() == counts->size() ? 0 : counts->size();
    for (std::size_t i = 0; i < media->size() && i < counts->size(); ++i) {
      const text::medium& m = (*media)[i];
      const std::size_t tokens = m.soft_tokens * (m.is == text::medium::kind::video ? m.seconds.size() : 1);
      wrong += tokens != (*counts)[i].get<std::size_t>() ? 1 : 0;
    }
    out.exact(name + " soft tokens", wrong, counts->size());
  }
  const auto prompt = row.at("prompt").get<std::string>();
  const auto expanded = gemma4 ? text::gemma4_expand(prompt, *media) : text::gemma3_expand(prompt, *media);
  if (!expanded) return out.failed(name + " expanded", expanded.error().message);
  compare(out, name + " expanded", *expanded, without_run_lengths(row.at("expanded_run_length").get<std::string>()));
}

void check_family(const case_folder& folder, const char* family, const text::tokenizer* vocabulary, report& out) {
  const auto found = folder.about().find(family);
  if (found == folder.about().end()) return;
  const bool gemma4 = std::string_view(family) == "gemma4";
  std::size_t without_ids = 0;
  for (const json& row : found->at("rows")) {
    const std::string name = std::string(family) + " " + row.value("name", "");
    const auto prompt = prompt_of_row(gemma4, row);
    if (!prompt) {
      out.failed(name, prompt.error().message);
      continue;
    }
    compare(out, name, prompt->text, row.at("prompt").get<std::string>());
    if (row.contains("expanded_run_length")) check_media(gemma4, name, row, out);
    if (const auto ids = row.find("ids"); ids != row.end() && !ids->is_null()) {
      if (vocabulary == nullptr) {
        ++without_ids;
      } else {
        const auto encoded = vocabulary->encode(prompt->text, {.parse_special = true});
        const auto wanted = ids->get<std::vector<std::int32_t>>();
        const bool same = encoded && std::vector<std::int32_t>(encoded->begin(), encoded->end()) == wanted;
        out.exact(name + " ids", same ? 0 : wanted.size(), wanted.size());
      }
    }
  }
  if (without_ids > 0) out.skipped(std::string(family) + " ids", "needs a file with the vocabulary: --model FILE.gguf");
}

template <class Check>
void check_counts(const case_folder& folder, const char* name, report& out, Check&& same) {
  const auto rows = folder.about().find(name);
  if (rows == folder.about().end()) return;
  std::size_t wrong = 0;
  for (const json& row : *rows) wrong += same(row) ? 0 : 1;
  out.exact(name, wrong, rows->size());
}

}  // namespace

result<void> check_prompts(const case_folder& folder, const check_options& options, report& out) {
  std::optional<text::tokenizer> vocabulary;
  if (!options.model_file.empty()) {
    auto opened = open_vocabulary(options.model_file);
    if (!opened) return unexpected(opened.error());
    vocabulary = std::move(*opened);
  }
  for (const char* family : {"gemma4", "gemma3"})
    check_family(folder, family, vocabulary ? &*vocabulary : nullptr, out);
  check_counts(folder, "image_token_counts", out, [](const json& row) {
    const auto size = text::gemma4_image_size(row.at("height").get<std::size_t>(), row.at("width").get<std::size_t>(),
                                              row.at("budget").get<std::size_t>());
    return size && size->soft_tokens == row.at("soft_tokens").get<std::size_t>() &&
           size->height == row.at("resized").at(0).get<std::size_t>() &&
           size->width == row.at("resized").at(1).get<std::size_t>();
  });
  check_counts(folder, "audio_token_counts", out, [](const json& row) {
    const auto size = text::gemma4_audio_size(row.at("samples").get<std::size_t>());
    return size && size->soft_tokens == row.at("soft_tokens").get<std::size_t>() &&
           size->frames == row.at("frames").get<std::size_t>() &&
           size->valid_frames == row.at("valid_frames").get<std::size_t>();
  });
  return {};
}

}  // namespace g4::conformance
