#include "media.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <variant>

#include "backends.h"
#include "g4/core/printable.h"
#include "g4/open/towers_beside.h"
#include "ranks.h"
#include "variants.h"
#if defined(G4_PROGRAM_MEDIA)
#include "read_picture.h"
#include "read_sound.h"
#include "read_video.h"
#endif

namespace program {

namespace {

/// A file's pixels, samples or frames.
struct decoded {
  g4::media::pixels picture;
  std::vector<float> samples;
  std::size_t rate = 16'000;
#if defined(G4_PROGRAM_MEDIA)
  std::optional<media_files::video> frames;
#endif
};

#if defined(G4_PROGRAM_MEDIA)
/// what   a file's path, or its bytes and what a sentence calls them
template <class... What>
g4::result<decoded> read_as(medium::kind is, std::size_t rate, const What&... what) {
  if (is == medium::picture) {
    auto picture = media_files::read_picture(what...);
    if (!picture) return g4::unexpected(std::move(picture.error()));
    return decoded{std::move(*picture), {}, rate, {}};
  }
  auto clip = media_files::read_sound(what..., rate);
  if (!clip) return g4::unexpected(std::move(clip.error()));
  return decoded{{}, std::move(clip->samples), rate, {}};
}
#else
template <class... What>
g4::result<decoded> read_as(medium::kind, std::size_t, const What&... what) {
  return g4::fail(std::get<sizeof...(what) - 1>(std::tie(what...)),
                  ": this program was built without what reads pictures and sounds; install libpng, libjpeg, ",
                  "libwebp, libsndfile and libsoxr with their headers, and build it again");
}
#endif

g4::result<decoded> read(const settings& s, const medium& file, std::size_t rate) {
#if defined(G4_PROGRAM_MEDIA)
  if (file.is == medium::video) {
    auto frames = media_files::open_video(file.path, static_cast<double>(s.video_rate));
    if (!frames) return g4::unexpected(std::move(frames.error()));
    return decoded{{}, {}, rate, std::move(*frames)};
  }
#endif
  static_cast<void>(s);
  return read_as(file.is, rate, file.path);
}

/// What a file is in words, and what the model makes of it.
g4::result<g4::any_shown> through_towers(const g4::any_senses& senses, const settings& s, medium::kind is,
                                         decoded& in_file, std::string& what) {
  if (is == medium::picture) {
    what = fmt::format("{} x {} pixels", in_file.picture.width, in_file.picture.height);
    return senses.see(in_file.picture.view(), {.soft_tokens = s.image_tokens, .pieces = s.image_pieces});
  }
  if (is == medium::sound) {
    what = fmt::format("{:.2f} seconds",
                       static_cast<double>(in_file.samples.size()) / static_cast<double>(in_file.rate));
    return senses.hear({in_file.samples, in_file.rate});
  }
#if defined(G4_PROGRAM_MEDIA)
  media_files::video& frames = *in_file.frames;
  what = fmt::format("{} of {} frames, {:.2f} seconds", frames.looked_at(), frames.frames(),
                     static_cast<double>(frames.frames()) / frames.per_second());
  const g4::frame_source source{&frames, [](void* self) -> g4::result<std::optional<g4::media::frame>> {
                                  if (interrupt_guard::pressed()) return g4::fail("video: was interrupted");
                                  return static_cast<media_files::video*>(self)->next();
                                }};
  return senses.watch(source, {.soft_tokens = s.image_tokens});
#else
  return g4::fail("video: this program reads none");
#endif
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

std::string looked_at::line() const {
  return fmt::format("{}: {}, {} tokens in {:.2f} s", g4::printable(file.path), what, shown.tokens, seconds);
}

g4::result<void> check_media(const settings& s) {
  for (const medium& file : s.media) {
    if (auto fine = read(s, file, 16'000); !fine) return g4::unexpected(std::move(fine.error()));
  }
  return {};
}

g4::result<const g4::any_senses*> senses_of(engine& e, const settings& s) {
  if (e.senses == nullptr) {
    if (on_ranks()) return g4::fail("pictures and sounds: this program shows none to a model on several ranks");
    if (e.on->cpu == nullptr && e.on->reference == nullptr)
      return g4::fail("--backend ", s.backend, ": pictures and sounds go through towers on the cpu backend alone");
    g4::open_options options;
    options.checks.contents = !s.skip_checks;
    auto opened = e.on->reference != nullptr
                      ? open_compiled_senses(*e.from, *e.model, *e.on->reference, options, s.mmproj)
                      : open_compiled_senses(*e.from, *e.model, *e.on->cpu, options, s.mmproj);
    if (!opened) return g4::unexpected(std::move(opened.error()));
    e.senses = std::move(*opened);
  }
  return e.senses.get();
}

bool has_towers(const engine& e, const settings& s) {
  const auto senses = all_known_senses();
  if (std::none_of(senses.begin(), senses.end(), [&](const known_senses& k) { return k.name == e.model->variant(); }))
    return false;
  if (e.from->format == g4::load::format::safetensors || !s.mmproj.empty()) return true;
  const auto beside = g4::towers_beside(e.path);
  return beside && !beside->empty();
}

g4::result<g4::any_shown> show_bytes(const engine& e, const settings& s, medium::kind is, std::string_view bytes,
                                     const std::string& name) {
  const std::size_t rate = e.senses->rate_heard();
  auto in_file = read_as(is, rate != 0 ? rate : 16'000, std::as_bytes(std::span(bytes)), name);
  if (!in_file) return g4::unexpected(in_file.error());
  std::string what;
  return through_towers(*e.senses, s, is, *in_file, what);
}

g4::result<looked_at> look_at(engine& e, const settings& s, const medium& file) {
  const auto senses = senses_of(e, s);
  if (!senses) return g4::unexpected(senses.error());
  const std::size_t rate = (*senses)->rate_heard();
  if (file.is == medium::video && !(*senses)->watches())
    return g4::fail(file.path, ": ", std::string(e.model->variant()), " sees no videos");
  auto in_file = read(s, file, rate != 0 ? rate : 16'000);
  if (!in_file) return g4::unexpected(in_file.error());
  status_line status(is_terminal(STDERR_FILENO));
  status.show(
      fmt::format("{} {} ...", file.is == medium::sound ? "Listening to" : "Looking at", g4::printable(file.path)));
  const auto begun = std::chrono::steady_clock::now();
  std::string what;
  auto shown = through_towers(**senses, s, file.is, *in_file, what);
  if (!shown) return g4::fail_in(file.path, shown.error());
  return looked_at{file, std::move(*shown), std::move(what), seconds_since(begun)};
}

g4::result<std::unique_ptr<g4::any_session>> new_session(const engine& e, g4::session_options options,
                                                         const std::vector<g4::any_shown>& media) {
  for (const g4::any_shown& one : media) options.batch = std::max(options.batch, one.tokens_at_once);
  return e.senses != nullptr ? e.senses->session(options) : e.model->session(options);
}

}  // namespace program
