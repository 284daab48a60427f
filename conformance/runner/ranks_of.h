/// `engine.h` filled in for a variant that is shared out among ranks, threads of this program, or with G4_CASE_MPI processes. Beside
/// them the model runs in one piece, and every bit that is shown or returned must be the same. Where sums are divided it need not
/// be, but the ranks must have the same bits.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/runner/engine_of.h"
#include "conformance/runner/recorder.h"
#include "g4/backend/joined.h"
#include "g4/core/fingerprint.h"
#ifdef G4_CASE_MPI
#include "g4/comm/mpi.h"
#else
#include "g4/comm/threads.h"
#endif
#include "g4/model/sharded.h"
#include "g4/open/ranks.h"
#if defined(G4_CASE_DRAFTER) && !defined(G4_CASE_PIPELINE)
#define G4_CASE_DRAFTER_ON_RANKS
#include "g4/open/drafter_on_ranks.h"
#endif
#ifdef G4_CASE_EMBEDDER
#include "g4/generate/embedder_on_ranks.h"
#endif

namespace g4::conformance {

#ifdef G4_CASE_MPI

/// Ranks as the processes that a launcher has started. All of them run the checks; the others follow the first wherever it loads a
/// model, and what becomes of their checks is nobody's business (`main.cc`).
template <int R>
class meeting {
 public:
  using rank = comm::mpi;

  [[nodiscard]] rank& leader() { return here(); }
  [[nodiscard]] static bool leads() { return here().rank() == 0; }
  template <class Follow>
  void others(Follow&& follow) {
    if (!leads()) follow(here());
  }
  void end() {}

 private:
  static comm::mpi& here() {
    static comm::mpi all = [] {
      int none = 0;
      char** arguments = nullptr;
      auto started = comm::mpi::start(none, arguments, std::chrono::seconds(120));
      if (!started) std::abort();
      return std::move(*started);
    }();
    return all;
  }
};

#else

/// Ranks as threads of this program. The first is whoever asks.
template <int R>
class meeting {
 public:
  using rank = comm::thread_rank;

  [[nodiscard]] rank& leader() { return leader_; }
  [[nodiscard]] static bool leads() { return true; }
  /// Calls follow(rank) for every other rank.
  template <class Follow>
  void others(Follow follow) {
    for (int r = 1; r < R; ++r) {
      followers_.emplace_back([this, follow, r] {
        rank mine = group_.rank(r);
        follow(mine);
      });
    }
  }
  void end() {
    for (std::thread& t : followers_) t.join();
    followers_.clear();
  }

 private:
  comm::thread_group group_{R, std::chrono::seconds(120)};  // a rank that is late by so much hangs
  rank leader_ = group_.rank(0);
  std::vector<std::thread> followers_;
};

#endif

#ifdef G4_CASE_PIPELINE
/// The i-th cut of so many stages: as even as what cannot be parted allows.
constexpr int cut_of_case(const text_spec& m, int stages, int i) {
  return std::min(m.layers * i / stages, last_cut(m) - (stages - 1 - i));
}
template <class V, int R, int... I>
pipeline<cut_before<cut_of_case(V::spec, R, I + 1)>...> cut_evenly(std::integer_sequence<int, I...>);
template <class V, int R, sums>
using plan_of_case = decltype(cut_evenly<V, R>(std::make_integer_sequence<int, R - 1>{}));
template <class V, int R>
inline constexpr bool can_be_shared_out = last_cut(V::spec) >= R - 1;
inline constexpr std::string_view cannot_be_shared_out = "it cannot be cut into so many stages";
inline constexpr bool leader_sees_heads = true;
#else
template <class, int R, sums S>
using plan_of_case = tensor_parallel<R, S>;
template <class V, int R>
inline constexpr bool can_be_shared_out = heads_divide(V::spec, R);
inline constexpr std::string_view cannot_be_shared_out = "its heads do not divide among so many ranks";
inline constexpr bool leader_sees_heads = false;
#endif

/// Ranks that hold what they have added up against each other's.
template <class B, class Rank>
class compared_ranks : public backend::joined<B, Rank> {
  using joined = backend::joined<B, Rank>;

 public:
  using scalar = typename B::scalar;
  using joined::joined;

  void sum_products(const weight_view& w, const scalar* x, std::size_t rows, std::size_t n, scalar* y) {
    joined::sum_products(w, x, rows, n, y);
    hold(y, rows * n);
  }
  template <class GateUp, class Down, class Gate>
  void sum_experts(const GateUp& gate_up, const Down& down, Gate&& gate, const experts_call<scalar>& call) {
    joined::sum_experts(gate_up, down, std::forward<Gate>(gate), call);
    hold(call.y, call.rows * call.width);
  }
  void join_products(const weight_view& w, const scalar* x, std::size_t rows, std::size_t n, scalar* y) {
    joined::join_products(w, x, rows, n, y);
    hold(y, rows * n);
  }
  [[nodiscard]] bool differ() const { return differ_; }

 private:
  void hold(const scalar* y, std::size_t n) {
    fingerprint print;
    print.add(std::as_bytes(std::span(y, n)));
    const std::uint64_t mine = print.value();
    std::vector<std::uint64_t> all(static_cast<std::size_t>(this->ranks()), mine);
    (void)this->gather(&mine, sizeof mine, all.data());
    for (const std::uint64_t one : all) differ_ = differ_ || one != mine;
  }
  bool differ_ = false;
};

template <class B, class Rank, sums S>
using ranks_joined = std::conditional_t<S == sums::divided, compared_ranks<B, Rank>, backend::joined<B, Rank>>;

/// What a model in one piece shows, for the leader's tensors to be held against. Those of heads the leader has not whole.
class shown_by_one final : public observer {
 public:
  void see(const sight& what) override {
    if (what.name.starts_with("attn.") && !leader_sees_heads) return;
    kept_.push_back({name_of(what.name, what.layer), {what.data.begin(), what.data.end()}});
  }
  /// The name of what is not the next of what was shown.
  [[nodiscard]] std::optional<std::string> differs(const sight& what) {
    const std::string name = name_of(what.name, what.layer);
    if (kept_.empty()) return name;
    const tensor one = std::move(kept_.front());
    kept_.pop_front();
    const bool same = one.name == name && one.data.size() == what.data.size() &&
                      std::memcmp(one.data.data(), what.data.data(), one.data.size() * sizeof(double)) == 0;
    return same ? std::nullopt : std::optional<std::string>(name);
  }
  [[nodiscard]] bool empty() const { return kept_.empty(); }

 private:
  struct tensor {
    std::string name;
    std::vector<double> data;
  };
  std::deque<tensor> kept_;
};

template <class V, class B, int R, sums S>
class text_on_ranks final : public running_text, private observer {
 public:
  using shared = sharded<V, plan_of_case<V, R, S>>;
  using joined = ranks_joined<B, typename meeting<R>::rank, S>;
  using scalar = typename B::scalar;

  text_on_ranks(led_session<shared, joined> text, std::unique_ptr<running_text> one)
      : text_(std::move(text)), one_(std::move(one)) {}

  result<std::vector<double>> run(const prompt& what) override {
    const auto expected = one_->run(what);
    const auto laid = prompt_.of(what, text_.backend());
    if (!laid) return unexpected(laid.error());
    const auto row = text_.run(*laid);
    if (!row || !expected) return unexpected(row ? expected.error() : row.error());
    std::vector<double> found(row->begin(), row->end());
    compare("logits", found, *expected);
    if (auto alike = same_bits(); !alike) return unexpected(alike.error());
    return found;
  }
  result<std::size_t> run_all(const prompt& what, const logits_sink& sink) override {
    std::vector<double> expected, row;
    const auto one = one_->run_all(
        what, [&](std::size_t, std::span<const double> logits) { expected.insert(expected.end(), logits.begin(), logits.end()); });
    const auto laid = prompt_.of(what, text_.backend());
    if (!laid) return unexpected(laid.error());
    const auto done = text_.run_all(*laid, [&](std::size_t t, std::span<const scalar> logits) {
      row.assign(logits.begin(), logits.end());
      const std::size_t at = t * row.size();
      compare("logits", row, std::span(expected).subspan(std::min(at, expected.size())).first(
                                 std::min(row.size(), expected.size() - std::min(at, expected.size()))));
      sink(t, row);
    });
    if (!one || !done) return unexpected(one ? done.error() : one.error());
    if (who_ != nullptr && !by_one_.empty() && S == sums::whole) note("what is shown");
    if (auto alike = same_bits(); !alike) return unexpected(alike.error());
    return *done;
  }
  result<std::size_t> rewind(std::size_t size) override {
    if (auto done = one_->rewind(size); !done) return done;
    return text_.rewind(size);
  }
  void watch(observer* who) override {
    who_ = who;
    one_->watch(who == nullptr ? nullptr : &by_one_);
    text_.watch(shown_.to(who == nullptr ? nullptr : this));
  }
  result<void> embed_apart(const own_rows<scalar>& apart) { return text_.embed_apart(apart); }
  [[nodiscard]] const led_session<shared, joined>& text() const { return text_; }
  [[nodiscard]] running_text& in_one_piece() { return *one_; }

 private:
  void note(const std::string& name) {
    if (differs_.empty()) differs_ = name;
  }
  [[nodiscard]] result<void> same_bits() const {
    if (!differs_.empty()) return fail(other_than_one_process, differs_);
    if constexpr (S == sums::divided) {
      if (text_.backend().differ()) return fail(other_than_each_other, "a sum");
    }
    return {};
  }
  void compare(const char* name, std::span<const double> found, std::span<const double> expected) {
    if constexpr (S == sums::divided) return;
    if (found.size() != expected.size() || std::memcmp(found.data(), expected.data(), found.size_bytes()) != 0) note(name);
  }
  void see(const sight& what) override {
    if constexpr (S == sums::whole) {
      if (const auto name = by_one_.differs(what)) note(*name);
    }
    who_->see(what);
  }

  led_session<shared, joined> text_;
  std::unique_ptr<running_text> one_;
  laid_out_prompt<V, joined> prompt_;
  shown_as_doubles<scalar> shown_{static_cast<std::size_t>(V::spec.experts->chosen)};
  shown_by_one by_one_;
  observer* who_ = nullptr;
  std::string differs_;
};

/// A rank's backend.
template <class B, class Joined, class Rank>
[[nodiscard]] std::unique_ptr<Joined> backend_of(Rank& here, [[maybe_unused]] backend::numeric mode) {
  if constexpr (requires { typename B::options; }) {
    return std::make_unique<Joined>(here, options_of<B>(mode));
  } else {
    return std::make_unique<Joined>(here);
  }
}

#ifdef G4_CASE_DRAFTER_ON_RANKS
/// A drafter on ranks beside the same in one piece, which must show and guess the same.
template <class D, class B, int R, sums S>
class case_drafter_on_ranks final : public running_drafter, private observer {
 public:
  using shared = sharded<D, tensor_parallel<R, S>>;
  using joined = ranks_joined<B, typename meeting<R>::rank, S>;
  using text = led_session<typename shared::target, joined>;

  case_drafter_on_ranks(led_drafter<shared, joined> drafter, const text& of, std::unique_ptr<running_drafter> one)
      : drafter_(std::move(drafter)), text_(&of), one_(std::move(one)) {}

  /// No guesses where they are others than those of one process, or anything shown was.
  std::vector<std::int32_t> draft(std::int32_t id, std::size_t count) override {
    const auto expected = one_->draft(id, count);
    const auto guesses = drafter_.draft(id, count, text_->hidden().data());
    std::vector<std::int32_t> found(guesses.begin(), guesses.end());
    if (S == sums::whole && (found != expected || differs_ || (who_ != nullptr && !by_one_.empty()))) return {};
    return found;
  }
  void watch(observer* who) override {
    who_ = who;
    one_->watch(who == nullptr ? nullptr : &by_one_);
    drafter_.watch(shown_.to(who == nullptr ? nullptr : this));
  }

 private:
  void see(const sight& what) override {
    if constexpr (S == sums::whole) differs_ = by_one_.differs(what).has_value() || differs_;
    who_->see(what);
  }

  led_drafter<shared, joined> drafter_;
  const text* text_;
  std::unique_ptr<running_drafter> one_;
  shown_as_doubles<typename B::scalar> shown_{static_cast<std::size_t>(D::spec.clusters->chosen)};
  shown_by_one by_one_;
  observer* who_ = nullptr;
  bool differs_ = false;
};
#endif

template <class M, class D, class B, int R, sums S>
class model_on_ranks final : public loaded_model {
  using V = text_of<M>;
  using shared = sharded<V, plan_of_case<V, R, S>>;
  using rank = typename meeting<R>::rank;
  using joined = ranks_joined<B, rank, S>;
  using one_piece = loaded_model_of<M, D, B>;
  using running = text_on_ranks<V, B, R, S>;

 public:
  ~model_on_ranks() override { end(); }

  [[nodiscard]] static result<std::unique_ptr<loaded_model>> load(const io::tensor_file& file, load::format format,
                                                                  backend::numeric mode) {
    auto made = std::make_unique<model_on_ranks>();
    auto one = one_piece::load(file, format, mode);
    if (!one) return one;
    made->one_.reset(static_cast<one_piece*>(one->release()));
    if (auto met = made->begin([file, format](joined& on) { return model_of(file, format, on); }, mode); !met)
      return unexpected(met.error());
    made->file_ = file;
    made->format_ = format;
    made->mode_ = mode;
    return std::unique_ptr<loaded_model>(std::move(made));
  }

  result<std::unique_ptr<running_text>> start(const session_options& options) override {
    auto one = one_->start(options);
    if (!one) return one;
    auto text = model_->session(options);
    if (!text) return unexpected(text.error());
    auto both = std::make_unique<running>(std::move(*text), std::move(*one));
    for (const auto& apart : one_->own_ids()) {
      if (auto told = both->embed_apart(apart); !told) return unexpected(told.error());
    }
    return std::unique_ptr<running_text>(std::move(both));
  }
  result<std::vector<double>> see(const medium& what, observer* who) override { return one_->see(what, who); }
  result<std::vector<double>> hear(const medium& what, observer* who) override { return one_->hear(what, who); }
#ifdef G4_CASE_DRAFTER_ON_RANKS
  /// The ranks begin anew, with a drafter each.
  result<void> load_drafter(const io::tensor_file& file, load::format format) override {
    if (auto done = one_->load_drafter(file, format); !done) return done;
    end();
    return begin([file, format, target = file_, target_format = format_](joined& on) -> result<g4::model<shared, joined>> {
      auto model = model_of(target, target_format, on);
      if (!model) return model;
      auto weights = load::make_weights<shared_drafter>(file, format, on);
      if (auto all = agree(on, weights); !all) return unexpected(all.error());
      model->drafters().push_back(std::make_unique<detail::followed_drafter<shared_drafter, joined>>(*weights));
      if (on.rank() == 0) leaders_drafter() = *weights;
      return model;
    }, mode_);
  }
  result<std::unique_ptr<running_drafter>> start_drafter(running_text& text) override {
    auto& both = static_cast<running&>(text);
    auto one = one_->start_drafter(both.in_one_piece());
    if (!one) return one;
    auto drafter = drafter_on_ranks<shared_drafter, joined>(leaders_drafter(), 0).beside(both.text());
    if (!drafter) return unexpected(drafter.error());
    return std::unique_ptr<running_drafter>(
        std::make_unique<case_drafter_on_ranks<D, B, R, S>>(std::move(*drafter), both.text(), std::move(*one)));
  }
#else
  result<void> load_drafter(const io::tensor_file&, load::format) override { return fail("this model has no drafter"); }
  result<std::unique_ptr<running_drafter>> start_drafter(running_text&) override { return fail("this model has no drafter"); }
#endif
  result<text_vector> embed(const std::string&, std::span<const std::int32_t>) override { return fail("this model is no embedder"); }

 private:
#ifdef G4_CASE_DRAFTER_ON_RANKS
  using shared_drafter = sharded<D, tensor_parallel<R, S>>;
  /// Set by the thread that leads, for itself.
  static std::shared_ptr<const weights<shared_drafter>>& leaders_drafter() {
    static std::shared_ptr<const weights<shared_drafter>> held;
    return held;
  }
#endif

  /// Makes the ranks, each with what open(its backend) gives.
  template <class Open>
  result<void> begin(Open open, backend::numeric mode) {
    ranks_.emplace();
    ranks_->others([open, mode](rank& here) {
      const std::unique_ptr<joined> on = backend_of<B, joined>(here, mode);
      if (const auto mine = open(*on)) (void)mine->follow();
    });
    if (!ranks_->leads()) return fail("this rank has followed");
    on_ = backend_of<B, joined>(ranks_->leader(), mode);
    auto mine = open(*on_);
    if (!mine) return unexpected(mine.error());
    model_.emplace(std::move(*mine));
    return {};
  }
  void end() {
    model_.reset();  // the followers are told
    if (ranks_) ranks_->end();
    on_.reset();
  }
  static result<g4::model<shared, joined>> model_of(const io::tensor_file& file, load::format format, joined& on) {
    auto weights = load::make_weights<shared>(file, format, on);
    if (auto all = agree(on, weights); !all) return unexpected(all.error());
    return g4::model<shared, joined>(*weights, nullptr, on);
  }

  std::optional<meeting<R>> ranks_;
  io::tensor_file file_;
  load::format format_{};
  backend::numeric mode_{};
  std::unique_ptr<one_piece> one_;
  std::unique_ptr<joined> on_;
  std::optional<g4::model<shared, joined>> model_;
};

#ifdef G4_CASE_EMBEDDER
/// An embedder on ranks, whose vectors must be those of one process.
template <class V, class B, int R, sums S>
class embedder_by_ranks final : public loaded_model {
  using shared = sharded<V, tensor_parallel<R, S>>;
  using rank = typename meeting<R>::rank;
  using joined = backend::joined<B, rank>;

 public:
  [[nodiscard]] static result<std::unique_ptr<loaded_model>> load(const io::tensor_file& file, load::format format,
                                                                  backend::numeric mode) {
    auto made = std::make_unique<embedder_by_ranks>();
    auto one = loaded_model_of<V, no_drafter, B>::load(file, format, mode);
    if (!one) return one;
    made->one_ = std::move(*one);
    made->mode_ = mode;
    return std::unique_ptr<loaded_model>(std::move(made));
  }
  result<text_vector> embed(const std::string& folder, std::span<const std::int32_t> ids) override {
    const auto expected = one_->embed(folder, ids);
    if (!expected) return expected;
    meeting<R> ranks;
    const auto open = [folder, longest = ids.size()](joined& on) { return open_embedder<shared>(folder, on, longest); };
    ranks.others([open, mode = mode_](rank& here) {
      const std::unique_ptr<joined> on = backend_of<B, joined>(here, mode);
      if (auto mine = open(*on)) (void)mine->follow();
    });
    auto made = [&]() -> result<text_vector> {
      const std::unique_ptr<joined> on = backend_of<B, joined>(ranks.leader(), mode_);
      auto mine = open(*on);
      if (!mine) return unexpected(mine.error());
      return text_vector_of(mine->embed(ids));
    }();
    ranks.end();
    if (made && S == sums::whole &&
        (made->pooled != expected->pooled || made->dense != expected->dense || made->unit != expected->unit)) {
      return fail(other_than_one_process, "the vectors");
    }
    return made;
  }

  result<std::unique_ptr<running_text>> start(const session_options&) override { return fail("an embedder on ranks shows no rows"); }
  result<std::vector<double>> see(const medium&, observer*) override { return fail("an embedder sees nothing"); }
  result<std::vector<double>> hear(const medium&, observer*) override { return fail("an embedder hears nothing"); }
  result<void> load_drafter(const io::tensor_file&, load::format) override { return fail("this model has no drafter"); }
  result<std::unique_ptr<running_drafter>> start_drafter(running_text&) override { return fail("this model has no drafter"); }

 private:
  std::unique_ptr<loaded_model> one_;
  backend::numeric mode_{};
};
#endif

/// The model of M, and its drafter D, on R ranks, where their heads divide.
template <class M, class D, class B, int R, sums S = sums::whole>
[[nodiscard]] engine ranks_of(std::string_view backend) {
  using V = text_of<M>;
  engine made = engine_of<M, D, B>(backend);
  made.ranks = R;
  if constexpr (V::spec.sees == visibility::everything) {
#if defined(G4_CASE_EMBEDDER) && !defined(G4_CASE_MPI) && !defined(G4_CASE_PIPELINE)
    if constexpr (can_be_shared_out<V, R>) {
      made.load = &embedder_by_ranks<V, B, R, S>::load;
    } else {
      made.cannot = cannot_be_shared_out;
    }
#elif defined(G4_CASE_PIPELINE)
    made.cannot = "encoders are not cut into stages";
#else
    made.cannot = "encoders are run on ranks for their vectors alone, over threads";
#endif
  } else if constexpr (!can_be_shared_out<V, R>) {
    made.cannot = cannot_be_shared_out;
  } else {
    made.load = &model_on_ranks<M, D, B, R, S>::load;
  }
#ifdef G4_CASE_PIPELINE
  made.drafter_cannot = "drafters are not cut into stages";
#elif defined(G4_CASE_MPI)
  made.drafter_cannot = "drafters are compared on ranks that are threads";
#endif
  return made;
}

}  // namespace g4::conformance
