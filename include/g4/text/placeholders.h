/// How many soft tokens an image, a sound or a video takes, and the text that holds their places.
///
/// Source: the processors of transformers 5.23 (Gemma3Processor, Gemma3nProcessor, Gemma4Processor,
/// Gemma4UnifiedProcessor) and their feature extractors.
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

#include "g4/core/result.h"

namespace g4::text {

inline constexpr std::size_t gemma3_image_tokens = 256;   ///< Gemma 3 and 3n, every image
inline constexpr std::size_t gemma3n_audio_tokens = 188;  ///< Gemma 3n, every clip
inline constexpr std::size_t gemma4_video_budget = 70;    ///< Gemma 4, soft tokens at most for one frame
inline constexpr std::size_t gemma4_video_frames = 32;    ///< Gemma 4, frames at most for one video

/// An image as Gemma 4 sees it: the size it is resized to, in pixels, and its soft tokens.
struct gemma4_image {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t soft_tokens = 0;
};

/// The largest size of nearly the same shape whose sides are multiples of 48 pixels (3 × 3 patches of 16) and whose
/// soft tokens (one per 48 × 48) stay within `budget`.
///
///     f = √(budget·48² / (height·width));   side ↦ ⌊f·side / 48⌋·48
///
/// budget   70, 140, 280, 560 or 1120
[[nodiscard]] inline result<gemma4_image> gemma4_image_size(std::size_t height, std::size_t width,
                                                            std::size_t budget = 280) {
  constexpr std::size_t side = 48;
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
  const auto fit = [](double pixels) { return static_cast<std::size_t>(std::floor(pixels / 48.0)) * side; };
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

/// A sound as Gemma 4 hears it.
struct gemma4_audio {
  std::size_t frames = 0;        ///< log-mel frames, those of the padding to a multiple of 128 samples included
  std::size_t valid_frames = 0;  ///< frames whose window lies within the sound
  std::size_t soft_tokens = 0;
};

/// Counts for `samples` at 16 kHz: 160 zeros in front, windows of 321 every 160 samples, two halvings. What lies beyond
/// 30 seconds is cut off. Fails on a sound too short for one window.
[[nodiscard]] inline result<gemma4_audio> gemma4_audio_size(std::size_t samples) {
  const std::size_t heard = std::min<std::size_t>(samples, 480'000);
  if (heard <= 160) return fail("audio: ", samples, " samples are too few to hear; Gemma 4 needs 161");
  const std::size_t padded = (heard + 127) / 128 * 128;
  gemma4_audio out;
  out.frames = (padded + 160 - 321) / 160 + 1;
  out.valid_frames = (heard - 161) / 160 + 1;
  out.soft_tokens = (out.valid_frames + 3) / 4;
  return out;
}

/// Soft tokens of a sound for the unified 12B, which takes frames of 640 raw samples, the last one filled up.
[[nodiscard]] constexpr std::size_t gemma4_unified_audio_tokens(std::size_t samples) {
  return samples / 640 + (samples % 640 != 0 ? 1 : 0);
}

/// The frames of a video that Gemma 4 looks at: ⌊i·total / n⌋ for n of them, all if there are no more than n.
[[nodiscard]] inline std::vector<std::size_t> gemma4_video_sample(std::size_t total,
                                                                  std::size_t n = gemma4_video_frames) {
  n = std::min(n, total);
  std::vector<std::size_t> frames(n);
  for (std::size_t i = 0; i < n; ++i) {
    frames[i] =
        static_cast<std::size_t>(static_cast<double>(i) * (static_cast<double>(total) / static_cast<double>(n)));
  }
  return frames;
}

/// What stands at one placeholder of a prompt.
struct medium {
  enum class kind : std::uint8_t { image, audio, video };
  kind is = kind::image;
  std::size_t soft_tokens = 0;    ///< of the image, the sound, or one frame
  std::vector<double> seconds{};  ///< of a video: when each frame is
  std::size_t crops = 0;          ///< of a Gemma 3 image with pan and scan: how many crops follow it
};

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

/// Replaces every mark in `text` by what `write(medium, out)` writes for the next medium of its kind.
template <class Write>
[[nodiscard]] result<std::string> expand(std::string_view text, std::span<const placeholder> marks,
                                         std::span<const medium> media, Write write) {
  std::string out;
  std::size_t used[3] = {};
  for (std::size_t at = 0; at < text.size();) {
    const placeholder* here = nullptr;
    for (const placeholder& p : marks) {
      if (text.substr(at).starts_with(p.mark)) here = &p;
    }
    if (here == nullptr) {
      const std::size_t next = text.find('<', at + 1);
      out += text.substr(at, next == std::string_view::npos ? next : next - at);
      at = next == std::string_view::npos ? text.size() : next;
      continue;
    }
    std::size_t& next = used[static_cast<std::size_t>(here->is)];
    while (next < media.size() && media[next].is != here->is) ++next;
    if (next == media.size()) return fail("prompt: more ", here->mark, " than media for them");
    write(media[next++], out);
    at += here->mark.size();
  }
  for (const placeholder& p : marks) {
    const std::size_t from = used[static_cast<std::size_t>(p.is)];
    for (std::size_t i = from; i < media.size(); ++i) {
      if (media[i].is == p.is) return fail("prompt: fewer ", p.mark, " than media for them");
    }
  }
  return out;
}

}  // namespace detail

/// `<|image|>`, `<|audio|>` and `<|video|>` → their soft tokens with begin and end markers, in order; a video is its
/// frames, each with its time. Fails when placeholders and media do not match in number.
[[nodiscard]] inline result<std::string> gemma4_expand(std::string_view prompt, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {
      {"<|image|>", medium::kind::image}, {"<|audio|>", medium::kind::audio}, {"<|video|>", medium::kind::video}};
  return detail::expand(prompt, marks, media, [](const medium& m, std::string& out) {
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

/// Gemma 3: `<start_of_image>` → empty line, marker, 256 soft tokens, marker, empty line; with crops the sentence that
/// introduces them.
[[nodiscard]] inline result<std::string> gemma3_expand(std::string_view prompt, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {{"<start_of_image>", medium::kind::image}};
  return detail::expand(prompt, marks, media, [](const medium& m, std::string& out) {
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

/// Gemma 3n: `<image_soft_token>` → 256 of them, `<audio_soft_token>` → 188, with markers and empty lines.
[[nodiscard]] inline result<std::string> gemma3n_expand(std::string_view prompt, std::span<const medium> media) {
  static constexpr detail::placeholder marks[] = {{"<image_soft_token>", medium::kind::image},
                                                  {"<audio_soft_token>", medium::kind::audio}};
  return detail::expand(prompt, marks, media, [](const medium& m, std::string& out) {
    const bool image = m.is == medium::kind::image;
    out += image ? "\n\n<start_of_image>" : "\n\n<start_of_audio>";
    detail::append_times(image ? "<image_soft_token>" : "<audio_soft_token>",
                         image ? gemma3_image_tokens : gemma3n_audio_tokens, out);
    out += image ? "<end_of_image>\n\n" : "<end_of_audio>\n\n";
  });
}

}  // namespace g4::text
