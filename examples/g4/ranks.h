// The program as one of several processes that MPI started. In ranks.cc of programs that are built for it, else in
// no_ranks.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "g4/core/result.h"
#include "g4/open/open.h"
#include "program.h"

namespace program {

struct engine;

/// Joins the other processes, if a launcher has started several. Fails where this program cannot: all of them would answer.
[[nodiscard]] g4::result<void> start_ranks(int& argc, char**& argv);
/// Whether there are several.
[[nodiscard]] bool on_ranks();
/// Whether this is the one that answers.
[[nodiscard]] bool leads();

/// Opens the model of the settings on all ranks, where this one leads.
[[nodiscard]] g4::result<void> open_on_ranks(engine& e, const settings& s, bool settled, const g4::open_options& options);
/// What this one has exchanged with the others for a model.
struct exchanged {
  std::size_t times = 0;
  std::size_t bytes = 0;  ///< that it has sent to each of them
  double seconds = 0;     ///< waiting for slower ones included
};
[[nodiscard]] exchanged exchanged_for(const engine& e);
/// How many there are.
[[nodiscard]] int ranks_started();
/// What a single process says to --pipeline.
[[nodiscard]] const char* why_no_stages();
/// The pipelines that it runs a variant as, by the layers they are cut before: "7,13". Defined in pipelines.cc, or no_ranks.cc.
[[nodiscard]] std::vector<std::string> pipelines_of(std::string_view variant);

/// What any other does instead of a command: its share of whatever the leader runs, until that is done.
[[nodiscard]] g4::result<int> follow(const settings& s);

/// Says goodbye. False where a rank is lost: the process should end at once.
[[nodiscard]] bool end_ranks();

}  // namespace program
