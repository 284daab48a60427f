#include "answers.h"

#include <bit>
#include <utility>

#include "base64.h"

namespace serve {

namespace {

using program::json;

json begun(const heading& h, bool piece) {
  json j;
  j["id"] = h.id;
  j["object"] = !h.chat ? "text_completion" : piece ? "chat.completion.chunk" : "chat.completion";
  j["created"] = h.created;
  j["model"] = h.model;
  return j;
}

json call_of(const heading& h, const spoken& call, std::size_t index) {
  json j;
  j["id"] = "call_" + h.id + "_" + std::to_string(index);
  j["type"] = "function";
  j["function"]["name"] = call.tool;
  j["function"]["arguments"] = call.text;
  return j;
}

json usage_of(const usage& took) {
  json j;
  j["prompt_tokens"] = took.prompt_tokens;
  j["completion_tokens"] = took.answer_tokens;
  j["total_tokens"] = took.prompt_tokens + took.answer_tokens;
  j["prompt_tokens_details"]["cached_tokens"] = took.cached_tokens;
  return j;
}

std::string as_event(const json& j) { return "data: " + j.line() + "\n\n"; }

}  // namespace

std::string whole_answer(const heading& h, const std::vector<spoken>& said, std::string_view finish, const usage& took) {
  std::string content, thoughts;
  std::vector<json> calls;
  for (const spoken& one : said) {
    if (one.is == spoken::content) content += one.text;
    if (one.is == spoken::thought) thoughts += one.text;
    if (one.is == spoken::call) calls.push_back(call_of(h, one, calls.size()));
  }
  json choice;
  choice["index"] = 0;
  if (h.chat) {
    json& message = choice["message"];
    message["role"] = "assistant";
    message["content"] = content.empty() && !calls.empty() ? json(nullptr) : json(content);
    if (!thoughts.empty()) message["reasoning_content"] = thoughts;
    if (!calls.empty()) message["tool_calls"] = calls;
  } else {
    choice["text"] = content;
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish;
  json j = begun(h, false);
  j["choices"].push_back(std::move(choice));
  j["usage"] = usage_of(took);
  return j.line() + "\n";
}

std::string events::event(json choice) const {
  json j = begun(h_, true);
  j["choices"].push_back(std::move(choice));
  return as_event(j);
}

std::string events::opening() const {
  if (!h_.chat) return {};
  json choice;
  choice["index"] = 0;
  choice["delta"]["role"] = "assistant";
  choice["delta"]["content"] = "";
  choice["finish_reason"] = nullptr;
  return event(std::move(choice));
}

std::string events::said(const std::vector<spoken>& pieces) {
  std::string all;
  for (const spoken& one : pieces) {
    json choice;
    choice["index"] = 0;
    if (!h_.chat) {
      choice["text"] = one.text;
    } else if (one.is == spoken::call) {
      json call = call_of(h_, one, calls_);
      call["index"] = calls_++;
      choice["delta"]["tool_calls"].push_back(std::move(call));
    } else {
      choice["delta"][one.is == spoken::thought ? "reasoning_content" : "content"] = one.text;
    }
    choice["finish_reason"] = nullptr;
    all += event(std::move(choice));
  }
  return all;
}

std::string events::finish(std::string_view why) const {
  json choice;
  choice["index"] = 0;
  if (h_.chat) {
    choice["delta"] = json::object({});
  } else {
    choice["text"] = "";
  }
  choice["finish_reason"] = why;
  return event(std::move(choice));
}

std::string events::took(const usage& all) const {
  json j = begun(h_, true);
  j["choices"] = json::array();
  j["usage"] = usage_of(all);
  return as_event(j);
}

std::string events::broke_off(const refusal& why) {
  std::string body = error_body(why);
  body.pop_back();
  return "data: " + body + "\n\n";
}

std::string error_body(const refusal& why) {
  json j;
  json& e = j["error"];
  e["message"] = why.message;
  e["type"] = why.type;
  e["param"] = why.param.empty() ? json(nullptr) : json(why.param);
  e["code"] = why.code.empty() ? json(nullptr) : json(why.code);
  return j.line() + "\n";
}

std::string embeddings_body(const std::string& model, const std::vector<std::vector<float>>& vectors, bool base64,
                            std::size_t tokens) {
  static_assert(std::endian::native == std::endian::little, "base64 holds little-endian floats");
  json j;
  j["object"] = "list";
  json& data = j["data"] = json::array();
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    json one;
    one["object"] = "embedding";
    one["index"] = i;
    if (base64) {
      one["embedding"] = base64_of({reinterpret_cast<const char*>(vectors[i].data()), vectors[i].size() * sizeof(float)});
    } else {
      one["embedding"] = json(std::vector<double>(vectors[i].begin(), vectors[i].end()));
    }
    data.push_back(std::move(one));
  }
  j["model"] = model;
  j["usage"]["prompt_tokens"] = tokens;
  j["usage"]["total_tokens"] = tokens;
  return j.line() + "\n";
}

std::string models_body(const std::vector<std::string>& names, std::int64_t created) {
  json j;
  j["object"] = "list";
  json& data = j["data"] = json::array();
  for (const std::string& name : names) {
    json one;
    one["id"] = name;
    one["object"] = "model";
    one["created"] = created;
    one["owned_by"] = "g4";
    data.push_back(std::move(one));
  }
  return j.line() + "\n";
}

}  // namespace serve
