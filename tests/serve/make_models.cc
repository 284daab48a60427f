// make_models FOLDER: the tiny models that the server is tested with (server_tests.py).
#include <cstdio>
#include <string>

#include "tests/cli/senses_folder.h"

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: make_models FOLDER\n", stderr), 2;
  const std::string wrong = g4::test::make_senses_folder(G4_SOURCE_DIR, argv[1]);
  if (!wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
  return wrong.empty() ? 0 : 1;
}
