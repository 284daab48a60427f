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
#include "json_text.h"
#include "ranks.h"

namespace program {

namespace {

/// Bytes in the file, or in bfloat16.
g4::result<g4::weights_of_stages> weights_of(const settings& s, const g4::text_spec& m) {
  const auto stored = stored_weights(s);
  if (!stored) return g4::unexpected(stored.error());
  return g4::weigh_for_stages(m, [&](const g4::tensor_entry& t) {
    const auto found = (*stored)(t);
    return found ? static_cast<long long>(found->bytes)
                 : g4::planned_bytes(t, t.elements(), g4::storage::bf16, g4::storage::bf16);
  });
}

template <class Numbers>
std::string listed(const Numbers& numbers, const char* between = ", ") {
  return fmt::format("{}", fmt::join(numbers, between));
}

/// Some way to cut a model, and the bytes of each stage's weights.
struct cut_model {
  std::vector<int> bounds;  ///< where each stage begins, and behind the last one the number of layers
  std::vector<long long> weights;

  [[nodiscard]] std::span<const int> cuts() const { return std::span(bounds).subspan(1, weights.size() - 1); }
};
cut_model cut_at(const g4::weights_of_stages& all, std::vector<int> bounds) {
  cut_model made{std::move(bounds), {}};
  for (std::size_t i = 0; i + 1 < made.bounds.size(); ++i)
    made.weights.push_back(all.of({made.bounds[i], made.bounds[i + 1]}));
  return made;
}

/// As two, three and four stages, as far as it can be cut.
std::vector<cut_model> even_cuts(const g4::text_spec& m, const g4::weights_of_stages& all) {
  const int last = g4::last_cut(m);
  std::vector<cut_model> made;
  const auto add = [&]<int Stages>(std::integral_constant<int, Stages>) {
    if (Stages > last + 1) return;
    const auto bounds = g4::most_even<Stages>(all, last);
    made.push_back(cut_at(all, {bounds.begin(), bounds.end()}));
  };
  add(std::integral_constant<int, 2>{});
  add(std::integral_constant<int, 3>{});
  add(std::integral_constant<int, 4>{});
  return made;
}

std::string cuts_text(const g4::text_spec& m, const std::vector<cut_model>& even,
                      const std::vector<std::string>& built) {
  std::string text = fmt::format("\nas a pipeline it can be cut {}\n", g4::where_it_can_be_cut(m));
  if (m.shared_layers > 0) {
    const std::set<int> read(m.producer.begin() + m.first_shared(), m.producer.begin() + m.layers);
    text += fmt::format("layers {} to {} read the keys and values of {} {}, and must be in their stage\n",
                        m.first_shared(), m.layers - 1, read.size() == 1 ? "layer" : "layers", listed(read, " and "));
  }
  text += fmt::format("{:>6}  {:<16}  {}\n", "stages", "cut before", "weights of each");
  for (const cut_model& one : even) {
    const auto sum = static_cast<double>(std::accumulate(one.weights.begin(), one.weights.end(), 0LL));
    std::vector<std::string> weights;
    for (const long long of_one : one.weights) {
      weights.push_back(fmt::format("{} ({:.0f} %)", bytes_text(static_cast<std::size_t>(of_one)),
                                    100 * static_cast<double>(of_one) / sum));
    }
    text += fmt::format("{:>6}  {:<16}  {}\n", one.weights.size(), listed(one.cuts()), listed(weights));
  }
  if (!built.empty())
    text += fmt::format("this program runs it cut before {}: mpirun -n STAGES, --pipeline\n", listed(built, " or "));
  return text;
}

json cut_json(const cut_model& one) {
  json j;
  j["cut_before"] = json::array();
  for (const int cut : one.cuts()) j["cut_before"].push_back(cut);
  j["weights"] = one.weights;
  return j;
}

json cuts_json(const g4::text_spec& m, const std::vector<cut_model>& even, const std::vector<std::string>& built) {
  json j;
  j["last"] = g4::last_cut(m);
  j["even"] = json::array();
  for (const cut_model& one : even) j["even"].push_back(cut_json(one));
  j["built"] = built;
  return j;
}

/// The pipeline that --pipeline says, and what it takes.
struct asked_pipeline {
  static constexpr std::array<std::size_t, 2> contexts{4096, 32'768};
  cut_model cut;
  std::vector<std::array<std::size_t, contexts.size()>> caches;  ///< bytes, of each stage
  std::size_t row = 0;                                           ///< bytes that a token sends over every cut
};

g4::result<asked_pipeline> asked_of(const settings& s, const g4::text_spec& m, const g4::weights_of_stages& all) {
  std::vector<int> bounds = cuts_of(s);
  if (auto fine = g4::check_cuts(m, bounds); !fine) {
    return g4::fail("--pipeline ", listed(bounds, ","), ": ", fine.error().message, "; --cuts says where it can be");
  }
  bounds.insert(bounds.begin(), 0);
  bounds.push_back(m.layers);
  asked_pipeline p;
  p.cut = cut_at(all, std::move(bounds));
  const int stages = static_cast<int>(p.cut.weights.size());
  for (std::size_t i = 0; i < p.cut.weights.size(); ++i) {
    const g4::text_spec stage = g4::spec_of_a_stage(m, stages, {p.cut.bounds[i], p.cut.bounds[i + 1]});
    auto& caches = p.caches.emplace_back();
    for (std::size_t c = 0; c < caches.size(); ++c) {
      caches[c] =
          g4::plan_session(stage, g4::distinct_kinds(m), options_of(s, p.contexts[c]), sizeof(float), usual_cache())
              .cache;
    }
  }
  p.row =
      static_cast<std::size_t>(m.width) * sizeof(float) * (m.altup ? static_cast<std::size_t>(m.altup->streams) : 1);
  return p;
}

std::string pipeline_text(const asked_pipeline& p) {
  std::string text = fmt::format("\na pipeline of {} stages\n{:>5}  {:<10}  {:>9}  {:>15}  {:>15}\n", p.caches.size(),
                                 "stage", "layers", "weights", fmt::format("cache for {}", p.contexts[0]),
                                 fmt::format("for {}", p.contexts[1]));
  for (std::size_t i = 0; i < p.caches.size(); ++i) {
    const int first = p.cut.bounds[i], last = p.cut.bounds[i + 1] - 1;
    text += fmt::format("{:>5}  {:<10}  {:>9}  {:>15}  {:>15}\n", i,
                        first == last ? std::to_string(first) : fmt::format("{} to {}", first, last),
                        bytes_text(static_cast<std::size_t>(p.cut.weights[i])), bytes_text(p.caches[i][0]),
                        bytes_text(p.caches[i][1]));
  }
  text += fmt::format("a token sends {} over every cut\n", bytes_text(p.row));
  return text;
}

json pipeline_json(const asked_pipeline& p) {
  json j = cut_json(p.cut);
  for (std::size_t c = 0; c < p.contexts.size(); ++c) {
    json caches = json::object({{"context", p.contexts[c]}});
    for (const auto& of_stage : p.caches) caches["cache"].push_back(of_stage[c]);
    j["sessions"].push_back(std::move(caches));
  }
  j["sent_a_token"] = p.row;
  return j;
}

}  // namespace

std::vector<int> cuts_of(const settings& s) {
  std::vector<int> cuts;
  for (const std::size_t cut : s.pipeline) cuts.push_back(static_cast<int>(cut));
  return cuts;
}

g4::result<stages_shown> stages_of(const settings& s, const g4::text_spec& m, std::string_view variant) {
  stages_shown shown;
  if (!s.cuts && s.pipeline.empty()) return shown;
  if (m.is_drafter() || m.sees == g4::visibility::everything)
    return g4::fail("drafters and encoders are not cut into stages");
  const auto all = weights_of(s, m);
  if (!all) return g4::unexpected(all.error());
  if (s.cuts) {
    const auto even = even_cuts(m, *all);
    const auto built = pipelines_of(variant);
    shown.text = cuts_text(m, even, built);
    shown.cuts = cuts_json(m, even, built);
  }
  if (!s.pipeline.empty()) {
    const auto asked = asked_of(s, m, *all);
    if (!asked) return g4::unexpected(asked.error());
    shown.text += pipeline_text(*asked);
    shown.pipeline = pipeline_json(*asked);
  }
  return shown;
}

}  // namespace program
