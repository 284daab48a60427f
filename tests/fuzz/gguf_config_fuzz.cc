// The header of a GGUF file, from the bytes to the header of its variant.
#include "g4/load/gguf_config.h"

#include <string>

#include "g4/load/variant_source.h"
#include "g4/model/schema.h"
#include "tests/fuzz/read_all.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = g4::io::read_gguf(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) return 0;  // gguf_fuzz looks after these
  const auto spec = g4::load::read_config(*file);
  if (!spec) {
    const std::string& why = spec.error().message;
    g4::fuzz::expect(why.starts_with("fuzz: ") && why.size() < 4000 && why.find('\n') == std::string::npos);
    return 0;
  }
  g4::fuzz::expect(g4::load::check_spec(*spec, "fuzz").has_value());
  g4::fuzz::expect(g4::load::differences(*spec, *spec, "itself", g4::load::laxity_of(*file)).empty());
  g4::fuzz::expect(g4::load::variant_source(*spec, "fuzzed").ends_with("}  // namespace g4\n"));
  g4::each_tensor(*spec, [](const g4::tensor_entry& t) { g4::fuzz::expect(t.elements() > 0); });
  return 0;
}
