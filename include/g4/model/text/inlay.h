/// What a text model is given to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "g4/core/result.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// A stretch of a prompt that is no plain text: rows that a tower made of a picture or a clip stand where the table's
/// rows would, and the tokens of one picture see each other in the layers whose mask says so.
template <class Scalar>
struct inlay {
  std::size_t first = 0;         ///< index of its first token in the prompt
  std::size_t count = 0;         ///< how many tokens it takes
  const Scalar* rows = nullptr;  ///< [count, D] in the backend's memory; null: the table's rows stay
  bool is_picture = false;       ///< whether its tokens see each other (under a mask that lets them)
};

/// A prompt: tokens, and what is laid into them. What `ids` holds under an inlay with rows is not looked at.
template <class Scalar>
struct prompt_view {
  std::span<const token_id> ids;
  std::span<const inlay<Scalar>> inlays = {};  ///< in order, none over another
};

/// Refuses inlays that are out of order, lie over each other, or reach beyond the prompt.
template <class Scalar>
[[nodiscard]] result<void> check_inlays(const prompt_view<Scalar>& prompt) {
  std::size_t end = 0;
  for (const inlay<Scalar>& one : prompt.inlays) {
    if (one.first < end || one.count > prompt.ids.size() || one.first > prompt.ids.size() - one.count) {
      return fail("session: rows laid in at token ", one.first, ", ", one.count, " of them, do not fit: the prompt has ",
                  prompt.ids.size(), " tokens, and those up to ", end, " are taken");
    }
    end = one.first + one.count;
  }
  return {};
}

}  // namespace g4
