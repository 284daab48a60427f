// Pictures, sounds and videos that are shown to a model: from files, through its towers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "g4/core/result.h"
#include "g4/generate/any_senses.h"
#include "program.h"
#include "shown_text.h"

namespace program {

/// The model's senses, opened when they are first needed.
/// Fails where the model has none, or the file with its towers is missing or another model's.
[[nodiscard]] g4::result<const g4::any_senses*> senses_of(engine& e, const settings& s);

/// Whether its towers are at hand: a model of text alone, and a GGUF file by itself, have none.
[[nodiscard]] bool has_towers(const engine& e, const settings& s);

/// Encodes a picture or a sound that came as a file's bytes, which a sentence calls `name`. The senses are open.
[[nodiscard]] g4::result<g4::any_shown> show_bytes(const engine& e, const settings& s, medium::kind is,
                                                   std::string_view bytes, const std::string& name);

/// What a file's picture, sound or video took.
struct looked_at {
  medium file;
  g4::any_shown shown;
  std::string what;  ///< "640 x 480 pixels", "3.20 seconds", "32 of 240 frames"
  double seconds = 0;

  /// "cat.png: 640 x 480 pixels, 256 tokens in 0.53 s"
  [[nodiscard]] std::string line() const;
};

/// Reads a file and encodes it, with a word of it on a terminal.
[[nodiscard]] g4::result<looked_at> look_at(engine& e, const settings& s, const medium& file);

/// Fails where a file cannot be read, or this program reads none: before a model is loaded for it.
[[nodiscard]] g4::result<void> check_media(const settings& s);

/// A new, empty text, with room in its batches for what is shown: pictures whose tokens see each other run at once.
[[nodiscard]] g4::result<std::unique_ptr<g4::any_session>> new_session(const engine& e, g4::session_options options,
                                                                       const std::vector<g4::any_shown>& media);

}  // namespace program
