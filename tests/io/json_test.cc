#include "g4/io/json.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/io/files.h"

namespace {

using g4::io::json;
using g4::io::parse_json;

TEST(json, the_document) {
  auto out = parse_json(R"({"a":[1,-2,2.5,"s",true,null,{"b":{}}],"c":"d"})", "config.json");
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, json::parse(R"({"a":[1,-2,2.5,"s",true,null,{"b":{}}],"c":"d"})"));
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
                                  std::string(2u << 20, ' ') + "1", std::string(2u << 20, '\n') + "[]"}) {
    EXPECT_REFUSED(parse_json(text, "x"), "x", "a string, a number or a stretch without either longer than 1048576");
  }
  for (const char* word : {"null", "true", "false"}) {
    std::string words = std::string("[") + word;
    while (words.size() < (2u << 20)) words += std::string(",") + word;
    EXPECT_REFUSED(parse_json(words + "]", "x"), "x", "a stretch without either longer than 1048576");
  }
  std::string numbers = "[1";
  while (numbers.size() < (2u << 20)) numbers += ",-1.5e+3";
  EXPECT_TRUE(parse_json(numbers + "]", "x"));
}

}  // namespace
