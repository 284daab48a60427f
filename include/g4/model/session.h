/// A text being run through a model: its cache, its working memory and how far it has come.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/model/block.h"
#include "g4/model/frequencies.h"
#include "g4/model/pass.h"
#include "g4/model/plan.h"
#include "g4/model/weights.h"
#include "g4/ops/rope.h"

namespace g4 {

using token_id = std::int32_t;

/// What a model is given to read. Everything but `ids` is for prompts with images or sound and may be left empty.
template <class Scalar>
struct prompt_view {
  std::span<const token_id> ids;
  std::span<const std::int32_t> image_run;  ///< per token: 0, or the number of the image it belongs to
  std::span<const Scalar> soft_rows;        ///< [T, D] embeddings that replace the table's where `soft` is not 0
  std::span<const std::uint8_t> soft;       ///< per token
};

/// One text over shared weights. Mutable and single-threaded; many sessions may share one set of weights.
///
/// Made once with all the memory it will ever use (`plan_session`): running tokens allocates nothing.
template <Variant V, Backend B>
class session {
 public:
  using scalar = typename B::scalar;
  static constexpr text_spec spec = V::spec;
  static constexpr bool encoder = spec.sees == visibility::everything;

  /// Fails when the options leave no room for a token, the cache cannot be kept as they say, or the memory cannot be had.
  /// `on` and `w` must outlive the session.
  [[nodiscard]] static result<session> make(const weights<V>& w, B& on, session_options options = {}) {
    if (options.context == 0 || options.batch == 0) return fail("session: context and batch must be at least 1");
    options.batch = std::min(options.batch, options.context);
    if (encoder) options.batch = options.context;  // every token sees every other: one pass
    if (auto fits = check_cache(on, options.cache); !fits) return unexpected(std::move(fits.error()));
    session s(w, on, options);
    if (!s.allocate()) {
      return fail("session: ", s.plan().total(),
                  " bytes of cache and working memory could not be had; ask for a smaller context than ",
                  options.context, " or a smaller batch than ", options.batch);
    }
    return s;
  }

  [[nodiscard]] memory_plan plan() const {
    return plan_session(spec, V::kinds, options_, sizeof(scalar), on_->cache_storage());
  }
  [[nodiscard]] const session_options& options() const { return options_; }
  [[nodiscard]] static constexpr std::size_t vocabulary() { return static_cast<std::size_t>(spec.vocab); }
  /// Tokens run so far.
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Runs `prompt` after what was run before, in chunks, and returns the logits [V] that follow its last token.
  /// They stay valid until the next call. An encoder runs one whole text at a time.
  /// Fails when an id is outside the vocabulary, the context is full, or an image does not fit in one batch.
  result<std::span<const scalar>> run(const prompt_view<scalar>& prompt) {
    if (auto done = run_chunks(prompt, wanted::last, [](std::size_t, std::size_t) {}); !done) return tl_error(done);
    return last_logits();
  }
  result<std::span<const scalar>> run(std::span<const token_id> ids) {
    return run(prompt_view<scalar>{ids, {}, {}, {}});
  }
  result<std::span<const scalar>> run(token_id id) { return run(std::span<const token_id>(&id, 1)); }

  /// Runs `prompt` and calls `sink(t, logits)` for each of its tokens in order, t counted from the prompt's start.
  template <class Sink>
  result<std::size_t> run_all(const prompt_view<scalar>& prompt, Sink&& sink) {
    return run_chunks(prompt, wanted::all, [&](std::size_t first, std::size_t count) {
      constexpr auto vocab = static_cast<std::size_t>(spec.vocab);
      const std::size_t most = logit_rows(options_.batch);
      for (std::size_t t = 0; t < count; t += most) {
        const std::size_t n = std::min(most, count - t);
        compute_logits(rows<spec.width, scalar>{memory() + layout_.normed + t * spec.width, n});
        for (std::size_t i = 0; i < n; ++i)
          sink(first + t + i, std::span<const scalar>(memory() + layout_.logits + i * vocab, vocab));
      }
    });
  }

  /// Runs `prompt` without computing any logits, and calls `sink(first, rows)` with the final norm's rows of each chunk.
  template <class Sink>
  result<std::size_t> run_hidden(const prompt_view<scalar>& prompt, Sink&& sink) {
    return run_chunks(prompt, wanted::all, [&](std::size_t first, std::size_t count) {
      sink(first, rows<spec.width, scalar>{memory() + layout_.normed, count});
    });
  }

  /// Forgets the tokens from `size` on, so that others can be run in their place. Only the last `batch` tokens run can
  /// be taken back: a local layer's ring keeps no more.
  result<std::size_t> rewind(std::size_t size) {
    if (size > size_) return fail("session: cannot rewind to ", size, " tokens, only ", size_, " have been run");
    if (size != 0 && size_ - size > options_.batch) {
      return fail("session: cannot rewind by ", size_ - size, " tokens, at most the batch of ", options_.batch);
    }
    return size_ = size;
  }

  /// The final norm's rows of the last chunk of `run_all` or `run_hidden`, valid until the next call.
  [[nodiscard]] rows<spec.width, scalar> hidden_rows() const { return {memory() + layout_.normed, last_chunk_}; }
  /// The final norm's row [D] of the last token run: what a drafter continues from.
  [[nodiscard]] std::span<const scalar> hidden() const {
    return {memory() + layout_.hidden, static_cast<std::size_t>(spec.width)};
  }
  /// Keys and values by producing layer.
  [[nodiscard]] const cache_view& cache(int layer) const { return caches_[static_cast<std::size_t>(layer)]; }
  [[nodiscard]] const weights<V>& model_weights() const { return *w_; }
  [[nodiscard]] B& backend() const { return *on_; }

  /// Shows every inner tensor to `see` from now on.
  void watch(tap<scalar> see) { see_ = see; }

 private:
  enum class wanted { last, all };
  struct free_memory {
    void operator()(std::byte* p) const { std::free(p); }
  };

  session(const weights<V>& w, B& on, const session_options& options)
      : w_(&w), on_(&on), options_(options), layout_(layout_scratch(spec, V::kinds, options.batch)) {}

  template <class T>
  static unexpected tl_error(const result<T>& failed) {
    return unexpected(failed.error());
  }

  [[nodiscard]] static result<void> check_cache(const B& on, const cache_choice& choice) {
    for (int l = 0; l < spec.layers; ++l) {
      const layer_kind& k = spec.layer[static_cast<std::size_t>(l)];
      const storage type = cache_type(k, choice, on.cache_storage());
      if (!on.caches(type)) {
        return fail("session: keys and values were asked for in ", facts_of(type).name, "; this backend keeps them in ",
                    facts_of(on.cache_storage()).name, " or Q8_0");
      }
      if (k.role == cache_role::owner && row_bytes(type, static_cast<std::size_t>(k.head_size)) == 0) {
        return fail("session: layer ", l, " has heads of ", k.head_size, " numbers; to keep keys and values in ",
                    facts_of(type).name, " they must be a multiple of ", facts_of(type).block_elements);
      }
    }
    return {};
  }

  [[nodiscard]] scalar* memory() const { return reinterpret_cast<scalar*>(block_.get()); }

  [[nodiscard]] bool allocate() {
    const std::size_t scratch_bytes = (layout_.total * sizeof(scalar) + 63) / 64 * 64;
    // One block for everything. Pages of a cache are not touched, and so not used, before tokens fill them.
    const std::size_t total = (scratch_bytes + plan().cache + 127) / 64 * 64;
    block_.reset(static_cast<std::byte*>(std::aligned_alloc(64, total)));
    if (!block_) return false;
    std::byte* at = block_.get() + scratch_bytes;
    for (int l = 0; l < spec.layers; ++l) {
      const layer_kind& k = spec.layer[static_cast<std::size_t>(l)];
      if (k.role == cache_role::reuser) continue;
      cache_view& c = caches_[static_cast<std::size_t>(l)];
      c.slots = cache_slots(k, options_.context, options_.batch);
      c.heads = static_cast<std::size_t>(k.key_value_heads);
      c.head_size = static_cast<std::size_t>(k.head_size);
      c.type = cache_type(k, options_.cache, on_->cache_storage());
      const std::size_t half = cache_bytes(k, options_.context, options_.batch, c.type) / 2;
      c.keys = at;
      c.values = at + half;
      at += 2 * half;
    }
    ranges_.resize(2 * options_.batch);
    guess_.reserve(std::min<std::size_t>(options_.best_logits, static_cast<std::size_t>(spec.vocab)));
    chosen_.resize(options_.batch * static_cast<std::size_t>(spec.experts->chosen));
    for (int r = 0; r < ropes.count; ++r) {
      const auto index = static_cast<std::size_t>(r);
      frequencies_[index] = rope_frequencies(ropes.rope[index], ropes.head_size[index]);
    }
    return true;
  }

  template <class Done>
  result<std::size_t> run_chunks(const prompt_view<scalar>& prompt, wanted rows_wanted, Done&& done) {
    const std::size_t count = prompt.ids.size();
    if (count == 0) return fail("session: there is nothing to run");
    if (encoder) size_ = 0;
    if (count > options_.context - size_) {
      return fail("session: the context of ", options_.context, " tokens is full: ", size_, " are in it and ", count,
                  " more were given");
    }
    const std::size_t vocab = w_->embed.rows;  // a GGUF of Gemma 3 may leave out the last, unused rows
    for (const token_id id : prompt.ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= vocab)
        return fail("session: token id ", id, " is outside the vocabulary of ", vocab);
    }
    for (std::size_t first = 0; first < count;) {
      const auto length = chunk_length(prompt, first);
      if (!length) return length;
      const bool final = first + *length == count;
      run_pass(prompt, first, *length, final ? rows_wanted : (rows_wanted == wanted::all ? wanted::all : wanted::last),
               final);
      size_ += *length;
      last_chunk_ = *length;
      done(first, *length);
      first += *length;
    }
    return count;
  }

  /// At most a batch, and no image cut in two: its tokens see each other.
  result<std::size_t> chunk_length(const prompt_view<scalar>& prompt, std::size_t first) const {
    const std::size_t left = prompt.ids.size() - first;
    std::size_t length = std::min(left, options_.batch);
    if (spec.sees_images() && !prompt.image_run.empty() && length < left) {
      const auto run = prompt.image_run.subspan(first);
      while (length > 0 && run[length] != 0 && run[length] == run[length - 1]) --length;
      if (length == 0) return fail("session: an image has more tokens than the batch of ", options_.batch);
    }
    return length;
  }

  /// Runs tokens [first, first + count) of the prompt. Leaves the final norm of the wanted rows in `normed`, and the last
  /// row in `hidden`.
  void run_pass(const prompt_view<scalar>& prompt, std::size_t first, std::size_t count, wanted rows_wanted,
                bool final) {
    key_range* const local = ranges_.data();
    key_range* const global = local + options_.batch;
    find_visible_keys(prompt, first, count, local, global);
    pass<V, B> p{*on_, *w_, caches_.data(), memory(), layout_, chosen_.data(), see_};
    p.at = position{static_cast<std::int64_t>(size_)};
    p.tokens = p.batch = count;
    p.local_keys = local;
    p.global_keys = global;
    compute_angles(p);
    embed(p, prompt, first);

    int l = 0;
    constexpr int owners = spec.shared_layers > 0 ? spec.first_shared() : spec.layers;
    // Behind the last keys that are written, only the row whose logits are wanted needs to go on.
    if (rows_wanted == wanted::last) p.narrows_at = owners - 1;
    for (; l < owners; ++l) run_layer(p, l);
    if (rows_wanted == wanted::last) {
      if (!final) return;
      p.keep_last_row();  // where a kind of block does not narrow inside
    }
    for (; l < spec.layers; ++l) run_layer(p, l);

    if constexpr (spec.altup.has_value()) end_streams(p);
    norm_rows(*on_, p.stream(), w_->final_norm, spec.norm_eps, p.normed());
    p.see("final_norm", -1, p.normed().data, p.tokens, spec.width);
    std::copy_n(p.normed().row(p.tokens - 1), spec.width, memory() + layout_.hidden);
  }

  void run_layer(pass<V, B>& p, int l) {
    with_kind_of_layer<V>(l, [&]<int Kind>() {
      if constexpr (spec.altup.has_value()) {
        altup_block<Kind>(p, l);
      } else {
        decoder_block<Kind>(p, l);
      }
    });
  }

  void embed(pass<V, B>& p, const prompt_view<scalar>& prompt, std::size_t first) {
    const float root = std::sqrt(static_cast<float>(spec.width));
    const auto x = p.stream();
    for (std::size_t t = 0; t < p.tokens; ++t) {
      if (!prompt.soft.empty() && prompt.soft[first + t] != 0) {
        std::copy_n(prompt.soft_rows.data() + (first + t) * spec.width, spec.width, x.row(t));
      } else {
        on_->embed(w_->embed, static_cast<std::size_t>(prompt.ids[first + t]), root, x.row(t));
      }
    }
    if constexpr (spec.per_layer.has_value()) {
      prepare_per_layer_inputs(p, prompt.ids.data() + first,
                               prompt.soft.empty() ? nullptr : prompt.soft.data() + first);
    }
    if constexpr (spec.altup.has_value()) begin_streams(p);
    p.see("embed", -1, x.data, p.tokens, spec.width, spec.altup.has_value() ? spec.altup->streams : 1);
  }

  void compute_angles(const pass<V, B>& p) {
    for (int r = 0; r < ropes.count; ++r) {
      const std::size_t half = pass<V, B>::half(r);
      auto* cos = const_cast<scalar*>(p.cosines(r));  // the pass reads what we write here
      auto* sin = const_cast<scalar*>(p.sines(r));
      for (std::size_t t = 0; t < p.tokens; ++t) {
        ops::rope_angles(frequencies_[static_cast<std::size_t>(r)].data(), half,
                         options_.first_position + index_of(p.at) + static_cast<std::int64_t>(t), cos + t * half,
                         sin + t * half);
      }
    }
  }

  /// Every mask of the family as one stretch of keys per query.
  void find_visible_keys(const prompt_view<scalar>& prompt, std::size_t first, std::size_t count, key_range* local,
                         key_range* global) const {
    const auto end = static_cast<std::int64_t>(size_ + count);
    for (std::size_t t = 0; t < count; ++t) {
      const auto q = static_cast<std::int64_t>(size_ + t);
      std::int64_t image_end = q + 1;
      if (!prompt.image_run.empty() && prompt.image_run[first + t] != 0) {
        std::size_t last = first + t + 1;
        while (last < first + count && prompt.image_run[last] == prompt.image_run[first + t]) ++last;
        image_end = static_cast<std::int64_t>(size_ + last - first);
      }
      const auto range = [&](const key_span& keys, bool sees_image) {
        const std::int64_t from = keys.back == key_span::unbounded ? 0 : std::max<std::int64_t>(0, q - keys.back);
        std::int64_t to = keys.ahead == key_span::unbounded ? end : std::min(end, q + keys.ahead + 1);
        if (sees_image) to = std::max(to, image_end);
        return key_range{position{from}, position{to}};
      };
      local[t] = range(local_span, spec.sees_images());
      global[t] = range(global_span, spec.sees == visibility::images_everywhere);
    }
  }

  static constexpr key_span span_of(reach sees) {
    for (int l = 0; l < spec.layers; ++l) {
      if (spec.layer[static_cast<std::size_t>(l)].sees == sees) return spec.layer[static_cast<std::size_t>(l)].keys;
    }
    return {};
  }

  void compute_logits(rows<spec.width, scalar> hidden) {
    const rows<spec.vocab, scalar> logits{memory() + layout_.logits, hidden.count};
    if (w_->head.rows == static_cast<std::size_t>(spec.vocab)) {
      linear(*on_, w_->head, hidden, logits);
    } else {
      // A GGUF of Gemma 3 leaves out the last rows of the table: those tokens cannot be chosen.
      for (std::size_t t = 0; t < hidden.count; ++t) {
        on_->matmul(w_->head, hidden.row(t), 1, logits.row(t));
        std::fill(logits.row(t) + w_->head.rows, logits.row(t) + spec.vocab, std::numeric_limits<scalar>::lowest());
      }
    }
    if constexpr (spec.logit_cap != 0)
      on_->soft_cap(logits.data, logits.count * static_cast<std::size_t>(spec.vocab), spec.logit_cap);
  }
  /// The greatest of the last row's logits, and −∞ for what need not be known.
  void compute_best_logits() {
    scalar* const logits = memory() + layout_.logits;
    on_->best_products(w_->head, memory() + layout_.hidden, options_.best_logits, spec.logit_cap, logits, guess_);
    std::fill(logits + w_->head.rows, logits + spec.vocab, std::numeric_limits<scalar>::lowest());
    // A soft cap goes over a stretch at a time of what is known: −∞ would become −cap.
    const auto unknown = [](scalar logit) { return logit == -std::numeric_limits<scalar>::infinity(); };
    scalar* const end = logits + (spec.logit_cap == 0 ? 0 : spec.vocab);
    for (scalar* at = logits; at != end;) {
      scalar* const known = std::find_if_not(at, end, unknown);
      at = std::find_if(known, end, unknown);
      if (known != at) on_->soft_cap(known, static_cast<std::size_t>(at - known), spec.logit_cap);
    }
  }
  std::span<const scalar> last_logits() {
    if (options_.best_logits > 0) {
      compute_best_logits();
    } else {
      compute_logits(rows<spec.width, scalar>{memory() + layout_.hidden, 1});
    }
    return {memory() + layout_.logits, static_cast<std::size_t>(spec.vocab)};
  }

  static constexpr rope_table ropes = distinct_ropes(V::kinds);
  static constexpr key_span local_span = span_of(reach::local);
  static constexpr key_span global_span = span_of(reach::global);

  const weights<V>* w_;
  B* on_;
  session_options options_;
  scratch_layout layout_;
  std::size_t size_ = 0;
  std::size_t last_chunk_ = 0;
  std::unique_ptr<std::byte, free_memory> block_;
  std::array<cache_view, max_layers> caches_{};
  std::vector<key_range> ranges_;
  std::vector<std::int32_t> chosen_;
  std::array<std::vector<double>, max_layers> frequencies_;
  std::vector<std::int32_t> guess_;  // which logits were the greatest last time
  tap<scalar> see_;
};

}  // namespace g4
