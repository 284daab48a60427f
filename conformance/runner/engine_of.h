/// `engine.h` filled in for a variant, its drafter if it has one, and a backend.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/runner/engine.h"
#include "g4/load/weights.h"
#include "g4/model/session.h"
#ifdef G4_CASE_DRAFTER
#include "g4/model/draft.h"
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
                  static_cast<const std::int32_t*>(what.indices), me.chosen_});
  }

  std::size_t chosen_;
  std::vector<double> seen_;
  observer* who_ = nullptr;
};

template <class V, class B>
class running_text_of final : public running_text {
 public:
  using scalar = typename B::scalar;

  explicit running_text_of(session<V, B> text) : text_(std::move(text)) {}

  result<std::vector<double>> run(const prompt& what) override {
    take(what);
    const auto logits = text_.run(view(what));
    if (!logits) return unexpected(logits.error());
    return std::vector<double>(logits->begin(), logits->end());
  }

  result<std::size_t> run_all(const prompt& what, const logits_sink& sink) override {
    take(what);
    std::vector<double> row;
    return text_.run_all(view(what), [&](std::size_t t, std::span<const scalar> logits) {
      row.assign(logits.begin(), logits.end());
      sink(t, row);
    });
  }

  result<std::size_t> rewind(std::size_t size) override { return text_.rewind(size); }
  void watch(observer* who) override { text_.watch(shown_.to(who)); }
  [[nodiscard]] const session<V, B>& text() const { return text_; }

 private:
  void take(const prompt& what) { soft_rows_.assign(what.soft_rows.begin(), what.soft_rows.end()); }
  [[nodiscard]] prompt_view<scalar> view(const prompt& what) const {
    return {what.ids, what.image_run, soft_rows_, what.soft};
  }

  session<V, B> text_;
  std::vector<scalar> soft_rows_;
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

template <class V, class D, class B>
class loaded_model_of final : public loaded_model {
 public:
  explicit loaded_model_of(bool fast) : on_(make_backend(fast)) {}

  [[nodiscard]] static result<std::unique_ptr<loaded_model>> load(const io::tensor_file& file, load::format format,
                                                                  bool fast) {
    auto model = std::make_unique<loaded_model_of>(fast);
    auto weights = load::make_weights<V>(file, format, model->on_);
    if (!weights) return unexpected(weights.error());
    model->weights_ = *weights;
    return std::unique_ptr<loaded_model>(std::move(model));
  }

  result<std::unique_ptr<running_text>> start(const session_options& options) override {
    auto text = session<V, B>::make(*weights_, on_, options);
    if (!text) return unexpected(text.error());
    return std::unique_ptr<running_text>(std::make_unique<running_text_of<V, B>>(std::move(*text)));
  }

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
    const auto made = opened->embed(ids);
    if (!made) return unexpected(made.error());
    text_vector out{{made->pooled.begin(), made->pooled.end()}, {}, {made->unit.begin(), made->unit.end()}};
    for (const auto& d : made->dense) out.dense.emplace_back(d.begin(), d.end());
    return out;
  }
#else
  result<text_vector> embed(const std::string&, std::span<const std::int32_t>) override {
    return fail("this model is no embedder");
  }
#endif

 private:
  static B make_backend(bool fast) {
    if constexpr (requires { typename B::options; }) {
      typename B::options options;
      if (fast) options.mode = decltype(options.mode)::fast;
      return B(options);
    } else {
      return B();
    }
  }

  B on_;
  std::shared_ptr<const weights<V>> weights_;
#ifdef G4_CASE_DRAFTER
  std::shared_ptr<const weights<D>> drafter_;
#endif
};

template <class V, class D, class B>
[[nodiscard]] engine engine_of(std::string_view backend) {
  return {backend, &loaded_model_of<V, D, B>::load};
}

}  // namespace g4::conformance
