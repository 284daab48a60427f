// Part of programs that are built with G4_MPI for some numbers of ranks.
#include "ranks.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "backends.h"
#include "engine.h"
#include "g4/comm/launched.h"
#include "g4/ranks.h"
#include "over_mpi.h"

#include "program_variants.h"  // made by g4_add_program: compiled_variants, compiled_ranks

namespace program {

namespace {

std::optional<g4::comm::mpi>& processes() {
  static std::optional<g4::comm::mpi> all;
  return all;
}
bool leader_has_spoken = false;

/// The leader's word to those who wait: a model is to be opened, or there is nothing to do.
enum class word : unsigned char { open, end };
g4::result<void> tell(word what) {
  leader_has_spoken = true;
  return processes()->broadcast(reinterpret_cast<std::byte*>(&what), sizeof what);
}

/// The CPUs that the launcher has bound this process to, or its part of them all.
std::size_t threads_of_a_rank(const settings& s) {
  if (s.threads != 0) return s.threads;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  const std::size_t all = threads_of(s);
  const std::size_t bound =
      sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? static_cast<std::size_t>(CPU_COUNT(&cpus)) : all;
  const char* const here = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  const std::size_t beside = here != nullptr ? std::max(1, std::atoi(here)) : processes()->size();
  return std::max<std::size_t>(1, bound < all ? bound : all / beside);
}

g4::result<void> open_here(engine& e, const settings& s, bool settled, const g4::open_options& options) {
  if (s.backend != "cpu") return g4::fail("--backend ", s.backend, ": several ranks run on the cpu backend");
  const auto mode = s.mode == "exact"   ? g4::backend::numeric::exact
                    : s.mode == "fast8" ? g4::backend::numeric::fast8
                                        : g4::backend::numeric::fast;
  const std::size_t threads = threads_of_a_rank(s);
  if (threads > 1) e.threads = std::make_unique<g4::thread_pool>(threads);
  const auto move = settled ? g4::backend::weights_move::at_load : g4::backend::weights_move::in_use;
  auto on = std::make_shared<joined>(*processes(), g4::backend::simd_options{mode, e.threads.get(), move});
  e.on = std::make_unique<backends>();
  e.on->ranks = on;
  const auto from = g4::open_checkpoint(s.model);
  auto model = s.in_stages() ? open_in_stages(from, s, *on, options)
                             : g4::open_over<compiled_variants, compiled_ranks>(from, *on, options);
  if (!model) return g4::unexpected(std::move(model.error()));
  e.model = std::move(*model);
  return {};
}

}  // namespace

g4::result<void> start_ranks(int& argc, char**& argv) {
  if (g4::comm::processes_started() == 1) return {};
  g4::comm::patience waits = g4::comm::usual_patience;
  if (const char* said = std::getenv("G4_PATIENCE")) waits = std::chrono::seconds(std::max(1, std::atoi(said)));
  auto all = g4::comm::mpi::start(argc, argv, waits);
  if (!all) return g4::unexpected(std::move(all.error()));
  processes().emplace(std::move(*all));
  return {};
}

bool on_ranks() { return processes() && processes()->size() > 1; }
bool leads() { return !on_ranks() || processes()->rank() == 0; }

g4::result<void> open_on_ranks(engine& e, const settings& s, bool settled, const g4::open_options& options) {
  if (auto told = tell(word::open); !told) return told;
  return open_here(e, s, settled, options);
}

g4::result<int> follow(const settings& s) {
  word said = word::end;
  if (auto told = processes()->await(reinterpret_cast<std::byte*>(&said), sizeof said); !told)
    return g4::unexpected(std::move(told.error()));
  if (said == word::end) return 0;
  engine e;
  g4::open_options options;
  options.checks.contents = !s.skip_checks;
  // What all refuse alike the leader says; what this rank alone knows it has said to the leader.
  if (auto opened = open_here(e, s, false, options); !opened) {
    if (processes()->lost()) return g4::unexpected(std::move(opened.error()));
    return 0;  // the leader's status is the job's
  }
  if (auto done = e.model->follow(); !done) return g4::unexpected(std::move(done.error()));
  return 0;
}

exchanged exchanged_for(const engine& e) {
  const auto* const on = static_cast<const joined*>(e.on->ranks.get());
  if (on == nullptr) return {};
  const g4::backend::exchange_count& so_far = on->exchanged();
  return {so_far.exchanges, so_far.bytes, so_far.seconds};
}
int ranks_started() { return on_ranks() ? processes()->size() : 1; }
const char* why_no_stages() { return "1 process was started, and each stage is one; mpirun -n 2 starts two"; }

bool end_ranks() {
  if (!on_ranks()) return true;
  if (leads() && !leader_has_spoken) (void)tell(word::end);
  const bool whole = !processes()->lost();
  processes().reset();
  return whole;
}

}  // namespace program
