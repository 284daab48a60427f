/// The tokens of the family that are no text, known by name whatever a file calls them.
///
/// A file has a type or a flag for each of its tokens, and published files have got them wrong: a `<start_of_turn>`
/// that is called normal is cut into pieces like any word, and the model never sees a turn begin.
///
/// Source: the tokenizer.json files of the family; the types in published GGUF files.
#pragma once

#include <algorithm>
#include <string_view>

namespace g4::text {

enum class marker : unsigned char {
  none,
  control,  ///< begins, ends or fills what g4 writes itself
  shown,    ///< Gemma 4's channels and tools: control, which GGUF files call user-defined so that a reader shows them
  medium,   ///< Gemma 3's image markers, which GGUF files call user-defined
};

/// The longest of them has 18 bytes.
inline constexpr std::string_view control_markers[] = {"<pad>",
                                                       "<eos>",
                                                       "<bos>",
                                                       "<unk>",  // all
                                                       "<start_of_turn>",
                                                       "<end_of_turn>",
                                                       "<image_soft_token>",  // Gemma 3, 3n
                                                       "<audio_soft_token>",
                                                       "<start_of_audio>",
                                                       "<end_of_audio>",  // Gemma 3n
                                                       "<|turn>",
                                                       "<turn|>",
                                                       "<|tool>",
                                                       "<tool|>",
                                                       "<|think|>",
                                                       "<|image>",
                                                       "<|image|>",
                                                       "<image|>",  // Gemma 4
                                                       "<|audio>",
                                                       "<|audio|>",
                                                       "<audio|>",
                                                       "<|video|>"};
inline constexpr std::string_view shown_markers[] = {
    "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"};
inline constexpr std::string_view medium_markers[] = {"<start_of_image>", "<end_of_image>"};

[[nodiscard]] constexpr marker marker_of(std::string_view piece) {
  const auto among = [piece](const auto& list) {
    return std::find(std::begin(list), std::end(list), piece) != std::end(list);
  };
  if (piece.size() < 5 || piece.front() != '<' || piece.back() != '>') return marker::none;
  if (among(control_markers)) return marker::control;
  if (among(shown_markers)) return marker::shown;
  return among(medium_markers) ? marker::medium : marker::none;
}

/// Whether a piece is written like a marker, of this family or of who trained it further: in angles or brackets, and no
/// tag of HTML, which is text. `[multimodal]`, `<|end|>` and `<my_mark>` are, `<b>`, `</h1>` and blanks are not.
[[nodiscard]] constexpr bool written_as_marker(std::string_view piece) {
  if (piece.size() < 3) return false;
  if (piece.front() == '[' && piece.back() == ']') return true;
  if (piece.front() != '<' || piece.back() != '>') return false;
  std::string_view name = piece.substr(1, piece.size() - 2);
  if (name.front() == '/') name.remove_prefix(1);
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const bool tag = !name.empty() && letter(name.front()) &&
                   std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '1' && c <= '6'); });
  return !tag || marker_of(piece) != marker::none;
}

}  // namespace g4::text
