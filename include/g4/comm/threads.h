/// Ranks as threads of one process: for tests, and for hosts that bind threads to the nodes of a machine themselves.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "g4/comm/communicator.h"

namespace g4::comm {

class thread_rank;

/// What the ranks share: where each has laid what it has to say, and how far it has come. The host keeps it until the last
/// rank is done, and starts the threads.
///
///     comm::thread_group ranks(2);
///     std::thread other([&] { run(ranks.rank(1)); });
///     run(ranks.rank(0));
class thread_group {
 public:
  explicit thread_group(int size, patience waits = usual_patience)
      : places_(std::make_unique<place[]>(static_cast<std::size_t>(size))),
        lines_(std::make_unique<line[]>(static_cast<std::size_t>(size) * static_cast<std::size_t>(size))),
        size_(size),
        waits_(waits) {}

  [[nodiscard]] int size() const { return size_; }
  /// Rank r of 0 … size − 1, for one thread.
  [[nodiscard]] thread_rank rank(int r);

 private:
  friend class thread_rank;

  /// A rank's own line. Exchanges are counted: `said` is the last whose bytes lie here, `heard` the last whose bytes the
  /// rank has taken from the others. The bytes are the group's, so that they stay where a rank has given up and another,
  /// late, still reads them.
  struct place {
    alignas(64) std::atomic<std::uint32_t> said{0};
    std::atomic<std::uint32_t> heard{0};
    std::vector<std::byte> bytes;
  };

  /// From one rank to another: messages that were sent, and of those the ones that were taken. Both counters go round.
  struct line {
    alignas(64) std::atomic<std::uint32_t> sent{0};
    std::atomic<std::uint32_t> taken{0};
    std::array<std::vector<std::byte>, most_on_their_way> bytes;
  };
  [[nodiscard]] line& line_of(int from, int to) { return lines_[static_cast<std::size_t>(from * size_ + to)]; }

  std::unique_ptr<place[]> places_;
  std::unique_ptr<line[]> lines_;  ///< [from, to]
  int size_;
  patience waits_;
};

/// One of the ranks.
class thread_rank {
 public:
  thread_rank(thread_group& of, int rank) : group_(&of), rank_(rank) {}

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return group_->size_; }

  result<void> gather(const std::byte* mine, std::size_t n, std::byte* all) {
    if (lost_by_ >= 0) return no_answer(rank_, lost_by_, group_->waits_);
    say(mine, n);
    for (int r = 0; r < size(); ++r) {
      if (auto there = wait(r, &thread_group::place::said); !there) return there;
      if (n != 0) std::memcpy(all + static_cast<std::size_t>(r) * n, at(r).bytes.data(), n);
    }
    return leave();
  }
  result<void> broadcast(std::byte* data, std::size_t n) { return from_the_first(data, n, true); }
  result<void> await(std::byte* data, std::size_t n) { return from_the_first(data, n, false); }

  result<void> send(const std::byte* data, std::size_t n, int to) {
    if (lost_by_ >= 0) return no_answer(rank_, lost_by_, group_->waits_);
    thread_group::line& line = group_->line_of(rank_, to);
    const std::uint32_t next = line.sent.load(std::memory_order_relaxed);
    const auto has_room = [&] { return next - line.taken.load(std::memory_order_acquire) < most_on_their_way; };
    if (auto there = wait_until(has_room, [&] { return to; }); !there) return there;
    line.bytes[next % most_on_their_way].assign(data, data + n);
    line.sent.store(next + 1, std::memory_order_release);
    return {};
  }
  result<void> receive(std::byte* data, std::size_t n, int from) {
    if (lost_by_ >= 0) return no_answer(rank_, lost_by_, group_->waits_);
    thread_group::line& line = group_->line_of(from, rank_);
    const std::uint32_t next = line.taken.load(std::memory_order_relaxed);
    const auto is_there = [&] { return line.sent.load(std::memory_order_acquire) != next; };
    if (auto there = wait_until(is_there, [&] { return from; }); !there) return there;
    const std::vector<std::byte>& sent = line.bytes[next % most_on_their_way];
    if (sent.size() != n) return fail("rank ", rank_, ": rank ", from, " has sent ", sent.size(), " bytes, not ", n);
    if (n != 0) std::memcpy(data, sent.data(), n);
    line.taken.store(next + 1, std::memory_order_release);
    return {};
  }

 private:
  using counter = std::atomic<std::uint32_t>;

  [[nodiscard]] thread_group::place& at(int r) const { return group_->places_[static_cast<std::size_t>(r)]; }

  void say(const std::byte* bytes, std::size_t n) {
    at(rank_).bytes.assign(bytes, bytes + n);  // all have heard the last
    at(rank_).said.store(++exchange_, std::memory_order_release);
    at(rank_).said.notify_all();
  }
  /// Nobody's bytes go away before all have them.
  result<void> leave() {
    at(rank_).heard.store(exchange_, std::memory_order_release);
    for (int r = 0; r < size(); ++r) {
      if (auto there = wait(r, &thread_group::place::heard); !there) return there;
    }
    return {};
  }
  result<void> from_the_first(std::byte* data, std::size_t n, bool bounded) {
    if (lost_by_ >= 0) return no_answer(rank_, lost_by_, group_->waits_);
    say(data, rank_ == 0 ? n : 0);
    if (rank_ != 0) {
      if (!bounded) sleep_until_said(0);
      if (auto there = wait(0, &thread_group::place::said); !there) return there;
      if (n != 0) std::memcpy(data, at(0).bytes.data(), n);
    }
    at(rank_).heard.store(exchange_, std::memory_order_release);
    for (int r = 1; rank_ == 0 && r < size(); ++r) {
      if (auto there = wait(r, &thread_group::place::heard); !there) return there;
    }
    return {};
  }

  /// Counters go round: one is behind another where less than half the way lies between them.
  [[nodiscard]] bool reached(const counter& c) const {
    return static_cast<std::int32_t>(c.load(std::memory_order_acquire) - exchange_) >= 0;
  }
  result<void> wait(int r, counter thread_group::place::*which) {
    const counter& theirs = at(r).*which;
    return wait_until([&] { return reached(theirs); }, [&] { return furthest_behind(r); });
  }
  /// who   the rank that has not answered, where patience is at an end
  template <class There, class Who>
  result<void> wait_until(There&& there, Who&& who) {
    std::chrono::steady_clock::time_point begun;
    for (std::uint32_t tries = 0; !there(); ++tries) {
      if (tries < spins) continue;
      if (tries == spins) begun = std::chrono::steady_clock::now();
      std::this_thread::yield();
      if (tries % 64 == 0 && std::chrono::steady_clock::now() - begun > group_->waits_) {
        lost_by_ = who();
        return no_answer(rank_, lost_by_, group_->waits_);
      }
    }
    return {};
  }
  /// The rank for which all wait: who is waited for here may wait for another.
  [[nodiscard]] int furthest_behind(int found) const {
    for (int r = 0; r < size(); ++r) {
      const std::uint32_t theirs = at(r).said.load(std::memory_order_relaxed);
      if (static_cast<std::int32_t>(theirs - at(found).said.load(std::memory_order_relaxed)) < 0) found = r;
    }
    return found;
  }
  void sleep_until_said(int r) const {
    counter& theirs = at(r).said;
    for (std::uint32_t tries = 0; !reached(theirs); ++tries) {
      if (tries < spins) continue;
      theirs.wait(exchange_ - 1, std::memory_order_acquire);
    }
  }

  static constexpr std::uint32_t spins = 2000;

  thread_group* group_;
  int rank_;
  std::uint32_t exchange_ = 0;
  int lost_by_ = -1;  ///< the rank for which this one has waited in vain
};

inline thread_rank thread_group::rank(int r) { return {*this, r}; }

static_assert(Communicator<thread_rank>);

}  // namespace g4::comm
