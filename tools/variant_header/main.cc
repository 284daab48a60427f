// g4-variant-header: turns a config.json or a GGUF file of the family into the header of its variant.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/load/config.h"
#include "g4/load/gguf_config.h"
#include "g4/load/variant_source.h"

namespace {

constexpr std::string_view usage =
    "usage: g4-variant-header --name NAME [--target TYPE [--target-header PATH]] [--output FILE] CONFIG\n"
    "  CONFIG           config.json, or a GGUF file\n"
    "  --name           the variant's name, a C++ identifier\n"
    "  --target         a drafter's: the type it drafts for\n"
    "  --target-header  what to include for that type\n"
    "  --output         where the header goes; without it, to standard output\n";

g4::result<g4::text_spec> read(const std::string& path) {
  if (path.ends_with(".gguf")) {
    const auto file = g4::io::open_gguf(path);
    if (!file) return g4::unexpected(file.error());
    return g4::load::read_config(*file);
  }
  const auto file = g4::io::map_file(path);
  if (!file) return g4::unexpected(file.error());
  return g4::load::read_config(g4::io::text_of((*file)->bytes()), path);
}

bool is_identifier(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
         std::string_view::npos;
}

}  // namespace

int main(int argc, char** argv) {
  std::string name;
  std::string target;
  std::string target_header;
  std::string output;
  std::string config;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    std::string* const value = option == "--name"            ? &name
                               : option == "--target"        ? &target
                               : option == "--target-header" ? &target_header
                               : option == "--output"        ? &output
                                                             : nullptr;
    if (option == "--help") {
      std::cout << usage;
      return 0;
    }
    if (value != nullptr && i + 1 < argc) {
      *value = argv[++i];
    } else if (value == nullptr && !option.starts_with("--") && config.empty()) {
      config = option;
    } else {
      std::cerr << "g4-variant-header: " << option << " is not understood\n" << usage;
      return 2;
    }
  }
  if (config.empty() || !is_identifier(name)) {
    std::cerr << "g4-variant-header: needs a config and a --name that is a C++ identifier\n" << usage;
    return 2;
  }
  const auto spec = read(config);
  if (!spec) {
    std::cerr << "error: " << spec.error().message << '\n';
    return 1;
  }
  const std::string text = g4::load::variant_source(*spec, name, target, target_header);
  if (output.empty()) {
    std::cout << text;
    return 0;
  }
  std::ofstream out(output, std::ios::binary);
  out << text;
  out.close();
  if (!out) {
    std::cerr << "error: " << output << ": cannot be written\n";
    return 1;
  }
  return 0;
}
