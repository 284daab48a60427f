/// Threads, as a backend uses them. The library starts none by itself: a host hands one of these in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace g4 {

/// Runs numbered tasks on a fixed set of workers and returns when all are done. Worker 0 is the calling thread, so a
/// task may use working memory that belongs to its worker. One thread calls `run` at a time.
class pool {
 public:
  using task_function = void (*)(void* context, std::size_t task, std::size_t worker);

  pool() = default;
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  virtual ~pool() = default;

  [[nodiscard]] virtual std::size_t workers() const = 0;
  virtual void run_tasks(std::size_t tasks, task_function function, void* context) = 0;

  /// run(tasks, [&](size_t task, size_t worker) { … })
  template <class Function>
  void run(std::size_t tasks, Function&& function) {
    using plain = std::remove_reference_t<Function>;
    const auto call = [](void* context, std::size_t task, std::size_t worker) {
      (*static_cast<plain*>(context))(task, worker);
    };
    run_tasks(tasks, call, const_cast<void*>(static_cast<const void*>(std::addressof(function))));
  }
};

/// No threads: every task runs where it was asked for.
class inline_pool final : public pool {
 public:
  [[nodiscard]] std::size_t workers() const override { return 1; }
  void run_tasks(std::size_t tasks, task_function function, void* context) override {
    for (std::size_t task = 0; task < tasks; ++task) function(context, task, 0);
  }
};

/// Its own threads, which spin for some microseconds between the steps of a token and sleep when nothing follows.
///
/// A decoded token is about a hundred short steps; waking a sleeping thread for each would cost more than the step.
class thread_pool final : public pool {
 public:
  /// `workers` counts the calling thread: 1 starts no thread. Where the system gives fewer threads than asked for,
  /// there are fewer workers: `workers()` says how many.
  explicit thread_pool(std::size_t workers) {
    if (workers <= 1) return;
#if defined(__cpp_exceptions)
    try {
#endif
      threads_ = std::make_unique<std::thread[]>(workers - 1);
      for (; workers_ < workers; ++workers_) {
        threads_[workers_ - 1] = std::thread([this, w = workers_] { serve(w); });
      }
#if defined(__cpp_exceptions)
    } catch (const std::exception&) {  // no memory, or no thread: those that run are the pool
    }
#endif
  }
  ~thread_pool() override {
    stop_.store(true, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::size_t w = 1; w < workers_; ++w) threads_[w - 1].join();
  }

  [[nodiscard]] std::size_t workers() const override { return workers_; }

  void run_tasks(std::size_t tasks, task_function function, void* context) override {
    if (workers_ == 1 || tasks <= 1) {
      for (std::size_t task = 0; task < tasks; ++task) function(context, task, 0);
      return;
    }
    function_ = function;
    context_ = context;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<std::uint32_t>(workers_ - 1), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();  // costs no system call while nobody sleeps
    take_tasks(0);
    for (std::uint32_t tries = 0; busy_.load(std::memory_order_acquire) != 0; ++tries) pause(tries);
  }

 private:
  // About 100 µs of spinning on the machines tried; the longest gap inside a token is a few of them.
  static constexpr std::uint32_t spins = 4000;

  static void pause(std::uint32_t tries) {
    if (tries >= spins) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  void take_tasks(std::size_t worker) {
    for (;;) {
      const std::size_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) return;
      function_(context_, task, worker);
    }
  }

  void serve(std::size_t worker) {
    std::uint32_t seen = 0;
    for (;;) {
      for (std::uint32_t tries = 0; round_.load(std::memory_order_acquire) == seen; ++tries) {
        if (tries < spins) {
          pause(tries);
        } else {
          round_.wait(seen, std::memory_order_acquire);
        }
      }
      ++seen;  // `run_tasks` waits for every worker, so no round is ever missed
      if (stop_.load(std::memory_order_relaxed)) return;
      take_tasks(worker);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::size_t workers_ = 1;
  std::unique_ptr<std::thread[]> threads_;
  task_function function_ = nullptr;
  void* context_ = nullptr;
  std::size_t tasks_ = 0;
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<std::size_t> next_{0};
  alignas(64) std::atomic<std::uint32_t> busy_{0};
  std::atomic<bool> stop_{false};
};

/// Adapts a host's own loop: `parallel_for(tasks, body)` must call body(task, worker) for every task with
/// worker < workers, and never with one worker number twice at a time.
template <class ParallelFor>
class pool_of final : public pool {
 public:
  pool_of(std::size_t workers, ParallelFor parallel_for) : workers_(workers), parallel_for_(std::move(parallel_for)) {}
  [[nodiscard]] std::size_t workers() const override { return workers_; }
  void run_tasks(std::size_t tasks, task_function function, void* context) override {
    parallel_for_(tasks, [=](std::size_t task, std::size_t worker) { function(context, task, worker); });
  }

 private:
  std::size_t workers_;
  ParallelFor parallel_for_;
};

/// Adapts a `hwy::ThreadPool` (any type with its NumWorkers and Run), which the host keeps.
template <class HighwayPool>
class highway_pool final : public pool {
 public:
  explicit highway_pool(HighwayPool& threads) : threads_(threads) {}
  [[nodiscard]] std::size_t workers() const override { return threads_.NumWorkers(); }
  void run_tasks(std::size_t tasks, task_function function, void* context) override {
    threads_.Run(0, tasks, [=](std::uint64_t task, std::size_t worker) {
      function(context, static_cast<std::size_t>(task), worker);
    });
  }

 private:
  HighwayPool& threads_;
};

}  // namespace g4
