// A config.json, from the text to the header of its variant.
#include "g4/load/config.h"

#include <string>

#include "g4/load/match.h"
#include "g4/load/variant_source.h"
#include "g4/model/schema.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto spec = g4::load::read_config({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!spec) {
    const std::string& why = spec.error().message;
    g4::fuzz::expect(why.starts_with("fuzz: ") && why.size() < 4000 && why.find('\n') == std::string::npos);
    return 0;
  }
  // What was accepted keeps the rules, is itself, has a header, and names no tensor of an impossible size.
  g4::fuzz::expect(g4::load::check_spec(*spec, "fuzz").has_value());
  g4::fuzz::expect(g4::load::differences(*spec, *spec).empty());
  g4::fuzz::expect(g4::load::variant_source(*spec, "fuzzed").ends_with("}  // namespace g4\n"));
  g4::each_tensor(*spec, [](const g4::tensor_entry& t) { g4::fuzz::expect(t.elements() > 0); });
  return 0;
}
