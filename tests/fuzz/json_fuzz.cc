// A small document, as config.json is.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>

#include "g4/core/utf8.h"
#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "tests/fuzz/read_all.h"

namespace {

/// The document as text, whole numbers and fractions apart.
void write(const g4::io::json& value, std::string& out) {
  using g4::io::json;
  if (value.is_null()) out += "null";
  if (const auto* b = value.as<bool>()) out += *b ? "true" : "false";
  if (const auto* n = value.as<std::uint64_t>()) out += std::to_string(*n);
  if (const auto* n = value.as<std::int64_t>()) out += *n == 0 ? "-0" : std::to_string(*n);
  if (const auto* d = value.as<double>()) {
    char digits[40];
    g4::fuzz::expect(std::isfinite(*d));
    out.append(digits, std::to_chars(digits, digits + sizeof digits, *d, std::chars_format::scientific).ptr);
  }
  if (const auto* s = value.as<std::string>()) {
    g4::fuzz::expect(g4::is_utf8(*s));
    out += g4::io::json_quoted(*s);
  }
  if (value.is_array()) {
    out += '[';
    for (const json& element : value) {
      if (&element != value.begin()) out += ',';
      write(element, out);
    }
    out += ']';
  }
  if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.members()) {
      out += (first ? "" : ",") + g4::io::json_quoted(key) + ":";
      write(member, out);
      first = false;
    }
    out += '}';
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = g4::io::parse_json(g4::io::text_of(std::as_bytes(std::span(data, size))), "fuzz");
  if (!document) {
    g4::fuzz::expect(document.error().message.starts_with("fuzz: ") && document.error().message.size() < 4000);
    return 0;
  }
  // What was accepted is JSON: written and read again it is the same.
  std::string text;
  write(*document, text);
  const auto again = g4::io::parse_json(text, "fuzz", {.bytes = 64u << 20, .depth = 32, .token = 8u << 20});
  g4::fuzz::expect(again.has_value() && *again == *document);
  return 0;
}
