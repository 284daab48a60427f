/// `engine.h` filled in for a variant, its drafter if it has one, and a backend.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/runner/engine.h"
#include "g4/load/tower.h"
#include "g4/load/weights.h"
#include "g4/model/multimodal.h"
#include "g4/model/text_of.h"
#include "g4/model/text/encoder.h"
#include "g4/model/text/session.h"
#include "g4/model/tower/own_ids.h"
#include "g4/model/tower/run.h"
#ifdef G4_CASE_DRAFTER
#include "g4/model/text/draft.h"
#endif
#ifdef G4_CASE_EMBEDDER
#include "g4/generate/embedder.h"
#endif

namespace g4::conformance {

/// Shows a tap's tensors to an observer, as doubles.
template <class Scalar>
class shown_as_doubles {
 public:
  /// `chosen` indices come with a tensor that has any.
  explicit shown_as_doubles(std::size_t chosen) : chosen_(chosen) {}

  [[nodiscard]] tap<Scalar> to(observer* who) {
    who_ = who;
    return who == nullptr ? tap<Scalar>{} : tap<Scalar>{this, &shown_as_doubles::see};
  }

 private:
  static void see(void* self, const tapped<Scalar>& what) {
    auto& me = *static_cast<shown_as_doubles*>(self);
    me.seen_.assign(what.data, what.data + what.streams * what.rows * what.width);
    me.who_->see({what.name, what.layer, me.seen_, what.rows, what.width, what.streams,
                  what.indices, me.chosen_});
  }

  std::size_t chosen_;
  std::vector<double> seen_;
  observer* who_ = nullptr;
};

/// A prompt of the checks as a model takes it: its rows in the backend's memory, its stretches as inlays.
template <class V, class B>
class laid_out_prompt {
 public:
  using scalar = typename B::scalar;

  [[nodiscard]] result<prompt_view<scalar>> of(const prompt& what, B& on) {
    inlays_.clear();
    const auto at = [](const auto& list, std::size_t t) { return t < list.size() ? list[t] : 0; };
    if (!what.soft.empty()) {
      auto memory = on.take(what.soft_rows.size() * sizeof(scalar));
      if (!memory) return unexpected(memory.error());
      rows_ = std::move(*memory);
      const std::vector<scalar> rows(what.soft_rows.begin(), what.soft_rows.end());
      on.put(rows.data(), rows.size(), reinterpret_cast<scalar*>(rows_.data()));
    }
    for (std::size_t t = 0; t < what.ids.size();) {
      const auto run = at(what.image_run, t);
      const auto soft = at(what.soft, t);
      std::size_t end = t + 1;
      while (end < what.ids.size() && at(what.image_run, end) == run && at(what.soft, end) == soft) ++end;
      if (run != 0 || soft != 0) {
        const auto* const rows = soft != 0 ? reinterpret_cast<const scalar*>(rows_.data()) + t * V::width : nullptr;
        inlays_.push_back({t, end - t, rows, run != 0});
      }
      t = end;
    }
    return prompt_view<scalar>{what.ids, inlays_};
  }

 private:
  std::vector<inlay<scalar>> inlays_;
  typename B::owned_memory rows_;
};

/// A session, or an encoder, which reads its text at once.
template <class V, class B>
using reader_of = typename std::conditional_t<V::spec.sees == visibility::everything,
                                              std::type_identity<text_encoder<V, B>>,
                                              std::type_identity<session<V, B>>>::type;

template <class V, class B>
class running_text_of final : public running_text {
 public:
  using scalar = typename B::scalar;
  static constexpr bool encodes = V::spec.sees == visibility::everything;

  explicit running_text_of(reader_of<V, B> text) : text_(std::move(text)) {}

  result<std::vector<double>> run(const prompt& what) override {
    if constexpr (encodes) {
      return fail("an encoder has no logits of a last token");
    } else {
      const auto prompt = prompt_.of(what, text_.backend());
      if (!prompt) return unexpected(prompt.error());
      const auto logits = text_.run(*prompt);
      if (!logits) return unexpected(logits.error());
      return std::vector<double>(logits->begin(), logits->end());
    }
  }

  result<std::size_t> run_all(const prompt& what, const logits_sink& sink) override {
    const auto prompt = prompt_.of(what, text_.backend());
    if (!prompt) return unexpected(prompt.error());
    std::vector<double> row;
    return text_.run_all(*prompt, [&](std::size_t t, std::span<const scalar> logits) {
      row.assign(logits.begin(), logits.end());
      sink(t, row);
    });
  }

  result<std::size_t> rewind(std::size_t size) override {
    if constexpr (encodes) {
      return fail("an encoder cannot be rewound to ", size);
    } else {
      return text_.rewind(size);
    }
  }
  void watch(observer* who) override { text_.watch(shown_.to(who)); }
  [[nodiscard]] const reader_of<V, B>& text() const { return text_; }

 private:
  reader_of<V, B> text_;
  laid_out_prompt<V, B> prompt_;
  shown_as_doubles<scalar> shown_{static_cast<std::size_t>(V::spec.experts->chosen)};
};

/// Stands for the drafter of a model that has none.
struct no_drafter {};

#ifdef G4_CASE_DRAFTER
template <class D, class B>
class running_drafter_of final : public running_drafter {
 public:
  running_drafter_of(draft_session<D, B> drafter, const session<typename D::target, B>& text)
      : drafter_(std::move(drafter)), text_(&text) {}

  std::vector<std::int32_t> draft(std::int32_t id, std::size_t count) override {
    const auto guesses = drafter_.draft(id, count, text_->hidden().data());
    return {guesses.begin(), guesses.end()};
  }
  void watch(observer* who) override { drafter_.watch(shown_.to(who)); }

 private:
  draft_session<D, B> drafter_;
  const session<typename D::target, B>* text_;
  shown_as_doubles<typename B::scalar> shown_{static_cast<std::size_t>(D::spec.clusters->chosen)};
};
#endif

/// A tower of a model, or nothing where it has none.
template <class Sense, int Width, class B>
class case_tower {
 public:
  static constexpr bool there = true;
  using tower = typename Sense::tower;
  using scalar = typename B::scalar;

  result<void> load(const io::tensor_file& file, load::format format, B& on) {
    auto made = load::make_tower<tower, Width>(file, format, on);
    if (!made) return unexpected(made.error());
    weights_ = *made;
    auto own = embed_own_ids<tower, Width>(on, *weights_);
    if (!own) return unexpected(own.error());
    own_ = std::move(*own);
    return {};
  }
  /// The rows of ids that the tower embeds itself.
  [[nodiscard]] own_rows<scalar> own_ids() const { return own_.view(); }
  [[nodiscard]] static bool embeds(std::int32_t id) {
    constexpr auto end = tower::spec.template find<stage::into_text_with_ids>();
    return end.has_value() && id >= end->first && id - end->first < end->count;
  }
  result<std::vector<double>> run(const medium& what, observer* who, B& on) {
    std::vector<place> places;
    for (std::size_t i = 0; i + 1 < what.places.size(); i += 2) places.push_back({what.places[i], what.places[i + 1]});
    shown_as_doubles<scalar> shown(0);
    const auto made = run_tower(on, *weights_, {what.rows, places, what.padding}, shown.to(who));
    if (!made) return unexpected(made.error());
    const auto rows = made->view();
    std::vector<scalar> room(rows.count * Width);
    const scalar* const seen = on.host(rows.data, room.size(), room.data());
    return std::vector<double>(seen, seen + room.size());
  }

 private:
  std::shared_ptr<const tower_weights<tower, Width>> weights_;
  embedded_ids<B, Width> own_;
};
template <int Width, class B>
class case_tower<no_sense, Width, B> {
 public:
  static constexpr bool there = false;
  result<void> load(const io::tensor_file&, load::format, B&) { return {}; }
  [[nodiscard]] own_rows<typename B::scalar> own_ids() const { return {}; }
  [[nodiscard]] static bool embeds(std::int32_t) { return false; }
  result<std::vector<double>> run(const medium&, observer*, B&) { return fail("this model has no such tower"); }
};

template <class M>
struct senses_of {
  using sees = no_sense;
  using hears = no_sense;
};
template <Multimodal M>
struct senses_of<M> {
  using sees = typename M::seeing;
  using hears = typename M::hearing;
};

/// What a backend is made with: its defaults, and what the check was told.
template <class B>
[[nodiscard]] typename B::options options_of([[maybe_unused]] backend::numeric mode) {
  typename B::options options;
  if constexpr (requires { options.mode; }) options.mode = mode;
#ifdef G4_CASE_CAPABILITY
  if constexpr (requires { options.capability; }) options.capability = G4_CASE_CAPABILITY;
#endif
  return options;
}

template <class B>
[[nodiscard]] B make_backend(backend::numeric mode) {
  if constexpr (requires { typename B::options; }) {
    return B(options_of<B>(mode));
  } else {
    return B();
  }
}

#ifdef G4_CASE_EMBEDDER
/// An embedding as the checks see it.
template <class Scalar>
[[nodiscard]] result<text_vector> text_vector_of(const result<text_embedding<Scalar>>& made) {
  if (!made) return unexpected(made.error());
  text_vector out{{made->pooled.begin(), made->pooled.end()}, {}, {made->unit.begin(), made->unit.end()}};
  for (const auto& d : made->dense) out.dense.emplace_back(d.begin(), d.end());
  return out;
}
#endif

/// M is a variant or a model with towers, D its drafter.
template <class M, class D, class B>
class loaded_model_of final : public loaded_model {
  using V = text_of<M>;

 public:
  using sees = case_tower<typename senses_of<M>::sees, V::width, B>;
  using hears = case_tower<typename senses_of<M>::hears, V::width, B>;

  explicit loaded_model_of(backend::numeric mode) : on_(make_backend<B>(mode)) {}

  [[nodiscard]] static result<std::unique_ptr<loaded_model>> load(const io::tensor_file& file, load::format format,
                                                                  backend::numeric mode) {
    auto model = std::make_unique<loaded_model_of>(mode);
    auto weights = load::make_weights<V>(file, format, model->on_);
    if (!weights) return unexpected(weights.error());
    model->weights_ = *weights;
    if (auto done = model->sees_.load(file, format, model->on_); !done) return unexpected(done.error());
    if (auto done = model->hears_.load(file, format, model->on_); !done) return unexpected(done.error());
    return std::unique_ptr<loaded_model>(std::move(model));
  }

  result<std::unique_ptr<running_text>> start(const session_options& options) override {
    auto text = [&] {
      if constexpr (V::spec.sees == visibility::everything) {
        return text_encoder<V, B>::make(*weights_, on_, options.context, options.first_position);
      } else {
        return session<V, B>::make(*weights_, on_, options);
      }
    }();
    if (!text) return unexpected(text.error());
    if constexpr (V::spec.sees != visibility::everything) {
      for (const auto& apart : own_ids()) text->embed_apart(apart);
    }
    return std::unique_ptr<running_text>(std::make_unique<running_text_of<V, B>>(std::move(*text)));
  }

  /// The rows of ids that the towers embed themselves.
  [[nodiscard]] std::array<own_rows<typename B::scalar>, 2> own_ids() const { return {sees_.own_ids(), hears_.own_ids()}; }

  result<std::vector<double>> see(const medium& what, observer* who) override { return sees_.run(what, who, on_); }
  result<std::vector<double>> hear(const medium& what, observer* who) override { return hears_.run(what, who, on_); }

#ifdef G4_CASE_DRAFTER
  result<void> load_drafter(const io::tensor_file& file, load::format format) override {
    auto weights = load::make_weights<D>(file, format, on_);
    if (!weights) return unexpected(weights.error());
    drafter_ = *weights;
    return {};
  }
  result<std::unique_ptr<running_drafter>> start_drafter(running_text& text) override {
    const auto& of = static_cast<running_text_of<V, B>&>(text).text();
    auto drafter = draft_session<D, B>::make(*drafter_, of);
    if (!drafter) return unexpected(drafter.error());
    return std::unique_ptr<running_drafter>(std::make_unique<running_drafter_of<D, B>>(std::move(*drafter), of));
  }
#else
  result<void> load_drafter(const io::tensor_file&, load::format) override { return fail("this model has no drafter"); }
  result<std::unique_ptr<running_drafter>> start_drafter(running_text&) override {
    return fail("this model has no drafter");
  }
#endif

#ifdef G4_CASE_EMBEDDER
  result<text_vector> embed(const std::string& folder, std::span<const std::int32_t> ids) override {
    auto opened = embedder<V, B>::open(folder, on_, ids.size());
    if (!opened) return unexpected(opened.error());
    return text_vector_of(opened->embed(ids));
  }
#else
  result<text_vector> embed(const std::string&, std::span<const std::int32_t>) override {
    return fail("this model is no embedder");
  }
#endif

 private:
  B on_;
  std::shared_ptr<const weights<V>> weights_;
  sees sees_;
  hears hears_;
#ifdef G4_CASE_DRAFTER
  std::shared_ptr<const weights<D>> drafter_;
#endif
};

template <class M, class D, class B>
[[nodiscard]] engine engine_of(std::string_view backend) {
  using model = loaded_model_of<M, D, B>;
  return {backend, &model::load, model::sees::there, model::hears::there,
          [](std::int32_t id) { return model::sees::embeds(id) || model::hears::embeds(id); }};
}

}  // namespace g4::conformance
