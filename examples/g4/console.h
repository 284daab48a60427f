// What the program says and where: answers to stdout, everything else to stderr, and only when somebody is looking.
#pragma once

#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "g4/core/result.h"
#include "g4/text/tokenizer.h"

namespace program {

[[nodiscard]] bool is_terminal(int descriptor);

/// Standard output. Once a write fails nothing more is written.
class output {
 public:
  /// False when nobody reads any more.
  bool write(std::string_view text);
  /// Writes out what is held back. A reader that has gone away is no error; a full disk is.
  [[nodiscard]] g4::result<void> finish();
  [[nodiscard]] bool broken() const { return error_ != 0; }

 private:
  int error_ = 0;
};

/// A line on a terminal's stderr that is written over and over and goes away in the end.
class status_line {
 public:
  explicit status_line(bool wanted) : wanted_(wanted) {}
  status_line(const status_line&) = delete;
  status_line& operator=(const status_line&) = delete;
  ~status_line() { clear(); }
  void show(const std::string& text);
  void clear();
  /// "Loading 43 %", whenever the number has changed.
  void percent(std::string_view what, std::size_t done, std::size_t total);

 private:
  bool wanted_;
  bool shown_ = false;
  std::size_t last_ = 101;
};

/// While one of these lives, Ctrl-C sets a flag, and so does a request to end (SIGTERM, SIGHUP).
class interrupt_guard {
 public:
  enum kind {
    once,    ///< the second one ends the program
    always,  ///< none does: a file in the making goes away first
    answer,  ///< Ctrl-C stops an answer, as often as it is pressed; a request to end is none of this
  };
  explicit interrupt_guard(kind what = once);
  ~interrupt_guard();
  interrupt_guard(const interrupt_guard&) = delete;
  interrupt_guard& operator=(const interrupt_guard&) = delete;
  [[nodiscard]] static bool pressed();
  /// The exit status that says so: 130 after Ctrl-C.
  [[nodiscard]] static int status();
  static void forget();
};

/// The longest text that is read: tokens of it take a hundred times as much memory as a model has context for.
inline constexpr std::size_t longest_text = std::size_t{64} << 20;

/// All of stdin, or of a file. Fails where that is longer than `longest_text`.
[[nodiscard]] g4::result<std::string> read_stdin();
[[nodiscard]] g4::result<std::string> read_file(const std::string& path);

/// Fails where a file to be written is one that is read: one of these files, or a file in one of these folders.
[[nodiscard]] g4::result<void> is_no_input(const std::string& out, std::initializer_list<std::string> inputs);

/// Says on stderr what a vocabulary's file says and is not believed, where there is something.
void say_note(const g4::text::tokenizer& vocabulary);

/// "253 MB"
[[nodiscard]] std::string bytes_text(std::size_t bytes);

}  // namespace program
