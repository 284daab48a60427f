// Every defect of conformance/defects can be planted: the text it changes stands once in the header it names.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace {

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(defects, what_each_changes_stands_once_in_its_header) {
  const std::filesystem::path root = G4_SOURCE_DIR;
  std::size_t changes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root / "conformance/defects")) {
    if (entry.path().extension() != ".txt") continue;
    std::istringstream lines(read(entry.path()));
    std::string line, file, find;
    bool finding = false;
    while (std::getline(lines, line)) {
      if (line.rfind("file: ", 0) == 0) {
        file = line.substr(6);
      } else if (line == "<<<<") {
        finding = true;
        find.clear();
      } else if (line == "====") {
        finding = false;
        EXPECT_EQ(count(read(root / "include/g4" / file), find), 1u) << entry.path().filename() << ": " << file << "\n"
                                                                     << find;
        ++changes;
      } else if (finding) {
        find += (find.empty() ? "" : "\n") + line;
      }
    }
  }
  EXPECT_GE(changes, 51u);
}

}  // namespace
