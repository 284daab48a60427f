/// Many texts at once, of a model whose type is known to the program and not to the caller.
///
///     auto model = g4::open_any<variants>(*from, on);
///     auto texts = g4::open_batch<variants>(**model, on, {.texts = 8});
///     auto id = (*texts)->join(prompt, {.max_tokens = 128}, show);          // show must outlive the text
///     while ((*texts)->running() > 0) (*texts)->step();
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/generate/batch.h"
#include "g4/model/one_of.h"
#include "g4/open/any_model.h"

namespace g4 {

/// See `batch`, whose members these are.
class any_batch {
 public:
  virtual ~any_batch() = default;
  [[nodiscard]] virtual const batch_options& options() const = 0;
  [[nodiscard]] virtual memory_plan plan() const = 0;
  virtual result<std::size_t> step() = 0;
  [[nodiscard]] virtual std::size_t running() const = 0;
  [[nodiscard]] virtual bool running(text_id id) const = 0;
  virtual result<generated> leave(text_id id) = 0;

  /// on_text   stays the caller's, and must live until the text has left
  template <class OnText>
  result<text_id> join(std::span<const token_id> prompt, const generate_options& options, OnText& on_text,
                       const guessing& guesses = {}) {
    return join_after(nullptr, prompt, options, &on_text, &pass_on<OnText>, guesses);
  }
  /// After what a session has run, which is of the same model: as `batch::join` has it.
  template <class OnText>
  result<text_id> join(const any_session& after, std::span<const token_id> prompt, const generate_options& options,
                       OnText& on_text, const guessing& guesses = {}) {
    return join_after(&after, prompt, options, &on_text, &pass_on<OnText>, guesses);
  }

 protected:
  using shows = bool (*)(void* self, std::string_view piece);

 private:
  template <class OnText>
  static bool pass_on(void* self, std::string_view piece) {
    return detail::pass_on(*static_cast<OnText*>(self), piece);
  }
  virtual result<text_id> join_after(const any_session* after, std::span<const token_id> prompt,
                                     const generate_options& options, void* self, shows on_text,
                                     const guessing& guesses) = 0;
};

namespace detail {

template <Variant V, Backend B>
class typed_batch final : public any_batch {
 public:
  explicit typed_batch(batch<V, B> b) : b_(std::move(b)) {}
  [[nodiscard]] const batch_options& options() const override { return b_.options(); }
  [[nodiscard]] memory_plan plan() const override { return b_.plan(); }
  result<std::size_t> step() override { return b_.step(); }
  [[nodiscard]] std::size_t running() const override { return b_.running(); }
  [[nodiscard]] bool running(text_id id) const override { return b_.running(id); }
  result<generated> leave(text_id id) override { return b_.leave(id); }

 private:
  result<text_id> join_after(const any_session* after, std::span<const token_id> prompt,
                             const generate_options& options, void* self, shows on_text,
                             const guessing& guesses) override {
    const auto show = [self, on_text](std::string_view piece) { return on_text(self, piece); };
    if (after == nullptr) return b_.join(prompt, options, show, guesses);
    const auto* const typed = after->as<typename batch<V, B>::session_type>();
    if (typed == nullptr) return fail("batch: a session to go on from must be of the same variant and backend");
    return b_.join(*typed, prompt, options, show, guesses);
  }

  batch<V, B> b_;
};

}  // namespace detail

/// A batch of an opened model's texts, and forgets the type. Explicitly instantiated per variant in `kernels/variants/`, so
/// that programs that link `g4::variants` compile none of it.
template <Variant V, Backend B>
[[nodiscard]] result<std::unique_ptr<any_batch>> open_batch_as(const any_model& of, B& on, const batch_options& options) {
  return guarded([&]() -> result<std::unique_ptr<any_batch>> {
    const auto* const typed = of.as<model<V, B>>();
    if (typed == nullptr || &typed->on() != &on) {
      return fail("batch: the model was opened as a ", std::string(of.variant()), ", and not as a ",
                  std::string(load::variant_name<whole_of<V>>()), " on this backend");
    }
    auto made = make_batch(*typed, options);
    if (!made) return unexpected(std::move(made.error()));
    return std::unique_ptr<any_batch>(std::make_unique<detail::typed_batch<V, B>>(std::move(*made)));
  });
}

/// A batch of an opened model's texts, the model being any of the listed variants. `of` and `on` must outlive it.
/// Fails as `batch::make` does, and where the model is none of them.
template <class Variants, Backend B>
[[nodiscard]] result<std::unique_ptr<any_batch>> open_batch(const any_model& of, B& on,
                                                            const batch_options& options = {}) {
  const auto among = [&]<class... V>(one_of<V...>) -> result<std::unique_ptr<any_batch>> {
    std::optional<result<std::unique_ptr<any_batch>>> opened;
    const bool found =
        ((load::variant_name<whole_of<V>>() == of.variant() && (opened.emplace(open_batch_as<V>(of, on, options)), true)) || ...);
    if (found) return std::move(*opened);
    return fail("batch: ", std::string(of.variant()), " is none of the variants that texts are run together of");
  };
  return guarded([&] { return among(Variants{}); });
}

}  // namespace g4
