// What clients may ask for, and what they are told where they may not; and answers taken apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "answers.h"
#include "base64.h"
#include "request.h"
#include "spoken.h"

namespace {

using namespace serve;
using nlohmann::json;

const limits most{};
const defaults otherwise{};

std::string chat_with(const std::string& more, const std::string& message = R"({"role":"user","content":"Hi"})") {
  return R"({"messages":[)" + message + "]" + more + "}";
}
chat_request read(const std::string& body) {
  auto made = read_chat(body, most, otherwise);
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made ? *made : chat_request{};
}
std::string refusal_of(const std::string& body) {
  const auto made = read_chat(body, most, otherwise);
  if (made) return "granted";
  EXPECT_EQ(made.error().status, 400);
  EXPECT_EQ(made.error().message.find('\n'), std::string::npos);
  return made.error().message;
}

TEST(chat_request, says_what_it_wants) {
  const auto r = read(chat_with(R"(,"model":"m","temperature":0.5,"top_p":0.9,"top_k":7,"min_p":0.1,"seed":18446744073709551615,
      "max_tokens":12,"stop":["a","bc"],"stream":true,"stream_options":{"include_usage":true},"user":"me",
      "frequency_penalty":0,"n":1,"reasoning_effort":"low")"));
  EXPECT_EQ(r.how.model, "m");
  EXPECT_EQ(r.how.sampling.temperature, 0.5f);
  EXPECT_EQ(r.how.sampling.top_p, 0.9f);
  EXPECT_EQ(r.how.sampling.top_k, 7);
  EXPECT_EQ(r.how.sampling.min_p, 0.1f);
  EXPECT_EQ(r.how.seed, 18446744073709551615u);
  EXPECT_EQ(r.how.max_tokens, 12u);
  EXPECT_EQ(r.how.stops, (std::vector<std::string>{"a", "bc"}));
  EXPECT_TRUE(r.how.stream && r.how.stream_usage && r.thinking);
  ASSERT_EQ(r.messages.size(), 1u);
}

TEST(chat_request, tools_and_what_they_answered) {
  const auto r = read(R"({"messages":[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
      {"role":"user","content":"Weather?"},
      {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"1","type":"function",
        "function":{"name":"weather","arguments":"{\"city\":\"Oslo\",\"days\":2}"}}]},
      {"role":"tool","tool_call_id":"1","content":"rain"}],
      "tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"}}}]})");
  ASSERT_EQ(r.messages.size(), 4u);
  EXPECT_EQ(std::get<std::string>(r.messages[0].said), "ab");
  ASSERT_EQ(r.messages[2].calls.size(), 1u);
  EXPECT_EQ(*r.messages[2].calls[0].arguments.find("city")->as<std::string>(), "Oslo");
  EXPECT_EQ(r.messages[2].reasoning, "hm");
  EXPECT_EQ(r.messages[3].call_id, "1");
  ASSERT_EQ(r.tools.size(), 1u);
  EXPECT_TRUE(read(chat_with(R"(,"tool_choice":"none","tools":[{"type":"function","function":{"name":"f"}}])")).tools.empty());
}

TEST(chat_request, pictures_and_sounds_come_with_it) {
  const auto r = read(chat_with("", R"({"role":"user","content":[{"type":"text","text":"What?"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw==","detail":"low"}},
      {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]})"));
  ASSERT_EQ(r.media.size(), 2u);
  EXPECT_EQ(r.media[0].bytes, "\x89PNG");
  EXPECT_EQ(r.media[0].field, "messages[0].content[1].image_url.url");
  EXPECT_FALSE(r.media[1].is_picture);
  EXPECT_EQ(r.media[1].bytes, "RIFF");
}

TEST(chat_request, refused_with_the_field_what_was_expected_and_what_was_found) {
  const std::pair<std::string, std::string> wrong[] = {
      {"", "body: "},
      {"[1]", "body: must be a JSON object; found a list of 1"},
      {"{\"messages\":[],\"messages\":[]}", "twice"},
      {"{}", "messages: is missing; a list of at least one message is expected"},
      {R"({"messages":[]})", "messages: is missing"},
      {R"({"messages":{}})", "messages: must be a list; found an object"},
      {R"({"messages":[7]})", "messages[0]: must be an object; found 7"},
      {R"({"messages":[{"content":"x"}]})", "messages[0].role: is missing; a string is expected"},
      {R"({"messages":[{"role":"cat","content":"x"}]})", "messages[0].role: must be one of system, developer, user, assistant, tool; found \"cat\""},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content: is missing"},
      {R"({"messages":[{"role":"user","content":3}]})", "messages[0].content: must be a list; found 3"},
      {R"({"messages":[{"role":"user","content":"a","feeling":"b"}]})", "messages[0].feeling: is no field that this server knows"},
      {R"({"messages":[{"role":"user","content":[{"type":"video"}]}]})", "messages[0].content[0].type: must be one of text, image_url, input_audio; found \"video\""},
      {R"({"messages":[{"role":"tool","content":"a"}]})", "messages[0].tool_call_id: is missing"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}]})", "messages[0].tool_calls[0].function.arguments: must be a JSON object, written as a string"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.org/a.png"}}]}]})", "messages[0].content[0].image_url.url: must be a data URL"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,????"}}]}]})", "must hold a file in base64"},
      {R"({"messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}}]}]})", "can be in a user's content alone"},
      {chat_with(R"(,"temperature":3)"), "temperature: must be a number from 0 to 2; found 3"},
      {chat_with(R"(,"temperature":"hot")"), "temperature: must be a number from 0 to 2; found \"hot\""},
      {chat_with(R"(,"temperature":1e400)"), "body: "},
      {chat_with(R"(,"top_p":-0.1)"), "top_p: must be a number from 0 to 1; found -0.1"},
      {chat_with(R"(,"max_tokens":0)"), "max_tokens: must be a whole number from 1 to 1048576; found 0"},
      {chat_with(R"(,"max_tokens":1.5)"), "max_tokens: must be a whole number"},
      {chat_with(R"(,"max_tokens":5,"max_completion_tokens":6)"), "max_completion_tokens: says otherwise than max_tokens"},
      {chat_with(R"(,"seed":-1)"), "seed: must be a whole number from 0"},
      {chat_with(R"(,"stop":"")"), "stop: must hold strings of 1 to 256 bytes; found \"\""},
      {chat_with(R"(,"stop":[1])"), "stop: must hold strings"},
      {chat_with(R"(,"stream":"yes")"), "stream: must be true or false; found \"yes\""},
      {chat_with(R"(,"stream_options":{"include_usage":true})"), "stream_options: is for streams"},
      {chat_with(R"(,"n":2)"), "n: must be 1: a request gets one answer; found 2"},
      {chat_with(R"(,"logprobs":true)"), "logprobs: must be false"},
      {chat_with(R"(,"logit_bias":{"5":1})"), "logit_bias: must be empty"},
      {chat_with(R"(,"presence_penalty":1)"), "presence_penalty: must be 0"},
      {chat_with(R"(,"response_format":{"type":"json_object"})"), "response_format: must be {\"type\": \"text\"}"},
      {chat_with(R"(,"tool_choice":"required")"), "tool_choice: must be auto or none"},
      {chat_with(R"(,"tools":[{"type":"function"}])"), "tools[0].function: is missing"},
      {chat_with(R"(,"tools":[{"type":"function","function":{"name":"a b"}}])"), "tools[0].function.name: must be 1 to 64"},
      {chat_with(R"(,"reasoning_effort":"very")"), "reasoning_effort: must be none"},
      {chat_with(R"(,"max_token":5)"), "max_token: is no field that this server knows"},
      {std::string(200, '['), "body: "},
  };
  for (const auto& [body, sentence] : wrong) {
    const std::string said = refusal_of(body);
    EXPECT_NE(said.find(sentence), std::string::npos) << body << "\n  " << said;
  }
}

TEST(chat_request, bounded_in_every_size) {
  limits few;
  few.messages = few.parts = few.media = few.tools = few.stops = 1;
  few.body = 400;
  const auto refused_by = [&](const std::string& body) {
    const auto made = read_chat(body, few, otherwise);
    return made ? std::string() : made.error().message;
  };
  const std::string m = R"({"role":"user","content":"Hi"})", text = R"({"type":"text","text":"a"})",
                    picture = R"({"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}})";
  EXPECT_EQ(refused_by(chat_with("")), "");
  EXPECT_EQ(refused_by(chat_with("", m + "," + m)), "messages: may have at most 1 entries; found 2");
  EXPECT_EQ(refused_by(chat_with("", R"({"role":"user","content":[)" + text + "," + text + "]}")),
            "messages[0].content: may have at most 1 entries; found 2");
  few.parts = 9;
  EXPECT_NE(refused_by(chat_with("", R"({"role":"user","content":[)" + picture + "," + picture + "]}")).find("at most 1 pictures"),
            std::string::npos);
  EXPECT_NE(refused_by(chat_with(R"(,"stop":["a","b"])")).find("at most 1"), std::string::npos);
  EXPECT_NE(refused_by(chat_with(R"(,"user":")" + std::string(500, 'x') + '"')).find("body"), std::string::npos);
}

TEST(completion_request, one_text_and_no_more) {
  const auto prompt = [&](const std::string& body) {
    const auto made = read_completion(body, most, otherwise);
    return made ? made->prompt : "refused: " + made.error().message;
  };
  EXPECT_EQ(prompt(R"({"prompt":"Once"})"), "Once");
  EXPECT_EQ(prompt(R"({"prompt":["Once"]})"), "Once");
  EXPECT_EQ(prompt(R"({"prompt":["a","b"]})"), "refused: prompt: must be one string; found a list of 2");
  EXPECT_EQ(prompt(R"({})"), "refused: prompt: must be one string; found nothing");
  EXPECT_EQ(prompt(R"({"prompt":"a","echo":true})"), "refused: echo: must be false: the answer alone is given; found true");
}

TEST(embedding_request, texts_and_no_ids) {
  const auto one = read_embedding(R"({"input":"a","encoding_format":"base64","dimensions":128})", most);
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->base64);
  EXPECT_EQ(one->dimensions, 128u);
  const auto refused_by = [&](const std::string& body) {
    const auto made = read_embedding(body, most);
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(refused_by(R"({"input":["a","b"]})"), "");
  EXPECT_NE(refused_by(R"({"input":[5,6]})").find("input[0]: must be a string; found 5"), std::string::npos);
  EXPECT_NE(refused_by(R"({"input":[]})").find("list of 1 to 256 strings; found a list of 0"), std::string::npos);
  EXPECT_NE(refused_by(R"({"input":"a","encoding_format":"hex"})").find("one of float, base64"), std::string::npos);
}

// Whatever comes is either read or refused with a sentence: nothing breaks.
TEST(requests, survive_damage) {
  const std::string good = R"({"messages":[{"role":"user","content":[{"type":"text","text":"Hi \u00e9"},{"type":"image_url","image_url":
    {"url":"data:image/png;base64,iVBORw=="}}]},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":[1]}"}}]},
    {"role":"tool","tool_call_id":"1","content":"x"}],"tools":[{"function":{"name":"f","parameters":{"type":"object"}}}],
    "temperature":0.5,"stop":["x"],"stream":true,"stream_options":{"include_usage":true},"max_tokens":5})";
  ASSERT_TRUE(read_chat(good, most, otherwise)) << read_chat(good, most, otherwise).error().message;
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  std::size_t refusals = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string body = good;
    for (std::size_t k = 1 + below(3); k > 0 && !body.empty(); --k) {
      const std::size_t at = below(body.size());
      switch (below(5)) {
        case 0: body[at] = static_cast<char>(below(256)); break;
        case 1: body.erase(at, 1 + below(8)); break;
        case 2: body.insert(at, body.substr(below(body.size()), below(12) + 1)); break;
        case 3: body.resize(at + 1); break;
        default: body.insert(at, std::string_view("{}[]\":,0-etn\\u").substr(below(13), 1));
      }
    }
    for (const bool fine : {read_chat(body, most, otherwise).has_value(), read_completion(body, most, otherwise).has_value(),
                            read_embedding(body, most).has_value()}) {
      refusals += !fine;
    }
  }
  EXPECT_GT(refusals, 50'000u);
}

TEST(base64, there_and_back) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(bytes_of_base64(base64_of(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(base64_of("fooba"), "Zm9vYmE=");
  for (const char* wrong : {"Zg", "Zg=", "Z===", "Zg==\n", "Zm9_", "====", "Zg==Zg=="}) EXPECT_FALSE(bytes_of_base64(wrong)) << wrong;
}

/// An answer whose pieces are these.
std::vector<spoken> taken_apart(const std::vector<std::string>& pieces, std::vector<std::string> stops = {}, bool marks = true) {
  answer_reader reader(marks, std::move(stops));
  std::vector<spoken> out;
  for (const std::string& piece : pieces) {
    if (!reader.push(piece, out)) return out;
  }
  reader.finish(out);
  return out;
}
constexpr auto content = spoken::content, thought = spoken::thought, call = spoken::call;

TEST(answer_reader, thoughts_and_calls_are_told_from_what_is_said) {
  EXPECT_EQ(taken_apart({"<|channel>", "thought", "\n", "Hm", "m.\n", "<channel|>", "Yes", "."}),
            (std::vector<spoken>{{thought, "Hmm.\n"}, {content, "Yes."}}));
  EXPECT_EQ(taken_apart({"Look: ", "<|tool_call>", "call:", "weather{city:", "<|\"|>", "Os\"lo", "<|\"|>", ",days:2}", "<tool_call|>"}),
            (std::vector<spoken>{{content, "Look: "}, {call, R"({"city":"Os\"lo","days":2})", "weather"}}));
  // The same letters as text, or of a model without such marks, are text.
  EXPECT_EQ(taken_apart({"a <|channel> b"}), (std::vector<spoken>{{content, "a <|channel> b"}}));
  EXPECT_EQ(taken_apart({"<|channel>", "x"}, {}, false), (std::vector<spoken>{{content, "<|channel>x"}}));
  // Marks out of place are left out, and not taken for text.
  EXPECT_EQ(taken_apart({"a", "<channel|>", "b", "<eos>", "<|channel>", "thought\n", "c", "<|audio|>", "d"}),
            (std::vector<spoken>{{content, "ab"}, {thought, "cd"}}));
  // A broken character in front of a mark stays where it is.
  EXPECT_EQ(taken_apart({"a", "\xef\xbf\xbd<|channel>", "thought\n", "b", "\xef\xbf\xbd<channel|>", "c"}),
            (std::vector<spoken>{{content, "a\xef\xbf\xbd"}, {thought, "b\xef\xbf\xbd"}, {content, "c"}}));
  // What breaks off is not lost.
  EXPECT_EQ(taken_apart({"<|tool_call>", "call:f{a"}), (std::vector<spoken>{{content, "<|tool_call>call:f{a"}}));
  EXPECT_EQ(taken_apart({"<|tool_call>", "nonsense", "<tool_call|>"}),
            (std::vector<spoken>{{content, "<|tool_call>nonsense<tool_call|>"}}));
  EXPECT_EQ(taken_apart({"<|channel>", "thought"}), std::vector<spoken>{});
}

TEST(answer_reader, calls_as_the_published_template_writes_them) {
  const std::pair<std::string, std::string> calls[] = {
      {"call:f{}", "{}"},
      {"call:f{a:1,b:-2.5e3,c:true,d:null}", R"({"a":1,"b":-2.5e3,"c":true,"d":null})"},
      {R"(call:f{a:[1,<|"|>x, y<|"|>,[]],o:{k:{}}})", R"({"a":[1,"x, y",[]],"o":{"k":{}}})"},
      {R"(call:f{<|"|>a b<|"|>:<|"|>{}<|"|>})", R"({"a b":"{}"})"},
  };
  for (const auto& [written, arguments] : calls) {
    std::string name, read;
    EXPECT_TRUE(read_call(written, name, read)) << written;
    EXPECT_EQ(read, arguments);
    EXPECT_EQ(name, "f");
    EXPECT_TRUE(json::accept(read));
    for (std::size_t cut = 0; cut < written.size(); ++cut) EXPECT_FALSE(read_call(written.substr(0, cut), name, read));
  }
  std::string name, read;
  for (const char* wrong : {"call:f{a:1}x", "call:f{a:01}", "call:f{a:1.}", "call:f{a:inf}", "call:{}", "call:f{a}", "call:f{a:1,}"})
    EXPECT_FALSE(read_call(wrong, name, read)) << wrong;
  std::string deep = "call:f{a:";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_FALSE(read_call(deep, name, read));
}

// However the pieces are cut, an answer ends where the stop string begins.
TEST(answer_reader, stops_wherever_pieces_end) {
  const std::string text = "aab abab\xc3\xa9 END of it";
  for (const auto& [stop, left] : {std::pair<std::string, std::string>{"END", "aab abab\xc3\xa9 "}, {"abab", "aab "}, {"zz", text},
                                   {"\xc3\xa9", "aab abab"}, {"of it", "aab abab\xc3\xa9 END "}}) {
    for (std::size_t size = 1; size <= text.size(); ++size) {
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
      std::string said;
      for (const spoken& one : taken_apart(pieces, {stop, "never"})) said += one.text;
      EXPECT_EQ(said, left) << stop << " in pieces of " << size;
    }
  }
  EXPECT_EQ(taken_apart({"<|channel>", "thought\n", "END", "<channel|>", "a", "E", "ND"}, {"END"}),
            (std::vector<spoken>{{thought, "END"}, {content, "a"}}));
}

TEST(answers, are_openai_s_json) {
  const heading h{true, "chatcmpl-1", 12, "m"};
  const json whole = json::parse(whole_answer(h, {{thought, "hm"}, {content, "a\"b"}, {call, R"({"x":1})", "f"}}, "tool_calls", {5, 2, 3}));
  EXPECT_EQ(whole["choices"][0]["message"]["content"], "a\"b");
  EXPECT_EQ(whole["choices"][0]["message"]["reasoning_content"], "hm");
  EXPECT_EQ(whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], R"({"x":1})");
  EXPECT_EQ(whole["usage"]["total_tokens"], 8);
  EXPECT_EQ(whole["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
  events e(h);
  for (const std::string& event : {e.opening(), e.said({{content, "line\nline"}}), e.finish("stop"), e.took({1, 0, 1})}) {
    ASSERT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
    EXPECT_EQ(event.find('\n'), event.size() - 2);  // an event's data are one line
    EXPECT_EQ(json::parse(event.substr(6))["object"], "chat.completion.chunk");
  }
  EXPECT_EQ(json::parse(error_body({400, "t", "sentence", "", ""}))["error"]["param"], nullptr);
}

}  // namespace
