/// A text of several ranks on disk: the leader writes and reads the file that one process would, whose keys and values are as whole.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/model/sharded.h"
#include "g4/model/text/plan.h"
#include "g4/model/text/session.h"
#include "g4/model/whole.h"
#include "g4/open/leading.h"
#include "g4/open/saved_text.h"

namespace g4 {

template <Shared V, Backend B>
class led_session;  // open/ranks.h

namespace detail {

/// The stretches of memory that a rank's part of a text is kept in, and their places in a file of all of it: the last final norm,
/// which all ranks have, and layer by layer those of each key/value head.
template <Shared V, Backend B>
class kept_of_ranks {
 public:
  /// furthest   tokens that were run, or are to be
  kept_of_ranks(const session<V, B>& text, std::size_t furthest) : on_(text.backend()) {
    text.each_kept_of(furthest, [&](std::byte* p, std::size_t bytes) { mine_.push_back({p, bytes}); });
    std::size_t next = 1;
    for (int l = 0; furthest > 0 && l < V::spec.layers; ++l) {
      const cache_view& cache = text.cache(l);
      if (cache.keys == nullptr) continue;
      const std::size_t of_a_head = cache.type == storage::i16 ? 4 : 2;  // keys, values, and their steps
      layers_.push_back({next, of_a_head, cache.heads, static_cast<std::size_t>(whole_of<V>::spec.layer[l].key_value_heads)});
      next += of_a_head * cache.heads;
    }
  }

  /// Bytes in the file.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t all = mine_.empty() ? 0 : mine_.front().size();
    for (const layer& l : layers_) {
      for (std::size_t s = 0; s < l.of_a_head; ++s) all += l.all_heads * mine_[l.first + s].size();
    }
    return all;
  }

  /// Calls out(bytes) on the leader for every stretch in the order of the file. All ranks do this together.
  template <class Out>
  result<void> gather(Out&& out) const {
    const bool leads = on_.rank() == 0;
    if (leads && !mine_.empty()) out(std::span<const std::byte>(mine_.front()));
    std::vector<std::byte> raw;
    for (const layer& l : layers_) {
      std::vector<std::vector<std::byte>> stretches(l.all_heads * l.of_a_head);
      for (std::size_t i = 0; i < l.heads * l.of_a_head; ++i) {
        const std::span<std::byte> one = mine_[l.first + i];
        raw.resize(one.size() * ranks);
        if (auto told = on_.gather(one.data(), one.size(), raw.data()); !told) return told;
        for (std::size_t r = 0; leads && r < ranks; ++r) {
          const std::byte* const theirs = raw.data() + r * one.size();
          stretches[l.first_head(r) * l.of_a_head + i].assign(theirs, theirs + one.size());
        }
      }
      for (const auto& one : stretches) {
        if (leads) out(std::span<const std::byte>(one));
      }
    }
    return {};
  }

  /// Fills them with the leader's `file`, which others leave out. All ranks do this together.
  result<void> spread(const std::byte* file) const {
    std::vector<std::byte> room;
    const auto next = [&](std::size_t bytes) -> result<void> {
      room.resize(bytes);
      if (on_.rank() == 0) {
        std::memcpy(room.data(), file, bytes);
        file += bytes;
      }
      return on_.broadcast(room.data(), bytes);
    };
    const auto put = [&](std::span<std::byte> to) { on_.put(room.data(), to.size(), to.data()); };
    if (!mine_.empty()) {
      if (auto told = next(mine_.front().size()); !told) return told;
      put(mine_.front());
    }
    for (const layer& l : layers_) {
      for (std::size_t head = 0; head < l.all_heads; ++head) {
        for (std::size_t s = 0; s < l.of_a_head; ++s) {
          if (auto told = next(mine_[l.first + s].size()); !told) return told;
          const std::size_t first = l.first_head(static_cast<std::size_t>(on_.rank()));
          if (head >= first && head < first + l.heads) put(mine_[l.first + (head - first) * l.of_a_head + s]);
        }
      }
    }
    return {};
  }

 private:
  static constexpr auto ranks = static_cast<std::size_t>(V::plan::ranks);
  /// Where a layer's stretches begin among `mine_`, and its heads: on this rank, and on all.
  struct layer {
    std::size_t first, of_a_head, heads, all_heads;
    [[nodiscard]] std::size_t first_head(std::size_t rank) const { return rank * all_heads / ranks; }
  };

  B& on_;
  std::vector<std::span<std::byte>> mine_;
  std::vector<layer> layers_;
};

/// The same of the stages of a pipeline: every layer's are with one of them, the last final norm with the leader.
template <Shared V, Backend B>
  requires(V::spec.stages > 1)
class kept_of_ranks<V, B> {
 public:
  kept_of_ranks(const session<V, B>& text, std::size_t furthest) : on_(text.backend()) {
    if (furthest == 0) return;
    const session_options& how = text.options();
    stretches_.push_back({0, V::spec.width * sizeof(typename B::scalar)});
    for (int l = 0; l < V::spec.layers; ++l) {
      const layer_kind& k = V::spec.layer[l];
      if (k.role == cache_role::reuser) continue;
      int stage = 0;
      while (!V::of_stage[static_cast<std::size_t>(stage)].has(l)) ++stage;
      const storage type = cache_type(k, how.cache, on_.cache_storage());
      const std::size_t tokens = std::min(furthest, cache_slots(k, how.context, how.batch));
      for (int head = 0; head < k.key_value_heads; ++head) {
        const std::size_t rows = tokens * cached_row_bytes(type, static_cast<std::size_t>(k.head_size));
        stretches_.insert(stretches_.end(), 2, {stage, rows});  // keys, values
        if (type == storage::i16) stretches_.insert(stretches_.end(), 2, {stage, tokens * sizeof(float)});
      }
    }
    // Those of this rank lie in the same order; of the final norm the leader's counts.
    auto at = stretches_.begin();
    text.each_kept_of(furthest, [&](std::byte* p, std::size_t) {
      if (at == stretches_.begin() && !V::of_stage[static_cast<std::size_t>(on_.rank())].begins()) {
        ++at;
        return;
      }
      while (at->stage != on_.rank()) ++at;
      at++->here = p;
    });
  }

  [[nodiscard]] std::size_t bytes() const {
    std::size_t all = 0;
    for (const stretch_of_a_stage& one : stretches_) all += one.bytes;
    return all;
  }

  template <class Out>
  result<void> gather(Out&& out) const {
    std::vector<std::byte> room;
    for (const stretch_of_a_stage& one : stretches_) {
      if (on_.rank() == 0) {
        room.resize(one.bytes);
        if (one.here == nullptr) {
          if (auto told = on_.receive(room.data(), one.bytes, one.stage); !told) return told;
        }
        out(one.here != nullptr ? std::span<const std::byte>(one.here, one.bytes) : std::span<const std::byte>(room));
      } else if (one.here != nullptr) {
        if (auto told = on_.send(one.here, one.bytes, 0); !told) return told;
      }
    }
    return {};
  }

  result<void> spread(const std::byte* file) const {
    std::vector<std::byte> room;
    for (const stretch_of_a_stage& one : stretches_) {
      if (on_.rank() == 0) {
        if (one.here != nullptr) {
          on_.put(file, one.bytes, one.here);
        } else if (auto told = on_.send(file, one.bytes, one.stage); !told) {
          return told;
        }
        file += one.bytes;
      } else if (one.here != nullptr) {
        room.resize(one.bytes);
        if (auto told = on_.receive(room.data(), one.bytes, 0); !told) return told;
        on_.put(room.data(), one.bytes, one.here);
      }
    }
    return {};
  }

 private:
  struct stretch_of_a_stage {
    int stage;
    std::size_t bytes;
    std::byte* here = nullptr;  ///< on this rank
  };
  B& on_;
  std::vector<stretch_of_a_stage> stretches_;  // in the order of the file
};

}  // namespace detail

/// As `save` of a session. Where no sum is divided, one process goes on from the file as well, and ranks from one process's.
template <Shared V, Backend B>
[[nodiscard]] result<void> save(const led_session<V, B>& text, const std::string& path) {
  return guarded([&]() -> result<void> {
    const detail::kept_of_ranks<V, B> kept(text.own(), text.own().furthest());
    return detail::write_saved(path, detail::header_of(text.own()), [&](auto&& write) -> result<void> {
      const auto& others = text.by_number();
      if (auto told = others.ranks().tell(others.to(detail::command::to::save)); !told) return told;
      return kept.gather(write);
    });
  });
}

/// As `restore` of a session. Fails, and leaves the text as it is on every rank, when the file does not fit.
template <Shared V, Backend B>
[[nodiscard]] result<void> restore(const std::string& path, led_session<V, B>& text) {
  return guarded([&]() -> result<void> {
    const auto bytes_of = [&](std::size_t furthest) {
      return detail::kept_of_ranks<V, B>(text.own(), furthest).bytes();
    };
    const auto file = detail::open_saved(path, detail::header_of(text.own()), text.options().context, bytes_of);
    if (!file) return unexpected(file.error());
    return text.resume(file->header.size, file->header.furthest, file->kept.data());
  });
}

}  // namespace g4
