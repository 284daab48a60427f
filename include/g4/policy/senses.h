/// How pictures, sounds and conversations get into a text.
#pragma once

#include <cstddef>
#include <string_view>

namespace g4 {

/// At most so many rows of a prompt for one picture or sound. A picture may be given another budget when it is shown.
/// Filled up: always so many; what a tower makes no row for holds that of the vocabulary's last token.
struct soft_tokens {
  int most = 0;
  bool filled_up = false;
};

/// A token as a vocabulary writes it.
struct mark {
  static constexpr std::size_t longest = 31;
  char text[longest + 1] = {};

  template <std::size_t N>
  consteval mark(const char (&written)[N]) {  // NOLINT(google-explicit-constructor): marked{"<|image>", …}
    static_assert(N <= longest + 1, "g4: a mark has at most 31 characters; raise mark::longest in policy/senses.h.");
    for (std::size_t i = 0; i < N; ++i) text[i] = written[i];
  }
  [[nodiscard]] constexpr std::string_view view() const { return text; }
};

/// The tokens around a medium's rows: one before them, one in place of each, one behind them.
struct marked {
  mark before;
  mark each;
  mark behind;
};

/// Pictures come in by this tower: `sees<gemma4_patches, soft_tokens{.most = 280}, marked{"<|image>", …}>`
template <class Tower, soft_tokens Most, marked Marks>
struct sees {
  using tower = Tower;
  static constexpr soft_tokens budget = Most;
  static constexpr marked marks = Marks;
};

/// Sounds come in by this tower.
template <class Tower, soft_tokens Most, marked Marks>
struct hears {
  using tower = Tower;
  static constexpr soft_tokens budget = Most;
  static constexpr marked marks = Marks;
};

namespace turns {

/// Conversations as Gemma 4 writes them (`text/chat_gemma4.h`).
struct gemma4_form {
  bool empty_thought = true;  ///< an answer without thinking begins with an empty thought
};
template <gemma4_form Form = gemma4_form{}>
struct gemma4 {
  static constexpr gemma4_form form = Form;
};

/// Conversations as Gemma 3 writes them (`text/chat_gemma3.h`).
struct gemma3 {};

/// Conversations as Gemma 3n writes them: as Gemma 3 does, with sounds as well.
struct gemma3n {};

}  // namespace turns
}  // namespace g4
