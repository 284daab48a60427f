// Part of programs that run as one process.
#include "g4/comm/launched.h"
#include "ranks.h"

namespace program {

g4::result<void> start_ranks(int&, char**&) {
  const int n = g4::comm::processes_started();
  if (n == 1) return {};
  return g4::fail("this program was started ", n, " times, and runs as one process: all of them would answer; g4-<variant> of a "
                  "build with -DG4_MPI=ON runs one model over several");
}
bool on_ranks() { return false; }
bool leads() { return true; }
g4::result<void> open_on_ranks(engine&, const settings&, bool, const g4::open_options&) { return {}; }
g4::result<int> follow(const settings&) { return 0; }
exchanged exchanged_for(const engine&) { return {}; }
int ranks_started() { return 1; }
const char* why_no_stages() {
  return "this program runs as one process; g4-<variant> of a build with -DG4_MPI=ON runs a model in stages, each a process";
}
std::vector<std::string> pipelines_of(std::string_view) { return {}; }
bool end_ranks() { return true; }

}  // namespace program
