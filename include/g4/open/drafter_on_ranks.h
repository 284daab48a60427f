/// A drafter that is shared out among the ranks of its target.
///
///     auto model = g4::open<g4::sharded<g4::gemma4_e2b::text, g4::tensor_parallel<2>>>(path, on);       // on every rank
///     auto drafter = g4::open_drafter<g4::sharded<g4::gemma4_e2b_assistant, g4::tensor_parallel<2>>>(other, *model);
///     if (!on.leads()) return model->follow() ? 0 : 1;
///     auto session = model->session({.context = 8192});                                                 // on the leader
///     auto drafts = drafter->beside(*session);
///     auto done = g4::speculate(*session, prompt, 200, 4, g4::guess_with(*drafts), show);
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/drafter.h"
#include "g4/model/text/draft.h"
#include "g4/open/agree.h"
#include "g4/open/ranks.h"

namespace g4 {

namespace detail {

template <Shared D, Backend B>
class followed_drafts final : public drafts_here<typename B::scalar> {
 public:
  explicit followed_drafts(draft_session<D, B> own) : own_(std::move(own)) {}
  void draft(token_id id, std::size_t count, const typename B::scalar* carried) override { own_.draft(id, count, carried); }

 private:
  draft_session<D, B> own_;
};

template <Shared D, Backend B>
class followed_drafter final : public drafter_here<typename D::target, B> {
 public:
  explicit followed_drafter(std::shared_ptr<const weights<D>> w) : w_(std::move(w)) {}
  [[nodiscard]] result<std::unique_ptr<drafts_here<typename B::scalar>>> beside(
      const session<typename D::target, B>& text) const override {
    return guarded([&]() -> result<std::unique_ptr<drafts_here<typename B::scalar>>> {
      auto own = draft_session<D, B>::make(*w_, text);
      if (!own) return unexpected(std::move(own.error()));
      return std::unique_ptr<drafts_here<typename B::scalar>>(std::make_unique<followed_drafts<D, B>>(std::move(*own)));
    });
  }

 private:
  std::shared_ptr<const weights<D>> w_;
};

}  // namespace detail

/// A drafter beside a text of the leader: a `draft_session` whose every call the followers make as well.
template <Shared D, Backend B>
  requires Drafter<D>
class led_drafter {
 public:
  using scalar = typename B::scalar;
  using target = typename D::target;

  /// As `draft_session::draft`. No guesses where a rank is lost: the text says so when it is run.
  std::span<const token_id> draft(token_id id, std::size_t count, const scalar* carried) {
    detail::command said = led_.to(detail::command::to::draft);
    said.count = count;
    said.ids[0] = id;
    if (!led_.ranks().tell(said) || !led_.ranks().show(carried, D::spec.target->width)) return {};
    const auto guesses = own_.draft(id, count, carried);
    if (led_.ranks().on().lost()) return {};
    return guesses;
  }
  /// As `draft_session::watch`: all that it shows every rank has.
  void watch(tap<scalar> see) { own_.watch(see); }

 private:
  template <Shared, Backend C>
  friend class drafter_on_ranks;
  led_drafter(detail::led<B> by_number, std::shared_ptr<const weights<D>> w, draft_session<D, B> own)
      : led_(std::move(by_number)), w_(std::move(w)), own_(std::move(own)) {}

  detail::led<B> led_;
  std::shared_ptr<const weights<D>> w_;
  draft_session<D, B> own_;
};

/// One rank's share of a drafter.
template <Shared D, Backend B>
class drafter_on_ranks {
 public:
  using target = typename D::target;

  drafter_on_ranks(std::shared_ptr<const weights<D>> w, std::size_t which) : w_(std::move(w)), which_(which) {}

  /// On the leader, for one of its texts, which must outlive it where it is. Fails when the memory cannot be had on every rank.
  [[nodiscard]] result<led_drafter<D, B>> beside(const led_session<target, B>& text) const {
    return guarded([&]() -> result<led_drafter<D, B>> {
      auto& ranks = text.by_number().shared();
      detail::command said;
      said.what = detail::command::to::draft_beside;
      said.text = ranks->next_number();
      said.count = which_;
      said.inlays = text.by_number().number();
      if (auto told = ranks->tell(said); !told) return unexpected(std::move(told.error()));
      auto own = draft_session<D, B>::make(*w_, text.own());
      if (auto all = agree(ranks->on(), own); !all) return unexpected(std::move(all.error()));
      return led_drafter<D, B>(detail::led<B>(ranks, said.text), w_, std::move(*own));
    });
  }

 private:
  std::shared_ptr<const weights<D>> w_;
  std::size_t which_;
};

/// Opens a drafter for a model that is shared out, on every rank and before any of them follows. Fails on all of them where `open`
/// would: no file, another model, ranks that differ.
template <Shared D, Backend B>
  requires Drafter<D>
[[nodiscard]] result<drafter_on_ranks<D, B>> open_drafter(const result<checkpoint>& from, const model<typename D::target, B>& target,
                                                          const open_options& options = {}) {
  return guarded([&]() -> result<drafter_on_ranks<D, B>> {
    auto w = detail::open_share<D>(from ? &*from : nullptr, from ? error{} : from.error(), target.on(), options);
    if (!w) return unexpected(std::move(w.error()));
    auto& here = target.drafters();
    here.push_back(std::make_unique<detail::followed_drafter<D, B>>(*w));
    return drafter_on_ranks<D, B>(std::move(*w), here.size() - 1);
  });
}
template <Shared D, Backend B>
  requires Drafter<D>
[[nodiscard]] result<drafter_on_ranks<D, B>> open_drafter(const std::string& path, const model<typename D::target, B>& target,
                                                          const open_options& options = {}) {
  return open_drafter<D, B>(open_checkpoint(path), target, options);
}

/// Guesses of a drafter, in the form `speculate` asks for.
template <class D, Backend B>
[[nodiscard]] auto guess_with(led_drafter<D, B>& drafter) {
  return [&drafter](std::span<const token_id>, token_id chosen, std::span<const typename B::scalar> hidden, std::size_t count) {
    return drafter.draft(chosen, count, hidden.data());
  };
}

}  // namespace g4
