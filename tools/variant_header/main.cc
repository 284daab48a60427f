// g4-variant-header: turns a config.json or a GGUF file of the family into the header of its variant, or says which named
// variant a model is.
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include "g4/core/printable.h"
#include "g4/io/gguf.h"
#include "g4/io/mapped_file.h"
#include "g4/load/config.h"
#include "g4/load/dense_modules.h"
#include "g4/load/gguf_config.h"
#include "g4/load/match.h"
#include "g4/load/model_source.h"
#include "g4/load/tower_config.h"
#include "g4/load/variant_source.h"
#include "g4/open/checkpoint.h"
#include "g4/variants/all.h"

namespace {

constexpr std::string_view usage =
    "usage: g4-variant-header --name NAME [--target TYPE [--target-header PATH]] [--output FILE] CONFIG\n"
    "       g4-variant-header --which FOLDER MODEL\n"
    "  CONFIG           config.json, or a GGUF file\n"
    "  --name           the variant's name, a C++ identifier\n"
    "  --target         a drafter's: the type it drafts for\n"
    "  --target-header  what to include for that type\n"
    "  --output         where the header goes; without it, to standard output\n"
    "  --which FOLDER   print the name of the variant in include/g4/variants that MODEL is, a GGUF file or a folder with\n"
    "                   config.json and safetensors; where none fits, of one whose header is put into FOLDER\n";

g4::result<g4::text_spec> read(const std::string& path) {
  if (path.ends_with(".gguf")) {
    const auto file = g4::io::open_gguf(path);
    if (!file) return g4::unexpected(file.error());
    return g4::load::read_config(*file);
  }
  const auto file = g4::io::map_file(path);
  if (!file) return g4::unexpected(file.error());
  auto spec = g4::load::read_config(g4::io::text_of((*file)->bytes()), path);
  if (!spec || spec->sees != g4::visibility::everything) return spec;
  // What an embedder has behind its encoder stands beside its config.json, if anywhere.
  const auto slash = path.rfind('/');
  const auto modules = g4::load::open_dense_modules(slash == std::string::npos ? "." : path.substr(0, slash));
  if (!modules) return g4::unexpected(modules.error());
  const auto pooled = g4::load::pooled_of(*modules, spec->width);
  if (!pooled) return g4::unexpected(pooled.error());
  spec->pooled = *pooled;
  return spec;
}

/// The towers that a config.json describes; a GGUF file has a text alone.
g4::result<g4::load::tower_specs> read_towers(const std::string& path) {
  if (path.ends_with(".gguf")) return g4::load::tower_specs{};
  const auto file = g4::io::map_file(path);
  if (!file) return g4::unexpected(file.error());
  return g4::load::read_towers(g4::io::text_of((*file)->bytes()), path);
}

template <class... V>
g4::load::nearest_variant nearest(g4::one_of<V...>, const g4::checkpoint& from) {
  return g4::load::nearest<V...>(from.spec, from.unsaid);
}

g4::result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) return g4::fail(path, ": cannot be written");
  return {};
}

/// Which program runs a model: the name of its variant, made here where the library has none.
g4::result<std::string> which(const std::string& path, const std::string& folder) {
  const auto from = g4::open_checkpoint(path);
  if (!from) return g4::unexpected(from.error());
  if (from->spec.is_drafter())
    return g4::fail(path, ": is a drafter, which guesses for another model; give it with --draft");
  if (from->spec.sees == g4::visibility::everything)
    return g4::fail(path, ": is a text embedder, which writes no text");
  const auto near = nearest(g4::all_variants{}, *from);
  if (near.differences.empty()) return std::string(near.name);

  // Named after what it is: the same model another time is the same variant, and nothing is built again.
  const std::string_view stand_in = "made";
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : g4::load::variant_source(from->spec, stand_in)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  char name[32];
  std::snprintf(name, sizeof name, "made_%016llx", static_cast<unsigned long long>(hash));
  ::mkdir(folder.c_str(), 0777);
  const std::string header = folder + "/" + name + ".h";
  if (std::ifstream(header).good()) return std::string(name);  // left alone, so that nothing is built again
  if (auto written = write_file(header, g4::load::variant_source(from->spec, name)); !written)
    return g4::unexpected(std::move(written.error()));
  return std::string(name);
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
  std::string made_in;
  std::string config;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    std::string* const value = option == "--name"            ? &name
                               : option == "--target"        ? &target
                               : option == "--target-header" ? &target_header
                               : option == "--output"        ? &output
                               : option == "--which"         ? &made_in
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
  if (!made_in.empty() && !config.empty()) {
    const auto found = which(config, made_in);
    if (!found) {
      std::cerr << "g4: " << g4::printable(found.error().message) << '\n';
      return 1;
    }
    std::cout << *found << '\n';
    return 0;
  }
  if (config.empty() || !is_identifier(name)) {
    std::cerr << "g4-variant-header: needs a config and a --name that is a C++ identifier\n" << usage;
    return 2;
  }
  const auto spec = read(config);
  const auto towers = read_towers(config);
  if (!spec || !towers) {
    std::cerr << "error: " << g4::printable(spec ? towers.error().message : spec.error().message) << '\n';
    return 1;
  }
  const std::string text = towers->any() ? g4::load::model_source(*spec, *towers, name)
                                         : g4::load::variant_source(*spec, name, target, target_header);
  if (output.empty()) {
    std::cout << text;
    return 0;
  }
  if (auto written = write_file(output, text); !written) {
    std::cerr << "error: " << written.error().message << '\n';
    return 1;
  }
  return 0;
}
