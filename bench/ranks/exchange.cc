// bench_exchange: how long ranks take to bring the parts of a vector together, where an MPI launcher has started them.
//
//   mpirun -n 2 bench_exchange [ROUNDS]        (2000 rounds; a hundredth of them where vectors are long)
//
// Rank 0 writes a JSON array: for each length of the whole vector, in bytes, the seconds of a `gather`, the median and the 10th
// percentile of the rounds.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "g4/comm/mpi.h"

namespace {

/// Seconds of each round, in order.
g4::result<std::vector<double>> time_gathers(g4::comm::mpi& ranks, std::size_t bytes, std::size_t rounds) {
  const std::size_t part = std::max<std::size_t>(1, bytes / static_cast<std::size_t>(ranks.size()));
  std::vector<std::byte> mine(part), all(part * static_cast<std::size_t>(ranks.size()));
  std::vector<double> seconds;
  for (std::size_t i = 0; i < rounds + rounds / 10 + 5; ++i) {  // the first ones warm up
    const auto begun = std::chrono::steady_clock::now();
    if (auto done = ranks.gather(mine.data(), part, all.data()); !done) return g4::unexpected(std::move(done.error()));
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  }
  seconds.erase(seconds.begin(), seconds.end() - static_cast<std::ptrdiff_t>(rounds));
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  auto ranks = g4::comm::mpi::start(argc, argv);
  if (!ranks) {
    std::fprintf(stderr, "bench_exchange: %s\n", ranks.error().message.c_str());
    return 1;
  }
  const auto rounds = static_cast<std::size_t>(std::max(1, argc > 1 ? std::atoi(argv[1]) : 2000));
  const bool leads = ranks->rank() == 0;
  if (leads) std::printf("[");
  bool first = true;
  for (const std::size_t bytes : {64u, 2560u, 10'240u, 43'008u, 86'016u, 1'048'576u}) {
    const std::size_t so_many = bytes > 100'000 ? std::max<std::size_t>(1, rounds / 100) : rounds;
    const auto seconds = time_gathers(*ranks, bytes, so_many);
    if (!seconds) {
      std::fprintf(stderr, "bench_exchange: %s\n", seconds.error().message.c_str());
      return 1;
    }
    if (leads) {
      std::printf("%s\n  {\"ranks\": %d, \"bytes\": %zu, \"median_s\": %.9f, \"tenth_s\": %.9f}", first ? "" : ",", ranks->size(), bytes,
                  (*seconds)[so_many / 2], (*seconds)[so_many / 10]);
    }
    first = false;
  }
  if (leads) std::printf("\n]\n");
  return 0;
}
