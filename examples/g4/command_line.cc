#include "command_line.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace program {

namespace {

/// The whole of a text as a number.
template <class T>
bool read_number(std::string_view text, T& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc{} && end == text.data() + text.size();
}

/// A help text behind its option, broken into lines.
std::string beside(std::string left, std::string_view help) {
  constexpr std::size_t column = 28;
  constexpr std::size_t width = 100;
  std::string text = "  " + std::move(left);
  if (text.size() + 1 > column) text += '\n' + std::string(column, ' ');
  if (text.size() < column) text.resize(column, ' ');
  std::size_t used = column;
  while (!help.empty()) {
    const std::string_view word = help.substr(0, help.find(' '));
    if (used > column && used + word.size() + 1 > width) {
      text += '\n' + std::string(column, ' ');
      used = column;
    } else if (used > column) {
      text += ' ';
      ++used;
    }
    text += word;
    used += word.size();
    help.remove_prefix(std::min(word.size() + 1, help.size()));
  }
  return text + '\n';
}

}  // namespace

reader into(std::string& to) {
  return [&to](std::string_view value) {
    to = value;
    return std::string();
  };
}

reader into(float& to) {
  return [&to](std::string_view value) -> std::string { return read_number(value, to) ? "" : "is no number"; };
}

reader into(std::int64_t& to) {
  return [&to](std::string_view value) -> std::string { return read_number(value, to) ? "" : "is no whole number"; };
}

reader into(std::size_t& to, std::size_t least, std::size_t most) {
  return [&to, least, most](std::string_view value) -> std::string {
    std::size_t number = 0;
    if (read_number(value, number) && number >= least && number <= most) {
      to = number;
      return "";
    }
    return "is no number from " + std::to_string(least) + " to " + std::to_string(most);
  };
}

reader into(std::optional<std::uint64_t>& to) {
  return [&to](std::string_view value) -> std::string {
    std::uint64_t number = 0;
    if (!read_number(value, number)) return "is no whole number from 0";
    to = number;
    return "";
  };
}

reader into(std::vector<std::size_t>& to, std::size_t least, std::size_t most) {
  return [&to, least, most](std::string_view value) -> std::string {
    for (;;) {
      const std::size_t comma = value.find(',');
      std::size_t number = 0;
      if (!read_number(value.substr(0, comma), number) || number < least || number > most)
        return "is no list of numbers from " + std::to_string(least) + " to " + std::to_string(most) + ", commas between them";
      to.push_back(number);
      if (comma == std::string_view::npos) return "";
      value.remove_prefix(comma + 1);
    }
  };
}

reader among(std::string& to, std::vector<std::string> words) {
  return [&to, words = std::move(words)](std::string_view value) -> std::string {
    if (std::find(words.begin(), words.end(), value) != words.end()) {
      to = value;
      return "";
    }
    std::string list;
    for (std::size_t i = 0; i < words.size(); ++i)
      list += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
    return "is not known; it is " + list;
  };
}

command_line::option& command_line::add(std::string_view names, std::string_view type, std::string_view help) {
  option o;
  const std::size_t comma = names.find(',');
  if (comma != std::string_view::npos) o.letter = names.substr(0, comma);
  o.name = names.substr(comma == std::string_view::npos ? 0 : comma + 1);
  o.type = type;
  o.help = help;
  return options_.emplace_back(std::move(o));
}

void command_line::value(std::string_view names, std::string_view type, std::string_view help, reader read,
                         bool required) {
  option& o = add(names, type, help);
  o.read = std::move(read);
  o.required = required;
}

void command_line::values(std::string_view names, std::string_view type, std::string_view help, reader read) {
  option& o = add(names, type, help);
  o.read = std::move(read);
  o.repeated = true;
}

void command_line::flag(std::string_view names, std::string_view help, bool& to) { add(names, "", help).flag = &to; }

void command_line::text(std::string_view name, std::string_view help, std::string& to) {
  text_name_ = name;
  text_help_ = help;
  text_ = &to;
}

void command_line::texts(std::string_view name, std::string_view help, std::vector<std::string>& to) {
  text_name_ = name;
  text_help_ = help;
  texts_ = &to;
}

void command_line::heading(std::string_view title) { add("", "", title); }

command_line::option* command_line::find(std::string_view word) {
  for (option& o : options_) {
    if (!word.empty() && (word == o.name || word == o.letter)) return &o;
  }
  return nullptr;
}

bool command_line::has(std::string_view name) const {
  return std::any_of(options_.begin(), options_.end(), [&](const option& o) { return o.name == name && o.given; });
}

std::string command_line::take(option& o, std::string_view value) {
  if (o.given && !o.repeated) return o.name + ": was given twice";
  o.given = true;
  const std::string wrong = o.read(value);
  return wrong.empty() ? wrong : o.name + ": '" + std::string(value) + "' " + wrong;
}

std::string command_line::parse(const std::vector<std::string_view>& words) {
  bool only_text = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (only_text || word == "-" || !word.starts_with('-')) {
      if (texts_ != nullptr) {
        texts_->emplace_back(word);
        has_text_ = true;
        continue;
      }
      if (text_ == nullptr || has_text_) return "'" + std::string(word) + "' is one text too many";
      *text_ = word;
      has_text_ = true;
      continue;
    }
    if (word == "--") {
      only_text = true;
      continue;
    }
    if (word == "-h" || word == "--help") {
      help_ = true;
      return "";
    }
    const bool is_long = word.starts_with("--");
    const std::string_view name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
    option* const o = find(name);
    if (o == nullptr) return std::string(name) + ": there is no such option";
    if (o->flag != nullptr) {
      if (name.size() != word.size()) return o->name + ": takes no value";
      *o->flag = o->given = true;
      continue;
    }
    std::string_view value = word.substr(name.size());
    if (is_long && !value.empty()) value.remove_prefix(1);
    if (name.size() == word.size()) {
      // A number may be negative, but the next option is no value of this one.
      if (i + 1 == words.size() ||
          (words[i + 1].starts_with("--") && find(words[i + 1].substr(0, words[i + 1].find('=')))))
        return o->name + ": needs a value, " + o->type;
      value = words[++i];
    }
    if (std::string wrong = take(*o, value); !wrong.empty()) return wrong;
  }
  for (const option& o : options_) {
    if (o.required && !o.given) return o.name + " is required";
  }
  return "";
}

std::string command_line::help() const {
  std::string text =
      what_ + "\nUsage: g4 " + name_ + " [OPTIONS]" + (text_name_.empty() ? "" : " [" + text_name_ + "]") + "\n";
  if (!text_name_.empty()) text += "\n" + beside(text_name_, text_help_);
  text += "\nOptions:\n" + beside("-h,--help", "Print this and end");
  for (const option& o : options_) {
    if (o.name.empty()) {
      text += "\n" + o.help + ":\n";
      continue;
    }
    text += beside((o.letter.empty() ? "" : o.letter + ",") + o.name + (o.type.empty() ? "" : " " + o.type),
                   o.help + (o.required ? " (required)" : ""));
  }
  if (!footer_.empty()) text += "\n" + footer_ + "\n";
  return text;
}

}  // namespace program
