/// placeholders.h, defined.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/guarded.h"
#include "g4/text/placeholders.h"

namespace g4::text {

G4_INLINE result<gemma4_image> gemma4_image_size(std::size_t height, std::size_t width, std::size_t budget,
                                                 std::size_t side) {
  if (budget != 70 && budget != 140 && budget != 280 && budget != 560 && budget != 1120) {
    return fail("image: a budget of ", budget, " soft tokens; Gemma 4 knows 70, 140, 280, 560 and 1120");
  }
  constexpr std::size_t max_pixels_a_side = std::size_t{1} << 24;
  if (height == 0 || width == 0 || height > max_pixels_a_side || width > max_pixels_a_side) {
    return fail("image: ", height, " x ", width, " pixels");
  }
  const double h = static_cast<double>(height);
  const double w = static_cast<double>(width);
  const double factor = std::sqrt(static_cast<double>(budget * side * side) / (h * w));
  const auto fit = [side](double pixels) {
    return static_cast<std::size_t>(std::floor(pixels / static_cast<double>(side))) * side;
  };
  gemma4_image out{fit(factor * h), fit(factor * w), 0};
  if (out.height == 0 && out.width == 0) return fail("image: ", height, " x ", width, " pixels leave nothing to see");
  const std::size_t longest = budget * side;
  if (out.height == 0) {
    out.height = side;
    out.width = std::min(static_cast<std::size_t>(std::floor(w / h)) * side, longest);
  } else if (out.width == 0) {
    out.width = side;
    out.height = std::min(static_cast<std::size_t>(std::floor(h / w)) * side, longest);
  }
  out.soft_tokens = (out.height / side) * (out.width / side);
  if (out.soft_tokens > budget) {
    return fail("image: ", height, " x ", width, " pixels would take ", out.soft_tokens, " soft tokens of ", budget);
  }
  return out;
}

G4_INLINE result<gemma4_audio> gemma4_audio_size(std::size_t samples) {
  const std::size_t heard = std::min<std::size_t>(samples, 480'000);
  if (heard <= 160) return fail("audio: ", samples, " samples are too few to hear; Gemma 4 needs 161");
  const std::size_t padded = (heard + 127) / 128 * 128;
  gemma4_audio out;
  out.frames = (padded + 160 - 321) / 160 + 1;
  out.valid_frames = (heard - 161) / 160 + 1;
  out.soft_tokens = (out.valid_frames + 3) / 4;
  return out;
}

G4_INLINE std::vector<std::size_t> gemma4_video_sample(std::size_t total, std::size_t n) {
  n = std::min(n, total);
  std::vector<std::size_t> frames(n);
  for (std::size_t i = 0; i < n; ++i) {
    frames[i] =
        static_cast<std::size_t>(static_cast<double>(i) * (static_cast<double>(total) / static_cast<double>(n)));
  }
  return frames;
}

namespace detail {

inline void append_times(std::string_view s, std::size_t count, std::string& out) {
  for (std::size_t i = 0; i < count; ++i) out += s;
}

/// MM:SS, whole seconds, cut and not rounded.
inline void append_time(double seconds, std::string& out) {
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e9));
  const auto two_digits = [&out](std::uint64_t n) {
    if (n < 10) out += '0';
    out += std::to_string(n);
  };
  two_digits(whole / 60);
  out += ':';
  two_digits(whole % 60);
}

struct placeholder {
  std::string_view mark;
  medium::kind is;
};

/// Replaces every mark in the prompt that nobody typed by what `write(medium, out)` writes for the next medium of its
/// kind.
template <class Write>
[[nodiscard]] result<prompt> expand_marks(const prompt& from, std::span<const placeholder> marks,
                                    std::span<const medium> media, Write write) {
  const std::string_view text = from.text;
  prompt out;
  std::size_t used[3] = {};
  auto said = from.said.begin();
  for (std::size_t at = 0; at < text.size();) {
    if (said != from.said.end() && said->begin <= at) {
      const std::size_t end = std::clamp(said->end, at, text.size());
      out.say(text.substr(at, end - at));
      at = end;
      ++said;
      continue;
    }
    const std::size_t ours = said == from.said.end() ? text.size() : std::min(said->begin, text.size());
    const std::string_view left = text.substr(at, ours - at);
    const placeholder* here = nullptr;
    for (const placeholder& p : marks) {
      if (left.starts_with(p.mark)) here = &p;
    }
    if (here == nullptr) {
      const std::string_view passed = left.substr(0, left.find_first_of("<\n", 1));
      out.markup(passed);
      at += passed.size();
      continue;
    }
    std::size_t& next = used[static_cast<std::size_t>(here->is)];
    while (next < media.size() && media[next].is != here->is) ++next;
    if (next == media.size()) return fail("prompt: more ", here->mark, " than media for them");
    write(media[next++], out.text);
    at += here->mark.size();
  }
  for (const placeholder& p : marks) {
    const std::size_t first = used[static_cast<std::size_t>(p.is)];
    for (std::size_t i = first; i < media.size(); ++i) {
      if (media[i].is == p.is) return fail("prompt: fewer ", p.mark, " than media for them");
    }
  }
  return out;
}

template <class Write>
[[nodiscard]] result<prompt> expand(const prompt& from, std::span<const placeholder> marks,
                                    std::span<const medium> media, Write write) {
  return guarded([&] { return expand_marks(from, marks, media, write); });
}

/// The text of a prompt, where there is one.
[[nodiscard]] inline result<std::string> text_of(result<prompt> written) {
  if (!written) return unexpected(std::move(written.error()));
  return std::move(written->text);
}

}  // namespace detail

G4_INLINE result<prompt> gemma4_expand(const prompt& from, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {
      {"<|image|>", medium::kind::image}, {"<|audio|>", medium::kind::audio}, {"<|video|>", medium::kind::video}};
  return detail::expand(from, marks, media, [](const medium& m, std::string& out) {
    const auto run = [&](std::string_view open, std::string_view soft, std::string_view close) {
      out += open;
      detail::append_times(soft, m.soft_tokens, out);
      out += close;
    };
    if (m.is == medium::kind::image) run("<|image>", "<|image|>", "<image|>");
    if (m.is == medium::kind::audio) run("<|audio>", "<|audio|>", "<audio|>");
    if (m.is != medium::kind::video) return;
    for (std::size_t i = 0; i < m.seconds.size(); ++i) {
      if (i > 0) out += ' ';
      detail::append_time(m.seconds[i], out);
      out += ' ';
      run("<|image>", "<|video|>", "<image|>");
    }
  });
}

G4_INLINE result<prompt> gemma3_expand(const prompt& from, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {{"<start_of_image>", medium::kind::image}};
  return detail::expand(from, marks, media, [](const medium& m, std::string& out) {
    const auto image = [&out] {
      out += "\n\n<start_of_image>";
      detail::append_times("<image_soft_token>", gemma3_image_tokens, out);
      out += "<end_of_image>\n\n";
    };
    if (m.crops == 0) return image();
    out += "Here is the original image ";
    image();
    out += " and here are some crops to help you see better ";
    for (std::size_t i = 0; i < m.crops; ++i) {
      if (i > 0) out += ' ';
      image();
    }
  });
}

G4_INLINE result<prompt> gemma3n_expand(const prompt& from, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {{"<image_soft_token>", medium::kind::image},
                                                  {"<audio_soft_token>", medium::kind::audio}};
  return detail::expand(from, marks, media, [](const medium& m, std::string& out) {
    const bool image = m.is == medium::kind::image;
    out += image ? "\n\n<start_of_image>" : "\n\n<start_of_audio>";
    detail::append_times(image ? "<image_soft_token>" : "<audio_soft_token>",
                         image ? gemma3_image_tokens : gemma3n_audio_tokens, out);
    out += image ? "<end_of_image>\n\n" : "<end_of_audio>\n\n";
  });
}

G4_INLINE result<prompt> replace_marks(const prompt& from, std::span<const replaced_mark> marks) {
  return guarded([&]() -> result<prompt> {
    // Two kinds of marks at most, those of the first and any others: pictures and sounds.
    std::vector<medium> media;
    std::vector<detail::placeholder> known;
    for (const replaced_mark& m : marks) {
      const auto kind = m.mark == marks.front().mark ? medium::kind::image : medium::kind::audio;
      media.push_back({kind});
      if (std::none_of(known.begin(), known.end(), [&](const auto& k) { return k.is == kind; })) {
        known.push_back({m.mark, kind});
      }
    }
    return detail::expand_marks(from, known, media, [&](const medium& m, std::string& out) {
      out += marks[static_cast<std::size_t>(&m - media.data())].by;
    });
  });
}

G4_INLINE std::string minutes_and_seconds(double seconds) {
  std::string text;
  detail::append_time(seconds, text);
  return text;
}

G4_INLINE result<std::string> gemma4_expand(std::string_view text, std::span<const medium> media) {
  return guarded([&] { return detail::text_of(gemma4_expand(prompt{std::string(text), {}}, media)); });
}

G4_INLINE result<std::string> gemma3_expand(std::string_view text, std::span<const medium> media) {
  return guarded([&] { return detail::text_of(gemma3_expand(prompt{std::string(text), {}}, media)); });
}

G4_INLINE result<std::string> gemma3n_expand(std::string_view text, std::span<const medium> media) {
  return guarded([&] { return detail::text_of(gemma3n_expand(prompt{std::string(text), {}}, media)); });
}

}  // namespace g4::text
