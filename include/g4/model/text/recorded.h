/// Steps that come again and again, as a backend has recorded them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// A runner's steps of a few rows. What a step asks of the backend depends on how many rows there are, which of them are
/// wanted and where the caches of their texts lie; ids, positions and visible keys lie in the backend's memory. So a step that
/// comes the second time is recorded, and from the third time on it is replayed: no work of the host then grows with layers,
/// and nothing is allocated.
///
/// All texts of a runner have caches of one form (`text_cache`): where one's first layer lies tells where all of it does.
template <class B>
class recorded_steps {
 public:
  /// body(), or its recording. `texts` of the caches may be read.
  template <class Body>
  void run(B& on, std::size_t rows, text_caches caches, std::size_t texts, std::span<const std::int32_t> wanted,
           Body&& body) {
    step* const found = find(rows, caches, texts, wanted);
    if (found == nullptr) {
      remember(rows, caches, texts, wanted);
      return body();
    }
    if (found->recorded.get() == nullptr) found->recorded = on.record(body);
    on.replay(found->recorded);
  }

 private:
  static constexpr std::size_t most = 16;
  struct step {
    std::size_t rows = 0;
    std::vector<std::int32_t> wanted;
    std::vector<const std::byte*> caches;
    typename B::recording recorded;
  };

  [[nodiscard]] step* find(std::size_t rows, text_caches caches, std::size_t texts,
                           std::span<const std::int32_t> wanted) {
    for (step& one : steps_) {
      if (one.rows != rows || one.caches.size() != texts || !std::ranges::equal(one.wanted, wanted)) continue;
      bool same = true;
      for (std::size_t i = 0; i < texts; ++i) same = same && one.caches[i] == caches[i][0].keys;
      if (same) return &one;
    }
    return nullptr;
  }
  void remember(std::size_t rows, text_caches caches, std::size_t texts, std::span<const std::int32_t> wanted) {
    if (steps_.size() == most) steps_.erase(steps_.begin());  // the oldest
    step one{rows, {wanted.begin(), wanted.end()}, {}, {}};
    for (std::size_t i = 0; i < texts; ++i) one.caches.push_back(caches[i][0].keys);
    steps_.push_back(std::move(one));
  }

  std::vector<step> steps_;
};

/// Of a backend that records nothing.
template <class B>
requires(!RecordsSteps<B>) class recorded_steps<B> {
};

}  // namespace g4
