/// What a list of policies amounts to: every number and choice of a text model, as one plain constant.
///
/// A variant's policies are folded into a `text_spec` at compile time; a config.json or a GGUF header is read into one
/// at run time. Comparing the two is how a file finds its type.
#pragma once

#include <cstdint>

#include "g4/spec/field.h"
#include "g4/spec/stack.h"

namespace g4 {

/// A text embedder's heads: mean of the rows [D] → [hidden] → [out].
struct pooled_spec {
  int hidden = 0;
  int out = 0;
  friend constexpr bool operator==(const pooled_spec&, const pooled_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"width between", &pooled_spec::hidden});
    visit(field{"width", &pooled_spec::out});
  }
};

/// The model that a drafter drafts for, as far as the drafter must know it.
struct target_spec {
  int width = 0;
  friend constexpr bool operator==(const target_spec&, const target_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"width", &target_spec::width});
  }
};

/// A drafter's ordered embeddings: its head scores clusters of tokens first, and then only the tokens of the best.
struct clusters_spec {
  int count = 0;
  int chosen = 0;
  friend constexpr bool operator==(const clusters_spec&, const clusters_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    visit(field{"count", &clusters_spec::count});
    visit(field{"chosen", &clusters_spec::chosen});
  }
};

/// A text model, complete: a stack, what is in front of it, and what is behind it.
struct text_spec : stack_spec {
  int vocab = 0;
  bool tied_head = true;
  float logit_cap = 0.0f;  ///< soft cap of logits; 0 means none
  maybe<pooled_spec> pooled;
  maybe<target_spec> target;  ///< a drafter's
  maybe<clusters_spec> clusters;
  friend constexpr bool operator==(const text_spec&, const text_spec&) = default;

  template <class Visit>
  static constexpr void each_field(Visit&& visit) {
    stack_spec::each_field(visit);
    visit(field{"vocab", &text_spec::vocab});
    visit(field{"tied head", &text_spec::tied_head});
    visit(field{"soft cap of logits", &text_spec::logit_cap});
    visit(field{"heads of the embedder", &text_spec::pooled, compared::never});  // neither config.json nor a GGUF says it
    visit(field{"target", &text_spec::target});
    visit(field{"clusters", &text_spec::clusters});
  }

  [[nodiscard]] constexpr bool is_drafter() const { return target.has_value(); }
};

/// The three generations, told apart by what only they have.
enum class generation : std::uint8_t { gemma3, gemma3n, gemma4 };

[[nodiscard]] constexpr generation generation_of(const stack_spec& m) {
  if (m.altup) return generation::gemma3n;
  return m.one_plus_weight ? generation::gemma3 : generation::gemma4;
}

}  // namespace g4
