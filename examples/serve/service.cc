#include "service.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <utility>
#include <variant>

#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"
#include "g4/text/embedding_task.h"
#include "g4/io/json.h"

namespace serve {

namespace {

std::uint64_t random_bits() {
  thread_local std::mt19937_64 bits{std::random_device{}()};
  return bits();
}

std::string some_id(const char* kind) {
  std::string id = kind;
  for (const std::uint64_t bits : {random_bits()}) {
    for (int shift = 60; shift >= 0; shift -= 4) id += "0123456789abcdef"[bits >> shift & 15];
  }
  return id;
}

/// Where the text that other conversations may begin with too ends: the system prompt and the tools.
std::size_t end_of_system(const g4::text::prompt& written, const std::vector<g4::text::message>& messages, bool gemma4) {
  if (gemma4) {
    constexpr std::string_view close = "<turn|>\n";
    if (!written.text.starts_with("<bos><|turn>system\n")) return 0;
    for (std::size_t at = written.text.find(close); at != std::string::npos; at = written.text.find(close, at + 1)) {
      const bool said = std::any_of(written.said.begin(), written.said.end(),
                                    [&](const auto& r) { return r.begin <= at && at < r.end; });
      if (!said) return at + close.size();
    }
    return 0;
  }
  if (messages.empty() || messages[0].from != g4::text::role::system || written.said.empty()) return 0;
  const auto* const text = std::get_if<std::string>(&messages[0].said);
  return text == nullptr ? 0 : written.said[0].begin + text->size();
}

/// Refuses a text that cannot fit, however it is cut into tokens, before it is cut.
granted<void> check_length(const char* field, std::string_view text, const g4::text::tokenizer& vocabulary,
                           std::size_t context) {
  const std::size_t least = text.size() / std::max<std::size_t>(vocabulary.longest_piece(), 1);
  if (least < context) return {};
  return refuse(field, "has " + std::to_string(text.size()) + " bytes, which are at least " + std::to_string(least) +
                           " tokens; a text may have " + std::to_string(context), "context_length_exceeded");
}

}  // namespace

std::vector<std::string> service::models() const {
  std::vector<std::string> names;
  for (const std::string& name : {menu_.text, menu_.embedder}) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

granted<void> service::check_model(const std::string& asked, const std::string& there, const char* does) const {
  std::string all;
  for (const std::string& name : models()) all += (all.empty() ? "" : " and ") + name;
  if (there.empty()) return refuse("model", std::string("there is none here that ") + does + "; there is " + all);
  if (asked.empty() || asked == there) return {};
  refusal why = refuse("model", "must be " + there + "; found " + g4::io::json_quoted(g4::io::shown(asked)), "model_not_found").value();
  why.status = 404;
  return refused(std::move(why));
}

granted<prepared> service::begin(const answer_options& how, bool chat) const {
  if (auto fine = check_model(how.model, menu_.text, "writes text"); !fine) return refused(std::move(fine.error()));
  prepared made;
  made.head = {chat, some_id(chat ? "chatcmpl-" : "cmpl-"),
               std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
               menu_.text};
  made.stream = how.stream;
  made.stream_usage = how.stream_usage;
  g4::generate_options& options = made.what.how;
  options.sampling = how.sampling;
  options.sampling.seed = how.seed ? *how.seed : random_bits();
  if (auto fine = g4::sample::make_sampler(options.sampling); !fine) return refuse("body", fine.error().message);
  options.max_tokens = how.max_tokens.value_or(menu_.context);
  options.stop_at_end = !how.ignore_end;
  made.what.stops = how.stops;
  return made;
}

granted<prepared> service::prepare(chat_request&& asked) const {
  auto made = begin(asked.how, true);
  if (!made) return made;
  const bool gemma4 = g4::generation_of(*menu_.spec) == g4::generation::gemma4;
  const char* const mark = gemma4 ? "<|turn>" : "<start_of_turn>";
  if (menu_.vocabulary->find(mark) == g4::no_token)
    return refuse("model", menu_.text + " was trained for no conversations: its vocabulary has no " + mark);
  if (asked.thinking && !gemma4) return refuse("reasoning_effort", "must be none: only Gemma 4 thinks before it answers");
  if (!asked.tools.empty() && !gemma4) return refuse("tools", "must be empty: only Gemma 4 was trained to call them");
  for (const medium_file& file : asked.media) {
    if (!menu_.no_senses.empty()) return refuse(file.field, menu_.no_senses);
    if (file.is_picture && menu_.picture_mark.empty()) return refuse(file.field, menu_.text + " sees no pictures");
    if (!file.is_picture && menu_.sound_mark.empty()) return refuse(file.field, menu_.text + " hears no sounds");
  }
  // The large models of Gemma 4 want an empty thought where they are not to think; the small ones do not.
  auto written = gemma4 ? g4::text::gemma4_prompt(asked.messages, {.thinking = asked.thinking,
                                                                   .empty_thought = !menu_.spec->per_layer,
                                                                   .tools = asked.tools})
                        : g4::text::gemma3_prompt(asked.messages, {.image_mark = menu_.picture_mark,
                                                                   .audio_mark = menu_.sound_mark});
  if (!written) return refuse("messages", written.error().message);
  if (auto fits = check_length("messages", written->text, *menu_.vocabulary, menu_.context); !fits)
    return refused(std::move(fits.error()));
  order& o = made->what;
  o.marks = gemma4;
  o.how.show_control = gemma4;
  if (!asked.media.empty()) {
    o.written = std::move(*written);
    o.media = std::move(asked.media);
    return made;
  }
  auto ids = menu_.vocabulary->encode(written->text, {.parse_special = true, .plain = written->said});
  if (!ids) return refuse("messages", ids.error().message);
  o.ids = std::move(*ids);
  if (const std::size_t end = end_of_system(*written, asked.messages, gemma4); end > 0) {
    // Tokens of the system prompt alone, as far as they are those of the whole: at its end letters may join otherwise.
    std::vector<g4::text::text_range> said;
    for (const g4::text::text_range& r : written->said) {
      if (r.begin < end) said.push_back({r.begin, std::min(r.end, end)});
    }
    const auto alone = menu_.vocabulary->encode(std::string_view(written->text).substr(0, end),
                                                {.parse_special = true, .plain = said});
    if (alone) {
      o.shared = static_cast<std::size_t>(
          std::mismatch(alone->begin(), alone->end(), o.ids.begin(), o.ids.end()).first - alone->begin());
    }
  }
  return made;
}

granted<prepared> service::prepare(completion_request&& asked) const {
  auto made = begin(asked.how, false);
  if (!made) return made;
  if (auto fits = check_length("prompt", asked.prompt, *menu_.vocabulary, menu_.context); !fits)
    return refused(std::move(fits.error()));
  const g4::text::text_range said{0, asked.prompt.size()};
  auto ids = menu_.vocabulary->encode(
      asked.prompt, {.add_bos = menu_.vocabulary->special().add_bos, .plain = std::span(&said, 1)});
  if (!ids) return refuse("prompt", ids.error().message);
  if (ids->empty()) return refuse("prompt", "there is nothing to continue");
  made->what.ids = std::move(*ids);
  return made;
}

granted<prepared> service::prepare(embedding_request&& asked) const {
  if (auto fine = check_model(asked.model, menu_.embedder, "embeds texts"); !fine) return refused(std::move(fine.error()));
  if (asked.dimensions && *asked.dimensions > menu_.numbers) {
    return refuse("dimensions", "must be at most " + std::to_string(menu_.numbers) + ", as many numbers as a vector has; found " +
                                    std::to_string(*asked.dimensions));
  }
  prepared made;
  made.head.model = menu_.embedder;
  const g4::text::tokenizer& vocabulary = *menu_.embedder_vocabulary;
  for (std::size_t i = 0; i < asked.inputs.size(); ++i) {
    std::string& text = asked.inputs[i];
    if (const auto task = g4::text::embedding_task_of(menu_.task)) text = g4::text::with_task(*task, text);
    if (auto fits = check_length("input", text, vocabulary, menu_.longest_input); !fits)
      return refused(std::move(fits.error()));
    const g4::text::text_range said{0, text.size()};
    auto ids = vocabulary.encode(text, {.add_bos = true, .plain = std::span(&said, 1)});
    if (!ids) return refuse("input[" + std::to_string(i) + "]", ids.error().message);
    if (vocabulary.special().eos != g4::no_token) ids->push_back(vocabulary.special().eos);
    made.what.texts.push_back(std::move(*ids));
  }
  return made;
}

void shorten(std::vector<float>& vector, std::size_t numbers) {
  if (numbers >= vector.size()) return;
  vector.resize(numbers);
  double sum = 0;
  for (const float x : vector) sum += double{x} * double{x};
  if (sum == 0) return;
  for (float& x : vector) x = static_cast<float>(double{x} / std::sqrt(sum));
}

}  // namespace serve
