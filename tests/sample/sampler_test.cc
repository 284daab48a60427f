// Sampling against transformers' processors, against the definition, and the promises of a seed.
#include "g4/sample/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace {

using namespace g4;
using sample::make_sampler;
using sample::sampler_options;

constexpr float infinity = std::numeric_limits<float>::infinity();

// The definition, slowly: the probabilities of all ids after every step, exactly k kept by top k.
std::vector<double> probabilities(std::vector<float> logits, const sampler_options& o,
                                  const std::vector<std::int32_t>& accepted) {
  for (const auto id : std::set<std::int32_t>(accepted.begin(), accepted.end())) {
    float& l = logits[static_cast<std::size_t>(id)];
    l = l < 0 ? l * o.repetition_penalty : l / o.repetition_penalty;
  }
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  if (o.top_k > 0 && order.size() > static_cast<std::size_t>(o.top_k)) order.resize(static_cast<std::size_t>(o.top_k));
  std::vector<double> p(logits.size(), 0.0);
  const auto normalise = [&] {
    double sum = 0;
    for (const auto i : order) sum += p[i];
    for (const auto i : order) p[i] /= sum;
  };
  for (const auto i : order) {
    p[i] = std::exp((static_cast<double>(logits[i]) - static_cast<double>(logits[order[0]])) /
                    static_cast<double>(o.temperature));
  }
  normalise();
  double before = 0;
  for (std::size_t r = 0; r < order.size(); ++r) {
    const double here = p[order[r]];
    if (r > 0 && before >= static_cast<double>(o.top_p)) p[order[r]] = 0;
    before += here;
  }
  for (const auto i : order) {
    if (p[i] < static_cast<double>(o.min_p) * p[order[0]]) p[i] = 0;
  }
  normalise();
  return p;
}

std::vector<double> frequencies(const std::vector<float>& logits, sampler_options o,
                                const std::vector<std::int32_t>& accepted, int draws) {
  std::vector<double> f(logits.size(), 0.0);
  // The window is as long as what was accepted, so that choices made here would push it out: a fresh sampler each time.
  for (int i = 0; i < draws; ++i) {
    o.seed = static_cast<std::uint64_t>(i);
    auto s = make_sampler(o, logits.size());
    EXPECT_TRUE(s) << s.error().message;
    s->accept(accepted);
    f[static_cast<std::size_t>(*s->choose(logits))] += 1.0 / draws;
  }
  return f;
}

nlohmann::json hugging_face() {
  std::ifstream in(G4_SOURCE_DIR "/tests/sample/data/hugging_face.json");
  return nlohmann::json::parse(in);
}

TEST(sampler, same_distribution_as_transformers) {
  const auto rows = hugging_face();
  EXPECT_EQ(rows.size(), 24u);
  for (const auto& row : rows) {
    const auto& r = row["options"];
    const sampler_options o{.temperature = r["temperature"],
                            .top_k = r["top_k"],
                            .top_p = r["top_p"],
                            .min_p = r["min_p"],
                            .repetition_penalty = r["repetition_penalty"]};
    const auto logits = row["logits"].get<std::vector<float>>();
    const auto accepted = row["accepted"].get<std::vector<std::int32_t>>();
    const auto expected = row["probabilities"].get<std::vector<double>>();
    const auto defined = probabilities(logits, o, accepted);
    constexpr int draws = 4000;
    const auto drawn = frequencies(logits, o, accepted, draws);
    for (std::size_t id = 0; id < logits.size(); ++id) {
      EXPECT_NEAR(defined[id], expected[id], 1e-6) << row.dump() << id;
      // Five standard deviations; what has no chance is never drawn.
      EXPECT_NEAR(drawn[id], expected[id], 5 * std::sqrt(expected[id] * (1 - expected[id]) / draws) + 1e-9)
          << row.dump() << id;
    }
  }
}

// With u known, the id drawn is known: the first whose share of the weight, likeliest first, passes u.
TEST(sampler, same_ids_as_the_definition_with_the_same_random_number) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 3);
  for (int round = 0; round < 400; ++round) {
    std::vector<float> logits(1 + random() % 3000);
    for (float& l : logits) l = std::round(normal(random) * 8) / 8;  // coarse, so that ties are common
    const sampler_options o{.temperature = 0.5f + 0.1f * static_cast<float>(random() % 10),
                            .top_k = static_cast<std::int64_t>(random() % 4 == 0 ? 0 : random() % 2000),
                            .top_p = random() % 3 == 0 ? 1.0f : 0.05f + 0.9f * static_cast<float>(random() % 100) / 100,
                            .min_p = random() % 2 == 0 ? 0.0f : 0.1f,
                            .seed = random()};
    auto s = make_sampler(o, logits.size());
    ASSERT_TRUE(s);
    const auto p = probabilities(logits, o, {});
    std::vector<std::size_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0u);
    if (o.top_k > 0 || o.top_p < 1) {
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
    }
    const double u = sample::generator(o.seed).uniform();
    double sum = 0;
    std::size_t expected = order[0];
    double margin = 1;
    for (const auto id : order) {
      if (p[id] <= 0) continue;
      expected = id;
      sum += p[id];
      margin = std::min(margin, std::abs(sum - u));
      if (sum > u) break;
    }
    if (margin < 1e-9) continue;  // rounding decides
    EXPECT_EQ(*s->choose(logits), static_cast<std::int32_t>(expected)) << round;
  }
}

TEST(sampler, how_many_logits_decide) {
  EXPECT_EQ(sample::logits_that_decide({}), 1u);
  EXPECT_EQ(sample::logits_that_decide({.temperature = 1, .top_k = 64, .top_p = 0.95f}), 64u);
  EXPECT_EQ(sample::logits_that_decide({.temperature = 1}), 0u);
  EXPECT_EQ(sample::logits_that_decide({.repetition_penalty = 1.1f}), 0u);
}

TEST(sampler, the_same_ids_for_the_same_seed) {
  const std::vector<float> logits{0.1f, 0.7f, -0.3f, 0.2f, 1.1f, 0.0f};
  const auto draw = [&](std::uint64_t seed) {
    auto s = *make_sampler({.temperature = 1.0f, .seed = seed}, logits.size());
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(*s.choose(logits));
    return ids;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
  auto s = *make_sampler({.temperature = 1.0f, .seed = 7}, logits.size());
  for (int i = 0; i < 5; ++i) (void)s.choose(logits);
  s.restart();
  EXPECT_EQ(*s.choose(logits), draw(7)[0]);
}

// The published test vector of PCG32 (seed 42, stream 54) uses another stream; this pins ours on every machine.
TEST(generator, the_same_numbers_everywhere) {
  sample::generator g(42);
  const std::uint32_t first[] = {g.next(), g.next(), g.next()};
  sample::generator again(42);
  for (const auto n : first) EXPECT_EQ(again.next(), n);
  // From the recurrence, by hand: state₀ = 42 + c, one step, then output.
  std::uint64_t state = 42 + 1442695040888963407u;
  for (const auto n : first) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto x = static_cast<std::uint32_t>(((state >> 18) ^ state) >> 27);
    const auto turn = static_cast<int>(state >> 59);
    EXPECT_EQ(n, std::rotr(x, turn));
  }
}

TEST(generator, uniform_numbers_below_one_and_evenly_spread) {
  sample::generator g(1);
  std::vector<int> bins(16);
  for (int i = 0; i < 160'000; ++i) {
    const double u = g.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<std::size_t>(u * 16)];
  }
  for (const int n : bins) EXPECT_NEAR(n, 10'000, 500);
}

TEST(exp_of, close_to_the_exact_value) {
  for (double x = 0; x > -699; x -= 0.0371) EXPECT_NEAR(sample::exp_of(x) / std::exp(x), 1.0, 4e-15) << x;
  EXPECT_EQ(sample::exp_of(0), 1.0);
  EXPECT_EQ(sample::exp_of(-std::numeric_limits<double>::infinity()), 0.0);
}

TEST(greedy, the_lowest_id_of_equals) {
  EXPECT_EQ(*sample::greedy(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(*sample::greedy(std::vector<float>{-infinity, -2}), 1);
}

TEST(greedy, logits_that_say_nothing_refused) {
  EXPECT_EQ(sample::greedy({}).error().message, "sample: there are no logits");
  EXPECT_EQ(sample::greedy(std::vector<float>{1, std::nanf(""), 2}).error().message,
            "sample: the logit of id 1 is not a number");
  EXPECT_EQ(sample::greedy(std::vector<float>{std::nanf(""), 2}).error().message,
            "sample: the logit of id 0 is not a number");
  EXPECT_EQ(sample::greedy(std::vector<float>{-infinity, -infinity}).error().message,
            "sample: every logit is minus infinity");
}

TEST(sampler, exactly_k_kept_and_ties_to_the_lower_id) {
  auto s = *make_sampler({.temperature = 1.0f, .top_k = 2}, 5);
  const std::vector<float> logits{1, 2, 2, 2, 0};
  for (int i = 0; i < 200; ++i) {
    const auto id = *s.choose(logits);
    EXPECT_TRUE(id == 1 || id == 2) << id;
  }
}

TEST(sampler, banned_ids_never_chosen) {
  for (const sampler_options o :
       {sampler_options{.temperature = 1.0f}, sampler_options{.temperature = 1.0f, .top_k = 3},
        sampler_options{.temperature = 1.0f, .top_p = 0.99f}}) {
    auto s = *make_sampler(o, 3);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(*s.choose(std::vector<float>{-infinity, 0, -infinity}), 1);
  }
}

TEST(sampler, the_coldest_and_hottest_temperatures_survived) {
  for (const float t : {1e-40f, 1e-6f, 1e30f}) {
    for (const std::int64_t k : {0, 2}) {
      auto s = *make_sampler({.temperature = t, .top_k = k}, 3);
      for (int i = 0; i < 20; ++i) {
        const auto id = *s.choose(std::vector<float>{10, 30, -3e38f});
        EXPECT_TRUE(id == 1 || (t > 1 && id < 3)) << id;
      }
    }
  }
}

TEST(sampler, bad_logits_refused_and_the_random_state_kept) {
  auto s = *make_sampler({.temperature = 1.0f, .seed = 5}, 3);
  EXPECT_EQ(s.choose(std::vector<float>{1, 2}).error().message, "sample: 2 logits for a vocabulary of 3");
  EXPECT_EQ(s.choose(std::vector<float>{1, infinity, 2}).error().message, "sample: the logit of id 1 is infinite");
  EXPECT_FALSE(s.choose(std::vector<float>{1, std::nanf(""), 2}));
  auto fresh = *make_sampler({.temperature = 1.0f, .seed = 5}, 3);
  const std::vector<float> good{1, 2, 3};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*s.choose(good), *fresh.choose(good));
}

TEST(sampler, penalty_for_the_last_n_ids_only) {
  const std::vector<float> logits{2.0f, 1.9f, 1.8f, -1.0f};
  auto s = *make_sampler({.repetition_penalty = 2.0f, .repetition_window = 2}, 4);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(*s.choose(logits));
  EXPECT_EQ(ids, (std::vector<std::int32_t>{0, 1, 2, 0, 1, 2}));
  auto all = *make_sampler({.repetition_penalty = 2.0f}, 4);
  all.accept(std::vector<std::int32_t>{0, 1, 1, -5, 99});
  EXPECT_EQ(*all.choose(logits), 2);
}

TEST(sampler, the_vocabulary_learned_from_the_first_logits) {
  auto s = *make_sampler({.temperature = 1.0f, .top_k = 2, .repetition_penalty = 1.5f});
  s.accept(std::vector<std::int32_t>{2, 0});
  EXPECT_TRUE(s.choose(std::vector<float>{1, 2, 3, 4}));
  EXPECT_FALSE(s.choose(std::vector<float>{1, 2, 3}));
}

TEST(sampler, options_out_of_range_refused) {
  const auto refusal = [](const sampler_options& o) {
    const auto s = make_sampler(o, 4);
    return s ? std::string("accepted") : s.error().message;
  };
  EXPECT_EQ(refusal({.temperature = -0.5f}),
            "sample: temperature is -0.5; expected 0 for the likeliest id or a positive number");
  EXPECT_EQ(refusal({.temperature = std::nanf("")}),
            "sample: temperature is nan; expected 0 for the likeliest id or a positive number");
  EXPECT_EQ(refusal({.top_k = -1}), "sample: top_k is -1; expected 0 for all ids or how many to keep");
  EXPECT_EQ(refusal({.top_p = 0}), "sample: top_p is 0; expected a share above 0 and at most 1");
  EXPECT_EQ(refusal({.top_p = 1.5f}), "sample: top_p is 1.5; expected a share above 0 and at most 1");
  EXPECT_EQ(refusal({.min_p = -0.1f}), "sample: min_p is -0.1; expected a share from 0 to 1");
  EXPECT_EQ(refusal({.repetition_penalty = 0}),
            "sample: repetition_penalty is 0; expected a positive number, 1 for none");
  EXPECT_EQ(refusal({}), "accepted");
}

}  // namespace
