// The program as one of several processes that MPI started. In ranks.cc of programs that are built for it, else in
// no_ranks.cc.
#pragma once

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
/// What any other does instead of a command: its share of whatever the leader runs, until that is done.
[[nodiscard]] g4::result<int> follow(const settings& s);

/// Says goodbye. False where a rank is lost: the process should end at once.
[[nodiscard]] bool end_ranks();

}  // namespace program
