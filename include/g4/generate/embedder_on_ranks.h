/// An embedder that is shared out among ranks: rank 0 has the texts, the others follow.
///
///     auto vectors = g4::open_embedder<g4::sharded<g4::embeddinggemma_300m, g4::tensor_parallel<3>>>(path, on);   // on every rank
///     if (!vectors) return complain(vectors.error());
///     if (!on.leads()) return vectors->follow() ? 0 : 1;          // until the leader's embedder is gone
///     auto one = vectors->embed(ids);                             // from here on as on one machine
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/generate/embedder.h"
#include "g4/model/sharded.h"
#include "g4/open/agree.h"
#include "g4/open/checkpoint.h"
#include "g4/open/ranks.h"

namespace g4 {

/// One rank's share of an embedder. The heads behind the mean, which are small, are on every rank.
template <Shared V, Backend B>
class embedder_on_ranks {
 public:
  using scalar = typename B::scalar;
  using vectors = std::vector<text_embedding<scalar>>;

  /// As `embedder::open`, on every rank. Fails on all of them where one cannot open its file, or differs from the others.
  [[nodiscard]] static result<embedder_on_ranks> open(const std::string& path, B& on, std::size_t longest = 2048,
                                                      const open_options& options = {}) {
    return guarded([&]() -> result<embedder_on_ranks> {
      const auto from = open_checkpoint(path);
      if (auto all = detail::agree_on_checkpoint<V>(from ? &*from : nullptr, from ? error{} : from.error(), on); !all)
        return unexpected(std::move(all.error()));
      auto own = embedder<V, B>::open(*from, on, longest, options);
      if (auto all = agree(on, own); !all) return unexpected(std::move(all.error()));
      return embedder_on_ranks(std::move(*own), on);
    });
  }

  /// As `embedder::embed` and `embed_each`, on the leader. Fails also where a rank is lost; the model cannot go on then.
  [[nodiscard]] result<text_embedding<scalar>> embed(std::span<const token_id> ids) {
    auto one = embed_together({&ids, 1}, true, [&]() -> result<vectors> {
      auto made = own_.embed(ids);
      if (!made) return unexpected(std::move(made.error()));
      return vectors{std::move(*made)};
    });
    if (!one) return unexpected(std::move(one.error()));
    return std::move(one->front());
  }
  [[nodiscard]] result<vectors> embed_each(std::span<const std::span<const token_id>> texts) {
    return embed_together(texts, false, [&] { return own_.embed_each(texts); });
  }
  [[nodiscard]] std::size_t numbers() const { return own_.numbers(); }

  /// Embeds on this rank what the leader does, until its embedder is gone. Fails where a rank is lost.
  [[nodiscard]] result<void> follow() {
    if (on_->leads()) return fail("rank 0 leads, and follows nobody");
    return guarded([&]() -> result<void> {
      std::vector<std::uint64_t> lengths;
      std::vector<token_id> ids;
      std::vector<std::span<const token_id>> texts;
      for (;;) {
        told what;
        if (auto heard = on_->await(&what, sizeof what); !heard) return heard;
        if (what.texts == 0) return {};
        lengths.resize(what.texts);
        ids.resize(what.tokens);
        texts.clear();
        if (auto heard = on_->broadcast(lengths.data(), lengths.size() * sizeof(std::uint64_t)); !heard) return heard;
        if (auto heard = on_->broadcast(ids.data(), ids.size() * sizeof(token_id)); !heard) return heard;
        std::span<const token_id> left = ids;
        for (const std::uint64_t length : lengths) {
          if (length > left.size()) return fail("rank ", on_->rank(), ": the leader's texts are longer than what it sent");
          texts.push_back(left.first(length));
          left = left.subspan(length);
        }
        // What is refused all ranks refuse alike, and before they meet.
        if (what.one != 0) {
          (void)own_.embed(texts.front());
        } else {
          (void)own_.embed_each(texts);
        }
        if (on_->lost()) return on_->failure();
      }
    });
  }

 private:
  /// What the leader says before each call. No texts: it is done.
  struct told {
    std::uint64_t texts = 0;
    std::uint64_t tokens = 0;
    std::uint64_t one = 0;  ///< whether it is `embed`, which does not look for the text that failed
  };
  /// The leader's last word.
  struct farewell {
    void operator()(B* on) const {
      told done;
      (void)on->broadcast(&done, sizeof done);
    }
  };

  embedder_on_ranks(embedder<V, B> own, B& on) : own_(std::move(own)), on_(&on) {
    if (on.leads()) last_word_.reset(&on);
  }

  template <class Embed>
  [[nodiscard]] result<vectors> embed_together(std::span<const std::span<const token_id>> texts, bool one, Embed&& embed) {
    if (!on_->leads()) return fail("rank ", on_->rank(), ": texts are rank 0's; the others follow");
    if (texts.empty()) return vectors{};
    return guarded([&]() -> result<vectors> {
      told what{texts.size(), 0, one ? 1u : 0u};
      std::vector<std::uint64_t> lengths;
      std::vector<token_id> ids;
      for (const auto text : texts) {
        lengths.push_back(text.size());
        ids.insert(ids.end(), text.begin(), text.end());
      }
      what.tokens = ids.size();
      if (auto said = on_->broadcast(&what, sizeof what); !said) return unexpected(std::move(said.error()));
      if (auto said = on_->broadcast(lengths.data(), lengths.size() * sizeof(std::uint64_t)); !said)
        return unexpected(std::move(said.error()));
      if (auto said = on_->broadcast(ids.data(), ids.size() * sizeof(token_id)); !said) return unexpected(std::move(said.error()));
      return embed();
    });
  }

  embedder<V, B> own_;
  B* on_;
  std::unique_ptr<B, farewell> last_word_;
};

/// Opens an embedder that is shared out, on every rank: see `embedder_on_ranks`.
template <Shared V, Backend B>
[[nodiscard]] result<embedder_on_ranks<V, B>> open_embedder(const std::string& path, B& on, std::size_t longest = 2048,
                                                            const open_options& options = {}) {
  return embedder_on_ranks<V, B>::open(path, on, longest, options);
}

}  // namespace g4
