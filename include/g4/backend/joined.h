/// A backend whose object is one rank of several.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "g4/backend/composed.h"
#include "g4/backend/concept.h"
#include "g4/comm/communicator.h"
#include "g4/core/result.h"
#include "g4/ops/top_k.h"
#include "g4/tensor/share.h"

namespace g4::backend {

namespace detail {

struct no_options {};
template <class B>
struct options_of {
  using type = no_options;
};
template <class B>
  requires requires { typename B::options; }
struct options_of<B> {
  using type = typename B::options;
};

}  // namespace detail

/// What the exchanges of a rank have come to.
struct exchange_count {
  std::size_t exchanges = 0;
  std::size_t bytes = 0;  ///< that this rank has sent
  double seconds = 0;     ///< in exchanges, waiting for slower ranks included
};

/// B, and the ranks behind C: what each rank has a part of becomes everybody's. All ranks make the same calls.
///
///     backend::joined<backend::cpu, comm::mpi> on(*ranks, {.mode = backend::numeric::fast});
///
/// The first exchange that fails is remembered: later ones return at once, and `failure` says what happened. What has been
/// computed since is worth nothing.
template <class B, comm::Communicator C>
class joined : public B {
  static_assert(B::owned_memory::host_readable,
                "g4: ranks meet in memory that the program can read. See docs/ranks.md.");

 public:
  using scalar = typename B::scalar;

  /// `ranks` must outlive it.
  explicit joined(C& ranks) : to_(&ranks) {}
  template <class Options = typename detail::options_of<B>::type>
    requires std::constructible_from<B, Options>
  joined(C& ranks, Options choice) : B(choice), to_(&ranks) {}

  [[nodiscard]] int rank() const { return to_->rank(); }
  [[nodiscard]] int ranks() const { return to_->size(); }
  /// Whether this is the rank that holds the texts. The others follow.
  [[nodiscard]] bool leads() const { return rank() == 0; }

  /// Whether an exchange has failed. Asked for between layers, where what was sent may move on.
  [[nodiscard]] bool lost() const {
    if constexpr (requires { to_->progress(); }) to_->progress();
    return lost_.has_value();
  }
  [[nodiscard]] result<void> failure() {
    if (lost_) return unexpected(*lost_);
    return failure_of(static_cast<B&>(*this));
  }
  [[nodiscard]] const exchange_count& exchanged() const { return count_; }

  // ---- Bytes, for the ranks to agree on what they do ---------------------------------------------------------------

  /// all [R, n] = every rank's mine [n].
  result<void> gather(const void* mine, std::size_t n, void* all) {
    return counted(n, [&] { return to_->gather(static_cast<const std::byte*>(mine), n, static_cast<std::byte*>(all)); });
  }
  /// data [n] = the leader's.
  result<void> broadcast(void* data, std::size_t n) {
    return counted(n, [&] { return to_->broadcast(static_cast<std::byte*>(data), n); });
  }
  /// The same, where the leader may be silent as long as it likes. The waiting is not counted.
  result<void> await(void* data, std::size_t n) {
    if (lost_) return unexpected(*lost_);
    return kept(to_->await(static_cast<std::byte*>(data), n));
  }

  // ---- From one rank to another: stages of a pipeline ---------------------------------------------------------------

  /// data [n] to a rank, which need not have asked for it yet.
  result<void> send(const void* data, std::size_t n, int to) {
    return counted(n, [&] { return to_->send(static_cast<const std::byte*>(data), n, to); });
  }
  /// data [n] = what a rank has sent.
  result<void> receive(void* data, std::size_t n, int from) {
    return counted(0, [&] { return to_->receive(static_cast<std::byte*>(data), n, from); });
  }
  /// y [n] of the first rank = the last rank's.
  void hand_back(scalar* y, std::size_t n) {
    if (leads()) {
      (void)receive(y, n * sizeof(scalar), ranks() - 1);
    } else if (rank() == ranks() - 1) {
      (void)send(y, n * sizeof(scalar), 0);
    }
  }
  /// The same of the k greatest of y. All others are −∞ there.
  void hand_back_best(scalar* y, std::size_t n, std::size_t k) {
    if (k * sizeof(ranked) >= n * sizeof(scalar)) return hand_back(y, n);
    own_best_.resize(k);
    if (leads()) {
      if (!receive(own_best_.data(), k * sizeof(ranked), ranks() - 1)) return;
      B::fill(y, n, -std::numeric_limits<scalar>::infinity());
      for (const ranked& one : own_best_) {
        if (one.row >= 0) y[one.row] = one.value;
      }
    } else if (rank() == ranks() - 1) {
      find_greatest(y, {0, n}, own_best_);
      (void)send(own_best_.data(), k * sizeof(ranked), 0);
    }
  }

  // ---- Operations ----------------------------------------------------------------------------------------------------

  /// all [T, n] = the ranks' parts side by side.
  ///
  /// part   [T, share_of(n)]; as many bytes can be read as the largest share takes
  /// unit   of which shares are multiples
  void join_columns(const scalar* part, std::size_t rows, std::size_t n, scalar* all, std::size_t unit = 1) {
    if (ranks() == 1) return B::copy(part, rows * n, all);
    const std::size_t most = rows * largest_share(n / unit, static_cast<std::size_t>(ranks())) * unit;
    scalar* const raw = room(raw_, most * ranks());
    if (raw == nullptr || !gather(part, most * sizeof(scalar), raw)) return;
    for (int r = 0; r < ranks(); ++r) {
      const stretch of = share_of(n, ranks(), r, unit);
      for (std::size_t t = 0; t < rows; ++t) B::copy(raw + r * most + t * of.count, of.count, all + t * n + of.first);
    }
  }

  /// y [T, n] = x · wᵀ, of whose n rows w has this rank's.
  void join_products(const weight_view& w, const scalar* x, std::size_t rows, std::size_t n, scalar* y) {
    scalar* const part = room(part_, rows * largest_share(n, static_cast<std::size_t>(ranks())));
    if (part == nullptr || lost_) return;
    B::matmul(w, x, rows, part);
    join_columns(part, rows, n, y);
  }

  /// The same of x = the ranks' parts of it side by side.
  void close(const weight_view& w, const scalar* part, std::size_t rows, std::size_t n, scalar* y) {
    scalar* const x = room(wide_, rows * w.columns);
    if (x == nullptr) return;
    join_columns(part, rows, w.columns, x);
    join_products(w, x, rows, n, y);
  }

  /// y [T, n] = Σ_r x_r · w_rᵀ, added up in the order of ranks: every rank has the same bits.
  ///
  /// w   [n, …], the columns of this rank: x_r are its rows
  void sum_products(const weight_view& w, const scalar* x, std::size_t rows, std::size_t n, scalar* y) {
    if (lost_) return;
    B::matmul(w, x, rows, y);
    add_up(y, rows * n);
  }

  /// `sparsify` over rows [T, n] of which x is this rank's part, of whose size `unit` is a divisor. Every rank makes the same of
  /// all of it and keeps its own.
  void join_sparsify(scalar* x, std::size_t rows, std::size_t n, float z, std::size_t unit = 1) {
    scalar* const all = room(wide_, rows * n);
    if (all == nullptr) return;
    join_columns(x, rows, n, all, unit);
    if (lost_) return;
    B::sparsify(all, rows, n, z);
    const stretch mine = share_of(n, ranks(), rank(), unit);
    for (std::size_t t = 0; t < rows; ++t) B::copy(all + t * n + mine.first, mine.count, x + t * mine.count);
  }

  /// `best_products` over all ranks: each finds the k greatest of its rows, and nothing else is exchanged. All others are −∞.
  void join_best_products(const weight_view& w, const scalar* x, std::size_t k, float cap, std::size_t n, scalar* y,
                          std::vector<std::int32_t>& guess)
    requires RanksProducts<B>
  {
    const std::size_t most = largest_share(n, static_cast<std::size_t>(ranks()));
    scalar* const part = room(part_, most);
    if (part == nullptr || lost_) return;
    B::best_products(w, x, k, cap, part, guess);
    if (k * sizeof(ranked) >= most * sizeof(scalar)) return join_columns(part, 1, n, y);
    best_.resize(k * ranks());
    own_best_.resize(k);
    find_greatest(part, share_of(n, ranks(), rank()), own_best_);
    if (!gather(own_best_.data(), k * sizeof(ranked), best_.data())) return;
    B::fill(y, n, -std::numeric_limits<scalar>::infinity());
    for (const ranked& one : best_) {
      if (one.row >= 0) y[one.row] = one.value;
    }
  }

  /// `composed::best_of_clusters`, of whose scores each rank computes some.
  template <class Table>
  void join_best_of_clusters(const Table& table, const clusters_call<scalar>& call) {
    ops::top_k(call.scores, call.clusters, call.chosen, call.choice);
    const std::size_t per_cluster = call.vocab / call.clusters, n = call.chosen * per_cluster;
    const stretch mine = share_of(n, ranks(), rank());
    scalar* const part = room(part_, largest_share(n, static_cast<std::size_t>(ranks())));
    scalar* const all = room(wide_, n);
    if (part == nullptr || all == nullptr || lost_) return;
    for (std::size_t i = 0; i < mine.count; ++i) {
      const auto cluster = static_cast<std::size_t>(call.choice[(mine.first + i) / per_cluster]);
      const token_id id = call.ordering[cluster * per_cluster + (mine.first + i) % per_cluster];
      B::matmul(table.slice(static_cast<std::size_t>(id), 1), call.h, 1, part + i);
    }
    join_columns(part, 1, n, all);
    if (!lost_) composed::best_of_scored_clusters(call, [&](std::size_t i, token_id) { return all[i]; });
  }

  /// `composed::experts` with every expert on every rank, some rows of it each: the chosen experts' hidden rows are brought
  /// together in one exchange, and the sums over the experts in another.
  ///
  /// gate_up   by expert: `gate` and `up` [I/R, D]
  /// down      by expert: [D/R, I]
  /// hidden    I; the call's is this rank's largest share of it
  template <class GateUp, class Down, class Gate>
  void join_experts(const GateUp& gate_up, const Down& down, Gate&& apply_gate, const experts_call<scalar>& call,
                    std::size_t hidden) {
    const std::size_t T = call.rows, D = call.width, k = call.chosen;
    const std::size_t mine = gate_up[0].gate.rows, out = down[0].rows;
    scalar* const part = room(part_, std::max(T * k * call.hidden, T * largest_share(D, std::size_t(ranks()))));
    scalar* const all = room(wide_, T * k * hidden);
    scalar* const raw = room(raw_, std::max({T * k * call.hidden, T * call.hidden, T * hidden}));
    if (part == nullptr || all == nullptr || raw == nullptr) return;
    each_expert(call, [&](std::size_t e, std::size_t n, auto&& each_slot) {
      hidden_of(gate_up[e], apply_gate, call, n, each_slot);
      each_slot([&](std::size_t slot, std::size_t j) { std::copy_n(call.gate + j * mine, mine, part + slot * mine); });
    });
    join_columns(part, T * k, hidden, all);
    if (lost_) return;
    std::fill_n(part, T * out, scalar{0});
    each_expert(call, [&](std::size_t e, std::size_t n, auto&& each_slot) {
      scalar* const x = raw;  // free between two exchanges
      each_slot([&](std::size_t slot, std::size_t j) { std::copy_n(all + slot * hidden, hidden, x + j * hidden); });
      B::matmul(down[e], x, n, call.out);
      each_slot([&](std::size_t slot, std::size_t j) {
        scalar* const y = part + slot / k * out;
        for (std::size_t i = 0; i < out; ++i) y[i] += call.weight[slot] * call.out[j * out + i];
      });
    });
    join_columns(part, T, D, call.y);
  }

  /// The same where each rank has the columns of `down` that its hidden numbers are multiplied with: one exchange, in which what
  /// the ranks make is added up.
  ///
  /// down   by expert: [D, I/R]
  template <class GateUp, class Down, class Gate>
  void sum_experts(const GateUp& gate_up, const Down& down, Gate&& apply_gate, const experts_call<scalar>& call) {
    const std::size_t D = call.width, k = call.chosen;
    if (lost_) return;
    std::fill_n(call.y, call.rows * D, scalar{0});
    each_expert(call, [&](std::size_t e, std::size_t n, auto&& each_slot) {
      hidden_of(gate_up[e], apply_gate, call, n, each_slot);
      B::matmul(down[e], call.gate, n, call.out);
      each_slot([&](std::size_t slot, std::size_t j) {
        scalar* const y = call.y + slot / k * D;
        for (std::size_t i = 0; i < D; ++i) y[i] += call.weight[slot] * call.out[j * D + i];
      });
    });
    add_up(call.y, call.rows * D);
  }

  // ---- Working memory: B's, and room for exchanges -------------------------------------------------------------------

  [[nodiscard]] std::size_t working_bytes(const work_limits& most) const {
    return g4::working_bytes(static_cast<const B&>(*this), most) + (2 * most.joined + part_of(most)) * sizeof(scalar);
  }
  [[nodiscard]] result<void> make_ready(const work_limits& most) {
    if (auto ready = g4::make_ready(static_cast<B&>(*this), most); !ready) return ready;
    if (most.joined == 0) return {};
    if (room(raw_, most.joined) == nullptr || room(wide_, most.joined) == nullptr ||
        room(part_, part_of(most)) == nullptr) {
      lost_.reset();  // nothing was exchanged
      return fail("backend: ", working_bytes(most), " bytes of working memory could not be had");
    }
    return {};
  }

 private:
  [[nodiscard]] std::size_t part_of(const work_limits& most) const {
    return largest_share(most.joined, static_cast<std::size_t>(ranks()));
  }

  /// Room for n numbers, which stays until more are asked for.
  [[nodiscard]] scalar* room(typename B::owned_memory& in, std::size_t n) {
    if (in.size() < n * sizeof(scalar)) {
      auto taken = B::take(n * sizeof(scalar));
      if (!taken) {
        if (!lost_) lost_ = std::move(taken.error());
        return nullptr;
      }
      in = std::move(*taken);
    }
    return reinterpret_cast<scalar*>(in.data());
  }

  result<void> kept(result<void> done) {
    if (!done && !lost_) lost_ = done.error();
    return done;
  }
  template <class Exchange>
  result<void> counted(std::size_t bytes, Exchange&& exchange) {
    if (lost_) return unexpected(*lost_);
    const auto begun = std::chrono::steady_clock::now();
    auto done = kept(exchange());
    count_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    count_.bytes += bytes;
    ++count_.exchanges;
    return done;
  }

  /// A product, and its row of all ranks'.
  struct ranked {
    scalar value;
    std::int32_t row;
  };
  /// The greatest of x, which are those of `rows`, in order, and of equal ones the first: what is no number before all others, so
  /// that nobody overlooks it.
  static void find_greatest(const scalar* x, stretch rows, std::vector<ranked>& best) {
    constexpr scalar least = -std::numeric_limits<scalar>::infinity();
    const auto before = [](scalar a, scalar b) { return a != a ? b == b : a > b; };
    std::fill(best.begin(), best.end(), ranked{least, -1});
    for (std::size_t i = 0; i < rows.count; ++i) {
      if (!before(x[i], best.back().value)) continue;
      std::size_t at = best.size() - 1;
      for (; at > 0 && before(x[i], best[at - 1].value); --at) best[at] = best[at - 1];
      best[at] = {x[i], static_cast<std::int32_t>(rows.first + i)};
    }
  }

  /// y [n] = the sum of the ranks' y, in the order of ranks.
  void add_up(scalar* y, std::size_t n) {
    if (ranks() == 1) return;
    scalar* const raw = room(raw_, n * ranks());
    if (raw == nullptr || !gather(y, n * sizeof(scalar), raw)) return;
    B::copy(raw, n, y);
    for (int r = 1; r < ranks(); ++r) B::add(raw + r * n, n, y);
  }

  /// This rank's part of an expert's hidden rows, in `call.gate`, for the n slots that chose it.
  template <class GateUp, class Gate, class EachSlot>
  void hidden_of(const GateUp& expert, Gate&& apply_gate, const experts_call<scalar>& call, std::size_t n,
                 EachSlot&& each_slot) {
    const std::size_t D = call.width;
    each_slot([&](std::size_t slot, std::size_t j) {
      std::copy_n(call.z + slot / call.chosen * D, D, call.gathered + j * D);
    });
    B::matmul(expert.gate, call.gathered, n, call.gate);
    B::matmul(expert.up, call.gathered, n, call.both);
    apply_gate(*this, call.gate, call.both, n * expert.gate.rows);
  }

  /// body(e, n, each_slot) for every expert that n > 0 of the slots [T, k] chose; each_slot(f) calls f(slot, j), j < n.
  template <class Body>
  static void each_expert(const experts_call<scalar>& call, Body&& body) {
    const std::size_t slots = call.rows * call.chosen;
    for (std::size_t e = 0; e < call.experts; ++e) {
      const auto chose = [&](std::size_t slot) { return call.choice[slot] == static_cast<std::int32_t>(e); };
      std::size_t n = 0;
      for (std::size_t slot = 0; slot < slots; ++slot) n += chose(slot) ? 1 : 0;
      if (n == 0) continue;
      body(e, n, [&](auto&& f) {
        for (std::size_t slot = 0, j = 0; slot < slots; ++slot) {
          if (chose(slot)) f(slot, j++);
        }
      });
    }
  }

  C* to_;
  std::optional<error> lost_;
  exchange_count count_;
  typename B::owned_memory raw_, wide_, part_;
  std::vector<ranked> own_best_, best_;
};

}  // namespace g4::backend
