// The pages stay true: quoted code stands where the page says, and files that a page names are there.
//
// A quotation is a block of code right below a line that is nothing but a link to a file of the tree:
//
//     [model/stack/block.h](../include/g4/model/stack/block.h)
//     ```cpp
//     …
//     ```
//
// Its lines stand in that file, in that order and side by side; indentation is free, and a line `…` skips some.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/own_path.h"

namespace {

namespace fs = std::filesystem;
using lines = std::vector<std::string>;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

lines lines_of(const std::string& text) {
  lines found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find_first_not_of(" \t");
    found.push_back(first == std::string::npos ? "" : line.substr(first, line.find_last_not_of(" \t\r") - first + 1));
  }
  return found;
}

struct quotation {
  std::string file;  // as the link says, from the page's folder
  int line;          // of the page
  lines code;
};

std::vector<quotation> quotations_of(const std::string& page) {
  static const std::regex link(R"(\[[^\]]+\]\(([^):#]+\.(?:h|inl|cc))\))");
  std::vector<quotation> found;
  const lines all = lines_of(page);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    std::smatch match;
    if (!std::regex_match(all[i], match, link) || !all[i + 1].starts_with("```")) continue;
    quotation one{match[1], static_cast<int>(i) + 1, {}};
    for (i += 2; i < all.size() && all[i] != "```"; ++i) one.code.push_back(all[i]);
    found.push_back(std::move(one));
  }
  return found;
}

// The first line that does not stand where it should; empty when all do.
std::string first_untrue(const lines& quoted, const lines& file) {
  std::vector<lines> parts(1);
  for (const auto& line : quoted) {
    if (line == "…") {
      parts.emplace_back();
    } else {
      parts.back().push_back(line);
    }
  }
  auto from = file.begin();
  for (const lines& part : parts) {
    const auto at = std::search(from, file.end(), part.begin(), part.end());
    if (at != file.end()) {
      from = at + static_cast<std::ptrdiff_t>(part.size());
      continue;
    }
    for (const auto& line : part) {
      if (std::find(from, file.end(), line) == file.end()) return line;
    }
    return part.empty() ? "" : part.front();  // the lines are there, but not side by side
  }
  return "";
}

// One sentence per untruth of a page that lies at `at`.
lines untruths(const std::string& page, const fs::path& at) {
  lines found;
  for (const auto& one : quotations_of(page)) {
    const fs::path file = at.parent_path() / one.file;
    const std::string where = at.filename().string() + ":" + std::to_string(one.line) + ": ";
    if (!fs::exists(file)) {
      found.push_back(where + one.file + " is not there");
    } else if (one.code.empty()) {
      found.push_back(where + "nothing is quoted");
    } else if (const auto line = first_untrue(one.code, lines_of(read(file))); !line.empty()) {
      found.push_back(where + one.file + " does not say: " + line);
    }
  }
  return found;
}

// Links to files, and paths in backticks with a folder in front, that lead nowhere.
lines dead_ends(const std::string& page, const fs::path& at, const fs::path& root) {
  static const std::regex link(R"(\]\(([^)#:\s]+)(?:#[^)]*)?\))");
  static const std::regex path(R"(`([a-z0-9_.\-]+/[a-z0-9_./\-]+\.(?:h|inl|cc|md|sh|py|cmake))`)");
  lines found;
  const auto each = [&](const std::regex& what, const std::vector<fs::path>& from) {
    for (auto i = std::sregex_iterator(page.begin(), page.end(), what); i != std::sregex_iterator(); ++i) {
      const std::string target = (*i)[1];
      if (std::none_of(from.begin(), from.end(), [&](const fs::path& folder) { return fs::exists(folder / target); })) {
        found.push_back(at.filename().string() + " names " + target + ", which is not there");
      }
    }
  };
  each(link, {at.parent_path()});
  each(path, {at.parent_path(), root, root / "include", root / "include" / "g4"});
  return found;
}

std::vector<fs::path> pages(const fs::path& root) {
  std::vector<fs::path> found{root / "README.md", root / "CONTRIBUTING.md", root / "conformance" / "README.md"};
  for (const auto& entry : fs::directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(pages, code_as_it_stands_in_the_tree) {
  std::size_t quoted = 0;
  for (const auto& page : pages(G4_SOURCE_DIR)) {
    const std::string text = read(page);
    quoted += quotations_of(text).size();
    for (const auto& sentence : untruths(text, page)) ADD_FAILURE() << sentence;
  }
  EXPECT_GE(quoted, 15u);  // docs/one_token.md alone has as many
}

TEST(pages, files_that_are_there) {
  for (const auto& page : pages(G4_SOURCE_DIR)) {
    for (const auto& sentence : dead_ends(read(page), page, G4_SOURCE_DIR)) ADD_FAILURE() << sentence;
  }
}

class page : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root_);
    fs::create_directories(root_ / "include" / "g4" / "ops");
    fs::create_directories(root_ / "docs");
    std::ofstream(root_ / "include" / "g4" / "ops" / "a.h") << "int a() {\n  int x = 1;\n  x += 2;\n  return x;\n}\n";
  }
  void TearDown() override { fs::remove_all(root_); }
  [[nodiscard]] lines untruths_of(const std::string& code, const std::string& file = "../include/g4/ops/a.h") const {
    return untruths("[ops/a.h](" + file + ")\n```cpp\n" + code + "```\n", root_ / "docs" / "page.md");
  }
  [[nodiscard]] lines dead_ends_of(const std::string& text) const {
    return dead_ends(text, root_ / "docs" / "page.md", root_);
  }

  fs::path root_ = g4::test::own_path("g4_docs_test");
};

TEST_F(page, with_true_quotations) {
  EXPECT_EQ(untruths_of("int x = 1;\n  x += 2;\n"), lines{});
  EXPECT_EQ(untruths_of("int a() {\n…\n  return x;\n"), lines{});
  EXPECT_EQ(untruths("```cpp\nnothing of the tree\n```\n", root_ / "docs" / "page.md"), lines{});
}

TEST_F(page, with_a_changed_line) {
  EXPECT_EQ(untruths_of("int x = 1;\nx += 3;\n"), lines{"page.md:1: ../include/g4/ops/a.h does not say: x += 3;"});
}

TEST_F(page, that_hides_a_line_or_turns_two_round) {
  EXPECT_EQ(untruths_of("int x = 1;\nreturn x;\n"), lines{"page.md:1: ../include/g4/ops/a.h does not say: int x = 1;"});
  EXPECT_EQ(untruths_of("return x;\n…\nint x = 1;\n"),
            lines{"page.md:1: ../include/g4/ops/a.h does not say: int x = 1;"});
}

TEST_F(page, that_quotes_a_file_which_is_gone) {
  EXPECT_EQ(untruths_of("int x = 1;\n", "../include/g4/ops/b.h"),
            lines{"page.md:1: ../include/g4/ops/b.h is not there"});
}

TEST_F(page, that_names_files) {
  EXPECT_EQ(
      dead_ends_of("[a](../include/g4/ops/a.h#L1), `ops/a.h`, `include/g4/ops/a.h`, `NAME/b.h`, [x](https://a.b)"),
      lines{});
  EXPECT_EQ(dead_ends_of("[a](b.md) and `ops/b.h`"),
            (lines{"page.md names b.md, which is not there", "page.md names ops/b.h, which is not there"}));
}

}  // namespace
