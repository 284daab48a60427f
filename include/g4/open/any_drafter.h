/// A drafter whose type is known to the program, not to the caller.
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
#include "g4/model/drafter.h"
#include "g4/model/text/draft.h"
#include "g4/open/any_model.h"

namespace g4 {

/// A drafter bound to one session of its target: see `draft_session`.
class any_drafter {
 public:
  virtual ~any_drafter() = default;
  [[nodiscard]] virtual std::string_view variant() const = 0;
  virtual std::span<const token_id> draft(token_id id, std::size_t count, const float* carried) = 0;
};

namespace detail {

template <Drafter D, Backend B>
class typed_drafter final : public any_drafter {
 public:
  typed_drafter(std::shared_ptr<const weights<D>> w, draft_session<D, B> s) : w_(std::move(w)), s_(std::move(s)) {}
  [[nodiscard]] std::string_view variant() const override { return load::variant_name<D>(); }
  std::span<const token_id> draft(token_id id, std::size_t count, const float* carried) override {
    return s_.draft(id, count, carried);
  }

 private:
  std::shared_ptr<const weights<D>> w_;
  draft_session<D, B> s_;
};

}  // namespace detail

/// Fills drafter D from an opened checkpoint and binds it to `target`, which must outlive it.
/// Fails as `open` does, and when `target` is a session of another model or backend.
template <Drafter D, Backend B>
[[nodiscard]] result<std::unique_ptr<any_drafter>> open_drafter_as(const checkpoint& from, const any_session& target,
                                                                   B& on, const open_options& options) {
  constexpr std::string_view name = load::variant_name<D>();
  const auto* const session = target.as<g4::session<typename D::target, B>>();
  if (session == nullptr) {
    return fail(from.path, ": is ", std::string(name), ", which drafts for ",
                std::string(load::variant_name<typename D::target>()), "; the model that is running is another");
  }
  return guarded([&]() -> result<std::unique_ptr<any_drafter>> {
    auto weights = load::make_weights<D>(from.tensors, from.format, on, options.checks, options.progress);
    if (!weights) return unexpected(std::move(weights.error()));
    auto drafts = draft_session<D, B>::make(**weights, *session);
    if (!drafts) return unexpected(std::move(drafts.error()));
    return std::unique_ptr<any_drafter>(
        std::make_unique<detail::typed_drafter<D, B>>(std::move(*weights), std::move(*drafts)));
  });
}

/// Opens a checkpoint that is any of the listed drafters, for a session that is running.
template <class Drafters, Backend B>
[[nodiscard]] result<std::unique_ptr<any_drafter>> open_any_drafter(const checkpoint& from, const any_session& target,
                                                                    B& on, const open_options& options = {}) {
  const auto among = [&]<class... D>(one_of<D...>) -> result<std::unique_ptr<any_drafter>> {
    std::optional<result<std::unique_ptr<any_drafter>>> opened;
    const bool found = ((load::differences(from.spec, D::spec, "", from.unsaid).empty() &&
                         (opened.emplace(open_drafter_as<D>(from, target, on, options)), true)) ||
                        ...);
    if (found) return std::move(*opened);
    if constexpr (sizeof...(D) == 0) {
      return fail(from.path, ": this program knows no drafters");
    } else {
      const load::nearest_variant near = load::nearest<D...>(from.spec, from.unsaid);
      return unexpected(not_the_variant(from, "any drafter of this program; the nearest is " + std::string(near.name),
                                        near.differences));
    }
  };
  return guarded([&] { return among(Drafters{}); });
}

/// Guesses of a drafter, in the form `speculate` asks for.
[[nodiscard]] inline auto guess_with(any_drafter& drafter) {
  return [&drafter](std::span<const token_id>, token_id chosen, std::span<const float> hidden, std::size_t count) {
    return drafter.draft(chosen, count, hidden.data());
  };
}

}  // namespace g4
