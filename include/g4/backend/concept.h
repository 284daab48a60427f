/// What a model asks of the machine it runs on.
///
/// A backend is an object handed in by the host (`on`). It owns all memory that its operations read or write: a model
/// takes memory from it, hands pointers back to it, and never touches a number itself. Every operation is a
/// whole-tensor step, so a dynamically dispatched backend pays one indirect call for thousands of multiplications.
/// Extents have been checked by then (`model/stack/linear.h`). Activations are `scalar`; sums are accumulated in at
/// least float32.
///
/// The operations come as a few small vocabularies, so that a part of a model can say what it needs.
/// `backend/definitions/` has them as definitions and `backend::reference<Scalar>` is all of those together; other
/// backends derive from it and replace what they do faster, so a new operation runs everywhere on the day it is
/// defined. What needs several operations at a time, and is done by some backends in one, is in `backend/composed.h`.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "g4/core/result.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/begin.h"
#include "g4/ops/convolve.h"
#include "g4/ops/cumulative_norm.h"
#include "g4/ops/next_row.h"
#include "g4/ops/plane.h"
#include "g4/tensor/cache.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"
#include "g4/tensor/work_limits.h"

namespace g4 {

namespace words {

/// Taking, filling and showing memory.
template <class B>
concept Memory = requires(B& on, typename B::scalar* y, const typename B::scalar* x, std::size_t n) {
  typename B::owned_memory;  // owns a block: data(), size()
  on.take(n /*bytes*/);      // result<owned_memory>
  on.put(x, n, y);           // from the host
  { on.host(x, n, y /*room on the host*/) } -> std::same_as<const typename B::scalar*>;
  on.copy(x, n, y);
};

/// Rows of activations, number by number.
template <class B>
concept Rows = requires(B& on, typename B::scalar* y, const typename B::scalar* x, const float* w, std::size_t n,
                        typename B::scalar number, const weight_view table, const token_id* ids, token_id* id) {
  on.fill(y, n, number);
  on.scale(y, n, number);
  on.scale_by(y, n, w);
  on.divide(y, n, number);
  on.scale_columns(x, w, n /*T*/, n /*width*/, y);
  on.add(x, n, y);
  on.add_three(x, x, x, n, number /*factor*/, y);
  on.add_bias(y, w, n /*T*/, n /*width*/);
  on.tanh(y, n);
  on.soft_cap(y, n, float{} /*cap*/);
  on.gelu_gate(y /*gate*/, x /*up*/, n);
  on.sparsify(y, n /*T*/, n /*width*/, float{} /*z*/);
  on.embed(table, ids, n /*T*/, float{} /*scale*/, y);
  on.mix_embedded(table, ids, n /*T*/, float{} /*scale*/, number /*factor*/, y /*room*/, y);
  on.route(y /*logits*/, n /*T*/, n /*experts*/, n /*k*/, w /*scale*/, id /*choice*/, y /*weight*/);
  on.mean_rows(x, n /*T*/, n /*width*/, y);
  on.unit(x, n, y);
  on.best(x, n, id);
};

/// Weights times rows.
template <class B>
concept Products = requires(B& on, typename B::scalar* y, const typename B::scalar* x, const weight_view w,
                            std::size_t n) {
  on.matmul(w, x, n /*T*/, y);  // y [T, w.rows] = x [T, w.columns] · wᵀ
};

/// Norms of rows.
template <class B>
concept Norms = requires(B& on, typename B::scalar* y, const typename B::scalar* x, const float* scale, std::size_t n,
                         float eps) {
  /// y = x · (mean(x²) + eps)^(-½) · scale, row by row; `scale` null means no weight. y may be x.
  on.rms_norm(x, scale, n /*T*/, n /*width*/, eps, y);
  /// x += rms_norm(delta) · scale: the closing half of a sandwich norm. delta is left undefined.
  on.add_norm(y /*x*/, y /*delta*/, scale, n /*T*/, n /*width*/, eps);
};

/// Which keys rows see, what they are turned by, and what comes of it.
template <class B>
concept Attention = requires(B& on, typename B::scalar* y, const typename B::scalar* x, std::size_t n,
                             const begin_call<typename B::scalar>& rows, const cached_rows<typename B::scalar>& keys,
                             const row_attention<typename B::scalar>& queries) {
  on.begin(rows);
  /// Rotates the pairs (i, i + d/2) of every head by the angle whose cosine and sine are given, in place.
  on.rope(y, n /*T*/, n /*heads*/, n /*d*/, x /*cos [T, d/2]*/, x /*sin [T, d/2]*/);
  on.store(keys);
  on.attend(queries);
  { on.cache_storage() } -> std::same_as<storage>;
  { on.caches(storage{}) } -> std::same_as<bool>;
};

/// Several residual streams.
template <class B>
concept Streams = requires(B& on, typename B::scalar* y, const typename B::scalar* x, std::size_t n) {
  on.altup_predict(x, x, n, n, n, y);
  on.altup_correct(x, x, x, n, n, n, n, y);
  on.match_magnitude(x, n, n, y);
};

/// What only towers use.
template <class B>
concept Towers = requires(B& on, typename B::scalar* y, const typename B::scalar* x, const float* w, std::size_t n,
                          float eps, const token_id* of, const weight_view plain, const ops::squares& plane,
                          const ops::plane& whole, const ops::cumulative_norm& norm,
                          const ops::near_attention<typename B::scalar>& queries) {
  /// y = (x − mean) / √(variance + eps) · weight + bias, row by row; y may be x, and a null bias adds nothing.
  on.layer_norm(x, w /*weight*/, w /*bias*/, n /*T*/, n /*width*/, eps, y);
  on.centre(y, n);  // y = 2·(y − ½)
  on.gelu(y, n);    // in its tanh form
  on.clamp(x, n, w /*low*/, w /*high*/, y);
  on.standardise(y, w /*bias*/, w /*scale*/, n /*T*/, n /*width*/);
  /// As `rope`, but in two halves of every head: cos, sin [T, 2, d/4].
  on.rope_2d(y, n /*T*/, n /*heads*/, n /*d*/, x /*cos*/, x /*sin*/);
  on.mean_groups(x, of /*[groups, size]*/, n /*groups*/, n /*size*/, n /*width*/, y);
  /// As `matmul`, but of a backend that rounds activations none are, where the weight is of plain floats.
  on.exact_matmul(plain, x, n /*T*/, y);
  on.keep_within(x, n, eps /*least*/, eps /*most*/, y);
  on.silu(y, n);
  on.relu(y, n);
  on.glu(x, n /*T*/, n /*width*/, y);
  on.unfold(x, plane, n /*first*/, n /*rows*/, y);
  on.unfold(x, whole, n /*first*/, n /*rows*/, y);
  on.depthwise(x, w /*kernel*/, whole, y);
  on.lay_beside(x, of, n /*T*/, n /*width*/, n /*stride*/, y);
  on.cumulative_norm(x, norm, n /*T*/, y);
  on.convolve_back(x, w /*kernel*/, n /*T*/, n /*width*/, n /*side*/, y);
  on.attend_near(queries);
};

}  // namespace words

/// A machine for text models: all of the vocabularies.
template <class B>
concept Backend = words::Memory<B> && words::Rows<B> && words::Products<B> && words::Norms<B> && words::Attention<B> &&
    words::Streams<B>;

/// A backend whose operations need memory besides what they are given. It grows with the calls that come, so this is no
/// duty but a plan: once a backend is ready for them, calls within the limits take no more.
template <class B>
concept HasWorkingMemory = requires(B& on, const B& asked, const work_limits& most) {
  { asked.working_bytes(most) } -> std::same_as<std::size_t>;
  { on.make_ready(most) } -> std::same_as<result<void>>;
};

/// Bytes of working memory that `on` has of its own for such calls.
template <class B>
[[nodiscard]] std::size_t working_bytes([[maybe_unused]] const B& on, [[maybe_unused]] const work_limits& most) {
  if constexpr (HasWorkingMemory<B>) return on.working_bytes(most);
  return 0;
}
/// Takes them. Fails when they cannot be had.
template <class B>
[[nodiscard]] result<void> make_ready([[maybe_unused]] B& on, [[maybe_unused]] const work_limits& most) {
  if constexpr (HasWorkingMemory<B>) return on.make_ready(most);
  return {};
}

/// The most rows of a pass that are all computed as one row alone would be, to the bit; any number where the backend knows
/// no such border.
template <class B>
[[nodiscard]] std::size_t rows_alike([[maybe_unused]] const B& on) {
  if constexpr (requires { on.rows_alike(); }) return on.rows_alike();
  return static_cast<std::size_t>(-1);
}

/// A backend that computes many rows in another way than few, and can be told not to: `on.keep_rows_alike(true)` says that from
/// now on rows are alike however many they are, and returns what held before.
template <class B>
concept KeepsRowsAlike = requires(B& on) {
  { on.keep_rows_alike(true) } -> std::same_as<bool>;
};

/// While it lives, every row of a pass over `on` is computed as it would be alone, however many rows there are.
template <class B>
class rows_kept_alike {
 public:
  explicit rows_kept_alike(B& on) : on_(on) {
    if constexpr (KeepsRowsAlike<B>) before_ = on.keep_rows_alike(true);
  }
  ~rows_kept_alike() {
    if constexpr (KeepsRowsAlike<B>) on_.keep_rows_alike(before_);
  }
  rows_kept_alike(const rows_kept_alike&) = delete;
  rows_kept_alike& operator=(const rows_kept_alike&) = delete;

 private:
  B& on_;
  bool before_ = false;
};

/// A backend that writes products into rows with room for more: y [T, room], of which w.rows numbers of each are written.
template <class B>
concept LeavesRoom = Backend<B> &&
    requires(B& on, typename B::scalar* y, const typename B::scalar* x, const weight_view w, std::size_t n) {
  on.matmul(w, x, n /*T*/, y, n /*room*/);
};

/// A backend that can do with reading less of a weight where only the k greatest of one token's products are wanted: any
/// other may be −∞. Whether it does is up to `session_options::best_logits` alone.
template <class B>
concept RanksProducts = Backend<B> &&
    requires(B& on, typename B::scalar* y, const typename B::scalar* x, const weight_view w, std::size_t k, float cap,
             std::vector<std::int32_t>& guess) {
  on.best_products(w, x, k, cap, y, guess);
};

/// A backend that finds the k greatest of many numbers by itself: where only those are wanted, nothing else comes to the host.
template <class B>
concept FindsGreatest = Backend<B> &&
    requires(B& on, const typename B::scalar* x, std::size_t n, token_id* ids, typename B::scalar* values) {
  { B::most_greatest } -> std::convertible_to<std::size_t>;
  on.greatest(x, n, n /*k*/, ids, values);
};

/// A backend that can note what a step asks of it, and do it again: see `model/text/recorded.h`.
template <class B>
concept RecordsSteps = requires(B& on, const B& asked) {
  typename B::recording;  // get(): null where nothing is recorded
  { asked.recorded_rows() } -> std::same_as<std::size_t>;
  {
    on.record([] {})
    } -> std::same_as<typename B::recording>;
  on.replay(on.record([] {}));
};

/// A backend that chooses the likeliest token by itself and goes on with it (`ops::next_row`), so that the host may ask for up to
/// `most_ahead` steps before it has seen what the one before them chose: see `session::run_ahead`.
///
///     send      a token in the backend's memory to a slot of a mailbox, when all that was asked for before is done
///     receive   the token of a slot; waits for it alone
template <class B>
concept RunsAhead = Backend<B> && requires(B& on, const typename B::mailbox& box, std::size_t n, const token_id* id,
                                           const next_row_call<typename B::scalar>& call) {
  { B::most_ahead } -> std::convertible_to<std::size_t>;
  { on.mailbox_of(n /*slots*/) } -> std::same_as<result<typename B::mailbox>>;
  on.next_row(call);
  on.send(box, n /*slot*/, id);
  { on.receive(box, n /*slot*/) } -> std::same_as<result<token_id>>;
};

/// A backend whose object is one rank of several (`backend/joined.h`): what each has a part of, all have after these calls,
/// which every rank makes alike.
///
///     join_columns    all [T, n] = the ranks' parts [T, share] side by side
///     join_products   y [T, n] = x · wᵀ, of which w has this rank's rows
///     close           y [T, n] = the same of x = the ranks' parts side by side
///     sum_products    y [T, n] = the sum over the ranks of x · wᵀ, of whose columns w has this rank's, and x its rows
///     join_sparsify   `sparsify` of rows [T, n] of which x is this rank's part, a multiple of `unit` numbers
template <class B>
concept JoinsRanks = Backend<B> && requires(B& on, const B& seen, typename B::scalar* y, const typename B::scalar* x,
                                            const weight_view w, std::size_t n, float number) {
  { seen.rank() } -> std::same_as<int>;
  { seen.ranks() } -> std::same_as<int>;
  { seen.lost() } -> std::same_as<bool>;  ///< a rank is: nothing that is computed is worth anything
  on.join_columns(x, n /*T*/, n, y);
  on.join_products(w, x, n /*T*/, n, y);
  on.close(w, x, n /*T*/, n, y);
  on.sum_products(w, x, n /*T*/, n, y);
  on.join_sparsify(y, n /*T*/, n, number /*z*/, n /*unit*/);
};

/// The same of ranks that are the stages of a pipeline:
///
///     send        n bytes to another rank, which need not have asked for them yet
///     receive     n bytes of another rank
///     hand_back   y [n] of the first rank = the last rank's; those between have no part in it
template <class B>
concept JoinsStages = JoinsRanks<B> && requires(B& on, const void* said, void* heard, typename B::scalar* y, std::size_t n) {
  { on.send(said, n, int{} /*to*/) } -> std::same_as<result<void>>;
  { on.receive(heard, n, int{} /*from*/) } -> std::same_as<result<void>>;
  on.hand_back(y, n);
};

/// A machine for towers: nothing of streams is asked of it.
template <class B>
concept TowerBackend = words::Memory<B> && words::Rows<B> && words::Products<B> && words::Norms<B> &&
    words::Attention<B> && words::Towers<B>;

/// What went wrong on a backend whose operations may fail after they were asked for, as a GPU's do; it waits for them. What
/// was computed since is worth nothing.
template <class B>
[[nodiscard]] result<void> failure_of(B& on) {
  if constexpr (requires { on.failure(); }) {
    return on.failure();
  } else {
    return {};
  }
}

}  // namespace g4
