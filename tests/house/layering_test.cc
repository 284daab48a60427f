// The house keeps its shape: imports point one way, variants hold no code, and the library neither throws nor prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/own_path.h"

namespace {

namespace fs = std::filesystem;
using words = std::set<std::string, std::less<>>;

words words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

// The house, from the ground up. A room is a folder of include/g4, or a header of it, that has a line here: the longest
// that fits says where a header lies. It may include its own room and what its line names: rooms, which must have their
// line further up, or single headers of rooms. A line whose room is not built yet costs nothing.
struct room {
  room(std::string called, const std::string& line) : name(std::move(called)), may_include(words_of(line)) {}
  std::string name;
  words may_include;
};
// clang-format off
const std::vector<room> house = {
    {"core", ""},
    {"tensor", "core"},
    {"ops", "core tensor"},
    {"comm", "core"},  // bytes between ranks

    // What is asked of a backend, and who answers. Models and policies see the first two lines alone.
    {"backend/concept.h", "core tensor ops"},
    {"backend/composed.h", "core tensor ops backend/concept.h"},
    {"backend/definitions", "core tensor ops backend/concept.h"},
    {"backend", "core tensor ops backend/concept.h backend/composed.h backend/definitions"},
    {"backend/cpu", "core tensor ops backend/concept.h backend/composed.h backend/definitions backend"},
    {"backend/cpu.h", "core tensor ops backend/concept.h backend/definitions backend backend/cpu"},
    {"backend/inline.h", "core tensor ops backend/concept.h backend/definitions backend backend/cpu"},
    {"backend/joined.h", "core tensor ops comm backend/concept.h backend/composed.h"},
    {"backend/gpu.h", "core tensor ops backend/concept.h backend/composed.h backend"},
    {"backend/cuda.h", "core backend backend/gpu.h"},
    {"backend/cuda_on_host.h", "core backend backend/gpu.h"},

    // A model as a type, and how it runs: text and tower on the same stack, strangers to each other.
    {"rule", "core"},
    {"spec", "core tensor rule"},
    {"policy", "core tensor ops rule spec backend/concept.h"},
    {"model", "core tensor ops rule spec policy backend/concept.h"},
    {"model/stack", "core tensor ops rule spec policy backend/concept.h backend/composed.h model"},
    {"model/text", "core tensor ops rule spec policy backend/concept.h backend/composed.h model model/stack"},
    {"model/tower", "core tensor ops rule spec policy backend/concept.h backend/composed.h model model/stack"},
    {"model/multimodal.h", "core rule spec policy model model/text model/tower"},
    {"variants", "rule spec policy model model/text model/tower model/multimodal.h"},

    // Files, texts, pictures and sounds.
    {"io", "core tensor ops/dequantise.h"},  // what stored bytes mean, to tell good numbers from bad
    {"text", "core"},
    {"media", "core tensor ops spec"},
    {"load", "core tensor ops rule spec policy backend/concept.h model model/text model/tower model/multimodal.h "
             "io text media"},
    {"sample", "core tensor"},

    // The whole path.
    {"open", "core tensor ops rule spec policy backend/concept.h backend backend/cpu.h backend/joined.h model model/stack model/text "
             "model/tower model/multimodal.h variants io text media load"},
    {"convert", "core tensor ops rule spec policy backend/concept.h backend model io text load open"},
    {"generate", "core tensor ops rule spec policy backend/concept.h backend backend/cpu.h model model/stack model/text "
                 "model/tower model/multimodal.h variants io text media load sample open"},
};
// clang-format on
const words kernels_may_see = words_of("core tensor ops backend/concept.h backend backend/cpu backend/cpu.h "
                                       "backend/cuda.h backend/cuda_on_host.h");
const words unknown_to_the_stack = {"vocab", "session", "tokenizer"};  // what model/stack does not speak of
const words slow_headers = {"iostream", "regex", "filesystem", "functional", "ranges"};
const words forbidden_words = {"throw",   "abort", "terminate", "exit", "printf",
                               "fprintf", "puts",  "cout",      "cerr", "assert"};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The text with comments, string literals and character literals blanked; line breaks stay.
std::string code_of(std::string_view text) {
  std::string code;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto rest = text.substr(i);
    if (rest.starts_with("//")) {
      i = std::min(text.find('\n', i), text.size());
      code += '\n';
    } else if (rest.starts_with("/*")) {
      const std::size_t end = std::min(text.find("*/", i + 2), text.size());
      code.append(static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                                      text.begin() + static_cast<std::ptrdiff_t>(end), '\n')),
                  '\n');
      i = end + 1;
    } else if (text[i] == '"' ||
               (text[i] == '\'' && !(i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1]))))) {
      const char quote = text[i];
      for (++i; i < text.size() && text[i] != quote && text[i] != '\n'; ++i) i += text[i] == '\\' ? 1 : 0;
      code.append(2, quote);
    } else {
      code += text[i];
    }
  }
  return code;
}

struct include_line {
  std::string path;
  bool in_quotes;
};

std::vector<include_line> includes_of(std::string_view text) {
  std::vector<include_line> found;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const std::size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
    const std::size_t open = line.find_first_of("\"<", word);
    if (open == std::string::npos) continue;
    const std::size_t close = line.find_first_of("\">", open + 1);
    if (close == std::string::npos) continue;
    found.push_back({line.substr(open + 1, close - open - 1), line[open] == '"'});
  }
  return found;
}

// The line of the room where a header lies, `path` being counted from include/g4; null where there is none.
const room* room_of(const std::string& path) {
  const room* found = nullptr;
  for (const room& one : house) {
    const bool fits = path == one.name || path.starts_with(one.name + "/");
    if (fits && (found == nullptr || one.name.size() > found->name.size())) found = &one;
  }
  return found;
}

bool may_include(const room& here, const std::string& target) {
  const room* const there = room_of(target);
  return there == &here || here.may_include.contains(target) ||
         (there != nullptr && here.may_include.contains(there->name));
}

words identifiers_of(std::string_view code) {
  words found;
  std::string word;
  for (const char c : code) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      word += c;
    } else if (!word.empty()) {
      found.insert(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) found.insert(word);
  return found;
}

// A `)` and then, after nothing but qualifiers or a trailing return type, a `{`: a function's body or a lambda's.
bool has_function_body(std::string_view code) {
  for (std::size_t at = code.find('{'); at != std::string_view::npos; at = code.find('{', at + 1)) {
    std::size_t start = at;
    while (start > 0 && std::string_view("(){};,=").find(code[start - 1]) == std::string_view::npos) --start;
    const auto between = code.substr(start, at - start);  // "> " closes a template's arguments: no body then
    const bool closes = between.find('>') != std::string_view::npos && between.find("->") == std::string_view::npos;
    if (start > 0 && code[start - 1] == ')' && !closes) return true;
  }
  return false;
}

std::vector<fs::path> sources_under(const fs::path& folder) {
  std::vector<fs::path> found;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const auto extension = entry.path().extension();
      const bool is_code = extension == ".h" || extension == ".inl" || extension == ".cc" || extension == ".cu" ||
                           extension == ".cuh";
      if (entry.is_regular_file() && is_code) found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// One sentence per offence in the tree at `root`, which holds include/g4 and kernels.
std::vector<std::string> offences(const fs::path& root) {
  std::vector<std::string> found;
  const auto complain = [&](const fs::path& file, const std::string& what) {
    found.push_back(fs::relative(file, root).generic_string() + " " + what);
  };
  const auto forbid_words = [&](const fs::path& file, std::string_view code) {
    for (const auto& word : identifiers_of(code)) {
      if (forbidden_words.contains(word)) complain(file, "uses " + word);
    }
  };

  const fs::path headers = root / "include" / "g4";
  for (const auto& file : sources_under(headers)) {
    const std::string here = fs::relative(file, headers).generic_string();
    const room* const lies_in = room_of(here);
    const std::string text = read(file);
    const std::string code = code_of(text);
    if (lies_in == nullptr && here.find('/') != std::string::npos) {
      complain(file, "lies in a room the plan does not have");
      continue;
    }
    for (const auto& line : includes_of(text)) {
      if (slow_headers.contains(line.path)) complain(file, "includes <" + line.path + ">");
      if (line.path.starts_with("kernels/") && here != "backend/inline.h") complain(file, "includes " + line.path);
      if (!line.path.starts_with("g4/")) {
        if (line.in_quotes && !line.path.starts_with("kernels/") && !line.path.starts_with("hwy/")) {
          complain(file, "includes " + line.path + " without its full path");
        }
        continue;
      }
      const std::string target = line.path.substr(3);
      if (lies_in != nullptr && !may_include(*lies_in, target)) complain(file, "includes " + line.path);
    }
    const std::string name = lies_in == nullptr ? "" : lies_in->name;
    if (name == "variants" && has_function_body(code)) complain(file, "has a function body");
    if (name == "model/stack") {
      for (const auto& word : identifiers_of(code)) {
        if (unknown_to_the_stack.contains(word)) complain(file, "speaks of " + word);
      }
    }
    if (code.find("#pragma once") == std::string::npos) complain(file, "has no #pragma once");
    forbid_words(file, code);
  }

  for (const auto& file : sources_under(root / "kernels")) {
    const bool is_variant = fs::relative(file, root / "kernels").generic_string().starts_with("variants/");
    const std::string text = read(file);
    for (const auto& line : includes_of(text)) {
      if (is_variant || !line.path.starts_with("g4/")) continue;
      const room* const seen = room_of(line.path.substr(3));
      if (seen == nullptr || !kernels_may_see.contains(seen->name)) complain(file, "includes " + line.path);
    }
    forbid_words(file, code_of(text));
  }
  return found;
}

// A throw-away tree with the given files.
class planted_tree {
 public:
  struct file {
    std::string path;
    std::string text;
  };

  planted_tree(std::initializer_list<file> files) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = g4::test::own_path(std::string("g4_layering_") + test->name());
    fs::remove_all(root_);
    for (const auto& [path, text] : files) {
      fs::create_directories((root_ / path).parent_path());
      std::ofstream(root_ / path) << text;
    }
  }
  planted_tree(const planted_tree&) = delete;
  planted_tree& operator=(const planted_tree&) = delete;
  ~planted_tree() { fs::remove_all(root_); }
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

using sentences = std::vector<std::string>;

TEST(imports, one_way_through_the_whole_house) {
  const fs::path root = G4_SOURCE_DIR;
  ASSERT_FALSE(sources_under(root / "include" / "g4").empty());
  const sentences found = offences(root);
  for (const auto& sentence : found) ADD_FAILURE() << sentence;
}

TEST(house, every_line_naming_only_lines_further_up) {
  words further_up;
  for (const room& one : house) {
    for (const auto& word : one.may_include) {
      const bool single_header = word.ends_with(".h") && room_of(word) != nullptr && room_of(word)->name != word;
      EXPECT_TRUE(further_up.contains(single_header ? room_of(word)->name : word)) << one.name << " names " << word;
    }
    EXPECT_TRUE(further_up.insert(one.name).second) << one.name << " has two lines";
  }
}

TEST(imports, a_lawful_tree_without_findings) {
  const planted_tree tree{
      {"include/g4/g4.h", "#pragma once\n#include \"g4/open/open.h\"\n"},
      {"include/g4/core/result.h", "#pragma once\n#include <string>\n// never throw, never printf(\"x\")\n"},
      {"include/g4/policy/gate.h", "#pragma once\n#include \"g4/backend/concept.h\"\n"},
      {"include/g4/variants/small.h",
       "#pragma once\n#include \"g4/model/transformer.h\"\n"
       "struct small : transformer<shape{.layers = 2, .vocab = 1'000}, times<(2)>> {};\n"},
      {"kernels/cpu/gate.cc", "#include \"g4/backend/cpu.h\"\n"},
      {"kernels/variants/small.cc", "#include \"g4/variants/small.h\"\n"},
  };
  EXPECT_EQ(offences(tree.root()), sentences{});
}

TEST(imports, a_planted_way_back_found) {
  const planted_tree tree{{"include/g4/core/a.h", "#pragma once\n#include \"g4/tensor/matrix.h\"\n"}};
  EXPECT_EQ(offences(tree.root()), sentences{"include/g4/core/a.h includes g4/tensor/matrix.h"});
}

TEST(imports, a_particular_backend_found_in_model_and_policy) {
  const planted_tree tree{
      {"include/g4/model/block.h", "#pragma once\n#  include \"g4/backend/cpu.h\"\n"},
      {"include/g4/policy/gate.h", "#pragma once\n#include <g4/backend/reference.h>\n"},
  };
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/model/block.h includes g4/backend/cpu.h",
                                              "include/g4/policy/gate.h includes g4/backend/reference.h"}));
}

TEST(imports, io_and_text_found_in_model) {
  const planted_tree tree{
      {"include/g4/model/a.h", "#pragma once\n#include \"g4/io/gguf.h\"\n#include \"g4/text/chat.h\"\n"}};
  EXPECT_EQ(offences(tree.root()),
            (sentences{"include/g4/model/a.h includes g4/io/gguf.h", "include/g4/model/a.h includes g4/text/chat.h"}));
}

TEST(imports, text_and_tower_strangers_but_in_multimodal) {
  const std::string text = "#include \"g4/model/text/session.h\"\n", tower = "#include \"g4/model/tower/run.h\"\n";
  const planted_tree tree{
      {"include/g4/model/multimodal.h", "#pragma once\n" + text + tower},
      {"include/g4/model/stack/block.h", "#pragma once\n" + text + tower},
      {"include/g4/model/text/a.h", "#pragma once\n" + tower},
      {"include/g4/model/tower/a.h", "#pragma once\n" + text},
      {"include/g4/model/weights.h", "#pragma once\n" + text + tower},
  };
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/model/stack/block.h includes g4/model/text/session.h",
                                              "include/g4/model/stack/block.h includes g4/model/tower/run.h",
                                              "include/g4/model/text/a.h includes g4/model/tower/run.h",
                                              "include/g4/model/tower/a.h includes g4/model/text/session.h",
                                              "include/g4/model/weights.h includes g4/model/text/session.h",
                                              "include/g4/model/weights.h includes g4/model/tower/run.h"}));
}

TEST(imports, both_found_behind_multimodal_as_well) {
  const std::string both = "#pragma once\n#include \"g4/model/multimodal.h\"\n";
  const planted_tree tree{{"include/g4/model/text/a.h", both}, {"include/g4/model/tower/a.h", both}};
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/model/text/a.h includes g4/model/multimodal.h",
                                              "include/g4/model/tower/a.h includes g4/model/multimodal.h"}));
}

TEST(imports, a_stack_that_speaks_of_vocabularies_and_sessions_found) {
  const planted_tree tree{
      {"include/g4/model/stack/a.h",
       "#pragma once\n// a vocab may be spoken of here\ntemplate <class V> int f() { return V::vocab; }\nstruct session;\n"}};
  EXPECT_EQ(offences(tree.root()),
            (sentences{"include/g4/model/stack/a.h speaks of session", "include/g4/model/stack/a.h speaks of vocab"}));
}

TEST(imports, the_inside_of_a_backend_kept_from_its_definitions) {
  const planted_tree tree{
      {"include/g4/backend/cpu.h", "#pragma once\n#include \"g4/backend/cpu/pack.h\"\n"},
      {"include/g4/backend/definitions/rows.h", "#pragma once\n#include \"g4/backend/cpu/pack.h\"\n"},
      {"include/g4/backend/reference.h", "#pragma once\n#include \"g4/backend/cpu/pack.h\"\n"},
  };
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/backend/definitions/rows.h includes g4/backend/cpu/pack.h",
                                              "include/g4/backend/reference.h includes g4/backend/cpu/pack.h"}));
}

TEST(imports, kernels_kept_from_models) {
  const planted_tree tree{
      {"kernels/cpu/a-inl.h", "#include \"g4/policy/gate.h\"\n"},
      {"include/g4/ops/a.h", "#pragma once\n#include \"kernels/cpu/a-inl.h\"\n"},
  };
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/ops/a.h includes kernels/cpu/a-inl.h",
                                              "kernels/cpu/a-inl.h includes g4/policy/gate.h"}));
}

TEST(imports, slow_standard_headers_found) {
  for (const auto& header : slow_headers) {
    const planted_tree tree{{"include/g4/core/a.h", "#pragma once\n#include <" + header + ">\n"}};
    EXPECT_EQ(offences(tree.root()), sentences{"include/g4/core/a.h includes <" + header + ">"});
  }
}

TEST(imports, an_unknown_room_found) {
  const planted_tree tree{{"include/g4/misc/a.h", "#pragma once\n"}};
  EXPECT_EQ(offences(tree.root()), sentences{"include/g4/misc/a.h lies in a room the plan does not have"});
}

TEST(variants, a_function_body_found) {
  for (const std::string body : {"int f() { return 1; }", "struct s { int f() const noexcept { return 1; } };",
                                 "auto f() -> int\n{ return 1; }", "inline auto g = [](int x) { return x; };"}) {
    const planted_tree tree{{"include/g4/variants/a.h", "#pragma once\n" + body + "\n"}};
    EXPECT_EQ(offences(tree.root()), sentences{"include/g4/variants/a.h has a function body"}) << body;
  }
}

TEST(library, throwing_and_printing_found) {
  const planted_tree tree{
      {"include/g4/io/a.h", "#pragma once\ninline void f() { throw 1; }  // and abort() here is only a word\n"},
      {"kernels/cpu/a.cc", "void f() { printf(\"hello\"); }\n"},
  };
  EXPECT_EQ(offences(tree.root()), (sentences{"include/g4/io/a.h uses throw", "kernels/cpu/a.cc uses printf"}));
}

}  // namespace
