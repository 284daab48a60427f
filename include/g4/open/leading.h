/// What the first of several ranks says to the others, and to whom they listen.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/core/token_id.h"
#include "g4/model/text/inlay.h"
#include "g4/model/text/plan.h"
#include "g4/tensor/pass_row.h"

namespace g4::detail {

/// What the leader tells the others to do. A few ids ride inside; more, and what is laid into them, follow behind.
struct command {
  enum class to : std::uint32_t { make, fork, drop, run, run_all, rewind, apart, make_batch, join, step, save, restore, draft_beside,
                                draft, end };
  static constexpr std::size_t few = 8;

  to what = to::end;
  std::uint32_t text = 0;    ///< which of the leader's texts, or of its batches
  std::uint64_t count = 0;   ///< of ids, of rows, of texts, or of the tokens that are left; to join, a place
  std::uint64_t inlays = 0;  ///< how many; of ids apart, the first; of rows, those that are wanted; else another text
                             ///< (to draft beside, `count` is which of the drafters)
  session_options options{};
  std::array<token_id, few> ids{};
};
static_assert(std::is_trivially_copyable_v<command> && std::is_trivially_copyable_v<pass_row>);

/// An inlay without its rows, which follow.
struct told_inlay {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint32_t has_rows = 0;
  std::uint32_t is_picture = 0;
};

/// The leader's side. When the last of a model's copies and texts is gone, the followers are told.
template <class B>
class leading {
 public:
  using scalar = typename B::scalar;

  explicit leading(B& on) : on_(on) {}
  leading(const leading&) = delete;
  leading& operator=(const leading&) = delete;
  ~leading() { (void)tell({}); }

  [[nodiscard]] B& on() const { return on_; }
  [[nodiscard]] std::uint32_t next_number() { return ++numbers_; }
  result<void> tell(command what) { return on_.broadcast(&what, sizeof what); }
  /// A prompt of rows of `width` numbers.
  result<void> tell(command what, const prompt_view<scalar>& prompt, std::size_t width) {
    what.count = prompt.ids.size();
    what.inlays = prompt.inlays.size();
    const bool inside = prompt.ids.size() <= command::few;
    if (inside) std::copy(prompt.ids.begin(), prompt.ids.end(), what.ids.begin());
    if (auto told = tell(what); !told) return told;
    if (!inside) {
      ids_.assign(prompt.ids.begin(), prompt.ids.end());
      if (auto told = on_.broadcast(ids_.data(), ids_.size() * sizeof(token_id)); !told) return told;
    }
    for (const inlay<scalar>& one : prompt.inlays) {
      told_inlay said{one.first, one.count, one.rows != nullptr, one.is_picture};
      if (auto told = on_.broadcast(&said, sizeof said); !told) return told;
      if (one.rows == nullptr) continue;
      if (auto told = show(one.rows, one.count * width); !told) return told;
    }
    return {};
  }
  /// Rows of several texts, and which of them are wanted.
  result<void> tell(command what, std::span<const pass_row> rows, std::span<const std::int32_t> wanted) {
    what.count = rows.size();
    what.inlays = wanted.size();
    if (auto told = tell(what); !told) return told;
    rows_.assign(rows.begin(), rows.end());
    if (auto told = on_.broadcast(rows_.data(), rows_.size() * sizeof(pass_row)); !told) return told;
    wanted_.assign(wanted.begin(), wanted.end());
    return wanted.empty() ? result<void>{} : on_.broadcast(wanted_.data(), wanted_.size() * sizeof(std::int32_t));
  }
  /// n numbers.
  result<void> show(const scalar* numbers, std::size_t n) {
    shown_.assign(numbers, numbers + n);
    return on_.broadcast(shown_.data(), n * sizeof(scalar));
  }

 private:
  B& on_;
  std::uint32_t numbers_ = 0;
  std::vector<token_id> ids_;
  std::vector<pass_row> rows_;
  std::vector<std::int32_t> wanted_;
  std::vector<scalar> shown_;
};

/// A text, a batch or a drafter of the leader's, which the others have by the same number: they let go of it with this.
template <class B>
class led {
 public:
  led(std::shared_ptr<leading<B>> ranks, std::uint32_t number) : ranks_(std::move(ranks)), number_(number) {}
  led(led&&) noexcept = default;
  led& operator=(led&&) noexcept = delete;
  ~led() {
    if (ranks_ != nullptr) (void)ranks_->tell(to(command::to::drop));
  }

  [[nodiscard]] command to(command::to what) const {
    command said;
    said.what = what;
    said.text = number_;
    return said;
  }
  [[nodiscard]] leading<B>& ranks() const { return *ranks_; }
  [[nodiscard]] const std::shared_ptr<leading<B>>& shared() const { return ranks_; }
  [[nodiscard]] std::uint32_t number() const { return number_; }

 private:
  std::shared_ptr<leading<B>> ranks_;
  std::uint32_t number_;
};

}  // namespace g4::detail
