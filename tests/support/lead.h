/// A model on several ranks of which the first has the texts, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "g4/backend/joined.h"
#include "g4/comm/threads.h"
#include "g4/open/checkpoint.h"
#include "g4/open/ranks.h"
#include "tests/support/on_ranks.h"

namespace g4::test {

namespace detail {

template <class M>
const M& model_in(const M& opened) {
  return opened;
}
template <class M>
M& model_in(const std::unique_ptr<M>& opened) {
  return *opened;
}

}  // namespace detail

/// Opens a model by open(on), on so many ranks over `B`. The leader does body(model), and the others follow it to its end, after
/// follower(model) where that is given. Neither can do what is the other's.
template <class B, class Open, class Body, class Follower>
void lead_opened(int ranks, Open&& open, Body&& body, Follower&& follower) {
  on_ranks(ranks, [&](comm::thread_rank& rank) {
    backend::joined<B, comm::thread_rank> on(rank);
    const auto opened = open(on);
    ASSERT_TRUE(opened) << opened.error().message;
    auto& model = detail::model_in(*opened);
    EXPECT_EQ(on.leads(), rank.rank() == 0);
    if (!on.leads()) {
      EXPECT_FALSE(model.session({}));
      follower(model);
      const auto followed = model.follow();
      EXPECT_TRUE(followed) << followed.error().message;
      return;
    }
    EXPECT_FALSE(model.follow());
    body(model);
  });
}
template <class B, class Open, class Body>
void lead_opened(int ranks, Open&& open, Body&& body) {
  lead_opened<B>(ranks, open, body, [](const auto&) {});
}

/// The same of a checkpoint opened as Shared, on as many ranks as it is for.
template <class Shared, class B, class Body, class... Follower>
void lead(const checkpoint& from, Body&& body, Follower&&... follower) {
  lead_opened<B>(Shared::plan::ranks, [&](auto& on) { return open<Shared>(from, on); }, body, follower...);
}

}  // namespace g4::test
