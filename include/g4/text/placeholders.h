/// How many soft tokens an image, a sound or a video takes, and the text that holds their places.
///
/// Source: the processors of transformers 5.23 (Gemma3Processor, Gemma3nProcessor, Gemma4Processor,
/// Gemma4UnifiedProcessor) and their feature extractors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/text/chat.h"

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

/// The largest size of nearly the same shape whose sides are multiples of `side` pixels (48: 3 × 3 patches of 16) and
/// whose soft tokens (one per side × side) stay within `budget`.
///
///     f = √(budget·side² / (height·width));   h ↦ ⌊f·h / side⌋·side, and w alike
///
/// budget   70, 140, 280, 560 or 1120
[[nodiscard]] G4_INLINE result<gemma4_image> gemma4_image_size(std::size_t height, std::size_t width,
                                                               std::size_t budget = 280, std::size_t side = 48);

/// A sound as Gemma 4 hears it.
struct gemma4_audio {
  std::size_t frames = 0;        ///< log-mel frames, those of the padding to a multiple of 128 samples included
  std::size_t valid_frames = 0;  ///< frames whose window lies within the sound
  std::size_t soft_tokens = 0;
};

/// Counts for `samples` at 16 kHz: 160 zeros in front, windows of 321 every 160 samples, two halvings. What lies beyond
/// 30 seconds is cut off. Fails on a sound too short for one window.
[[nodiscard]] G4_INLINE result<gemma4_audio> gemma4_audio_size(std::size_t samples);

/// Soft tokens of a sound for the unified 12B, which takes frames of 640 raw samples, the last one filled up.
[[nodiscard]] constexpr std::size_t gemma4_unified_audio_tokens(std::size_t samples) {
  return samples / 640 + (samples % 640 != 0 ? 1 : 0);
}

/// The frames of a video that Gemma 4 looks at: ⌊i·total / n⌋ for n of them, all if there are no more than n.
[[nodiscard]] G4_INLINE std::vector<std::size_t> gemma4_video_sample(std::size_t total,
                                                                     std::size_t n = gemma4_video_frames);

/// What stands at one placeholder of a prompt.
struct medium {
  enum class kind : std::uint8_t { image, audio, video };
  kind is = kind::image;
  std::size_t soft_tokens = 0;    ///< of the image, the sound, or one frame
  std::vector<double> seconds{};  ///< of a video: when each frame is
  std::size_t crops = 0;          ///< of a Gemma 3 image with pan and scan: how many crops follow it
};

/// `<|image|>`, `<|audio|>` and `<|video|>` → their soft tokens with begin and end markers, in order; a video is its
/// frames, each with its time. Fails when placeholders and media do not match in number. A placeholder that somebody
/// typed is text: what the prompt says was said stays as it is, in this form and the others.
[[nodiscard]] G4_INLINE result<prompt> gemma4_expand(const prompt& from, std::span<const medium> media);
/// The same for a text in which nobody said anything.
[[nodiscard]] G4_INLINE result<std::string> gemma4_expand(std::string_view text, std::span<const medium> media);

/// A mark that stands in a prompt, and what is to stand there.
struct replaced_mark {
  std::string mark;
  std::string by;
};
/// Marks that nobody typed, each by what is given for it, in order. Fails where there are more or fewer of them.
[[nodiscard]] G4_INLINE result<prompt> replace_marks(const prompt& from, std::span<const replaced_mark> marks);

/// MM:SS, whole seconds, cut and not rounded.
[[nodiscard]] G4_INLINE std::string minutes_and_seconds(double seconds);

/// Gemma 3: `<start_of_image>` → empty line, marker, 256 soft tokens, marker, empty line; with crops the sentence that
/// introduces them.
[[nodiscard]] G4_INLINE result<prompt> gemma3_expand(const prompt& from, std::span<const medium> media);
[[nodiscard]] G4_INLINE result<std::string> gemma3_expand(std::string_view text, std::span<const medium> media);

/// Gemma 3n: `<image_soft_token>` → 256 of them, `<audio_soft_token>` → 188, with markers and empty lines.
[[nodiscard]] G4_INLINE result<prompt> gemma3n_expand(const prompt& from, std::span<const medium> media);
[[nodiscard]] G4_INLINE result<std::string> gemma3n_expand(std::string_view text, std::span<const medium> media);

}  // namespace g4::text

#if !defined(G4_COMPILED)
#include "g4/text/placeholders.inl"  // IWYU pragma: keep
#endif
