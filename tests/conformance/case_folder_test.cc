// Case folders: what they hold, and what is no case.
#include "conformance/runner/case_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using g4::conformance::case_folder;

const std::string cases = std::string(G4_SOURCE_DIR) + "/conformance/cases/";

TEST(case_folder, outputs_in_the_order_of_data) {
  const auto folder = case_folder::open(cases + "gemma4-26b-a4b/");
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->name(), "gemma4-26b-a4b");
  const std::vector<std::string> names = folder->outputs();
  const auto place = [&](const char* name) { return std::find(names.begin(), names.end(), name) - names.begin(); };
  ASSERT_LT(place("router.0.index"), static_cast<std::ptrdiff_t>(names.size()));
  EXPECT_EQ(place("embed"), 0);
  EXPECT_LT(place("attn.0.query"), place("attn.0.out"));
  EXPECT_LT(place("router.0.weight"), place("moe.0.experts"));
  EXPECT_LT(place("moe.0.experts"), place("hidden.0"));
  EXPECT_LT(place("hidden.0"), place("hidden.1"));
  EXPECT_LT(place("hidden.5"), place("final_norm"));
  EXPECT_LT(place("final_norm"), place("logits"));
}

TEST(case_folder, limits_and_numbers_of_its_tensors) {
  const auto folder = case_folder::open(cases + "gemma4-dense");
  ASSERT_TRUE(folder) << folder.error().message;
  const std::size_t tokens = folder->integers("input_ids").size();
  EXPECT_GT(tokens, 0u);
  EXPECT_EQ(folder->numbers("logits").size(), tokens * folder->shape("logits")[1]);
  EXPECT_GT(folder->limit("logits").value_or(0), 0.0);
  EXPECT_TRUE(folder->is_integer("greedy_ids"));
  EXPECT_FALSE(folder->limit("greedy_ids"));
  EXPECT_FALSE(folder->has("no such tensor"));
}

TEST(case_folder, a_sentence_for_what_is_no_case) {
  const auto folder = case_folder::open(cases);
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message.find("holds neither case.json nor cases.json"), std::string::npos)
      << folder.error().message;
}

}  // namespace
