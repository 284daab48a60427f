// What a tap shows, as the cases have it.
#include "conformance/runner/recorder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace g4::conformance;
using numbers = std::vector<double>;

numbers kept(const recorder& seen, const std::string& name) { return {seen[name].begin(), seen[name].end()}; }

TEST(tensor_names, the_layer_after_the_first_word) {
  EXPECT_EQ(name_of("hidden", 3), "hidden.3");
  EXPECT_EQ(name_of("attn.query", 12), "attn.12.query");
  EXPECT_EQ(name_of("final_norm", -1), "final_norm");
}

TEST(recorder, streams_side_by_side_and_chunks_one_after_the_other) {
  recorder seen([](const std::string&) { return true; });
  const numbers first{1, 2, 3, 4, 10, 20, 30, 40};  // two streams of two rows
  seen.see({"hidden", 0, first, 2, 2, 2, nullptr, 0});
  const numbers second{5, 6, 50, 60};
  seen.see({"hidden", 0, second, 1, 2, 2, nullptr, 0});
  EXPECT_EQ(kept(seen, "hidden.0"), (numbers{1, 2, 10, 20, 3, 4, 30, 40, 5, 6, 50, 60}));
}

TEST(recorder, a_router_with_weights_and_choices) {
  recorder seen([](const std::string& name) { return name != "router.0.weight"; });
  const numbers weights{0.6, 0.4};
  const std::int32_t chosen[] = {5, 2};
  seen.see({"router", 0, weights, 1, 2, 1, chosen, 2});
  seen.see({"router", 1, weights, 1, 2, 1, chosen, 2});
  EXPECT_EQ(kept(seen, "router.0.index"), (numbers{5, 2}));
  EXPECT_FALSE(seen.has("router.0.weight"));
  EXPECT_EQ(kept(seen, "router.1.weight"), weights);
}

TEST(recorder, only_the_newest_row_where_that_is_asked_for) {
  recorder seen([](const std::string&) { return true; }, true);
  const numbers rows{1, 2, 3};
  seen.see({"embed", -1, rows, 3, 1, 1, nullptr, 0});
  EXPECT_EQ(kept(seen, "embed"), numbers{3});
}

}  // namespace
