/// Where the stages of a pipeline meet: rows go from one to the next, and what the last makes goes to the leader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/model/stack/pass.h"
#include "g4/model/stack/tap.h"
#include "g4/rule/rank_rules.h"

namespace g4 {

/// The model as it is on this rank: a stage of a pipeline, or all of S.
template <class S, class B>
[[nodiscard]] constexpr const auto& spec_here([[maybe_unused]] const B& on) {
  if constexpr (S::spec.stages > 1) {
    (void)rule::a_share_needs_ranks_that_meet<JoinsStages<B>>{};
    if constexpr (JoinsStages<B>) return S::of_stage[static_cast<std::size_t>(on.rank())];
  } else {
    return S::spec;
  }
}

/// Whether this rank has the end of the model, and with it the head.
template <class S, class B>
[[nodiscard]] constexpr bool ends_here(const B& on) {
  return S::spec.stages == 1 || spec_here<S>(on).ends();
}

/// Numbers of the rows that go from stage to stage: all streams of them.
template <class S, class B>
[[nodiscard]] std::size_t numbers_of_rows(const pass<B>& p) {
  constexpr std::size_t streams = S::spec.altup.has_value() ? S::spec.altup->streams : 1;
  return streams * p.rows * S::width;
}
/// Takes over the rows that the stage before has worked on. Returns whether the leader's tap is to see what is made of them.
template <class S, JoinsStages B>
[[nodiscard]] bool take_over(pass<B>& p) {
  using scalar = typename B::scalar;
  std::uint32_t seen = 0;
  (void)p.on.receive(&seen, sizeof seen, p.on.rank() - 1);
  (void)p.on.receive(p.template in<scalar>(p.at.stream), numbers_of_rows<S>(p) * sizeof(scalar), p.on.rank() - 1);
  return seen != 0;
}
/// The other side of it.
template <class S, JoinsStages B>
void hand_over(pass<B>& p) {
  using scalar = typename B::scalar;
  const std::uint32_t seen = p.see.watching() ? 1 : 0;
  (void)p.on.send(&seen, sizeof seen, p.on.rank() + 1);
  (void)p.on.send(p.template in<scalar>(p.at.stream), numbers_of_rows<S>(p) * sizeof(scalar), p.on.rank() + 1);
}

// ---- What the leader's tap sees of later stages --------------------------------------------------------------------------

/// A tensor on its way there; its numbers follow, and its indices, where it has any. One without a name is the last.
struct told_tensor {
  std::array<char, 32> name{};
  std::int32_t layer = -1;
  std::uint32_t has_indices = 0;
  std::uint64_t rows = 0, width = 0, streams = 1;
};

/// Tells the leader every tensor that it is shown.
template <class S, JoinsStages B>
[[nodiscard]] tap<typename B::scalar> tap_of_the_leader(B& on) {
  using scalar = typename B::scalar;
  return {&on, [](void* self, const tapped<scalar>& what) {
            B& to = *static_cast<B*>(self);
            told_tensor said{{}, what.layer, what.indices != nullptr, what.rows, what.width, what.streams};
            const std::string_view name(what.name);
            name.copy(said.name.data(), said.name.size() - 1);
            (void)to.send(&said, sizeof said, 0);
            (void)to.send(what.data, what.streams * what.rows * what.width * sizeof(scalar), 0);
            if (what.indices == nullptr) return;
            (void)to.send(what.indices, what.rows * S::spec.experts->chosen * sizeof(std::int32_t), 0);
          }};
}
/// Says that this was all.
template <JoinsStages B>
void tell_the_last(B& on) {
  const told_tensor last;
  (void)on.send(&last, sizeof last, 0);
}
/// The leader's side: shows what the stages behind it tell, one after the other.
template <class S, JoinsStages B>
void show_what_others_tell(B& on, watcher<B>& see) {
  using scalar = typename B::scalar;
  constexpr std::size_t chosen = S::spec.experts->chosen;
  std::vector<scalar> numbers;
  std::vector<std::int32_t> indices;
  for (int from = 1; from < on.ranks(); ++from) {
    for (;;) {
      told_tensor said;
      if (!on.receive(&said, sizeof said, from)) return;
      if (said.name[0] == 0) break;
      numbers.resize(said.streams * said.rows * said.width);
      if (!on.receive(numbers.data(), numbers.size() * sizeof(scalar), from)) return;
      indices.resize(said.has_indices != 0 ? said.rows * chosen : 0);
      if (!indices.empty() && !on.receive(indices.data(), indices.size() * sizeof(std::int32_t), from)) return;
      see(on, said.name.data(), said.layer, numbers.data(), said.rows, said.width, said.streams,
          indices.empty() ? nullptr : indices.data(), chosen);
    }
  }
}

}  // namespace g4
