// One GGUF file: every key by every accessor, every tensor.
#include "g4/io/gguf.h"
#include "tests/fuzz/read_all.h"

namespace {

void read_key(const g4::io::gguf_metadata& meta, std::string_view key) {
  const auto note = [](bool on) { g4::fuzz::sink = g4::fuzz::sink + (on ? 1u : 0u); };
  if (const auto s = meta.string(key)) g4::fuzz::touch(std::as_bytes(std::span(*s)));
  if (const auto n = meta.i64(key)) note(*n > 0);
  if (const auto n = meta.u64(key)) note(*n > 1);
  if (const auto x = meta.f32(key)) note(*x > 0);
  if (const auto b = meta.boolean(key)) note(*b);
  if (const auto list = meta.integers(key)) {
    for (std::size_t i = 0; i < list->size(); ++i) note((*list)[i] > 0);
  }
  if (const auto list = meta.floats(key)) {
    for (std::size_t i = 0; i < list->size(); ++i) note((*list)[i] > 0);
  }
  if (const auto list = meta.booleans(key)) {
    for (std::size_t i = 0; i < list->size(); ++i) note((*list)[i]);
  }
  if (const auto list = meta.strings(key)) {
    std::size_t count = 0;
    for (const std::string_view s : *list) {
      g4::fuzz::touch(std::as_bytes(std::span(s)));
      ++count;
    }
    g4::fuzz::expect(count == list->size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = g4::io::read_gguf(std::as_bytes(std::span(data, size)), "fuzz");
  if (!file) {
    g4::fuzz::expect(file.error().message.starts_with("fuzz: ") && file.error().message.size() < 4000 &&
                     file.error().message.find('\n') == std::string::npos);
    return 0;
  }
  for (const auto& value : file->metadata.values()) read_key(file->metadata, value.key);
  read_key(file->metadata, "missing");
  g4::fuzz::read_all(file->tensors);
  return 0;
}
