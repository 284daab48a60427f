// One case: `PROGRAM [--backend NAME]… [--mode exact|fast|fast8] [--model FILE.gguf] [--counts FILE] CASE_DIR`
//           `PROGRAM --backend NAME [--model FILE.gguf] --write OUT.safetensors CASE_DIR`
//
// `conformance/check` builds and calls it; see there. Writes a line per tensor, and the counts to FILE.
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/written.h"
#include "g4/comm/launched.h"

namespace g4::conformance {
namespace {

struct arguments {
  std::vector<std::string> backends;
  check_options options;
  std::string counts;
  std::string write;  ///< what g4 makes of the case goes there, and nothing is compared
  std::string folder;
};

result<arguments> read_arguments(int argc, char** argv) {
  arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const bool takes_value = option == "--backend" || option == "--mode" || option == "--model" ||
                             option == "--counts" || option == "--write";
    if (takes_value && i + 1 == argc) return fail(option, " needs a value");
    if (option == "--backend") {
      out.backends.emplace_back(argv[++i]);
    } else if (option == "--mode") {
      const std::string mode = argv[++i];
      if (mode != "exact" && mode != "fast" && mode != "fast8") {
        return fail("--mode is ", mode, "; it is exact, fast or fast8");
      }
      using backend::numeric;
      out.options.mode = mode == "fast8" ? numeric::fast8 : mode == "fast" ? numeric::fast : numeric::exact;
    } else if (option == "--model") {
      out.options.model_file = argv[++i];
    } else if (option == "--counts") {
      out.counts = argv[++i];
    } else if (option == "--write") {
      out.write = argv[++i];
    } else if (option.rfind("--", 0) == 0 || !out.folder.empty()) {
      return fail(option, " is not understood");
    } else {
      out.folder = option;
    }
  }
  if (out.folder.empty()) return fail("no case folder was given");
  return out;
}

/// The case's name tells the kinds without a model apart only where nothing else does: by what is in the folder.
enum class kind {
  model,
  long_model,
  embedder,
  drafter,
  real,
  rope,
  prompts,
  tokenizer,
  images,
  sound,
  strings,
  operation,
  unknown
};

kind kind_of(const case_folder& folder) {
  const json& about = folder.about();
  if (folder.has_file("config.json")) {
    if (folder.has("rows") && folder.has("offset.input_ids")) return kind::long_model;
    if (folder.has_file("assistant/config.json")) return kind::drafter;
    if (folder.has("pooled") || folder.has_file("modules.json")) return kind::embedder;
    return kind::model;
  }
  if (about.contains("kind")) return kind::strings;
  if (about.contains("operation")) return kind::operation;
  if (folder.has_file("cases.json")) return kind::tokenizer;
  if (about.contains("prompts") && about.contains("sha256")) return kind::real;
  if (about.contains("flavours")) return kind::rope;
  if (about.contains("gemma4") || about.contains("gemma3")) return kind::prompts;
  if (about.contains("images") || about.contains("processor")) return kind::images;
  if (about.contains("extractor")) return kind::sound;
  return kind::unknown;
}

result<void> check_on(kind what, const case_folder& folder, const running_on& on, const check_options& options,
                      report& out) {
  switch (what) {
    case kind::long_model: return check_long(folder, on, out);
    case kind::real: return check_real(folder, on, options, out);
    case kind::embedder: {
      if (on.how.ranks > 1) {
        out.skipped("(inner tensors)", "of an embedder on ranks its vectors are compared");
      } else if (auto done = check_model(folder, on, out); !done) {
        return done;
      }
      return check_embedder(folder, on, out);
    }
    case kind::drafter: {
      if (auto done = check_model(folder, on, out); !done) return done;
      if (!on.how.drafter_cannot.empty()) return out.skipped("(the drafter)", std::string(on.how.drafter_cannot)), result<void>{};
      return check_drafter(folder, on, out);
    }
    default: return check_model(folder, on, out);
  }
}

struct totals {
  report::counts count;
  std::vector<std::string> skips;
  void add(const report& one) {
    one.finish();
    count.passed += one.count().passed;
    count.failed += one.count().failed;
    count.skipped += one.count().skipped;
    skips.insert(skips.end(), one.skips().begin(), one.skips().end());
  }
};

/// Runs a check; what it throws or returns as an error is a failure of the case.
template <class Check>
void run_check(totals& all, const std::string& name, const std::string& backend, Check&& check) {
  report out(name, backend);
  try {
    if (auto done = check(out); !done) {
      // What ranks make otherwise than one process has a name.
      const std::string& why = done.error().message;
      std::string what = "(the case)";
      for (const std::string_view begins : {other_than_one_process, other_than_each_other}) {
        if (why.starts_with(begins)) what = why.substr(begins.size());
      }
      out.failed(what, why);
    }
  } catch (const std::exception& e) {
    out.failed("(the case)", e.what());
  }
  all.add(out);
}

void check_case(const case_folder& folder, const arguments& args, totals& all) {
  const kind what = kind_of(folder);
  const auto alone = [&](const char* place, auto&& check) { run_check(all, folder.name(), place, check); };
  switch (what) {
    case kind::rope: return alone("-", [&](report& out) { return check_rope(folder, out); });
    case kind::prompts: return alone("-", [&](report& out) { return check_prompts(folder, args.options, out); });
    case kind::tokenizer: return alone("-", [&](report& out) { return check_tokenizer(folder, args.options, out); });
    case kind::strings: return alone("-", [&](report& out) { return check_strings(folder, args.options, out); });
    case kind::images: return alone("-", [&](report& out) { return check_images(folder, out); });
    case kind::sound: return alone("-", [&](report& out) { return check_sound(folder, out); });
    case kind::operation:
      if (!needs_a_backend(folder)) return alone("-", [&](report& out) { return check_operation(folder, "-", out); });
      for (const std::string& backend : args.backends) {
        if (backend != "reference" && backend != "cpu" && backend != "cuda_on_host") {
          run_check(all, folder.name(), backend, [](report& out) {
            return out.skipped("(the case)", "operations are run on reference, cpu and cuda_on_host"), result<void>{};
          });
          continue;
        }
        run_check(all, folder.name(), backend, [&](report& out) { return check_operation(folder, backend, out); });
      }
      return;
    case kind::unknown:
      return alone("-", [&](report&) -> result<void> {
        return fail("this is no kind of case that g4 knows: no config.json, cases.json, prompts, flavours or messages");
      });
    default: break;
  }
  const model_unit unit = this_unit();
  if (what == kind::real && args.options.model_file.empty()) {
    return alone("-", [&](report& out) {
      return out.skipped("(the case)", "needs the real checkpoint: --model FILE.gguf"), result<void>{};
    });
  }
  for (const std::string& backend : args.backends) {
    std::vector<const engine*> of_it;  // several where it was made for several numbers of ranks
    for (const engine& how : unit.engines) {
      if (how.backend == backend) of_it.push_back(&how);
    }
    if (of_it.empty()) {
      run_check(all, folder.name(), backend, [&](report&) -> result<void> {
        return fail("this program was not made for the backend ", backend);
      });
    }
    for (const engine* how : of_it) {
      const std::string label = of_it.size() > 1 ? backend + "/" + std::to_string(how->ranks) : backend;
      run_check(all, folder.name(), label, [&](report& out) -> result<void> {
        if (!how->cannot.empty()) return out.skipped("(the case)", how->cannot), result<void>{};
        const bool rounds = backend == "cpu" || backend == "inline" || backend == "cuda_on_host";
        return check_on(what, folder, {*unit.spec, *how, rounds ? args.options.mode : backend::numeric::exact},
                        args.options, out);
      });
    }
  }
}

/// The case as an engine under test runs it.
result<void> write_case(const case_folder& folder, const arguments& args) {
  if (args.backends.size() != 1) return fail("--write needs one --backend");
  written out(folder);
  const std::string& backend = args.backends.front();
  const auto made = [&]() -> result<void> {
    switch (kind_of(folder)) {
      case kind::strings: return write_strings(folder, args.options, out);
      case kind::operation: return write_operation(folder, needs_a_backend(folder) ? backend : "-", out);
      case kind::model:
      case kind::long_model:
      case kind::embedder:
      case kind::drafter: break;
      default: return fail("--write knows no such kind of case");
    }
    const model_unit unit = this_unit();
    for (const engine& how : unit.engines) {
      if (how.backend == backend) return write_model(folder, {*unit.spec, how, args.options.mode}, out);
    }
    return fail("this program was not made for the backend ", backend);
  }();
  if (!made) return made;
  return out.save(args.write);
}

/// Whether this is another than the first of the processes that a launcher has started: it follows, and the first has the word.
bool follows() { return comm::processes_started() > 1 && comm::number_among_processes() > 0; }

void write_counts(const std::string& path, const totals& all) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return;
  std::fprintf(file, "%zu %zu %zu\n", all.count.passed, all.count.failed, all.count.skipped);
  for (const std::string& skip : all.skips) std::fprintf(file, "%s\n", skip.c_str());
  std::fclose(file);
}

int run(int argc, char** argv) {
  const auto args = read_arguments(argc, argv);
  if (!args) {
    std::fprintf(stderr, "%s\n", args.error().message.c_str());
    return 2;
  }
  totals all;
  const auto folder = case_folder::open(args->folder);
  if (folder && !args->write.empty()) {
    const auto done = write_case(*folder, *args);
    if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return done ? 0 : 1;
  }
  if (folder) {
    check_case(*folder, *args, all);
  } else {
    run_check(all, args->folder, "-", [&](report&) -> result<void> { return unexpected(folder.error()); });
  }
  if (follows()) return 0;
  if (!args->counts.empty()) write_counts(args->counts, all);
  return all.count.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace g4::conformance

int main(int argc, char** argv) {
  if (g4::conformance::follows()) {
    for (std::FILE* out : {stdout, stderr}) {
      if (std::freopen("/dev/null", "w", out) == nullptr) return 2;
    }
  }
  return g4::conformance::run(argc, argv);
}
