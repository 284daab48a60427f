/// How ranks reach each other: engines that move bytes, and never compute with them.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <string>

#include "g4/core/result.h"

namespace g4::comm {

/// How long a rank waits for another before it gives up: there is no other way to learn that a peer was stopped, or that
/// its cable was cut.
using patience = std::chrono::milliseconds;
inline constexpr patience usual_patience = std::chrono::seconds(60);

/// How many messages to a rank may be on their way before `send` waits for it.
inline constexpr std::size_t most_on_their_way = 4;

/// One rank of several. All ranks make the same calls in the same order. A call that fails says which rank did not answer;
/// the ranks are of no use after it.
///
///     gather      all [R, n] = every rank's mine [n], in the order of ranks, on every rank
///     broadcast   data [n] = rank 0's, on every rank
///     await       the same on a rank that has nothing else to do: it sleeps, however long rank 0 is silent. Rank 0
///                 broadcasts meanwhile.
///     send        n bytes to one other rank alone, which asks for them when it can: a few such calls wait for nobody
///     receive     the next n bytes that a rank has sent, in the order in which it has
template <class C>
concept Communicator = requires(C& c, const C& seen, const std::byte* mine, std::byte* all, std::size_t n, int rank) {
  { seen.rank() } -> std::same_as<int>;
  { seen.size() } -> std::same_as<int>;
  { c.gather(mine, n, all) } -> std::same_as<result<void>>;
  { c.broadcast(all, n) } -> std::same_as<result<void>>;
  { c.await(all, n) } -> std::same_as<result<void>>;
  { c.send(mine, n, rank /*to*/) } -> std::same_as<result<void>>;
  { c.receive(all, n, rank /*from*/) } -> std::same_as<result<void>>;
};

/// "no answer from rank 2 for 60 s"
[[nodiscard]] inline unexpected no_answer(int rank, int from, patience waited) {
  const auto ms = waited.count();
  std::string time = ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
  return fail("rank ", rank, ": no answer from rank ", from, " for ", time, "; this model cannot go on");
}

}  // namespace g4::comm
