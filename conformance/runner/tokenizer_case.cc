// Strings and their ids, both ways; bytes that are no text.
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/vocabulary.h"

namespace g4::conformance {

namespace {

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Counts what differs, and keeps what the first difference was about.
struct tally {
  std::size_t wrong = 0;
  std::size_t total = 0;
  std::string first;
  void see(bool same, const std::string& what) {
    ++total;
    if (same) return;
    if (wrong++ == 0) first = what;
  }
};

void write(report& out, const std::string& name, const tally& t) {
  if (t.total == 0) return;
  if (t.wrong == 0) return out.exact(name, 0, t.total);
  out.failed(name, std::to_string(t.wrong) + " of " + std::to_string(t.total) + " differ, first " + io::shown(t.first));
}

}  // namespace

result<void> check_tokenizer(const case_folder& folder, const check_options& options, report& out) {
  if (options.model_file.empty()) {
    return out.skipped("(the case)", "needs a file with the vocabulary: --model FILE.gguf"), result<void>{};
  }
  const auto vocabulary = open_vocabulary(options.model_file);
  if (!vocabulary) return unexpected(vocabulary.error());
  const auto ids_of = [&](const std::string& text, bool special) {
    const auto ids = vocabulary->encode(text, {.parse_special = special});
    return ids ? std::vector<std::int32_t>(ids->begin(), ids->end()) : std::vector<std::int32_t>{-1};
  };
  const auto text_of = [&](const std::vector<std::int32_t>& ids) { return vocabulary->decode(ids).value_or("?"); };

  std::map<std::string, tally> encoded;
  tally decoded, returned, plain;
  std::size_t contested = 0;
  for (const json& row : folder.about().at("strings")) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<std::int32_t>>();
    decoded.see(text_of(ids) == row.at("decoded").get<std::string>(), text);
    const auto found = ids_of(text, true);
    if (row.value("round_trip", true)) returned.see(text_of(found) == text, text);
    if (row.value("contested", false)) {
      ++contested;
      continue;
    }
    encoded[row.value("category", "strings")].see(found == ids, text);
    if (const auto other = row.find("ids_without_special_parsing_llama_cpp"); other != row.end() && !other->is_null()) {
      plain.see(ids_of(text, false) == other->get<std::vector<std::int32_t>>(), text);
    }
  }
  for (const auto& [category, t] : encoded) write(out, "encode " + category, t);
  write(out, "encode without special tokens", plain);
  write(out, "decode", decoded);
  write(out, "decode what was encoded", returned);

  tally odd, odd_back;
  if (const auto rows = folder.about().find("invalid_utf8"); rows != folder.about().end()) {
    for (const json& row : *rows) {
      const auto hex = row.at("bytes_hex").get<std::string>();
      const auto found = ids_of(bytes_of_hex(hex), true);
      odd.see(found == row.at("ids_llama_cpp").get<std::vector<std::int32_t>>(), hex);
      odd_back.see(text_of(found) == bytes_of_hex(row.at("decoded_hex").get<std::string>()), hex);
    }
  }
  write(out, "encode bytes that are not UTF-8", odd);
  write(out, "decode bytes that are not UTF-8", odd_back);
  if (contested > 0)
    out.skipped("contested strings", "implementations disagree about " + std::to_string(contested) + " strings");
  return {};
}

}  // namespace g4::conformance
