// Options as people type them: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags, one text, and -- before a text that
// begins with a dash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace program {

/// What a value means: stores it, and returns "" or what is wrong with it, such as "is no number".
using reader = std::function<std::string(std::string_view)>;

[[nodiscard]] reader into(std::string& to);
[[nodiscard]] reader into(float& to);
[[nodiscard]] reader into(std::int64_t& to);
[[nodiscard]] reader into(std::size_t& to, std::size_t least, std::size_t most);
[[nodiscard]] reader into(std::optional<std::uint64_t>& to);
/// "1,2,4"
[[nodiscard]] reader into(std::vector<std::size_t>& to, std::size_t least, std::size_t most);
[[nodiscard]] reader among(std::string& to, std::vector<std::string> words);

/// The options of one command, with what --help says of each.
class command_line {
 public:
  command_line(std::string name, std::string what) : name_(std::move(name)), what_(std::move(what)) {}

  /// names   "--batch", or with a letter "-m,--model"
  void value(std::string_view names, std::string_view type, std::string_view help, reader read, bool required = false);
  /// A value that may be given any number of times.
  void values(std::string_view names, std::string_view type, std::string_view help, reader read);
  void flag(std::string_view names, std::string_view help, bool& to);
  /// What stands alone, without a dash.
  void text(std::string_view name, std::string_view help, std::string& to);
  /// The same, of which there may be any number.
  void texts(std::string_view name, std::string_view help, std::vector<std::string>& to);
  /// A heading above the options that follow.
  void heading(std::string_view title);
  void footer(std::string_view text) { footer_ = text; }

  /// Reads the words behind the command; "" or a sentence about the first that is wrong.
  [[nodiscard]] std::string parse(const std::vector<std::string_view>& words);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] bool asks_for_help() const { return help_; }
  [[nodiscard]] bool has(std::string_view option) const;
  [[nodiscard]] bool has_text() const { return has_text_; }
  [[nodiscard]] std::string help() const;

 private:
  struct option {
    std::string letter;  ///< "-m"; may be empty
    std::string name;    ///< "--model"
    std::string type;    ///< of the value; empty: a flag
    std::string help;
    reader read;
    bool* flag = nullptr;
    bool required = false;
    bool repeated = false;
    bool given = false;
  };
  option& add(std::string_view names, std::string_view type, std::string_view help);
  [[nodiscard]] option* find(std::string_view word);
  [[nodiscard]] std::string take(option& o, std::string_view value);

  std::string name_;
  std::string what_;
  std::string footer_;
  std::vector<option> options_;
  std::string text_name_;
  std::string text_help_;
  std::string* text_ = nullptr;
  std::vector<std::string>* texts_ = nullptr;
  bool has_text_ = false;
  bool help_ = false;
};

}  // namespace program
