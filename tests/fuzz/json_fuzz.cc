// A small document, as config.json is.
#include "g4/io/json.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = g4::io::parse_json(g4::io::text_of(std::as_bytes(std::span(data, size))), "fuzz");
  if (!document) {
    g4::fuzz::expect(document.error().message.starts_with("fuzz: ") && document.error().message.size() < 4000);
    return 0;
  }
  // What was accepted is JSON: it survives being written and read again.
  const auto text = document->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  const auto again = g4::io::parse_json(text, "fuzz", {.bytes = 64u << 20, .depth = 32, .token = 8u << 20});
  g4::fuzz::expect(again.has_value());
  return 0;
}
