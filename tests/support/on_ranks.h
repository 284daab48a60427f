/// Ranks as threads, for tests.
#pragma once

#include <thread>
#include <vector>

#include "g4/comm/threads.h"

namespace g4::test {

/// Runs body(rank) on a thread for each of so many ranks.
template <class Body>
void on_ranks(int ranks, Body&& body, comm::patience waits = std::chrono::seconds(20)) {
  comm::thread_group group(ranks, waits);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      comm::thread_rank rank = group.rank(r);
      body(rank);
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace g4::test
