/// Ranks as processes that MPI has started: sockets of a machine, or machines. Link g4::mpi.
///
/// MPI moves bytes and never computes. No call waits for ever: MPI says nothing of a peer that was stopped or cannot be
/// reached, so every exchange is tested until it is done or patience is at an end.
#pragma once

#include <mpi.h>

#include <chrono>
#include <climits>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "g4/comm/communicator.h"
#include "g4/core/result.h"

namespace g4::comm {

/// One process of several. Called from one thread at a time, the one that made it.
class mpi {
 public:
  /// Starts MPI where the host has not, and takes all of its processes as ranks. MPI ends with the object, unless a rank was
  /// lost: then nothing that needs the others is done any more, and the process should end.
  [[nodiscard]] static result<mpi> start(int& argc, char**& argv, patience waits = usual_patience) {
    int running = 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS) return fail("MPI: it does not start");
    if (running != 0) return over(MPI_COMM_WORLD, waits);
    int threads = 0;
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &threads) != MPI_SUCCESS)
      return fail("MPI: it does not start");
    auto made = over(MPI_COMM_WORLD, waits);
    if (made) made->ends_mpi_ = true;
    return made;
  }
  /// Over the host's own communicator, which is duplicated and left as it is.
  [[nodiscard]] static result<mpi> over(MPI_Comm ranks, patience waits = usual_patience) {
    mpi made(waits);
    if (MPI_Comm_dup(ranks, &made.ranks_) != MPI_SUCCESS || MPI_Comm_set_errhandler(made.ranks_, MPI_ERRORS_RETURN) ||
        MPI_Comm_rank(made.ranks_, &made.rank_) || MPI_Comm_size(made.ranks_, &made.size_)) {
      return fail("MPI: the ranks cannot be counted");
    }
    return made;
  }

  mpi(mpi&& other) noexcept { *this = std::move(other); }
  mpi& operator=(mpi&& other) noexcept {
    std::swap(ranks_, other.ranks_);
    std::swap(rank_, other.rank_);
    std::swap(size_, other.size_);
    std::swap(waits_, other.waits_);
    std::swap(ends_mpi_, other.ends_mpi_);
    std::swap(lost_, other.lost_);
    said_.swap(other.said_);
    calls_.swap(other.calls_);
    requests_.swap(other.requests_);
    sent_.swap(other.sent_);
    std::swap(next_, other.next_);
    return *this;
  }
  ~mpi() {
    for (message& one : sent_) static_cast<void>(until_fetched(one));
    if (lost_) return;  // both calls would wait for a rank that does not answer
    if (ranks_ != MPI_COMM_NULL) MPI_Comm_free(&ranks_);
    if (ends_mpi_) MPI_Finalize();
  }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  /// Whether a rank did not answer.
  [[nodiscard]] bool lost() const { return lost_; }

  result<void> gather(const std::byte* mine, std::size_t n, std::byte* all) {
    if (auto fits = countable(n); !fits) return fits;
    const int bytes = static_cast<int>(n);
    calls_.clear();
    for (int r = 0; r < size_; ++r) {
      std::byte* const theirs = all + static_cast<std::size_t>(r) * n;
      if (r == rank_) {
        if (n != 0 && theirs != mine) std::memcpy(theirs, mine, n);
        continue;
      }
      if (auto posted = post(r, [&](MPI_Request* q) { return MPI_Irecv(theirs, bytes, MPI_BYTE, r, part, ranks_, q); });
          !posted)
        return posted;
    }
    said_.assign(mine, mine + n);
    for (int r = 0; r < size_; ++r) {
      if (r == rank_) continue;
      if (auto posted = post(r, [&](MPI_Request* q) { return MPI_Isend(said_.data(), bytes, MPI_BYTE, r, part, ranks_, q); });
          !posted)
        return posted;
    }
    return finish(waiting::briefly);
  }

  result<void> broadcast(std::byte* data, std::size_t n) { return from_the_first(data, n, true); }
  result<void> await(std::byte* data, std::size_t n) { return from_the_first(data, n, false); }

  result<void> send(const std::byte* data, std::size_t n, int to) {
    if (auto fits = countable(n); !fits) return fits;
    if (sent_.empty()) sent_.resize(most_on_their_way);
    message& one = sent_[next_++ % most_on_their_way];
    if (auto free = until_fetched(one); !free) return free;
    one.bytes.assign(data, data + n);
    one.to = to;
    return sound(MPI_Isend(one.bytes.data(), static_cast<int>(n), MPI_BYTE, to, message_of_two, ranks_, &one.request), to);
  }
  result<void> receive(std::byte* data, std::size_t n, int from) {
    if (auto fits = countable(n); !fits) return fits;
    calls_.clear();
    const auto begin = [&](MPI_Request* q) {
      return MPI_Irecv(data, static_cast<int>(n), MPI_BYTE, from, message_of_two, ranks_, q);
    };
    if (auto posted = post(from, begin); !posted) return posted;
    return finish(waiting::at_ease);
  }
  /// Lets what was sent move on: MPI moves long messages only while one of its functions is called.
  void progress() {
    for (message& one : sent_) {
      int done = 0;
      if (one.request != MPI_REQUEST_NULL && !lost_) (void)MPI_Test(&one.request, &done, MPI_STATUS_IGNORE);
    }
  }

 private:
  enum tag { part, word, message_of_two };
  /// How long a call waits, and whether it sleeps meanwhile.
  enum class waiting { briefly, at_ease, without_end };
  struct call {
    int with = 0;
  };
  /// What was sent and perhaps not fetched yet.
  struct message {
    std::vector<std::byte> bytes;
    MPI_Request request = MPI_REQUEST_NULL;
    int to = 0;
  };

  explicit mpi(patience waits) : waits_(waits) {}

  /// MPI counts in ints.
  result<void> countable(std::size_t n) {
    if (n <= static_cast<std::size_t>(INT_MAX)) return {};
    lost_ = true;
    return fail("rank ", rank_, ": an exchange of ", n, " bytes is more than MPI counts; ask for a smaller batch");
  }
  template <class Post>
  result<void> post(int with, Post&& begin) {
    calls_.push_back({with});
    requests_.resize(calls_.size());
    return sound(begin(&requests_[calls_.size() - 1]), with);
  }
  result<void> sound(int code, int with) {
    if (code == MPI_SUCCESS) return {};
    lost_ = true;
    char why[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, why, &length);
    return fail("rank ", rank_, ": rank ", with, " cannot be reached: ", std::string(why, static_cast<std::size_t>(length)),
                "; this model cannot go on");
  }

  result<void> from_the_first(std::byte* data, std::size_t n, bool bounded) {
    if (auto fits = countable(n); !fits) return fits;
    const int bytes = static_cast<int>(n);
    calls_.clear();
    if (rank_ == 0) said_.assign(data, data + n);
    for (int r = 1; rank_ == 0 && r < size_; ++r) {
      if (auto posted = post(r, [&](MPI_Request* q) { return MPI_Isend(said_.data(), bytes, MPI_BYTE, r, word, ranks_, q); });
          !posted)
        return posted;
    }
    if (rank_ != 0) {
      if (auto posted = post(0, [&](MPI_Request* q) { return MPI_Irecv(data, bytes, MPI_BYTE, 0, word, ranks_, q); });
          !posted)
        return posted;
    }
    return finish(bounded ? waiting::briefly : waiting::without_end);
  }
  result<void> until_fetched(message& one) {
    if (one.request == MPI_REQUEST_NULL) return {};
    if (lost_) return fail("rank ", rank_, ": a rank is lost");
    calls_.assign(1, {one.to});
    requests_.assign(1, one.request);
    one.request = MPI_REQUEST_NULL;
    return finish(waiting::at_ease);
  }

  /// Tests the calls until all are done. Whoever waits long lets others have the CPU, and then sleeps.
  result<void> finish(waiting how) {
    using clock = std::chrono::steady_clock;
    const int count = static_cast<int>(calls_.size());
    clock::time_point begun{};
    for (std::size_t tries = 0;; ++tries) {
      int done = 0;
      if (auto tested = sound(MPI_Testall(count, requests_.data(), &done, MPI_STATUSES_IGNORE), 0); !tested) return tested;
      if (done != 0) return {};
      if (tries < spins) continue;
      const auto now = clock::now();
      if (tries == spins) begun = now;
      if (how != waiting::without_end && now - begun > waits_) return give_up();
      if (how != waiting::briefly && now - begun > std::chrono::milliseconds(20)) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      } else {
        std::this_thread::yield();
      }
    }
  }
  /// Names the first rank whose part is missing, and leaves nothing for MPI to write to.
  result<void> give_up() {
    lost_ = true;
    int missing = -1;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      int done = 0;
      MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE);
      if (done != 0) continue;
      if (missing < 0) missing = calls_[i].with;
      MPI_Cancel(&requests_[i]);
    }
    return no_answer(rank_, missing < 0 ? 0 : missing, waits_);
  }

  static constexpr std::size_t spins = 2000;

  MPI_Comm ranks_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  patience waits_{};
  bool ends_mpi_ = false;
  bool lost_ = false;
  std::vector<std::byte> said_;  ///< a rank that is late may fetch it after this one has given up
  std::vector<call> calls_;
  std::vector<MPI_Request> requests_;
  std::vector<message> sent_;
  std::size_t next_ = 0;
};

static_assert(Communicator<mpi>);

}  // namespace g4::comm
