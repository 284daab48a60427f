#include "request.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>

#include "base64.h"
#include "g4/core/printable.h"
#include "g4/io/json.h"
#include "g4/load/chat.h"

namespace serve {

namespace {

using g4::io::json;

std::string found(const json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return *value.as<bool>() ? "true" : "false";
  if (const auto* const n = value.as<std::uint64_t>()) return std::to_string(*n);
  if (const auto* const n = value.as<std::int64_t>()) return std::to_string(*n);
  if (value.is_number()) return "a fraction";
  if (const auto* const s = value.as<std::string>()) return g4::io::json_quoted(g4::io::shown(s->substr(0, 40)));
  return value.is_array() ? "a list of " + std::to_string(value.size()) : "an object";
}

std::optional<double> number_in(const json& value) {
  if (const auto* const n = value.as<std::uint64_t>()) return static_cast<double>(*n);
  if (const auto* const n = value.as<std::int64_t>()) return static_cast<double>(*n);
  if (const auto* const n = value.as<double>()) return *n;
  return {};
}

/// An object of a request, asked field by field. The first thing that is wrong is kept, and nothing after it counts:
/// whoever reads asks for everything, and then whether all was well.
class reader {
 public:
  reader(const json& object, std::string at, std::optional<refusal>& wrong)
      : object_(object), at_(std::move(at)), wrong_(wrong) {
    if (!object.is_object()) refuse_this("must be an object; found " + found(object));
  }

  [[nodiscard]] bool well() const { return !wrong_.has_value(); }
  void refuse(std::string_view field, const std::string& sentence, std::string code = {}) {
    if (wrong_) return;
    wrong_ = serve::refuse(path(field), sentence, std::move(code)).value();
  }
  void refuse_this(const std::string& sentence) {
    if (!wrong_) wrong_ = serve::refuse(at_.empty() ? "body" : at_, sentence).value();
  }
  [[nodiscard]] std::string path(std::string_view field) const {
    return at_.empty() ? std::string(field) : at_ + "." + std::string(field);
  }

  /// The field; null where it is not there or is null.
  const json* any(std::string_view field) {
    known_.push_back(field);
    const json* const value = well() ? object_.find(field) : nullptr;
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::optional<double> number(std::string_view field, double least, double most) {
    const json* const value = any(field);
    if (value == nullptr) return {};
    const auto n = number_in(*value);
    if (n && *n >= least && *n <= most) return n;
    refuse(field, "must be a number from " + plain(least) + " to " + plain(most) + "; found " +
                      (n && value->as<double>() != nullptr ? plain(*n) : found(*value)));
    return {};
  }
  std::optional<std::uint64_t> whole(std::string_view field, std::uint64_t least, std::uint64_t most) {
    const json* const value = any(field);
    if (value == nullptr) return {};
    const auto* const n = value->as<std::uint64_t>();
    if (n != nullptr && *n >= least && *n <= most) return *n;
    refuse(field, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most) + "; found " +
                      found(*value));
    return {};
  }
  bool flag(std::string_view field, bool otherwise = false) {
    const json* const value = any(field);
    if (value == nullptr) return otherwise;
    if (value->is_boolean()) return *value->as<bool>();
    refuse(field, "must be true or false; found " + found(*value));
    return otherwise;
  }
  std::optional<std::string> text(std::string_view field) {
    const json* const value = any(field);
    if (value == nullptr) return {};
    if (const auto* const s = value->as<std::string>()) return *s;
    refuse(field, "must be a string; found " + found(*value));
    return {};
  }
  std::string needed_text(std::string_view field) {
    auto said = text(field);
    if (!said && well()) refuse(field, "is missing; a string is expected");
    return said.value_or("");
  }
  /// One of these words; the first of them where nothing is said.
  std::string among(std::string_view field, std::initializer_list<std::string_view> words) {
    const auto said = text(field);
    if (!said) return std::string(*words.begin());
    if (std::find(words.begin(), words.end(), *said) != words.end()) return *said;
    std::string list;
    for (const std::string_view word : words) list += (list.empty() ? "" : ", ") + std::string(word);
    refuse(field, "must be one of " + list + "; found " + g4::io::json_quoted(g4::io::shown(*said)));
    return std::string(*words.begin());
  }
  const json* list(std::string_view field, std::size_t most) {
    const json* const value = any(field);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) {
      refuse(field, "must be a list; found " + found(*value));
    } else if (value->size() > most) {
      refuse(field, "may have at most " + std::to_string(most) + " entries; found " + std::to_string(value->size()));
    } else {
      return value;
    }
    return nullptr;
  }
  /// A field that would change the answer and may only say what is the case anyway.
  template <class Same>
  void only(std::string_view field, const std::string& why, Same&& same) {
    const json* const value = any(field);
    if (value != nullptr && !same(*value)) refuse(field, why + "; found " + found(*value));
  }
  /// Fields that change nothing here.
  void pass_over(std::initializer_list<std::string_view> fields) {
    known_.insert(known_.end(), fields.begin(), fields.end());
  }
  /// What nobody asked for is refused.
  void nothing_else() {
    for (const json::member& m : object_.members()) {
      if (std::find(known_.begin(), known_.end(), m.name) != known_.end()) continue;
      refuse(g4::io::shown(m.name), "is no field that this server knows");
      return;
    }
  }

 private:
  static std::string plain(double number) {
    char digits[32];
    const int size = std::snprintf(digits, sizeof digits, "%g", number);
    return {digits, static_cast<std::size_t>(std::max(size, 0))};
  }

  const json& object_;
  std::string at_;
  std::optional<refusal>& wrong_;
  std::vector<std::string_view> known_;
};

granted<json> document(std::string_view body, const limits& most) {
  auto parsed = g4::io::parse_json(body, "body", {.bytes = most.body, .depth = 32, .token = most.body});
  if (!parsed) {
    refusal why = refuse("body", "").value();
    why.message = parsed.error().message;
    return refused(std::move(why));
  }
  if (!parsed->is_object()) return refuse("body", "must be a JSON object; found " + found(*parsed));
  return std::move(*parsed);
}

bool is_false(const json& v) { return v.is_boolean() && !*v.as<bool>(); }
bool is_one(const json& v) { return number_in(v) == 1.0; }
bool is_nought(const json& v) { return number_in(v) == 0.0; }
bool is_empty(const json& v) { return (v.is_object() || v.is_array()) && v.empty(); }

answer_options read_answer_options(reader& body, const limits& most, const defaults& otherwise) {
  answer_options how;
  how.model = body.text("model").value_or("");
  g4::sample::sampler_options& s = how.sampling = otherwise.sampling;
  if (const auto n = body.number("temperature", 0, 2)) s.temperature = static_cast<float>(*n);
  if (const auto n = body.number("top_p", 0, 1)) s.top_p = static_cast<float>(*n);
  if (const auto n = body.number("min_p", 0, 1)) s.min_p = static_cast<float>(*n);
  if (const auto n = body.number("repetition_penalty", 0.1, 10)) s.repetition_penalty = static_cast<float>(*n);
  if (const auto n = body.whole("top_k", 0, 1u << 24)) s.top_k = static_cast<std::int64_t>(*n);
  how.seed = body.whole("seed", 0, std::numeric_limits<std::uint64_t>::max());
  how.max_tokens = body.whole("max_tokens", 1, most.tokens);
  if (const auto n = body.whole("max_completion_tokens", 1, most.tokens)) {
    if (how.max_tokens && *how.max_tokens != *n) body.refuse("max_completion_tokens", "says otherwise than max_tokens");
    how.max_tokens = *n;
  }
  how.ignore_end = body.flag("ignore_eos");
  how.stream = body.flag("stream");
  if (const json* const options = body.any("stream_options")) {
    std::optional<refusal> wrong;
    reader inner(*options, "stream_options", wrong);
    how.stream_usage = inner.flag("include_usage");
    inner.pass_over({"include_obfuscation"});
    inner.nothing_else();
    if (wrong) body.refuse("stream_options", wrong->message);
    if (!how.stream) body.refuse("stream_options", "is for streams; stream is not true");
  }
  if (const json* const stop = body.any("stop")) {
    const json one = stop->is_string() ? json(json::array_t{*stop}) : *stop;
    if (!one.is_array() || one.size() > most.stops) {
      body.refuse("stop", "must be a string or a list of at most " + std::to_string(most.stops) + "; found " + found(*stop));
    }
    for (const json& text : one) {
      const auto* const s_text = text.as<std::string>();
      if (s_text == nullptr || s_text->empty() || s_text->size() > most.stop_bytes) {
        body.refuse("stop", "must hold strings of 1 to " + std::to_string(most.stop_bytes) + " bytes; found " + found(text));
        break;
      }
      how.stops.push_back(*s_text);
    }
  }
  body.only("n", "must be 1: a request gets one answer", is_one);
  body.only("best_of", "must be 1: a request gets one answer", is_one);
  body.only("frequency_penalty", "must be 0: it is not known here; repetition_penalty is", is_nought);
  body.only("presence_penalty", "must be 0: it is not known here; repetition_penalty is", is_nought);
  body.only("logit_bias", "must be empty: logits are the model's own", is_empty);
  body.pass_over({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"});
  return how;
}

/// A conversation in OpenAI's form, read into messages and what is shown in them.
class conversation_reader {
 public:
  conversation_reader(const limits& most, std::optional<refusal>& wrong, chat_request& into)
      : most_(most), wrong_(wrong), into_(into) {}

  void message(const json& in, const std::string& at) {
    reader one(in, at, wrong_);
    g4::text::message m;
    using g4::text::role;
    const std::string from = one.needed_text("role");
    if (from == "user") {
      m.from = role::user;
    } else if (from == "assistant") {
      m.from = role::assistant;
    } else if (from == "system" || from == "developer") {
      m.from = role::system;
    } else if (from == "tool") {
      m.from = role::tool;
    } else {
      one.refuse("role", "must be one of system, developer, user, assistant, tool; found " +
                             g4::io::json_quoted(g4::io::shown(from)));
    }
    content(one, m);
    one.pass_over({"refusal", "annotations", "audio"});
    m.name = one.text("name");
    if (m.from == role::assistant) {
      m.reasoning = one.text("reasoning_content").value_or("");
      if (const json* const calls = one.list("tool_calls", most_.tools)) {
        for (std::size_t i = 0; i < calls->size() && !wrong_; ++i) {
          call((*calls)[i], one.path("tool_calls[" + std::to_string(i) + "]"), m);
        }
      }
    }
    if (m.from == role::tool) {
      m.call_id = one.text("tool_call_id");
      if (!m.call_id && !m.name) one.refuse("tool_call_id", "is missing; the id of the call that this answers is expected");
    }
    one.nothing_else();
    into_.messages.push_back(std::move(m));
  }

 private:
  void content(reader& one, g4::text::message& m) {
    const json* const said = one.any("content");
    if (said == nullptr) {
      if (m.from != g4::text::role::assistant) one.refuse("content", "is missing; a string or a list of parts is expected");
      return;
    }
    if (const auto* const text = said->as<std::string>()) {
      m.said = *text;
      return;
    }
    const json* const parts = one.list("content", most_.parts);
    if (parts == nullptr) return;
    parts_ += parts->size();
    if (parts_ > most_.parts)
      one.refuse("content", "the contents have more than " + std::to_string(most_.parts) + " parts together");
    std::vector<g4::text::content_part> list;
    bool only_text = true;
    for (std::size_t i = 0; i < parts->size() && !wrong_; ++i) {
      list.push_back(part((*parts)[i], one.path("content[" + std::to_string(i) + "]"), m.from));
      only_text = only_text && list.back().is == g4::text::content_part::kind::text;
    }
    if (only_text && m.from != g4::text::role::user) {  // templates have one text of these
      std::string all;
      for (const auto& p : list) all += p.text;
      m.said = std::move(all);
    } else {
      m.said = std::move(list);
    }
  }

  g4::text::content_part part(const json& in, const std::string& at, g4::text::role from) {
    using kind = g4::text::content_part::kind;
    reader one(in, at, wrong_);
    const std::string type = one.needed_text("type");
    g4::text::content_part made{kind::text, {}};
    if (type == "text") {
      made.text = one.needed_text("text");
    } else if (type == "image_url" || type == "input_audio") {
      made.is = type == "image_url" ? kind::image : kind::audio;
      if (from != g4::text::role::user) one.refuse("type", type + " can be in a user's content alone");
      if (into_.media.size() == most_.media) {
        one.refuse("type", "a conversation may show at most " + std::to_string(most_.media) + " pictures and sounds");
      }
      const json* const inner = one.any(type);
      if (inner == nullptr) {
        one.refuse(type, "is missing; an object is expected");
      } else if (made.is == kind::image) {
        reader picture(*inner, one.path(type), wrong_);
        data_url(picture);
        picture.pass_over({"detail"});
        picture.nothing_else();
      } else {
        reader sound(*inner, one.path(type), wrong_);
        sound.pass_over({"format"});  // the file says itself what it is
        const auto data = sound.needed_text("data");
        if (!wrong_) file(sound, "data", data, false);
        sound.nothing_else();
      }
    } else if (!wrong_) {
      one.refuse("type", "must be one of text, image_url, input_audio; found " + g4::io::json_quoted(g4::io::shown(type)));
    }
    one.nothing_else();
    return made;
  }

  void data_url(reader& picture) {
    const std::string url = picture.needed_text("url");
    if (wrong_) return;
    const std::size_t comma = url.find(',');
    if (!url.starts_with("data:") || comma == std::string::npos || !std::string_view(url).substr(0, comma).ends_with(";base64")) {
      picture.refuse("url", "must be a data URL, data:image/png;base64,...: this server fetches nothing; found " +
                                g4::io::json_quoted(g4::io::shown(url.substr(0, 40))));
      return;
    }
    file(picture, "url", std::string_view(url).substr(comma + 1), true);
  }

  void file(reader& in, std::string_view field, std::string_view base64, bool is_picture) {
    auto bytes = bytes_of_base64(base64);
    if (!bytes || bytes->empty()) {
      in.refuse(field, "must hold a file in base64, with its padding and without line breaks; found something else");
      return;
    }
    into_.media.push_back({is_picture, in.path(field), std::move(*bytes)});
  }

  void call(const json& in, const std::string& at, g4::text::message& m) {
    reader one(in, at, wrong_);
    g4::text::tool_call made;
    made.id = one.text("id");
    (void)one.among("type", {"function"});
    one.pass_over({"index"});
    if (const json* const inner = one.any("function")) {
      reader function(*inner, one.path("function"), wrong_);
      made.name = function.needed_text("name");
      const std::string arguments = function.needed_text("arguments");
      if (!wrong_) {
        const auto object = g4::io::parse_json(arguments.empty() ? "{}" : arguments, "arguments", {.bytes = most_.body});
        if (!object || !object->is_object()) {
          function.refuse("arguments", "must be a JSON object, written as a string; found " + found(json(arguments)));
        } else {
          made.arguments = g4::load::value_from_json(*object);
        }
      }
      function.nothing_else();
    } else {
      one.refuse("function", "is missing; an object is expected");
    }
    one.nothing_else();
    m.calls.push_back(std::move(made));
  }

  const limits& most_;
  std::optional<refusal>& wrong_;
  chat_request& into_;
  std::size_t parts_ = 0;
};

void read_tool(const json& in, const std::string& at, std::optional<refusal>& wrong, chat_request& into) {
  reader one(in, at, wrong);
  (void)one.among("type", {"function"});
  const json* const inner = one.any("function");
  one.nothing_else();
  if (inner == nullptr) {
    one.refuse("function", "is missing; an object is expected");
    return;
  }
  reader function(*inner, one.path("function"), wrong);
  g4::text::tool t;
  t.name = function.needed_text("name");
  const bool fine = !t.name.empty() && t.name.size() <= 64 && std::all_of(t.name.begin(), t.name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
  if (!fine) function.refuse("name", "must be 1 to 64 letters, digits, _, - or .; found " + found(json(t.name)));
  t.description = function.text("description").value_or("");
  if (const json* const parameters = function.any("parameters")) {
    if (!parameters->is_object()) function.refuse("parameters", "must be an object; found " + found(*parameters));
    t.parameters = g4::load::value_from_json(*parameters);
  }
  function.only("strict", "must be false: what the model writes is not held to a schema", is_false);
  function.nothing_else();
  into.tools.push_back(std::move(t));
}

/// A request from a JSON text: `read(body, made, wrong)` takes from the body what it knows, and what it does not take is refused.
template <class Request, class Read>
granted<Request> read_request(std::string_view text, const limits& most, Read&& read) {
  const auto parsed = document(text, most);
  if (!parsed) return refused(parsed.error());
  std::optional<refusal> wrong;
  reader body(*parsed, "", wrong);
  Request made;
  read(body, made, wrong);
  body.nothing_else();
  if (wrong) return refused(std::move(*wrong));
  return made;
}

}  // namespace

granted<chat_request> read_chat(std::string_view text, const limits& most, const defaults& otherwise) {
  return read_request<chat_request>(text, most, [&](reader& body, chat_request& made, std::optional<refusal>& wrong) {
    made.how = read_answer_options(body, most, otherwise);
    const json* const messages = body.list("messages", most.messages);
    if ((messages == nullptr || messages->empty()) && body.well())
      body.refuse("messages", "is missing; a list of at least one message is expected");
    if (messages != nullptr) {
      conversation_reader conversation(most, wrong, made);
      for (std::size_t i = 0; i < messages->size() && !wrong; ++i) {
        conversation.message((*messages)[i], "messages[" + std::to_string(i) + "]");
      }
    }
    if (const json* const tools = body.list("tools", most.tools)) {
      for (std::size_t i = 0; i < tools->size() && !wrong; ++i) {
        read_tool((*tools)[i], "tools[" + std::to_string(i) + "]", wrong, made);
      }
    }
    if (const json* const choice = body.any("tool_choice")) {
      const auto* const word = choice->as<std::string>();
      if (word != nullptr && *word == "none") {
        made.tools.clear();
      } else if (word == nullptr || *word != "auto") {
        body.refuse("tool_choice", "must be auto or none: whether a tool is called is the model's choice; found " + found(*choice));
      }
    }
    if (const json* const effort = body.any("reasoning_effort")) {
      const auto* const word = effort->as<std::string>();
      constexpr std::string_view words[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
      if (word == nullptr || std::find(std::begin(words), std::end(words), *word) == std::end(words))
        body.refuse("reasoning_effort", "must be none, or minimal, low, medium, high or xhigh, which are one; found " + found(*effort));
      made.thinking = word != nullptr && *word != "none";
    }
    if (const json* const kwargs = body.any("chat_template_kwargs")) {
      reader inner(*kwargs, "chat_template_kwargs", wrong);
      made.thinking = inner.flag("enable_thinking", made.thinking);
      inner.nothing_else();
    }
    body.only("response_format", "must be {\"type\": \"text\"}: what the model writes is not held to a schema",
              [](const json& v) {
                const json* const type = v.find("type");
                return type != nullptr && *type == json("text");
              });
    body.only("logprobs", "must be false: the probabilities of tokens are not given", is_false);
    body.only("top_logprobs", "must be 0: the probabilities of tokens are not given", is_nought);
    body.only("modalities", "must be [\"text\"]: the model writes text alone",
              [](const json& v) { return v == json(json::array_t{json("text")}); });
    body.pass_over({"parallel_tool_calls", "verbosity"});
  });
}

granted<completion_request> read_completion(std::string_view text, const limits& most, const defaults& otherwise) {
  return read_request<completion_request>(text, most, [&](reader& body, completion_request& made, std::optional<refusal>&) {
    made.how = read_answer_options(body, most, otherwise);
    const json* prompt = body.any("prompt");
    if (prompt != nullptr && prompt->is_array() && prompt->size() == 1) prompt = prompt->begin();
    const auto* const said = prompt == nullptr ? nullptr : prompt->as<std::string>();
    if (said == nullptr && body.well()) {
      body.refuse("prompt", "must be one string; found " + (prompt == nullptr ? std::string("nothing") : found(*prompt)));
    } else if (said != nullptr) {
      made.prompt = *said;
    }
    body.only("echo", "must be false: the answer alone is given", is_false);
    body.only("suffix", "must be null: the model continues texts, and fills none", [](const json& v) { return v == json(""); });
    body.only("logprobs", "must be 0: the probabilities of tokens are not given", is_nought);
  });
}

granted<embedding_request> read_embedding(std::string_view text, const limits& most) {
  return read_request<embedding_request>(text, most, [&](reader& body, embedding_request& made, std::optional<refusal>& wrong) {
    made.model = body.text("model").value_or("");
    const json* const input = body.any("input");
    const std::string expected = "must be a string, or a list of 1 to " + std::to_string(most.inputs) + " strings";
    if (input == nullptr) {
      body.refuse("input", expected + "; found nothing");
    } else if (const auto* const one = input->as<std::string>()) {
      made.inputs.push_back(*one);
    } else if (!input->is_array() || input->empty() || input->size() > most.inputs) {
      body.refuse("input", expected + "; found " + found(*input));
    } else {
      for (std::size_t i = 0; i < input->size() && !wrong; ++i) {
        const auto* const s = (*input)[i].as<std::string>();
        if (s == nullptr) {
          body.refuse("input[" + std::to_string(i) + "]", "must be a string; found " + found((*input)[i]) +
                                                               ", and ids of another vocabulary mean nothing here");
        } else {
          made.inputs.push_back(*s);
        }
      }
    }
    made.dimensions = body.whole("dimensions", 1, 1u << 20);
    made.base64 = body.among("encoding_format", {"float", "base64"}) == "base64";
    body.pass_over({"user"});
  });
}

}  // namespace serve
