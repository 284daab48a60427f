/// What a model sees and hears with, where its type is known to the program and not to the caller.
///
///     auto model = g4::open_any<variants>(*from, on);                       // the text: any_model
///     auto senses = g4::open_senses<models>(*from, **model, on);            // its towers: open_senses.h
///     auto cat = (*senses)->see({pixels, height, width});
///     auto prompt = (*senses)->lay(written, {&*cat, 1});                    // written: a text with marks in it
///     g4::generate(*session, (*model)->tokenizer(), *prompt, …);
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "g4/core/result.h"
#include "g4/generate/laid_prompt.h"
#include "g4/media/picture.h"
#include "g4/media/sound.h"
#include "g4/model/text/plan.h"
#include "g4/spec/tower.h"
#include "g4/text/chat.h"

namespace g4 {

class any_session;

/// A picture or a sound as rows of some model's text. Copies share the rows, which live as long as one of them.
struct any_shown {
  bool is_picture = false;  ///< or a video, which is pictures
  bool is_video = false;
  std::size_t tokens = 0;          ///< that it takes in a prompt, its marks aside
  std::size_t tokens_at_once = 0;  ///< the most of them that are run at once: a batch must hold them
  std::shared_ptr<const void> as;  ///< the model's own `shown`
};

/// Frames of a video, one at a time: nothing where there are no more.
struct frame_source {
  void* self = nullptr;
  result<std::optional<media::frame>> (*next)(void* self) = nullptr;
};

/// The towers of a model on a float backend: see `multimodal_model`.
class any_senses {
 public:
  virtual ~any_senses() = default;
  /// A new, empty text of the model: where its towers have tokens of their own, they are in it.
  [[nodiscard]] virtual result<std::unique_ptr<any_session>> session(const session_options& options) const = 0;
  /// Null where the model has no such sense.
  [[nodiscard]] virtual const tower_spec* sees() const = 0;
  [[nodiscard]] virtual const tower_spec* hears() const = 0;
  /// The most samples that it hears at once, and how many of them are a second; 0 where it hears nothing.
  [[nodiscard]] virtual std::size_t samples_heard() const = 0;
  [[nodiscard]] virtual std::size_t rate_heard() const = 0;
  /// Fail as `multimodal_model::see` and `hear` do, and where the model has no such sense.
  [[nodiscard]] virtual result<any_shown> see(const media::picture& picture, const see_options& options = {}) const = 0;
  [[nodiscard]] virtual result<any_shown> hear(const media::sound& sound, stage_listener stages = {}) const = 0;
  /// As `multimodal_model::watch_each`. Fails where the model sees no videos.
  [[nodiscard]] virtual result<any_shown> watch(const frame_source& frames, const see_options& options = {}) const = 0;
  [[nodiscard]] virtual bool watches() const = 0;
  /// What stands for a picture, or a sound, in a text that is to be laid out.
  [[nodiscard]] virtual std::string picture_mark() const = 0;
  [[nodiscard]] virtual std::string sound_mark() const = 0;
  /// `media`, which are of these senses, must outlive the prompt.
  [[nodiscard]] virtual result<laid_prompt<float>> lay(const text::prompt& written,
                                                       std::span<const any_shown> media) const = 0;
};

}  // namespace g4
