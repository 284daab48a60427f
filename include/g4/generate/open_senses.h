/// The towers of a checkpoint whose text is open, for a program that knows their types.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/generate/any_senses.h"
#include "g4/generate/multimodal_model.h"
#include "g4/model/one_of.h"
#include "g4/open/any_model.h"

namespace g4 {

namespace detail {

template <Multimodal M, Backend B>
class typed_senses final : public any_senses {
  using shown = typename multimodal_model<M, B>::shown;

 public:
  explicit typed_senses(multimodal_model<M, B> m) : m_(std::move(m)) {}

  [[nodiscard]] result<std::unique_ptr<any_session>> session(const session_options& options) const override {
    return guarded([&]() -> result<std::unique_ptr<any_session>> {
      auto made = m_.session(options);
      if (!made) return unexpected(std::move(made.error()));
      return std::unique_ptr<any_session>(std::make_unique<typed_session<typename M::text, B>>(std::move(*made)));
    });
  }
  [[nodiscard]] const tower_spec* sees() const override { return spec_of<typename M::seeing>(); }
  [[nodiscard]] const tower_spec* hears() const override { return spec_of<typename M::hearing>(); }
  [[nodiscard]] std::size_t samples_heard() const override {
    if constexpr (M::can_hear) return multimodal_model<M, B>::most_samples();
    return 0;
  }
  [[nodiscard]] std::size_t rate_heard() const override {
    if constexpr (M::can_hear) return M::hearing::tower::spec.template find<stage::waveform>()->rate;
    return 0;
  }
  [[nodiscard]] result<any_shown> see(const media::picture& picture, const see_options& options) const override {
    return guarded([&]() -> result<any_shown> {
      if constexpr (M::can_see) {
        return kept(m_.see(picture, options));
      } else {
        return fail("picture: ", std::string(load::variant_name<M>()), " sees nothing; it hears");
      }
    });
  }
  [[nodiscard]] result<any_shown> hear(const media::sound& sound, stage_listener stages) const override {
    return guarded([&]() -> result<any_shown> {
      if constexpr (M::can_hear) {
        return kept(m_.hear(sound, stages));
      } else {
        return fail("sound: ", std::string(load::variant_name<M>()), " hears nothing; it sees");
      }
    });
  }
  [[nodiscard]] result<any_shown> watch(const frame_source& frames, const see_options& options) const override {
    return guarded([&]() -> result<any_shown> {
      if constexpr (can_watch) {
        return kept(m_.watch_each([&] { return frames.next(frames.self); }, options));
      } else {
        return fail("video: ", std::string(load::variant_name<M>()), " sees no videos");
      }
    });
  }
  [[nodiscard]] bool watches() const override { return can_watch; }
  [[nodiscard]] std::string picture_mark() const override { return m_.picture_mark(); }
  [[nodiscard]] std::string sound_mark() const override { return m_.sound_mark(); }
  [[nodiscard]] result<laid_prompt<float>> lay(const text::prompt& written,
                                               std::span<const any_shown> media) const override {
    return guarded([&] {
      std::vector<const shown*> typed;
      for (const any_shown& one : media) typed.push_back(static_cast<const shown*>(one.as.get()));
      return m_.lay(written, typed);
    });
  }

 private:
  static constexpr bool can_watch = M::can_see && requires { M::conversing::form; };

  template <class Sense>
  [[nodiscard]] static const tower_spec* spec_of() {
    if constexpr (std::is_same_v<Sense, no_sense>) {
      return nullptr;
    } else {
      return &Sense::tower::spec;
    }
  }
  [[nodiscard]] static result<any_shown> kept(result<shown> made) {
    if (!made) return unexpected(std::move(made.error()));
    any_shown out;
    out.is_picture = made->is_picture;
    out.is_video = !made->seconds.empty();
    out.tokens = made->tokens();
    out.tokens_at_once = made->tokens_at_once();
    out.as = std::make_shared<const shown>(std::move(*made));
    return out;
  }

  multimodal_model<M, B> m_;
};

}  // namespace detail

/// The towers of M for a text that was opened from the same checkpoint, and forgets the type. Explicitly instantiated per
/// model in `kernels/variants/`, so that programs that link `g4::variants` compile none of it.
template <Multimodal M, Backend B>
[[nodiscard]] result<std::unique_ptr<any_senses>> open_senses_as(const checkpoint& from, const any_model& text, B& on,
                                                                 const open_options& options,
                                                                 const std::string& towers) {
  return guarded([&]() -> result<std::unique_ptr<any_senses>> {
    const auto* const typed = text.as<model<typename M::text, B>>();
    if (typed == nullptr) {
      return fail(from.path, ": its text was opened as a ", std::string(text.variant()), ", and not as that of ",
                  std::string(load::variant_name<M>()), " on this backend");
    }
    auto opened = with_senses<M>(from, *typed, on, options, towers);
    if (!opened) return unexpected(std::move(opened.error()));
    return std::unique_ptr<any_senses>(std::make_unique<detail::typed_senses<M, B>>(std::move(*opened)));
  });
}

/// The towers that belong to an opened text, of the listed models:
///
///     auto senses = g4::open_senses<g4::one_of<g4::gemma4_e2b, g4::gemma3_4b>>(*from, **model, on);
///
/// towers   the mmproj file of a text in a GGUF file; empty: the one beside it
/// Fails as `open` does, and where the text is that of a model without senses.
template <class Models, Backend B>
[[nodiscard]] result<std::unique_ptr<any_senses>> open_senses(const checkpoint& from, const any_model& text, B& on,
                                                              const open_options& options = {},
                                                              const std::string& towers = {}) {
  const auto among = [&]<class... M>(one_of<M...>) -> result<std::unique_ptr<any_senses>> {
    std::optional<result<std::unique_ptr<any_senses>>> opened;
    const bool found = ((load::variant_name<M>() == text.variant() &&
                         (opened.emplace(open_senses_as<M>(from, text, on, options, towers)), true)) ||
                        ...);
    if (found) return std::move(*opened);
    return fail(from.path, ": ", std::string(text.variant()), " is a model of text alone: it neither sees nor hears");
  };
  return guarded([&] { return among(Models{}); });
}

}  // namespace g4
