// What a model writes, taken apart as it comes: what it says, what it thinks, which tools it calls, and where it stops.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace serve {

/// A piece of an answer.
struct spoken {
  enum kind { content, thought, call };
  kind is = content;
  std::string text;       ///< of a call: its arguments, a JSON object
  std::string tool = {};  ///< of a call: its name
  [[nodiscard]] bool operator==(const spoken&) const = default;
};

/// Takes an answer's pieces of text, each of which is a token's or more, and says what they are. Gemma 4 marks its thoughts
/// and calls with tokens of their own, whose names come as pieces by themselves:
///
///     <|channel>thought\n … <channel|>        <|tool_call>call:NAME{key:value,…}<tool_call|>
///
/// so that the same letters, written by somebody or by the model as text, are text. Marks that mean nothing where they come
/// are left out, as `generate` leaves them out. A call that is not written so is handed
/// on as content: nothing that the model wrote is lost. A stop string ends the answer before its first letter, wherever
/// pieces begin and end; thoughts and calls are not searched for it.
class answer_reader {
 public:
  /// marks   whether the model is one that writes such marks
  answer_reader(bool marks, std::vector<std::string> stops) : marks_(marks), stops_(std::move(stops)) {}

  /// Appends what has become certain. False when a stop string was met: then nothing more is wanted.
  [[nodiscard]] bool push(std::string_view piece, std::vector<spoken>& out);
  /// What was held back, when no more comes.
  void finish(std::vector<spoken>& out);
  [[nodiscard]] bool has_called() const { return calls_ > 0; }
  [[nodiscard]] bool met_stop() const { return met_stop_; }

 private:
  enum class place { content, channel_name, thought, call };
  bool say(std::string_view text, std::vector<spoken>& out);
  void end_call(std::vector<spoken>& out);

  bool marks_;
  std::vector<std::string> stops_;
  place in_ = place::content;
  std::string held_;  ///< content that may be the beginning of a stop string; or what a call or a channel's name has so far
  std::size_t calls_ = 0;
  bool met_stop_ = false;
};

/// "call:NAME{key:value,…}" as the model writes it. False where it is something else.
///
///     value:  <|"|>text<|"|>,  a number,  true, false, null,  [value,…],  {key:value,…}
[[nodiscard]] bool read_call(std::string_view written, std::string& name, std::string& arguments);

}  // namespace serve
