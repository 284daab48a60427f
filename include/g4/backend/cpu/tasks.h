/// How an operation is cut into tasks for the host's threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "g4/backend/pool.h"
#include "g4/core/compiled.h"

namespace g4::cpu {

[[nodiscard]] constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// Items of work over a pool, or on the calling thread where there is none.
class tasks {
 public:
  tasks() = default;
  explicit tasks(pool* over) : pool_(over) {}

  [[nodiscard]] std::size_t workers() const { return pool_ == nullptr ? 1 : pool_->workers(); }

  /// Items per task, in multiples of `unit`: all of them for short work, otherwise four tasks per worker or more.
  ///
  /// `cost` is the work of one item in multiplications. Waking a worker is worth about 32768 of them. Two million take some
  /// 50 µs, which is long beside handing a task out, and short beside waiting for one that began last, or for a worker that
  /// was taken off its CPU.
  [[nodiscard]] std::size_t split(std::size_t items, std::size_t cost, std::size_t unit) const;

  /// body(first, count, worker) over [0, items) in pieces of `piece`.
  template <class Body>
  void run(std::size_t items, std::size_t piece, Body&& body) const {
    if (items == 0) return;
    const std::size_t count = ceil_div(items, piece);
    const auto task = [&](std::size_t t, std::size_t worker) {
      const std::size_t first = t * piece;
      body(first, std::min(piece, items - first), worker);
    };
    if (pool_ == nullptr || count == 1) {
      for (std::size_t t = 0; t < count; ++t) task(t, 0);
    } else {
      pool_->run(count, task);
    }
  }

 private:
  pool* pool_ = nullptr;
};

}  // namespace g4::cpu

#if !defined(G4_COMPILED)
#include "g4/backend/cpu/tasks.inl"  // IWYU pragma: keep
#endif
