/// A text embedder whose type is known to the program and not to the caller.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/tensor/pass_row.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// See `embedder`.
class any_embedder {
 public:
  virtual ~any_embedder() = default;
  [[nodiscard]] virtual std::string_view variant() const = 0;
  [[nodiscard]] virtual const text::tokenizer& tokenizer() const = 0;
  /// How many numbers a vector has.
  [[nodiscard]] virtual std::size_t numbers() const = 0;
  /// A text's vector, of length 1.
  ///
  /// ids   the whole text as the model expects it: bos, text, eos
  [[nodiscard]] virtual result<std::vector<float>> embed(std::span<const token_id> ids) = 0;
  /// The vectors of many texts, in order; as many share a pass as have room in it. All or none.
  [[nodiscard]] virtual result<std::vector<std::vector<float>>> embed_each(
      std::span<const std::span<const token_id>> texts) = 0;
};

}  // namespace g4
