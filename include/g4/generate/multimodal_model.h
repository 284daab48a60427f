/// From a checkpoint to a model that sees and hears, and from a conversation with pictures and sounds to its prompt.
///
///     auto model = g4::open<g4::gemma4_12b>(folder, on);       // open<gemma4_12b::text>: the text alone
///     auto cat = model->see({pixels, height, width});          // rows of the text, [n, D]
///     auto prompt = model->prompt({{.from = g4::text::role::user, .said = {"What is this? ", *cat}}});
///     g4::generate(*session, model->tokenizer(), *prompt, …);
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/core/result.h"
#include "g4/generate/laid_prompt.h"
#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/load/tower.h"
#include "g4/load/tower_config.h"
#include "g4/load/tower_text.h"
#include "g4/media/log_mel.h"
#include "g4/media/pan_and_scan.h"
#include "g4/media/patches.h"
#include "g4/media/picture.h"
#include "g4/media/resize.h"
#include "g4/media/sound.h"
#include "g4/model/multimodal.h"
#include "g4/model/stack/tap.h"
#include "g4/model/text/inlay.h"
#include "g4/model/tower/own_ids.h"
#include "g4/model/tower/run.h"
#include "g4/open/checkpoint.h"
#include "g4/open/open.h"
#include "g4/open/towers_beside.h"
#include "g4/text/chat.h"
#include "g4/text/chat_gemma3.h"
#include "g4/text/chat_gemma4.h"
#include "g4/text/placeholders.h"
#include "g4/text/tokenizer.h"

namespace g4 {

/// A picture, a sound or a video as rows of a text. It must outlive the prompts it appears in, and may appear in many.
template <class B, int D>
struct shown {
  bool is_picture = false;
  soft_rows<B, D> rows;  ///< [n, D]; of a video, its first frame
  std::vector<soft_rows<B, D>>
      more{};                     ///< of a picture that is looked at closely its pieces, of a video its other frames
  std::vector<double> seconds{};  ///< when each frame of a video is; empty: no video

  /// Tokens that it takes in a prompt, its marks aside.
  [[nodiscard]] std::size_t tokens() const {
    std::size_t n = rows.count();
    for (const auto& one : more) n += one.count();
    return n;
  }
  /// The most of them that are run at once: of a picture all, of a video or of pieces those of one.
  [[nodiscard]] std::size_t tokens_at_once() const {
    std::size_t n = rows.count();
    for (const auto& one : more) n = std::max(n, one.count());
    return n;
  }
};

/// What somebody said: text, or something shown. `"What is this? "` and `*cat` are both pieces.
template <class B, int D>
class piece {
 public:
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  piece(const Text& text) : said_(std::string(std::string_view(text))) {}    // NOLINT(google-explicit-constructor)
  piece(const g4::shown<B, D>& what) : said_(&what) {}                       // NOLINT(google-explicit-constructor)

  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&said_); }
  [[nodiscard]] const g4::shown<B, D>* shown() const {
    const auto* const what = std::get_if<const g4::shown<B, D>*>(&said_);
    return what == nullptr ? nullptr : *what;
  }

 private:
  std::variant<std::string, const g4::shown<B, D>*> said_;
};

/// Weights, towers and vocabulary of one checkpoint: constant, and shared by copies and by any number of sessions.
template <Multimodal M, Backend B>
  requires TowerBackend<B>
class multimodal_model {
  template <class Sense, int D>
  struct tower_of {
    using type = std::shared_ptr<const tower_weights<typename Sense::tower, D>>;
  };
  template <int D>
  struct tower_of<no_sense, D> {
    using type = no_sense;
  };

 public:
  using variant = M;
  using text_variant = typename M::text;
  using backend = B;
  using scalar = typename B::scalar;
  static constexpr int width = text_variant::width;
  using seeing = typename tower_of<typename M::seeing, width>::type;
  using hearing = typename tower_of<typename M::hearing, width>::type;
  using shown = g4::shown<B, width>;

  /// What one side of a conversation said.
  struct turn {
    text::role from = text::role::user;
    std::vector<piece<B, width>> said;
  };

  /// Rows of the ids that its towers embed themselves.
  using ids_apart = std::shared_ptr<const std::array<embedded_ids<B, width>, 2>>;

  multimodal_model(model<text_variant, B> text, seeing sees, hearing hears, B& on, ids_apart apart = {})
      : text_(std::move(text)), sees_(std::move(sees)), hears_(std::move(hears)), on_(&on), apart_(std::move(apart)) {}

  /// A new, empty text. The model (or a copy of it) and the backend must outlive it.
  [[nodiscard]] result<g4::session<text_variant, B>> session(session_options options = {}) const {
    auto made = text_.session(options);
    if (!made || apart_ == nullptr) return made;
    for (const auto& ids : *apart_) made->embed_apart(ids.view());
    return made;
  }
  [[nodiscard]] const text::tokenizer& tokenizer() const { return text_.tokenizer(); }
  [[nodiscard]] const model<text_variant, B>& text() const { return text_; }

  /// A picture as rows of the text: resized to nearly its own shape, cut into patches, and through the tower.
  /// Fails when it has no pixels, is too thin to see, or the budget is none of those the model knows.
  [[nodiscard]] result<shown> see(const media::picture& picture, const see_options& options = {}) const
    requires(M::can_see)
  {
    using tower = typename M::seeing::tower;
    constexpr auto patch = static_cast<std::size_t>(tower::spec.template find<stage::patches>()->side);
    if (!picture.is_whole()) {
      return fail("picture: ", picture.rgb.size(), " bytes are no picture of ", picture.height, " x ", picture.width,
                  " pixels of 3");
    }
    if constexpr (!tower::spec.template find<stage::square>().has_value()) {
      if (options.pieces > 0) return fail("picture: it is seen in its own shape here, and not in pieces");
    }
    const auto resized = fitted<tower>(picture, options);
    if (!resized) return unexpected(resized.error());
    const media::pixels& fitting = *resized;
    const std::vector<float> rows = media::cut(fitting.view(), patch, sees_->colours_apart);
    const std::vector<place> places = media::places_of(fitting.view(), patch);
    auto whole = through<tower>(*sees_, {rows, places}, true, options.stages);
    if (!whole) return whole;
    for (const media::pixels& piece : media::pieces_of(picture, {.most = options.pieces})) {
      auto seen = see(piece.view(), {.soft_tokens = options.soft_tokens});
      if (!seen) return seen;
      whole->more.push_back(std::move(seen->rows));
    }
    return whole;
  }

  /// The frames of a video, of which at most 32 are looked at, evenly apart, each with its time in the prompt.
  ///
  /// per_second   frames a second
  /// options      of each frame; 0 soft tokens are 70 here
  /// Fails as `see` does, naming the frame.
  [[nodiscard]] result<shown> watch(std::span<const media::picture> frames, double per_second,
                                    see_options options = {}) const
      requires(M::can_see&& requires { M::conversing::form; }) {
    if (frames.empty() || !(per_second > 0)) return fail("video: there is no frame, or no time between two");
    shown out{.is_picture = true, .rows = {}};
    for (const std::size_t i : text::gemma4_video_sample(frames.size())) {
      if (auto seen = add_frame(out, frames[i], static_cast<double>(i) / per_second, options); !seen) {
        return fail("video: frame ", i, ": ", seen.error().message);
      }
    }
    return out;
  }
  /// The same of frames that were chosen already and come one at a time, so that one is in memory.
  ///
  /// next   () → result<std::optional<media::frame>>: nothing where there are no more
  template <class Next>
  [[nodiscard]] result<shown> watch_each(Next&& next, see_options options = {}) const
      requires(M::can_see&& requires { M::conversing::form; }) {
    shown out{.is_picture = true, .rows = {}};
    for (;;) {
      result<std::optional<media::frame>> one = next();
      if (!one) return unexpected(std::move(one.error()));
      if (!one->has_value()) break;
      if (auto seen = add_frame(out, (*one)->picture.view(), (*one)->seconds, options); !seen) {
        return fail("video: the frame at ", text::minutes_and_seconds((*one)->seconds), ": ", seen.error().message);
      }
    }
    if (out.seconds.empty()) return fail("video: there is no frame");
    return out;
  }

  /// The numbers [n, D] of a picture or a sound, on the host: to be kept, and shown again without its tower.
  [[nodiscard]] std::vector<scalar> numbers_of(const shown& what) const {
    const auto rows = what.rows.view();
    std::vector<scalar> numbers(rows.count * width);
    const scalar* const seen = on_->host(rows.data, numbers.size(), numbers.data());
    if (seen != numbers.data()) std::copy_n(seen, numbers.size(), numbers.data());
    return numbers;
  }
  /// The same picture or sound again. Fails where the numbers are no rows of this model, or memory cannot be had.
  [[nodiscard]] result<shown> shown_again(std::span<const scalar> numbers, bool is_picture) const {
    if (numbers.empty() || numbers.size() % width != 0) {
      return fail("rows: ", numbers.size(), " numbers are no rows of ", width);
    }
    auto memory = on_->take(numbers.size() * sizeof(scalar));
    if (!memory) return unexpected(std::move(memory.error()));
    on_->put(numbers.data(), numbers.size(), reinterpret_cast<scalar*>(memory->data()));
    return shown{is_picture, {std::move(*memory), numbers.size() / width}};
  }

  /// A sound as rows of the text.
  /// Fails when it is empty, too short for one frame, longer than the model hears at once, or of another rate.
  [[nodiscard]] result<shown> hear(const media::sound& sound, stage_listener stages = {}) const
    requires(M::can_hear)
  {
    using tower = typename M::hearing::tower;
    constexpr auto rate = static_cast<std::size_t>(tower::spec.template find<stage::waveform>()->rate);
    constexpr std::size_t most = samples_heard();
    if (sound.rate != rate) return fail("sound: ", sound.rate, " samples a second; the model hears ", rate);
    if (sound.samples.empty()) return fail("sound: there is nothing to hear");
    if (sound.samples.size() > most) {
      return fail("sound: ", sound.samples.size(), " samples; the model hears ", most, " at once, ",
                  std::to_string(static_cast<double>(most) / rate).substr(0, 5), " seconds: cut it into stretches of ",
                  most, " samples and show them one after the other");
    }
    if constexpr (constexpr auto mel = tower::spec.template find<stage::log_mel>(); mel.has_value()) {
      const media::log_mel features(media::settings_of(*mel, *tower::spec.template find<stage::waveform>()));
      const std::vector<float> rows = features.of(sound.samples);
      if (rows.empty()) return fail("sound: ", sound.samples.size(), " samples are too few to hear anything in");
      auto heard = through<tower>(*hears_, {rows}, false, stages);
      if constexpr (M::hearing::budget.filled_up) {
        if (!heard) return heard;
        auto all = filled_up(*on_, heard->rows, M::hearing::budget.most, (*apart_)[1].view());
        if (!all) return unexpected(std::move(all.error()));
        heard->rows = std::move(*all);
      }
      return heard;
    } else {
      constexpr auto length = static_cast<std::size_t>(tower::spec.template find<stage::frames>()->samples);
      return through<tower>(*hears_, {media::framed(sound, length)}, false, stages);
    }
  }

  /// The most samples that it hears at once.
  [[nodiscard]] static constexpr std::size_t most_samples() requires(M::can_hear) { return samples_heard(); }

  /// The conversation as the model reads it, ending where its answer begins. What is shown must outlive the prompt.
  /// Fails when the vocabulary lacks a mark that is needed.
  [[nodiscard]] result<laid_prompt<scalar>> prompt(const std::vector<turn>& turns) const {
    std::vector<const shown*> media;
    const auto text = written(turns, media);
    if (!text) return unexpected(text.error());
    return lay(*text, media);
  }

  /// How the conversation of a session goes on behind an answer: its end, what is said and shown then, and where the next
  /// answer begins. The session holds the prompt before and the answer but for its last token, which was never run.
  [[nodiscard]] result<laid_prompt<scalar>> prompt_behind(const generated& answer,
                                                          const std::vector<turn>& turns) const {
    auto next = prompt(turns);
    if (!next) return next;
    const bool gemma4 = requires { M::conversing::form; };
    const auto end = tokenizer().encode(gemma4 ? "<turn|>\n" : "<end_of_turn>\n", {.parse_special = true});
    if (!end) return unexpected(end.error());
    laid_prompt<scalar> out;
    if (!answer.tokens.empty() && !tokenizer().ends_answer(answer.tokens.back())) out.ids = {answer.tokens.back()};
    out.ids.insert(out.ids.end(), end->begin(), end->end());
    // A text begins once.
    const std::size_t begun = !next->ids.empty() && next->ids.front() == tokenizer().special().bos ? 1 : 0;
    for (inlay<scalar> one : next->inlays) {
      one.first += out.ids.size() - begun;
      out.inlays.push_back(one);
    }
    out.ids.insert(out.ids.end(), next->ids.begin() + static_cast<std::ptrdiff_t>(begun), next->ids.end());
    return out;
  }

  /// A text in which marks stand for what is shown, in order: each becomes its opening, a place for each row, its closing.
  /// Fails when there are more or fewer marks than media, or the vocabulary lacks a mark that is needed.
  [[nodiscard]] result<laid_prompt<scalar>> lay(const text::prompt& written,
                                                const std::vector<const shown*>& media) const {
    const auto text = spread(written, media);
    if (!text) return unexpected(text.error());
    const auto ids = tokenizer().encode(text->text, {.parse_special = true, .plain = text->said});
    if (!ids) return unexpected(ids.error());
    std::vector<laid_rows> rows;
    for (const shown* what : media) {
      rows.push_back({what->is_picture, &what->rows});
      for (const auto& one : what->more) rows.push_back({what->is_picture, &one});
    }
    return laid_out(*ids, rows);
  }

  /// What stands for a picture, or a sound, in a text that is to be laid out; nothing where the model has no such sense.
  [[nodiscard]] static std::string picture_mark() { return mark_of<typename M::seeing>(); }
  [[nodiscard]] static std::string sound_mark() { return mark_of<typename M::hearing>(); }

 private:
  /// A video with a frame more.
  [[nodiscard]] result<void> add_frame(shown& video, const media::picture& frame, double seconds,
                                       see_options options) const
    requires(M::can_see)
  {
    if (options.soft_tokens == 0) options.soft_tokens = text::gemma4_video_budget;
    auto seen = see(frame, options);
    if (!seen) return unexpected(std::move(seen.error()));
    if (video.seconds.empty()) {
      video.rows = std::move(seen->rows);
    } else {
      video.more.push_back(std::move(seen->rows));
    }
    video.seconds.push_back(seconds);
    return {};
  }

  /// Samples for which a prompt has places: a row is a frame of them, or four steps where a tower quarters rows, and as
  /// many times more as it leaves out; and no more than thirty seconds, which is all that the reference hears.
  [[nodiscard]] static constexpr std::size_t samples_heard() {
    constexpr tower_spec t = M::hearing::tower::spec;
    constexpr auto mel = t.template find<stage::log_mel>();
    constexpr auto frames = t.template find<stage::frames>();
    constexpr auto every = t.template find<stage::every>();
    constexpr int quartered = t.template find<stage::subsample>().has_value() ? 4 : 1;
    constexpr int kept = every.has_value() ? every->of : 1;
    constexpr std::size_t most =
        static_cast<std::size_t>(M::hearing::budget.most) *
        static_cast<std::size_t>(mel.has_value() ? quartered * kept * mel->step : frames->samples);
    return std::min<std::size_t>(most, 30 * static_cast<std::size_t>(t.template find<stage::waveform>()->rate));
  }

  /// The turns as text, and what is shown in them, in order.
  [[nodiscard]] result<text::prompt> written(const std::vector<turn>& turns, std::vector<const shown*>& media) const {
    std::vector<text::message> messages;
    for (const turn& t : turns) {
      std::vector<text::content_part> parts;
      for (const auto& said : t.said) {
        using kind = text::content_part::kind;
        if (const shown* what = said.shown(); what != nullptr) {
          parts.push_back({what->is_picture ? kind::image : kind::audio});
          media.push_back(what);
        } else {
          parts.push_back({kind::text, *said.text()});
        }
      }
      text::message m;
      m.from = t.from;
      m.said = std::move(parts);
      messages.push_back(std::move(m));
    }
    if constexpr (requires { M::conversing::form; }) {
      return text::gemma4_prompt(messages, {.empty_thought = M::conversing::form.empty_thought});
    } else {
      const std::string picture = picture_mark(), sound = sound_mark();
      return text::gemma3_prompt(messages, {.image_mark = picture, .audio_mark = sound});
    }
  }

  /// The text with a mark for each picture: a video is its frames with their times, and before the pieces of a picture
  /// that is looked at closely the text says so.
  ///
  /// Source: the processors of transformers 5.23 (Gemma3Processor, Gemma4Processor).
  [[nodiscard]] result<text::prompt> spread(const text::prompt& from, const std::vector<const shown*>& media) const {
    if (std::none_of(media.begin(), media.end(),
                     [](const shown* w) { return !w->more.empty() || !w->seconds.empty(); })) {
      return from;
    }
    std::vector<text::replaced_mark> marks;
    for (const shown* what : media) {
      const std::string mark = what->is_picture ? picture_mark() : sound_mark();
      std::string by;
      for (std::size_t i = 0; i < what->seconds.size(); ++i) {
        by += (i > 0 ? " " : "") + text::minutes_and_seconds(what->seconds[i]) + " " + mark;
      }
      if (what->seconds.empty()) {
        by = what->more.empty()
                 ? mark
                 : "Here is the original image " + mark + " and here are some crops to help you see better";
        for (std::size_t i = 0; i < what->more.size(); ++i) by += " " + mark;
      }
      marks.push_back({mark, by});
    }
    return text::replace_marks(from, marks);
  }

  /// Before Gemma 4 a medium stands between empty lines.
  template <class Sense>
  [[nodiscard]] static std::string mark_of() {
    if constexpr (std::is_same_v<Sense, no_sense>) {
      return {};
    } else {
      const std::string around = requires { M::conversing::form; }
      ? "" : "\n\n";
      return around + std::string(Sense::marks.each.view()) + around;
    }
  }

  /// A picture in a size that the tower takes.
  template <class T>
  [[nodiscard]] static result<media::pixels> fitted(const media::picture& picture, const see_options& options) {
    constexpr std::size_t most = M::seeing::budget.most;
    if constexpr (constexpr auto square = T::spec.template find<stage::square>(); square.has_value()) {
      if (options.soft_tokens != 0 && options.soft_tokens != most) {
        return fail("picture: ", options.soft_tokens, " soft tokens; a picture always takes ", most, " here");
      }
      return media::resized(picture, square->side, square->side, media::joined_by::triangle);
    } else {
      constexpr auto side = static_cast<std::size_t>(T::spec.template find<stage::any_aspect>()->side);
      const std::size_t budget = options.soft_tokens != 0 ? options.soft_tokens : most;
      const auto size = text::gemma4_image_size(picture.height, picture.width, budget, side);
      if (!size) return unexpected(size.error());
      return media::resized(picture, size->height, size->width);
    }
  }

  template <class T>
  [[nodiscard]] result<shown> through(const tower_weights<T, width>& w, const tower_input& in, bool is_picture,
                                      stage_listener stages) const {
    tap<scalar> see;
    if (stages.passed != nullptr) {
      stages.passed(stages.self, "features", -1);
      see = {&stages, [](void* self, const tapped<scalar>& what) {
               const auto& to = *static_cast<const stage_listener*>(self);
               to.passed(to.self, what.name, what.layer);
             }};
    }
    auto rows = run_tower(*on_, w, in, see);
    if (!rows) return unexpected(std::move(rows.error()));
    return shown{is_picture, std::move(*rows)};
  }

  /// The ids of a sense's three marks; `no_token` three times for a sense that is not there.
  struct mark_ids {
    token_id before = no_token, each = no_token, behind = no_token;
  };
  template <class Sense>
  [[nodiscard]] mark_ids marks() const {
    if constexpr (std::is_same_v<Sense, no_sense>) {
      return {};
    } else {
      const auto id = [this](const mark& m) { return tokenizer().find(m.view()); };
      return {id(Sense::marks.before), id(Sense::marks.each), id(Sense::marks.behind)};
    }
  }

  /// Each mark of a medium becomes its opening, a place for each of its rows, and its closing.
  struct laid_rows {
    bool is_picture = false;
    const soft_rows<B, width>* rows = nullptr;
  };
  [[nodiscard]] result<laid_prompt<scalar>> laid_out(const std::vector<token_id>& ids,
                                                     const std::vector<laid_rows>& media) const {
    const mark_ids pictures = marks<typename M::seeing>();
    const mark_ids sounds = marks<typename M::hearing>();
    laid_prompt<scalar> out;
    std::size_t next = 0;
    for (const token_id id : ids) {
      const bool is_mark = id != no_token && (id == pictures.each || id == sounds.each);
      if (!is_mark || next == media.size()) {
        out.ids.push_back(id);
        continue;
      }
      const laid_rows& what = media[next++];
      const mark_ids& m = what.is_picture ? pictures : sounds;
      out.ids.push_back(m.before);
      out.inlays.push_back({out.ids.size(), what.rows->count(), what.rows->view().data, what.is_picture});
      out.ids.insert(out.ids.end(), what.rows->count(), m.each);
      out.ids.push_back(m.behind);
    }
    for (const laid_rows& what : media) {
      const mark_ids& m = what.is_picture ? pictures : sounds;
      if (m.before == no_token || m.each == no_token || m.behind == no_token) {
        return fail("prompt: the vocabulary has no marks for ", what.is_picture ? "pictures" : "sounds",
                    "; it is another model's, or of a model of text alone");
      }
    }
    if (next != media.size()) {
      return fail("prompt: ", media.size(), " pictures and sounds were shown, and there are places for ", next);
    }
    return out;
  }

  model<text_variant, B> text_;
  seeing sees_;
  hearing hears_;
  B* on_;
  ids_apart apart_;
};

namespace detail {

/// The rows of a sense's own ids; none where the model has no such sense.
template <class Sense, int D, class B, class Weights>
[[nodiscard]] result<embedded_ids<B, D>> own_ids_of(B& on, const Weights& weights) {
  if constexpr (std::is_same_v<Sense, no_sense>) {
    return embedded_ids<B, D>{};
  } else {
    return embed_own_ids<typename Sense::tower, D>(on, *weights);
  }
}

/// A sense's tower from `file`, or the stand-in where the model has no such sense.
template <class Sense, int D, class B>
[[nodiscard]] auto open_sense(const io::tensor_file& file, load::format format, B& on, const open_options& options) {
  if constexpr (std::is_same_v<Sense, no_sense>) {
    return result<no_sense>(no_sense{});
  } else {
    return load::make_tower<typename Sense::tower, D>(file, format, on, options.checks);
  }
}

template <class Sense>
void compare_sense(const std::optional<tower_spec>& file, std::string_view what, std::string_view name,
                   std::vector<std::string>& lines) {
  if constexpr (!std::is_same_v<Sense, no_sense>) {
    const auto found = load::differences(file.value_or(tower_spec{}), Sense::tower::spec, what, name);
    lines.insert(lines.end(), found.begin(), found.end());
  }
}

}  // namespace detail

namespace detail {

/// The file that holds an M's towers, once what the checkpoint says of them agrees with the type.
template <Multimodal M>
[[nodiscard]] result<io::tensor_file> file_of_towers(const checkpoint& from, const std::string& towers) {
  constexpr std::string_view name = load::variant_name<M>();
  if (from.format == load::format::gguf) {
    auto path = towers.empty() ? towers_beside(from.path) : result<std::string>(towers);
    if (!path) return unexpected(std::move(path.error()));
    if (path->empty()) {
      return fail(from.path, ": a GGUF file holds the text of ", std::string(name),
                  " alone, and no mmproj file lies beside it; give the one that holds its towers as well, or open the "
                  "text: open<",
                  std::string(name), "::text>");
    }
    auto file = io::open_gguf(*path);
    if (!file) return unexpected(std::move(file.error()));
    return std::move(file->tensors);
  }
  const std::string config = from.path + "/config.json";
  auto file = io::map_file(config);
  if (!file) return unexpected(std::move(file.error()));
  const auto said = load::read_towers(io::text_of((*file)->bytes()), config);
  if (!said) return unexpected(said.error());
  std::vector<std::string> lines;
  compare_sense<typename M::seeing>(said->sees, "picture", name, lines);
  compare_sense<typename M::hearing>(said->hears, "sound", name, lines);
  if (!lines.empty()) return unexpected(not_the_variant(from, name, lines));
  return from.tensors;
}

/// An opened text, with the towers of `file`.
template <Multimodal M, Backend B>
[[nodiscard]] result<multimodal_model<M, B>> with_towers(const checkpoint& from, const io::tensor_file& file,
                                                         model<typename M::text, B> text, B& on,
                                                         const open_options& options) {
  constexpr int width = M::text::width;
  auto sees = open_sense<typename M::seeing, width>(file, from.format, on, options);
  if (!sees) return unexpected(std::move(sees.error()));
  auto hears = open_sense<typename M::hearing, width>(file, from.format, on, options);
  if (!hears) return unexpected(std::move(hears.error()));
  auto seen = own_ids_of<typename M::seeing, width>(on, *sees);
  if (!seen) return unexpected(std::move(seen.error()));
  auto heard = own_ids_of<typename M::hearing, width>(on, *hears);
  if (!heard) return unexpected(std::move(heard.error()));
  auto own = std::make_shared<std::array<embedded_ids<B, width>, 2>>();
  (*own)[0] = std::move(*seen);
  (*own)[1] = std::move(*heard);
  return multimodal_model<M, B>(std::move(text), std::move(*sees), std::move(*hears), on, std::move(own));
}

}  // namespace detail

/// Opens a checkpoint that is expected to be an M, with its towers.
///
/// path     a folder with config.json, tokenizer.json and safetensors; or a GGUF file, with
/// towers   the mmproj file that belongs to it; empty: the one that lies beside it
/// on       the backend that will run it; must outlive the model
/// Fails with one sentence when a file is damaged, is another model (the differences are listed), or lacks a tensor.
template <Multimodal M, Backend B>
requires TowerBackend<B>
[[nodiscard]] result<multimodal_model<M, B>> open(const std::string& path, B& on, const open_options& options = {},
                                                  const std::string& towers = {}) {
  auto from = open_checkpoint(path);
  if (!from) return unexpected(std::move(from.error()));
  const auto file = detail::file_of_towers<M>(*from, towers);
  if (!file) return unexpected(file.error());
  auto text = open<typename M::text>(*from, on, options);
  if (!text) return unexpected(std::move(text.error()));
  return detail::with_towers<M>(*from, *file, std::move(*text), on, options);
}

/// The senses of a model whose text is open already: `text` is shared, and only the towers are read.
template <Multimodal M, Backend B>
requires TowerBackend<B>
[[nodiscard]] result<multimodal_model<M, B>> with_senses(const checkpoint& from, const model<typename M::text, B>& text,
                                                         B& on, const open_options& options = {},
                                                         const std::string& towers = {}) {
  const auto file = detail::file_of_towers<M>(from, towers);
  if (!file) return unexpected(file.error());
  return detail::with_towers<M>(from, *file, text, on, options);
}

}  // namespace g4
