/// A model whose type is known to the program, not to the caller: one virtual call per run, none inside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/load/match.h"
#include "g4/model/one_of.h"
#include "g4/open/open.h"

namespace g4 {

namespace detail {

/// Its address tells types apart without run-time type information.
template <class T>
inline constexpr char mark_of = 0;

}  // namespace detail

/// A session of some variant on a float backend: see `session`.
class any_session {
 public:
  using scalar = float;
  virtual ~any_session() = default;
  virtual result<std::span<const float>> run(const prompt_view<float>& prompt) = 0;
  /// Calls see(self, t, logits) for each token in order.
  virtual result<std::size_t> run_all(const prompt_view<float>& prompt, void* self,
                                      void (*see)(void* self, std::size_t t, std::span<const float> logits)) = 0;
  virtual result<std::size_t> rewind(std::size_t size) = 0;
  /// As `session::run_ahead`, calling see(self, chosen). A session that cannot only runs the token.
  virtual result<std::span<const float>> run_ahead(token_id id, std::size_t /*most*/, void* /*self*/,
                                                   bool (* /*see*/)(void* self, token_id chosen)) {
    return run(id);
  }
  [[nodiscard]] virtual std::size_t size() const = 0;
  [[nodiscard]] virtual const session_options& options() const = 0;
  [[nodiscard]] virtual memory_plan plan() const = 0;
  /// V: how many logits a run returns.
  [[nodiscard]] virtual std::size_t vocabulary() const = 0;
  [[nodiscard]] virtual std::size_t rows_alike() const = 0;
  [[nodiscard]] virtual std::span<const float> hidden() const = 0;
  [[nodiscard]] virtual std::span<const float> hidden_row(std::size_t t) const = 0;

  result<std::span<const float>> run(std::span<const token_id> ids) { return run(prompt_view<float>{ids}); }
  result<std::span<const float>> run(token_id id) { return run(std::span<const token_id>(&id, 1)); }
  /// As `session::run_all`: calls sink(t, logits).
  template <class Sink>
  result<std::size_t> run_all(const prompt_view<float>& prompt, Sink&& sink) {
    return run_all(prompt, &sink, [](void* self, std::size_t t, std::span<const float> logits) {
      (*static_cast<std::remove_reference_t<Sink>*>(self))(t, logits);
    });
  }
  /// As `session::run_ahead`: calls see(chosen).
  template <class See>
  result<std::span<const float>> run_ahead(token_id id, std::size_t most, See&& see) {
    return run_ahead(id, most, &see, [](void* self, token_id chosen) -> bool {
      return (*static_cast<std::remove_reference_t<See>*>(self))(chosen);
    });
  }
  /// The session behind, if it is an S = `session<V, B>`; null if it is another.
  template <class S>
  [[nodiscard]] const S* as() const {
    return static_cast<const S*>(address_if(&detail::mark_of<S>));
  }

 private:
  [[nodiscard]] virtual const void* address_if(const char* mark) const = 0;
};

/// A model of some variant: see `model`.
class any_model {
 public:
  virtual ~any_model() = default;
  [[nodiscard]] virtual std::string_view variant() const = 0;
  [[nodiscard]] virtual const text_spec& spec() const = 0;
  [[nodiscard]] virtual const text::tokenizer& tokenizer() const = 0;
  [[nodiscard]] virtual result<std::unique_ptr<any_session>> session(const session_options& options) const = 0;
  [[nodiscard]] virtual memory_plan plan(const session_options& options) const = 0;
  /// Of a rank's share, on every rank but the first: see `open/ranks.h`.
  [[nodiscard]] virtual result<void> follow() const { return fail("this model is in one piece: it follows nobody"); }
  /// The model behind, if it is an M = `model<V, B>`; null if it is another.
  template <class M>
  [[nodiscard]] const M* as() const {
    return static_cast<const M*>(address_if(&detail::mark_of<M>));
  }

 private:
  [[nodiscard]] virtual const void* address_if(const char* mark) const = 0;
};

namespace detail {

template <Variant V, Backend B, class Session = g4::session<V, B>>
class typed_session final : public any_session {
 public:
  explicit typed_session(Session s) : s_(std::move(s)) {}
  using any_session::run;
  using any_session::run_ahead;
  using any_session::run_all;
  result<std::span<const float>> run(const prompt_view<float>& prompt) override { return s_.run(prompt); }
  result<std::size_t> run_all(const prompt_view<float>& prompt, void* self,
                              void (*see)(void*, std::size_t, std::span<const float>)) override {
    return s_.run_all(prompt, [&](std::size_t t, std::span<const float> logits) { see(self, t, logits); });
  }
  result<std::span<const float>> run_ahead(token_id id, std::size_t most, void* self,
                                           bool (*see)(void*, token_id)) override {
    if constexpr (RunsAhead<B>) {
      return s_.run_ahead(id, most, [self, see](token_id chosen) { return see(self, chosen); });
    } else {
      return any_session::run_ahead(id, most, self, see);
    }
  }
  result<std::size_t> rewind(std::size_t size) override { return s_.rewind(size); }
  [[nodiscard]] std::size_t size() const override { return s_.size(); }
  [[nodiscard]] const session_options& options() const override { return s_.options(); }
  [[nodiscard]] memory_plan plan() const override { return s_.plan(); }
  [[nodiscard]] std::size_t vocabulary() const override { return s_.vocabulary(); }
  [[nodiscard]] std::size_t rows_alike() const override { return s_.rows_alike(); }
  [[nodiscard]] std::span<const float> hidden() const override { return s_.hidden(); }
  [[nodiscard]] std::span<const float> hidden_row(std::size_t t) const override { return s_.hidden_row(t); }

 private:
  [[nodiscard]] const void* address_if(const char* mark) const override {
    return mark == &mark_of<Session> ? &s_ : nullptr;
  }

  Session s_;
};

template <Variant V, Backend B>
class typed_model final : public any_model {
 public:
  typed_model(model<V, B> m, B& on) : m_(std::move(m)), on_(on) {}
  [[nodiscard]] std::string_view variant() const override { return load::variant_name<whole_of<V>>(); }
  [[nodiscard]] const text_spec& spec() const override { return whole_of<V>::spec; }
  [[nodiscard]] const text::tokenizer& tokenizer() const override { return m_.tokenizer(); }
  [[nodiscard]] result<std::unique_ptr<any_session>> session(const session_options& options) const override {
    return guarded([&]() -> result<std::unique_ptr<any_session>> {
      auto made = m_.session(options);
      if (!made) return unexpected(std::move(made.error()));
      using text = std::remove_cvref_t<decltype(*made)>;
      return std::unique_ptr<any_session>(std::make_unique<typed_session<V, B, text>>(std::move(*made)));
    });
  }
  [[nodiscard]] result<void> follow() const override {
    if constexpr (requires { m_.follow(); }) return m_.follow();
    return any_model::follow();
  }
  [[nodiscard]] memory_plan plan(const session_options& options) const override {
    return g4::session<V, B>::plan(on_, options);
  }

 private:
  [[nodiscard]] const void* address_if(const char* mark) const override {
    return mark == &mark_of<model<V, B>> ? &m_ : nullptr;
  }

  model<V, B> m_;
  B& on_;
};

}  // namespace detail

/// Fills variant V from an opened checkpoint, and forgets the type. Explicitly instantiated per variant and backend in
/// `kernels/variants/`, so that programs that link `g4::variants` compile none of it.
template <Variant V, Backend B>
[[nodiscard]] result<std::unique_ptr<any_model>> open_as(const checkpoint& from, B& on, const open_options& options) {
  static_assert(std::is_same_v<typename B::scalar, float>,
                "g4: any_model is for float backends; use open<V> with others.");
  return guarded([&]() -> result<std::unique_ptr<any_model>> {
    auto opened = open<V>(from, on, options);
    if (!opened) return unexpected(std::move(opened.error()));
    return std::unique_ptr<any_model>(std::make_unique<detail::typed_model<V, B>>(std::move(*opened), on));
  });
}

namespace detail {

template <class... V>
[[nodiscard]] unexpected none_fits(const checkpoint& from, one_of<V...>) {
  const load::nearest_variant near = load::nearest<V...>(from.spec, from.unsaid);
  return unexpected(not_the_variant(from, "any variant of this program; the nearest is " + std::string(near.name),
                                    near.differences));
}

}  // namespace detail

/// Opens a checkpoint that is any of the listed variants:
///
///     auto model = g4::open_any<g4::one_of<g4::gemma3_270m, g4::gemma3_1b>>(path, on);
///
/// Fails as `open` does; when no variant fits, the sentence gives the differences from the nearest.
template <class Variants, Backend B>
[[nodiscard]] result<std::unique_ptr<any_model>> open_any(const checkpoint& from, B& on,
                                                          const open_options& options = {}) {
  const auto among = [&]<class... V>(one_of<V...>) -> result<std::unique_ptr<any_model>> {
    std::optional<result<std::unique_ptr<any_model>>> opened;
    const bool found = ((load::differences(from.spec, whole_of<V>::spec, "", from.unsaid).empty() &&
                         (opened.emplace(open_as<V>(from, on, options)), true)) ||
                        ...);
    if (found) return std::move(*opened);
    return detail::none_fits(from, one_of<whole_of<V>...>{});
  };
  return guarded([&] { return among(Variants{}); });
}

}  // namespace g4
