#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <vector>

#include "g4/backend/pool.h"
#include "hwy/contrib/thread_pool/thread_pool.h"

namespace g4::test {
namespace {

void expect_every_task_once(pool& threads) {
  std::vector<int> done(1000, 0);
  std::vector<long> by_worker(threads.workers() * 64, 0);
  for (int round = 0; round < 200; ++round) {
    const std::size_t tasks = static_cast<std::size_t>(round) * 5 + 1;
    threads.run(tasks, [&](std::size_t task, std::size_t worker) {
      ++done[task];
      ++by_worker[worker * 64];
    });
  }
  long total = 0;
  for (const long n : by_worker) total += n;
  long expected = 0;
  for (int round = 0; round < 200; ++round) expected += round * 5 + 1;
  EXPECT_EQ(total, expected);
  for (int task = 0; task < 996; ++task) EXPECT_EQ(done[static_cast<std::size_t>(task)], 200 - (task + 4) / 5);
}

}  // namespace

TEST(pool, every_task_once_inline) {
  inline_pool threads;
  expect_every_task_once(threads);
}

TEST(pool, every_task_once_on_threads) {
  for (const std::size_t workers : {1u, 2u, 3u, 7u}) {
    thread_pool threads(workers);
    EXPECT_EQ(threads.workers(), workers);
    expect_every_task_once(threads);
  }
}

TEST(pool, workers_wake_from_sleep) {
  thread_pool threads(2);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> count{0};
    threads.run(10, [&](std::size_t, std::size_t) { ++count; });
    EXPECT_EQ(count, 10);
  }
}

TEST(pool, an_adapted_parallel_for) {
  auto loop = [](std::size_t tasks, auto&& body) {
    for (std::size_t t = tasks; t-- != 0;) body(t, t % 2);
  };
  pool_of threads(2, loop);
  expect_every_task_once(threads);
}

TEST(pool, an_adapted_highway_pool) {
  hwy::ThreadPool highway(2);
  highway_pool<hwy::ThreadPool> threads(highway);
  expect_every_task_once(threads);
}

}  // namespace g4::test
