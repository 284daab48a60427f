// How models are shared out among ranks: every part of every released model beside the plans of others, and the memory
// that a rank takes.
//
// data/plans/transformers.txt is made by read_plans.py; easydel.txt has the rules of the file that it names.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/load/match.h"
#include "g4/model/sharded.h"
#include "g4/model/split.h"
#include "g4/model/text/plan.h"
#include "g4/model/text_of.h"
#include "g4/variants/all.h"

namespace g4 {
namespace {

using strings = std::set<std::string>;

/// The lines of a table, as words.
std::vector<std::vector<std::string>> table(const std::string& name) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream in(std::string(G4_SOURCE_DIR) + "/tests/variants/data/plans/" + name);
  EXPECT_TRUE(in) << name;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words), std::istream_iterator<std::string>());
  }
  return lines;
}

/// Calls body(name, spec) for the text of every released decoder.
template <class Body>
void each_decoder(Body&& body) {
  const auto all = [&]<class... V>(one_of<V...>) { (body(load::variant_name<V>(), V::spec), ...); };
  all(all_variants{});
}

/// What each part of a model is split like, by its safetensors name.
std::map<std::string, split> parts_of(const text_spec& m, sums how) {
  std::map<std::string, split> parts;
  each_tensor(m, [&](const tensor_entry& t) { parts[std::string(t.what.safetensors)] = split_of(t.what, how); });
  return parts;
}

/// Their words for ours. A part that has no rule is on every rank.
bool means_the_same(const std::string& word, split how) {
  if (word.starts_with("colwise") || word == "ColumnWise") {
    return how == split::rows || how == split::key_heads || how == split::hidden_rows;
  }
  if (word == "packed_colwise") return how == split::gate_and_up;
  if (word == "rowwise" || word == "RowWise") return how == split::columns;  // a divided sum
  return how == split::copied;
}

/// Parts that g4 shares out otherwise than `plan` does: "part: word, ours".
template <class Plan>
strings differences(const text_spec& m, Plan&& plan, sums sums_are = sums::whole) {
  strings found;
  for (const auto& [part, how] : parts_of(m, sums_are)) {
    const std::string word = plan(part);
    if (!means_the_same(word, how)) found.insert(part + ": " + (word.empty() ? "no rule" : word) + ", " + std::string(name_of(how)));
  }
  return found;
}

std::string plan_of(std::string_view variant) {
  if (variant.starts_with("gemma4_12b")) return "gemma4_12b";
  return std::string(variant.substr(0, variant.find('_')));
}

strings differences_from_transformers(std::string_view variant, const text_spec& m,
                                      const std::vector<std::vector<std::string>>& lines,
                                      sums sums_are = sums::whole) {
  const auto plan = [&](const std::string& part) -> std::string {
    for (const auto& line : lines) {
      const bool fits = part == line[1] || part.starts_with(line[1] + ".");
      if (line[0] == plan_of(variant) && fits && line[2] != "moe_tp_experts") return line[2];
    }
    return "";
  };
  return differences(m, plan, sums_are);
}

TEST(plan_of_ranks, is_that_of_transformers_but_that_no_sum_is_divided_and_no_table_held) {
  const auto lines = table("transformers.txt");
  ASSERT_EQ(lines.size(), 44u);
  each_decoder([&](std::string_view variant, const text_spec& m) {
    strings expected{"embed_tokens.weight: no rule, looked up in the file", "self_attn.o_proj.weight: rowwise, rows",
                     "mlp.down_proj.weight: rowwise, rows"};
    if (m.per_layer) expected.insert("embed_tokens_per_layer.weight: no rule, looked up in the file");
    if (m.experts) expected.insert("experts.down_proj: rowwise, rows");
    EXPECT_EQ(differences_from_transformers(variant, m, lines), expected) << variant;
    // With divided sums only the tables differ.
    for (const char* whole : {"self_attn.o_proj.weight: rowwise, rows", "mlp.down_proj.weight: rowwise, rows",
                              "experts.down_proj: rowwise, rows"}) {
      expected.erase(whole);
    }
    EXPECT_EQ(differences_from_transformers(variant, m, lines, sums::divided), expected) << variant;
  });
  // A table that said otherwise would be noticed.
  auto changed = lines;
  for (auto& line : changed) {
    if (line[1] == "mlp.gate_proj") line[2] = "rowwise";
  }
  EXPECT_TRUE(differences_from_transformers("gemma3_270m", gemma3_270m::spec, changed).contains("mlp.gate_proj.weight: rowwise, rows"));
}

TEST(plan_of_ranks, is_that_of_easydel_but_for_sums_tables_and_biases) {
  text_spec biased = gemma3_270m::spec;
  biased.attention_bias = true;
  const auto lines = table("easydel.txt");
  const auto found = differences(biased, [&](const std::string& part) -> std::string {
    for (const auto& line : lines) {
      if (std::regex_search(part, std::regex(line[0]))) return line[1];
    }
    return "";
  });
  EXPECT_EQ(found, (strings{"embed_tokens.weight: ColumnWise, looked up in the file", "mlp.down_proj.weight: RowWise, rows",
                            "self_attn.k_proj.bias: Replicated, rows, by key/value heads",
                            "self_attn.o_proj.weight: RowWise, rows", "self_attn.q_proj.bias: Replicated, rows",
                            "self_attn.v_proj.bias: Replicated, rows, by key/value heads"}));
}

TEST(plan_of_ranks, has_a_line_for_parts_that_are_there_alone) {
  std::set<std::string_view> known;
  const auto add = [&](const text_spec& m) { each_tensor(m, [&](const tensor_entry& t) { known.insert(t.what.safetensors); }); };
  each_decoder([&](std::string_view, const text_spec& m) {
    text_spec odd = m;
    odd.attention_bias = true;
    odd.tied_head = false;
    add(odd);
  });
  for (const split_line& line : split_lines) EXPECT_TRUE(known.contains(line.part)) << line.part;
}

/// With divided sums the columns of what closes a branch, cut between blocks, are those that the rows before it make.
void expect_columns_once(std::string_view variant, const text_spec& m, int ranks) {
  const text_spec mine = spec_of_a_rank(m, ranks, sums::divided);
  each_tensor(m, [&](const tensor_entry& t) {
    const split how = split_of(t.what, sums::divided);
    if (how != split::columns && how != split::hidden_rows) return;
    const bool columns = how == split::columns;
    const auto n = static_cast<std::size_t>(t.extents[columns ? t.rank - 1 : 0]);
    const bool heads = t.what.safetensors == "self_attn.o_proj.weight";
    std::size_t next = 0, most = 0;
    for (int r = 0; r < ranks; ++r) {
      const stretch s = columns ? columns_of_a_rank(t, n, ranks, r, sums::divided)
                                : rows_of_a_rank(m, t, n, ranks, r, sums::divided);
      EXPECT_EQ(s.first, next);
      EXPECT_EQ(s.count % 32, 0u) << variant << " " << t.what.safetensors;
      if (!heads) {
        EXPECT_EQ(s, hidden_of_a_rank(n, ranks, r, sums::divided));
      }
      next = s.first + s.count;
      most = std::max(most, s.count);
    }
    EXPECT_EQ(next, n) << variant << " " << t.what.safetensors << " on " << ranks;
    if (!heads && t.rank == 2) {
      EXPECT_EQ(mine.layer[t.layer].hidden, static_cast<int>(most));
    }
  });
}

TEST(plan_of_ranks, leaves_out_and_repeats_nothing) {
  each_decoder([&](std::string_view variant, const text_spec& m) {
    for (const int ranks : {2, 3, 4, 8}) {
      if (!heads_divide(m, ranks)) continue;
      expect_columns_once(variant, m, ranks);
      const text_spec mine = spec_of_a_rank(m, ranks);
      std::map<std::pair<int, std::string_view>, tensor_entry> narrow;
      each_tensor(mine, [&](const tensor_entry& t) { narrow[{t.layer, t.what.safetensors}] = t; });
      each_tensor(m, [&](const tensor_entry& t) {
        const split how = split_of(t.what);
        if (how == split::copied || how == split::looked_up || t.what.safetensors.find("q_proj.bias") != std::string_view::npos) return;
        const bool several = t.rank == 3;
        const auto rows = static_cast<std::size_t>(t.extents[several ? 1 : 0]) / (how == split::gate_and_up ? 2 : 1);
        std::size_t next = 0, most = 0;
        for (int r = 0; r < ranks; ++r) {
          const stretch s = rows_of_a_rank(m, t, rows, ranks, r);
          most = std::max(most, s.count);
          EXPECT_LE(s.first + s.count, rows);
          if (how == split::key_heads && m.layer[t.layer].key_value_heads < ranks) {
            EXPECT_EQ(s.first % static_cast<std::size_t>(m.layer[t.layer].head_size), 0u);
            EXPECT_TRUE(s.first == next || s.first + s.count == next) << "the same head or the next";
          } else {
            EXPECT_EQ(s.first, next) << variant << " " << t.what.safetensors;
          }
          next = s.first + s.count;
        }
        EXPECT_EQ(next, rows) << variant << " " << t.what.safetensors << " on " << ranks;
        // The narrower model says as much, but for what closes a branch.
        const bool closes = t.what.safetensors.find("o_proj") != std::string_view::npos ||
                            t.what.safetensors.find("down_proj") != std::string_view::npos;
        if (!closes && t.as != role::head) {
          const tensor_entry n = narrow.at({t.layer, t.what.safetensors});
          EXPECT_EQ(n.extents[several ? 1 : 0] / (how == split::gate_and_up ? 2 : 1), static_cast<int>(most))
              << variant << " " << t.what.safetensors;
        }
      });
    }
  });
}

// ---- Pipelines -----------------------------------------------------------------------------------------------------------

/// The share of a model's weights in front of a cut.
constexpr double in_front(const text_spec& m, int cut) {
  const auto front = plan_weights_of_a_stage(spec_of_a_stage(m, 2, {0, cut}), storage::q4_0, storage::q6_k);
  const auto back = plan_weights_of_a_stage(spec_of_a_stage(m, 2, {cut, m.layers}), storage::q4_0, storage::q6_k);
  return static_cast<double>(front) / static_cast<double>(front + back);
}

TEST(pipelines, can_be_cut_wherever_no_layer_reads_the_keys_of_one_in_front) {
  std::map<std::string_view, int> last;
  each_decoder([&](std::string_view variant, const text_spec& m) {
    last[variant] = last_cut(m);
    for (int cut = 0; cut <= m.layers; ++cut) EXPECT_EQ(can_be_cut_before(m, cut), cut > 0 && cut <= last_cut(m)) << variant;
    if (m.shared_layers == 0) {
      EXPECT_EQ(last_cut(m), m.layers - 1) << variant;
    }
  });
  EXPECT_EQ(last.at("gemma4_e2b"), 13);
  EXPECT_EQ(last.at("gemma4_e4b"), 22);
  EXPECT_EQ(last.at("gemma3n_e2b"), 18);
  EXPECT_EQ(last.at("gemma3n_e4b"), 18);
  EXPECT_EQ(last.at("gemma4_31b"), 59);
}

TEST(pipelines, have_every_layer_once) {
  each_decoder([&](std::string_view variant, const text_spec& m) {
    const kind_table kinds = distinct_kinds(m);
    const auto cache = [&](const text_spec& of) {
      return plan_session(of, kinds, {.context = 4096}, sizeof(float), storage::i16).cache;
    };
    for (const int cut : {1, last_cut(m) / 2, last_cut(m)}) {
      const text_spec front = spec_of_a_stage(m, 2, {0, cut}), back = spec_of_a_stage(m, 2, {cut, m.layers});
      std::size_t both = 0;
      each_tensor(m, [&](const tensor_entry& t) {
        const long long n = elements_of_a_stage(front, t) + elements_of_a_stage(back, t);
        const bool copied = t.what.safetensors.starts_with("per_layer_") && t.layer < 0;
        const bool looked_up = t.as == role::table || (t.as == role::token_table && !m.tied_head);
        EXPECT_EQ(n, looked_up ? 0 : copied ? 2 * t.elements() : t.elements()) << variant << " " << t.what.safetensors;
        both += copied ? 1 : 0;
      });
      EXPECT_EQ(both, m.per_layer ? 2u : 0u) << variant;
      EXPECT_EQ(cache(front) + cache(back), cache(m)) << variant;
      EXPECT_LT(cache(front), cache(m)) << variant;
    }
  });
}

/// The heaviest stage between bounds.
template <std::size_t N>
long long heaviest(const weights_of_stages& w, const std::array<int, N>& bounds) {
  long long most = 0;
  for (std::size_t i = 0; i + 1 < N; ++i) most = std::max(most, w.of({bounds[i], bounds[i + 1]}));
  return most;
}

TEST(pipelines, are_cut_as_evenly_as_can_be) {
  each_decoder([&](std::string_view variant, const text_spec& m) {
    const auto bytes = [](const tensor_entry& t) { return planned_bytes(t, t.elements(), storage::q4_0, storage::q6_k); };
    const weights_of_stages w = weigh_for_stages(m, bytes);
    const int last = last_cut(m);
    // What a stage weighs is what its plan says.
    for (const layer_range& r : {layer_range{0, last}, layer_range{1, last}, layer_range{last, m.layers}}) {
      EXPECT_EQ(w.of(r), plan_weights_of_a_stage(spec_of_a_stage(m, 3, r), storage::q4_0, storage::q6_k)) << variant << " " << r.first;
    }
    long long two = std::numeric_limits<long long>::max(), three = two;
    for (int a = 1; a <= last; ++a) {
      two = std::min(two, heaviest(w, std::array{0, a, m.layers}));
      for (int b = a + 1; b <= last; ++b) three = std::min(three, heaviest(w, std::array{0, a, b, m.layers}));
    }
    const auto halves = most_even<2>(w, last);
    const auto thirds = most_even<3>(w, last);
    EXPECT_EQ(heaviest(w, halves), two) << variant;
    EXPECT_EQ(heaviest(w, thirds), three) << variant;
    EXPECT_TRUE(check_cuts(m, std::span(halves).subspan<1, 1>())) << variant;
    EXPECT_TRUE(check_cuts(m, std::span(thirds).subspan<1, 2>())) << variant;
  });
}
static_assert(std::is_same_v<even_pipeline<gemma4_e2b::text, 4>, pipeline<cut_before<4>, cut_before<8>, cut_before<13>>>);
static_assert(std::is_same_v<even_pipeline<gemma4_31b::text, 2>, pipeline<cut_before<31>>>);

TEST(pipelines, say_why_they_cannot_be_cut_somewhere) {
  const auto why = [](const text_spec& m, std::vector<int> cuts) {
    const auto fine = check_cuts(m, cuts);
    return fine ? "" : fine.error().message;
  };
  EXPECT_EQ(why(gemma4_e2b::text::spec, {4, 13}), "");
  EXPECT_EQ(why(gemma4_e2b::text::spec, {14}),
            "it cannot be cut before layer 14, only before layers 1 to 13: layer 15 reads the keys and values of layer 13");
  EXPECT_EQ(why(gemma3_270m::spec, {18}), "it cannot be cut before layer 18, only before layers 1 to 17");
  EXPECT_EQ(why(gemma3_270m::spec, {0}), "a cut stands before a layer other than the first");
  EXPECT_EQ(why(gemma3_270m::spec, {7, 7}), "every cut stands behind the one before it");
}

using halves = sharded<gemma4_31b::text, pipeline<cut_before<30>>>;
constexpr auto cache_of_a_stage(int stage) {
  return plan_session(halves::of_stage[static_cast<std::size_t>(stage)], halves::kinds, {.context = 4096}, sizeof(float), storage::i16).cache;
}
static_assert(cache_of_a_stage(0) == cache_of_a_stage(1));
static_assert(in_front(gemma4_31b::text::spec, 30) > 0.46 && in_front(gemma4_31b::text::spec, 30) < 0.5);

// ---- Memory, before anything is read -------------------------------------------------------------------------------------

constexpr double gigabytes(const text_spec& m, int ranks) {
  return static_cast<double>(plan_weights(m, storage::q4_0, storage::q6_k, ranks, 0)) / 1e9;
}
static_assert(gigabytes(gemma4_26b_a4b::text::spec, 2) <= 0.52 * gigabytes(gemma4_26b_a4b::text::spec, 1));
static_assert(gigabytes(gemma3_270m::spec, 2) <= 0.52 * gigabytes(gemma3_270m::spec, 1));
static_assert(plan_weights(gemma4_31b::text::spec, storage::q4_0, storage::q6_k, 2, 0, sums::divided) ==
              plan_weights(gemma4_31b::text::spec, storage::q4_0, storage::q6_k, 2, 0));
// Caches: key/value heads are halved; one global head is on both.
constexpr memory_plan plan_of(const text_spec& m, const kind_table& kinds) {
  return plan_session(m, kinds, {.context = 4096}, sizeof(float), storage::i16);
}
using large_on_two = sharded<gemma4_31b::text, tensor_parallel<2>>;
static_assert(plan_of(large_on_two::spec, large_on_two::kinds).cache * 100 <=
              plan_of(gemma4_31b::text::spec, gemma4_31b::text::kinds).cache * 51);
static_assert(large_on_two::spec.ranks == 2 && large_on_two::spec.layer[0].query_heads == 16);

TEST(memory_of_ranks, is_what_was_reckoned) {
  const auto reckoned = [](const text_spec& m, std::vector<double> by_ranks) {
    for (std::size_t i = 0; i < by_ranks.size(); ++i) {
      EXPECT_NEAR(gigabytes(m, 1 << i), by_ranks[i], 0.05 + 0.01 * by_ranks[i]) << (1 << i) << " ranks";
    }
  };
  reckoned(gemma4_12b::text::spec, {7.0, 3.5, 1.8, 0.9});
  reckoned(gemma4_26b_a4b::text::spec, {14.4, 7.2, 3.6, 1.8});
  reckoned(gemma4_31b::text::spec, {17.6, 8.8, 4.4, 2.2});
}

TEST(memory_of_ranks, working_memory_holds_every_exchange) {
  const work_limits one = limits_of(gemma4_31b::text::spec, 256, 4096);
  const work_limits two = limits_of(large_on_two::spec, 256, 4096);
  EXPECT_EQ(one.joined, 0u);
  EXPECT_EQ(two.columns, one.columns);
  EXPECT_EQ(two.joined, std::max(256 * one.columns, 8 * static_cast<std::size_t>(gemma4_31b::text::vocab)));
}

}  // namespace
}  // namespace g4
