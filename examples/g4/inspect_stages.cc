#include "inspect_stages.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "console.h"
#include "engine.h"
#include "g4/model/pipeline.h"
#include "g4/model/text/plan.h"
#include "inspected.h"
#include "ranks.h"

namespace program {

namespace {

/// Bytes in the file, or in bfloat16.
g4::result<g4::weights_of_stages> weights_of(const settings& s, const g4::text_spec& m) {
  const auto stored = stored_weights(s);
  if (!stored) return g4::unexpected(stored.error());
  return g4::weigh_for_stages(m, [&](const g4::tensor_entry& t) {
    const auto found = (*stored)(t);
    return found ? static_cast<long long>(found->bytes) : g4::planned_bytes(t, t.elements(), g4::storage::bf16, g4::storage::bf16);
  });
}

/// Stages between bounds[i] and bounds[i + 1].
std::vector<g4::text_spec> stages_between(const g4::text_spec& m, const std::vector<int>& bounds) {
  std::vector<g4::text_spec> stages;
  for (std::size_t i = 0; i + 1 < bounds.size(); ++i) {
    stages.push_back(g4::spec_of_a_stage(m, static_cast<int>(bounds.size()) - 1, {bounds[i], bounds[i + 1]}));
  }
  return stages;
}

template <class Numbers>
std::string listed(const Numbers& numbers, const char* between = ", ") {
  return fmt::format("{}", fmt::join(numbers, between));
}

std::string cuts_text(const g4::text_spec& m, const g4::weights_of_stages& all, std::string_view variant) {
  const int last = g4::last_cut(m);
  std::string text = fmt::format("\nas a pipeline it can be cut {}\n", g4::where_it_can_be_cut(m));
  if (m.shared_layers > 0) {
    const std::set<int> read(m.producer.begin() + m.first_shared(), m.producer.begin() + m.layers);
    text += fmt::format("layers {} to {} read the keys and values of {} {}, and must be in their stage\n", m.first_shared(),
                        m.layers - 1, read.size() == 1 ? "layer" : "layers", listed(read, " and "));
  }
  text += fmt::format("{:>6}  {:<16}  {}\n", "stages", "cut before", "weights of each");
  const auto add = [&]<int Stages>(std::integral_constant<int, Stages>) {
    if (Stages > last + 1) return;
    const auto bounds = g4::most_even<Stages>(all, last);
    std::array<long long, Stages> bytes;
    for (std::size_t i = 0; i < Stages; ++i) bytes[i] = all.of({bounds[i], bounds[i + 1]});
    const auto sum = static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), 0LL));
    std::vector<std::string> weights;
    for (const long long of_one : bytes) {
      weights.push_back(fmt::format("{} ({:.0f} %)", bytes_text(static_cast<std::size_t>(of_one)),
                                    100 * static_cast<double>(of_one) / sum));
    }
    text += fmt::format("{:>6}  {:<16}  {}\n", Stages, listed(std::span(bounds).template subspan<1, Stages - 1>()), listed(weights));
  };
  add(std::integral_constant<int, 2>{});
  add(std::integral_constant<int, 3>{});
  add(std::integral_constant<int, 4>{});
  if (const auto built = pipelines_of(variant); !built.empty()) {
    text += fmt::format("this program runs it cut before {}: mpirun -n STAGES, --pipeline\n", listed(built, " or "));
  }
  return text;
}

g4::result<std::string> pipeline_text(const settings& s, const g4::text_spec& m, const g4::weights_of_stages& all) {
  const std::vector<int> cuts = cuts_of(s);
  if (auto fine = g4::check_cuts(m, cuts); !fine) {
    return g4::fail("--pipeline ", listed(cuts, ","), ": ", fine.error().message, "; --cuts says where it can be");
  }
  std::vector<int> bounds{0};
  bounds.insert(bounds.end(), cuts.begin(), cuts.end());
  bounds.push_back(m.layers);
  std::string text = fmt::format("\na pipeline of {} stages\n{:>5}  {:<10}  {:>9}  {:>15}  {:>15}\n", bounds.size() - 1, "stage",
                                 "layers", "weights", "cache for 4096", "for 32768");
  const auto stages = stages_between(m, bounds);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto cache = [&](std::size_t context) {
      return g4::plan_session(stages[i], g4::distinct_kinds(m), options_of(s, context), sizeof(float), usual_cache()).cache;
    };
    text += fmt::format("{:>5}  {:<10}  {:>9}  {:>15}  {:>15}\n", i,
                        bounds[i] == bounds[i + 1] - 1 ? std::to_string(bounds[i]) : fmt::format("{} to {}", bounds[i], bounds[i + 1] - 1),
                        bytes_text(static_cast<std::size_t>(all.of({bounds[i], bounds[i + 1]}))), bytes_text(cache(4096)), bytes_text(cache(32'768)));
  }
  const std::size_t row = static_cast<std::size_t>(m.width) * sizeof(float) * (m.altup ? static_cast<std::size_t>(m.altup->streams) : 1);
  text += fmt::format("a token sends {} over every cut\n", bytes_text(row));
  return text;
}

}  // namespace

std::vector<int> cuts_of(const settings& s) {
  std::vector<int> cuts;
  for (const std::size_t cut : s.pipeline) cuts.push_back(static_cast<int>(cut));
  return cuts;
}

g4::result<std::string> stages_text(const settings& s, const g4::text_spec& m, std::string_view variant) {
  if (!s.cuts && s.pipeline.empty()) return std::string();
  if (m.is_drafter() || m.sees == g4::visibility::everything) return g4::fail("drafters and encoders are not cut into stages");
  const auto all = weights_of(s, m);
  if (!all) return g4::unexpected(all.error());
  std::string text = s.cuts ? cuts_text(m, *all, variant) : "";
  if (s.pipeline.empty()) return text;
  auto stages = pipeline_text(s, m, *all);
  if (!stages) return stages;
  return text + *stages;
}

}  // namespace program
