#include "spoken.h"

#include <algorithm>
#include <utility>

#include "g4/text/markers.h"
#include "json_text.h"

namespace serve {

namespace {

constexpr std::string_view quote = "<|\"|>";
constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr std::size_t deepest = 32;

/// Reads the arguments of a call, and writes them as JSON.
class call_reader {
 public:
  explicit call_reader(std::string_view text) : left_(text) {}

  [[nodiscard]] bool call(std::string& name, std::string& arguments) {
    if (!take("call:")) return false;
    const std::size_t brace = left_.find('{');
    if (brace == std::string_view::npos || brace == 0) return false;
    name = left_.substr(0, brace);
    left_.remove_prefix(brace);
    program::json made;
    if (!object(made, 0) || !left_.empty()) return false;
    arguments = made.line();
    return true;
  }

 private:
  [[nodiscard]] bool take(std::string_view word) {
    if (!left_.starts_with(word)) return false;
    left_.remove_prefix(word.size());
    return true;
  }
  [[nodiscard]] bool quoted(std::string& text) {
    if (!take(quote)) return false;
    const std::size_t end = left_.find(quote);
    if (end == std::string_view::npos) return false;
    text = left_.substr(0, end);
    left_.remove_prefix(end + quote.size());
    return true;
  }
  [[nodiscard]] bool object(program::json& into, std::size_t depth) {
    if (depth == deepest || !take("{")) return false;
    into = program::json::object({});
    if (take("}")) return true;
    do {
      std::string key;
      if (!quoted(key)) {
        const std::size_t colon = left_.find(':');
        if (colon == std::string_view::npos || colon == 0) return false;
        key = left_.substr(0, colon);
        left_.remove_prefix(colon);
      }
      if (!take(":") || !value(into[key], depth + 1)) return false;
    } while (take(","));
    return take("}");
  }
  [[nodiscard]] bool list(program::json& into, std::size_t depth) {
    if (depth == deepest || !take("[")) return false;
    into = program::json::array();
    if (take("]")) return true;
    do {
      program::json element;
      if (!value(element, depth + 1)) return false;
      into.push_back(std::move(element));
    } while (take(","));
    return take("]");
  }
  [[nodiscard]] bool value(program::json& into, std::size_t depth) {
    if (left_.starts_with("{")) return object(into, depth);
    if (left_.starts_with("[")) return list(into, depth);
    if (left_.starts_with(quote)) {
      std::string text;
      if (!quoted(text)) return false;
      into = text;
      return true;
    }
    const std::string_view word = left_.substr(0, left_.find_first_of(",}]"));
    if (word == "null" || word == "None") {
      into = nullptr;
    } else if (word == "true" || word == "false") {
      into = word == "true";
    } else if (is_number(word)) {
      into = program::json::written(std::string(word));
    } else {
      return false;
    }
    left_.remove_prefix(word.size());
    return true;
  }
  /// As JSON has them: -12, 0.5, 1e-7.
  [[nodiscard]] static bool is_number(std::string_view word) {
    const auto digits = [&word] {
      const std::size_t count = std::min(word.find_first_not_of("0123456789"), word.size());
      word.remove_prefix(count);
      return count;
    };
    if (word.size() > 64) return false;
    if (word.starts_with('-')) word.remove_prefix(1);
    const bool nought = word.starts_with('0');
    const std::size_t whole = digits();
    if (whole == 0 || (nought && whole > 1)) return false;
    if (word.starts_with('.')) {
      word.remove_prefix(1);
      if (digits() == 0) return false;
    }
    if (word.starts_with('e') || word.starts_with('E')) {
      word.remove_prefix(1);
      if (word.starts_with('-') || word.starts_with('+')) word.remove_prefix(1);
      if (digits() == 0) return false;
    }
    return word.empty();
  }

  std::string_view left_;
};

void append(std::vector<spoken>& out, spoken::kind is, std::string_view text) {
  if (text.empty()) return;
  if (!out.empty() && out.back().is == is && is != spoken::call) {
    out.back().text += text;
  } else {
    out.push_back({is, std::string(text)});
  }
}

}  // namespace

bool read_call(std::string_view written, std::string& name, std::string& arguments) {
  return call_reader(written).call(name, arguments);
}

bool answer_reader::push(std::string_view piece, std::vector<spoken>& out) {
  if (met_stop_) return false;
  std::string_view mark = piece;  // a character that stays broken is shown in front of the mark that ended it
  while (marks_ && mark.starts_with(replacement)) mark.remove_prefix(replacement.size());
  const bool is_mark = marks_ && g4::text::marker_of(mark) != g4::text::marker::none;
  const bool opens_thought = marks_ && mark == "<|channel>", opens_call = marks_ && mark == "<|tool_call>";
  if (in_ == place::content && (opens_thought || opens_call)) {
    if (!say(piece.substr(0, piece.size() - mark.size()), out)) return false;
    append(out, spoken::content, std::exchange(held_, {}));
    in_ = opens_thought ? place::channel_name : place::call;
    return true;
  }
  switch (in_) {
    case place::content: return say(is_mark ? piece.substr(0, piece.size() - mark.size()) : piece, out);
    case place::channel_name:
      if (mark == "<channel|>") {
        held_.clear();
        in_ = place::content;
        return true;
      }
      held_ += piece;
      if (const std::size_t end = held_.find('\n'); end != std::string::npos) {
        append(out, spoken::thought, std::string_view(held_).substr(end + 1));
        held_.clear();
        in_ = place::thought;
      }
      return true;
    case place::thought:
      append(out, spoken::thought, is_mark ? piece.substr(0, piece.size() - mark.size()) : piece);
      if (mark == "<channel|>") in_ = place::content;
      return true;
    case place::call:
      if (mark == "<tool_call|>") {
        end_call(out);
      } else {
        held_ += piece;
      }
      return true;
  }
  return true;
}

bool answer_reader::say(std::string_view text, std::vector<spoken>& out) {
  held_ += text;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    append(out, spoken::content, std::string_view(held_).substr(0, first));
    held_.clear();
    met_stop_ = true;
    return false;
  }
  std::size_t wait = 0;  // the longest end that a stop string may begin with
  for (const std::string& stop : stops_) {
    for (std::size_t size = std::min(stop.size() - 1, held_.size()); size > wait; --size) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, size))) wait = size;
    }
  }
  // Not in the middle of a character: what is handed on is whole.
  while (wait < held_.size() && (static_cast<unsigned char>(held_[held_.size() - wait]) & 0xc0) == 0x80 && wait > 0) ++wait;
  append(out, spoken::content, std::string_view(held_).substr(0, held_.size() - wait));
  held_.erase(0, held_.size() - wait);
  return true;
}

void answer_reader::end_call(std::vector<spoken>& out) {
  spoken made{spoken::call, {}};
  if (read_call(held_, made.tool, made.text)) {
    out.push_back(std::move(made));
    ++calls_;
  } else {
    append(out, spoken::content, "<|tool_call>" + held_ + "<tool_call|>");
  }
  held_.clear();
  in_ = place::content;
}

void answer_reader::finish(std::vector<spoken>& out) {
  if (in_ == place::call) {
    append(out, spoken::content, "<|tool_call>" + held_);
  } else if (in_ == place::content) {
    append(out, spoken::content, held_);
  }
  held_.clear();
}

}  // namespace serve
