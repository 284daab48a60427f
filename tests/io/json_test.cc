#include "g4/io/json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/io/files.h"

namespace {

using g4::io::json;
using g4::io::parse_json;

TEST(json, the_document) {
  auto out = parse_json(R"({"a":[1,-2,2.5,"s",true,null,{"b":{}}],"c":"d"})", "config.json");
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, (json::object_t{{"a", json::array_t{1, -2, 2.5, "s", true, nullptr,
                                                      json::object_t{{"b", json::object()}}}},
                                  {"c", "d"}}));
}

TEST(json, a_single_value) { EXPECT_EQ(*parse_json("7", "x"), json(7)); }

TEST(json, a_repeated_key_refused) {
  EXPECT_REFUSED(parse_json(R"({"a":1,"b":{"a":2},"a":3})", "config.json"), "config.json", "holds the key a twice");
  EXPECT_TRUE(parse_json(R"({"a":1,"b":{"a":2}})", "config.json"));
}

TEST(json, line_and_column_of_a_mistake) {
  EXPECT_REFUSED(parse_json("{\n  \"a\": 1,\n  oops\n}", "config.json"), "config.json",
                 "is not valid JSON at line 3, column 3");
  EXPECT_REFUSED(parse_json("", "config.json"), "config.json", "is not valid JSON at line 1, column 1");
  EXPECT_REFUSED(parse_json("{\"a\": 1e999}", "config.json"), "config.json", "is not valid JSON at line 1");
  EXPECT_REFUSED(parse_json("{\"a\": NaN}", "config.json"), "config.json", "is not valid JSON at line 1");
}

TEST(json, depth_limited) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(32), "x"));
  EXPECT_REFUSED(parse_json(nested(33), "x"), "x", "is nested more than 32 deep at byte 32");
  EXPECT_REFUSED(parse_json(std::string(3'000'000, '['), "x"), "x", "is nested more than 32 deep");
  // Brackets within strings do not count.
  EXPECT_TRUE(parse_json("\"" + std::string(100, '[') + "\\\"" + std::string(100, '[') + "\"", "x"));
}

TEST(json, size_limited) {
  EXPECT_REFUSED(parse_json(std::string(5u << 20, ' '), "x"), "x",
                 "has 5242880 bytes of JSON; g4 reads at most 4194304");
  for (const std::string& text : {"\"" + std::string(2u << 20, 'a') + "\"", std::string(2u << 20, '1'),
                                  "[\"" + std::string(2u << 20, 'a') + "\"]", "{\"" + std::string(2u << 20, 'a')}) {
    EXPECT_REFUSED(parse_json(text, "x"), "x", "holds a string or a number longer than 1048576 bytes at byte ");
  }
  std::string numbers = "[1";
  while (numbers.size() < (2u << 20)) numbers += ",-1.5e+3";
  EXPECT_TRUE(parse_json(numbers + "]", "x"));
  EXPECT_TRUE(parse_json(std::string(2u << 20, '\n') + "[]", "x"));  // blanks are passed over, not kept
}

/// The one value of a text, or null where it is refused or of another kind.
template <class T>
std::optional<T> only(const std::string& text) {
  const auto read = parse_json(text, "x");
  const T* value = read ? read->as<T>() : nullptr;
  return value == nullptr ? std::nullopt : std::optional<T>(*value);
}

TEST(json, whole_numbers_exact_and_others_as_doubles) {
  EXPECT_EQ(only<std::uint64_t>("18446744073709551615"), 18446744073709551615u);
  EXPECT_EQ(only<double>("18446744073709551616"), 18446744073709551616.0);
  EXPECT_EQ(only<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(only<double>("-9223372036854775809"), -9223372036854775809.0);
  EXPECT_EQ(only<std::int64_t>("-0"), 0);
  EXPECT_EQ(only<double>("1.0"), 1.0);
  EXPECT_EQ(only<double>("1e2"), 100.0);
  EXPECT_EQ(only<double>("0.1"), 0.1);
  EXPECT_EQ(only<double>("9007199254740993.0"), 9007199254740992.0);  // halfway, to even
  EXPECT_EQ(only<double>("2.2250738585072011e-308"), 2.2250738585072011e-308);
  EXPECT_EQ(only<double>("1.7976931348623157e308"), std::numeric_limits<double>::max());
  EXPECT_EQ(only<double>("5e-324"), std::numeric_limits<double>::denorm_min());
}

TEST(json, numbers_below_every_double_are_zero_and_above_every_double_refused) {
  for (const std::string text : {"1e-400", "0.1e-999999999999999999999", "0.0001e-399"}) {
    EXPECT_EQ(only<double>(text), 0.0) << text;
    EXPECT_TRUE(std::signbit(only<double>("-" + text).value_or(1))) << text;
  }
  for (const std::string text : {"1e309", "-1e400", "10e99999999999999999999", "0.00001e999"}) {
    EXPECT_REFUSED(parse_json(text, "x"), "x", "is not valid JSON at line 1, column 1");
  }
  EXPECT_EQ(only<double>("0e99999999999999999999"), 0.0);
}

TEST(json, escapes) {
  EXPECT_EQ(only<std::string>(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83D\uDE00\u0000")"),
            std::string("\"\\/\b\f\n\r\tA\u00e9\u20AC\U0001F600\0", 19));
  for (const char* text : {R"("\ud83d")", R"("\ud83dx")", R"("\ud83d\u0041")", R"("\ude00")", R"("\u12")", R"("\u12g4")",
                           R"("\u-123")", R"("\x41")", R"("\)", R"("\u)"}) {
    EXPECT_REFUSED(parse_json(text, "x"), "x", "is not valid JSON at line 1");
  }
}

TEST(json, strings_of_well_formed_utf8_only) {
  EXPECT_EQ(only<std::string>("\"\u00e9\u20ac\U0001F600\""), "\u00e9\u20ac\U0001F600");
  for (const std::string bytes : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF",
                                  "\x01", "\n", "\x1F"}) {
    EXPECT_REFUSED(parse_json("\"" + bytes + "\"", "x"), "x", "is not valid JSON at line 1, column 2");
  }
  EXPECT_FALSE(parse_json(std::string("\"a\0b\"", 5), "x"));
  EXPECT_EQ(only<std::string>("\xEF\xBB\xBF\"a\""), "a");
}

TEST(json, nothing_but_its_grammar) {
  for (const std::string text :
       {"01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "Infinity", "nul", "truee", "[1,]", "[,1]", "{\"a\":1,}", "{,}",
        "{\"a\"}", "{\"a\":}", "{a:1}", "{1:1}", "[1 2]", "[1}", "{\"a\":1]", "]", "1 2", "[", "{", "{\"a\":1", "\"a",
        "'a'", "/* */1", "1//", "[1]x", ","}) {
    EXPECT_REFUSED(parse_json(text, "x"), "x", "is not valid JSON at line 1, column ");
  }
  EXPECT_FALSE(parse_json(std::string("1\0", 2), "x"));
  EXPECT_TRUE(parse_json(" { \"a\" : [ 1 , { } , [ ] ] } \r\n\t", "x"));
}

TEST(json, as_strict_as_nlohmann_says) {
  // Every text of up to four characters that matter, and what a second reader makes of it.
  const std::string letters = "[]{},:\"\\0-1.e+ tn";
  std::size_t accepted = 0;
  for (std::size_t n = 0; n < letters.size() * letters.size() * letters.size() * letters.size(); ++n) {
    std::string text;
    for (std::size_t rest = n; rest > 0; rest /= letters.size()) text += letters[rest % letters.size()];
    const auto read = parse_json(text, "x");
    ASSERT_EQ(read.has_value(), nlohmann::json::accept(text)) << text;
    accepted += read ? 1 : 0;
  }
  EXPECT_GT(accepted, 400u);
}

TEST(json, values_find_their_members_and_elements) {
  const auto j = *parse_json(R"({"b":[1,2],"a":{"c":null}})", "x");
  EXPECT_EQ(j.size(), 2u);
  EXPECT_EQ(j.members().front().name, "a");
  EXPECT_EQ(*j.find("b"), (json::array_t{1, 2}));
  EXPECT_EQ((*j.find("b"))[1], 2);
  EXPECT_TRUE(j.find("a")->find("c")->is_null());
  EXPECT_EQ(j.find("d"), nullptr);
  EXPECT_EQ(j.find("b")->find("a"), nullptr);
  EXPECT_EQ(json(1).begin(), json(1).end());
  EXPECT_TRUE(json("a").members().empty());
  json all = *j.find("a");
  all.update(*parse_json(R"({"c":7,"d":"e"})", "x"));
  EXPECT_EQ(all, (json::object_t{{"c", 7}, {"d", "e"}}));
}

TEST(json, quoted_strings_read_back) {
  EXPECT_EQ(g4::io::json_quoted("a\"\\/\b\f\n\r\t\x01\x7F"), R"("a\"\\/\b\f\n\r\t\u0001\u007f")");
  EXPECT_EQ(g4::io::json_quoted("\u00e9\u20ac\U0001F600"), R"("\u00e9\u20ac\ud83d\ude00")");
  EXPECT_EQ(g4::io::json_quoted("\xFFz\xE2\x82"), R"("\ufffdz\ufffd\ufffd")");
  const std::string text = "\u00e9\u20ac\U0001F600 \"x\" \n";
  EXPECT_EQ(only<std::string>(g4::io::json_quoted(text)), text);
}

}  // namespace
