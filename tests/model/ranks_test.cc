// A model that is shared out among ranks gives the bits of one process.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "g4/backend/joined.h"
#include "g4/backend/numeric.h"
#include "g4/backend/reference.h"
#include "g4/comm/threads.h"
#include "g4/model/sharded.h"
#include "tests/model/session_checks.h"
#include "tests/support/on_ranks.h"
#if defined(G4_WITH_CPU) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // ranks meet in the same code
#define RANKS_ON_CPU
#include "g4/backend/cpu.h"
#endif

namespace {

using namespace g4;
using test::some_ids;

template <class B>
B plain_backend([[maybe_unused]] bool fast) {
  if constexpr (requires { typename B::options; }) {
    return B({.mode = fast ? backend::numeric::fast : backend::numeric::exact});
  } else {
    return B();
  }
}
template <class B>
backend::joined<B, comm::thread_rank> joined_backend(comm::thread_rank& rank, [[maybe_unused]] bool fast) {
  if constexpr (requires { typename B::options; }) {
    return backend::joined<B, comm::thread_rank>(rank, {.mode = fast ? backend::numeric::fast : backend::numeric::exact});
  } else {
    return backend::joined<B, comm::thread_rank>(rank);
  }
}

/// What a session makes of a text: all logits in chunks, then some tokens one by one after a rewind, the last of a run.
template <class S>
std::vector<std::vector<float>> rows_of(S& session, const std::vector<token_id>& ids) {
  auto rows = test::logits_of_all(session, ids);
  EXPECT_TRUE(session.rewind(ids.size() - 3));
  for (std::size_t t = ids.size() - 3; t < ids.size(); ++t) {
    const auto last = session.run(ids[t]);
    EXPECT_TRUE(last) << (last ? "" : last.error().message);
    if (last) rows.emplace_back(last->begin(), last->end());
  }
  EXPECT_TRUE(session.rewind(0));
  const auto last = session.run(ids);
  EXPECT_TRUE(last) << (last ? "" : last.error().message);
  if (last) rows.emplace_back(last->begin(), last->end());
  return rows;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() || std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  }
  return true;
}

template <class V, int Ranks, class B>
void expect_the_bits_of_one_process(bool fast = false, std::size_t best = 0) {
  using S = sharded<V, tensor_parallel<Ranks>>;
  const test::random_checkpoint checkpoint(V::spec);
  const auto ids = some_ids(2 * test::window + 5, V::vocab);
  const session_options options{.context = 40, .batch = 7, .best_logits = best};
  std::vector<std::vector<float>> expected;
  {
    B on = plain_backend<B>(fast);
    const auto w = checkpoint.load<V>(on);
    auto session = *g4::session<V, B>::make(*w, on, options);
    expected = rows_of(session, ids);
  }
  test::on_ranks(Ranks, [&](comm::thread_rank& rank) {
    auto on = joined_backend<B>(rank, fast);
    const auto w = checkpoint.load<S>(on);
    auto session = *g4::session<S, decltype(on)>::make(*w, on, options);
    EXPECT_TRUE(same_bits(rows_of(session, ids), expected)) << "rank " << rank.rank() << " of " << Ranks;
    EXPECT_GT(on.exchanged().exchanges, 0u);
  });
}

/// Where each rank adds up its part of a sum: all have the same bits, whatever shares a pass, and what one process computes but for
/// what rounding differs.
template <class V, int Ranks, class B>
void expect_divided_sums_to_agree() {
  using S = sharded<V, tensor_parallel<Ranks, sums::divided>>;
  const test::random_checkpoint checkpoint(V::spec);
  const auto ids = some_ids(2 * test::window + 5, V::vocab);
  const session_options options{.context = 40, .batch = 7};
  std::vector<std::vector<float>> expected;
  {
    B on = plain_backend<B>(false);
    const auto w = checkpoint.load<V>(on);
    auto session = *g4::session<V, B>::make(*w, on, options);
    expected = rows_of(session, ids);
  }
  std::vector<std::vector<std::vector<float>>> by_rank(Ranks);
  std::vector<std::size_t> exchanges(Ranks);
  test::on_ranks(Ranks, [&](comm::thread_rank& rank) {
    auto on = joined_backend<B>(rank, false);
    const auto w = checkpoint.load<S>(on);
    auto session = *g4::session<S, decltype(on)>::make(*w, on, options);
    by_rank[static_cast<std::size_t>(rank.rank())] = rows_of(session, ids);
    const std::size_t before = on.exchanged().exchanges;
    EXPECT_TRUE(session.run(ids.front()));
    exchanges[static_cast<std::size_t>(rank.rank())] = on.exchanged().exchanges - before;
  });
  for (const auto& rows : by_rank) EXPECT_TRUE(same_bits(rows, by_rank.front()));
  ASSERT_EQ(by_rank.front().size(), expected.size());
  float most = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(by_rank.front()[i].size(), expected[i].size());
    for (std::size_t j = 0; j < expected[i].size(); ++j) {
      most = std::max(most, std::abs(by_rank.front()[i][j] - expected[i][j]));
      largest = std::max(largest, std::abs(expected[i][j]));
    }
  }
  EXPECT_LT(most, 2e-5f * largest);
  int sparse = 0;
  for (int l = 0; l < V::spec.layers; ++l) sparse += V::spec.layer[l].sparsity > 0 ? 1 : 0;
  EXPECT_EQ(exchanges.front(), static_cast<std::size_t>(V::spec.layers * (V::spec.experts ? 3 : 2) + sparse + 1));
}

/// A stage has read the weights of its layers, and of no others.
template <class S>
void expect_weights_of_a_stage(const weights<S>& w, int stage) {
  weights<S> views = w;
  std::size_t here = 0, elsewhere = 0;
  each_weight(views, [&](const tensor_entry& t, const auto& member) {
    if constexpr (requires { member.data; }) {
      if (t.as == role::token_table) return;  // rows are read from the file
      const bool has = stage_has(S::of_stage[static_cast<std::size_t>(stage)], t);
      EXPECT_EQ(member.data != nullptr, has) << t.what.safetensors << " of layer " << t.layer;
      ++(has ? here : elsewhere);
    }
  });
  EXPECT_GT(here, 0u);
  EXPECT_GT(elsewhere, 0u);
  EXPECT_EQ(w.head.data != nullptr, stage == S::plan::ranks - 1);
}

/// Of stages the leader has the logits: all of them, or of runs the `best` greatest.
template <class V, class Plan, class B>
void expect_stages_to_give_the_bits_of_one_process(bool fast = false, std::size_t best = 0) {
  using S = sharded<V, Plan>;
  const test::random_checkpoint checkpoint(V::spec);
  const auto ids = some_ids(2 * test::window + 5, V::vocab);
  std::vector<std::vector<float>> expected;
  {
    B on = plain_backend<B>(fast);
    const auto w = checkpoint.load<V>(on);
    auto session = *g4::session<V, B>::make(*w, on, {.context = 40, .batch = 7});
    expected = rows_of(session, ids);
  }
  test::on_ranks(Plan::ranks, [&](comm::thread_rank& rank) {
    auto on = joined_backend<B>(rank, fast);
    const auto w = checkpoint.load<S>(on);
    expect_weights_of_a_stage(*w, rank.rank());
    auto session = *g4::session<S, decltype(on)>::make(*w, on, {.context = 40, .batch = 7, .best_logits = best});
    const auto rows = rows_of(session, ids);
    if (!on.leads()) return;
    ASSERT_EQ(rows.size(), expected.size());
    const std::size_t runs = 4;  // the last rows
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(rows[i].size(), expected[i].size());
      std::size_t known = 0;
      for (std::size_t j = 0; j < rows[i].size(); ++j) {
        if (best > 0 && i + runs >= rows.size() && std::isinf(rows[i][j])) continue;
        ++known;
        ASSERT_EQ(std::memcmp(&rows[i][j], &expected[i][j], sizeof(float)), 0) << "row " << i << ", logit " << j;
      }
      ASSERT_EQ(known, best > 0 && i + runs >= rows.size() ? best : rows[i].size());
    }
  });
}

using reference = backend::reference<float>;

TEST(stages, give_the_bits_of_one_process) {
  expect_stages_to_give_the_bits_of_one_process<test::tiny_3n, pipeline<cut_before<1>, cut_before<2>>, reference>();
#ifdef RANKS_ON_CPU
  expect_stages_to_give_the_bits_of_one_process<test::tiny_e2b, pipeline<cut_before<2>>, backend::cpu>();
  expect_stages_to_give_the_bits_of_one_process<test::tiny_e2b, pipeline<cut_before<2>>, backend::cpu>(true);
  expect_stages_to_give_the_bits_of_one_process<test::tiny_e2b, pipeline<cut_before<2>>, backend::cpu>(true, 5);
#endif
}

TEST(ranks, add_up_divided_sums_alike) {
  expect_divided_sums_to_agree<test::tiny_a4b, 4, reference>();
  expect_divided_sums_to_agree<test::tiny_3n, 2, reference>();
}

TEST(ranks, cut_rows_of_blocks_between_blocks) {
  EXPECT_EQ(cut_of_a_row(2112, 4), 32u);  // 66 blocks
  EXPECT_EQ(cut_of_a_row(6912, 2), 256u);
  EXPECT_EQ(cut_of_a_row(512, 4), 32u);
  EXPECT_EQ(cut_of_a_row(96, 4), 1u);
  EXPECT_EQ(hidden_of_a_rank(2112, 4, 1, sums::divided), (stretch{512, 544}));
  EXPECT_EQ(largest_hidden(2112, 4, sums::divided), 544);
}

TEST(ranks, give_the_bits_of_one_process_on_the_reference_backend) {
  expect_the_bits_of_one_process<test::tiny_e2b, 4, reference>();
  expect_the_bits_of_one_process<test::tiny_a4b, 2, reference>();
  expect_the_bits_of_one_process<test::tiny_3n, 2, reference>();
  expect_the_bits_of_one_process<test::tiny_odd, 3, reference>();
}

#ifdef RANKS_ON_CPU
/// The k greatest of each row, with their tokens; of equal ones the first.
std::vector<std::vector<std::pair<float, std::size_t>>> greatest_of(const std::vector<std::vector<float>>& rows, std::size_t k) {
  std::vector<std::vector<std::pair<float, std::size_t>>> all;
  for (const auto& row : rows) {
    auto& best = all.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) best.push_back({row[i], i});
    std::stable_sort(best.begin(), best.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    best.resize(k);
  }
  return all;
}

TEST(ranks, exchange_the_greatest_logits_alone) {
  using V = test::tiny_e2b;
  using S = sharded<V, tensor_parallel<2>>;
  constexpr std::size_t k = 5;
  const test::random_checkpoint checkpoint(V::spec);
  const auto ids = some_ids(9, V::vocab);
  const auto rows_of_runs = [&](auto& session) {
    std::vector<std::vector<float>> rows;
    for (const token_id id : ids) {
      const auto row = session.run(id);
      EXPECT_TRUE(row);
      if (row) rows.emplace_back(row->begin(), row->end());
    }
    return rows;
  };
  auto one = plain_backend<backend::cpu>(true);
  const auto w = checkpoint.load<V>(one);
  auto whole = *g4::session<V, backend::cpu>::make(*w, one, {.context = 40, .batch = 7});
  const auto expected = greatest_of(rows_of_runs(whole), k);
  test::on_ranks(2, [&](comm::thread_rank& rank) {
    auto on = joined_backend<backend::cpu>(rank, true);
    const auto mine = checkpoint.load<S>(on);
    auto all = *g4::session<S, decltype(on)>::make(*mine, on, {.context = 40, .batch = 7});
    auto best = *g4::session<S, decltype(on)>::make(*mine, on, {.context = 40, .batch = 7, .best_logits = k});
    EXPECT_EQ(greatest_of(rows_of_runs(all), k), expected);
    const std::size_t before = on.exchanged().bytes;
    EXPECT_EQ(greatest_of(rows_of_runs(best), k), expected);
    const std::size_t with_k = on.exchanged().bytes - before;
    EXPECT_EQ(rows_of_runs(all).size(), ids.size());
    const std::size_t with_all = on.exchanged().bytes - before - with_k;
    EXPECT_EQ(with_all - with_k, ids.size() * (largest_share(V::vocab, 2) * sizeof(float) - k * 8));
  });
}

TEST(ranks, give_the_bits_of_one_process_on_the_cpu_backend) {
  for (const bool fast : {false, true}) {
    expect_the_bits_of_one_process<test::tiny_e2b, 2, backend::cpu>(fast);
    expect_the_bits_of_one_process<test::tiny_a4b, 4, backend::cpu>(fast);
  }
}
#endif

}  // namespace
