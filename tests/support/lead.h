/// A model on several ranks of which the first has the texts, for tests.
#pragma once

#include <gtest/gtest.h>

#include "g4/backend/joined.h"
#include "g4/comm/threads.h"
#include "g4/open/checkpoint.h"
#include "g4/open/ranks.h"
#include "tests/support/on_ranks.h"

namespace g4::test {

/// Opens a checkpoint as Shared, on as many ranks over `B` as it is for. The leader does body(model), and the others follow
/// it to its end, after follower(model) where that is given. Neither can do what is the other's.
template <class Shared, class B, class Body, class Follower>
void lead(const checkpoint& from, Body&& body, Follower&& follower) {
  on_ranks(Shared::plan::ranks, [&](comm::thread_rank& rank) {
    backend::joined<B, comm::thread_rank> on(rank);
    const auto model = open<Shared>(from, on);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(on.leads(), rank.rank() == 0);
    if (!on.leads()) {
      EXPECT_FALSE(model->session());
      follower(*model);
      const auto followed = model->follow();
      EXPECT_TRUE(followed) << followed.error().message;
      return;
    }
    EXPECT_FALSE(model->follow());
    body(*model);
  });
}
template <class Shared, class B, class Body>
void lead(const checkpoint& from, Body&& body) {
  lead<Shared, B>(from, body, [](const auto&) {});
}

}  // namespace g4::test
