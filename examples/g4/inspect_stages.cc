#include "inspect_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "console.h"
#include "engine.h"
#include "g4/load/matcher.h"
#include "g4/model/pipeline.h"
#include "g4/model/text/plan.h"
#include "g4/open/checkpoint.h"

namespace program {

namespace {

/// A tensor and its bytes in the file, or in bfloat16.
struct weight {
  g4::tensor_entry entry;
  std::size_t bytes;
};

g4::result<std::vector<weight>> weights_of(const settings& s, const g4::text_spec& m) {
  std::optional<g4::checkpoint> from;
  std::optional<g4::load::detail::matcher> match;
  if (!s.model.empty()) {
    auto opened = g4::open_checkpoint(s.model);
    if (!opened) return g4::unexpected(std::move(opened.error()));
    from = std::move(*opened);
    match.emplace(from->tensors, from->format);
  }
  std::vector<weight> all;
  g4::each_tensor(m, [&](const g4::tensor_entry& t) {
    if (t.needed != g4::need::required || t.as == g4::role::integers) return;
    auto bytes = static_cast<std::size_t>(t.elements()) * 2;
    if (match) {
      if (const auto found = match->find(t); found && *found != nullptr) {
        bytes = (*found)->bytes.size() * (t.numbered() ? static_cast<std::size_t>(t.extents[0]) : 1);
      }
    }
    all.push_back({t, bytes});
  });
  return all;
}

std::size_t bytes_of(const std::vector<weight>& all, const g4::text_spec& stage) {
  std::size_t bytes = 0;
  for (const weight& w : all) bytes += g4::elements_of_a_stage(stage, w.entry) > 0 ? w.bytes : 0;
  return bytes;
}

/// Stages between bounds[i] and bounds[i + 1].
std::vector<g4::text_spec> stages_between(const g4::text_spec& m, const std::vector<int>& bounds) {
  std::vector<g4::text_spec> stages;
  for (std::size_t i = 0; i + 1 < bounds.size(); ++i) {
    stages.push_back(g4::spec_of_a_stage(m, static_cast<int>(bounds.size()) - 1, {bounds[i], bounds[i + 1]}));
  }
  return stages;
}

/// Where so many stages begin, and the last ends, so that the largest is as small as can be.
std::vector<int> most_even(const std::vector<weight>& all, const g4::text_spec& m, int stages) {
  const int last = g4::last_cut(m);
  const auto bytes = [&](int first, int end) { return bytes_of(all, g4::spec_of_a_stage(m, stages, {first, end})); };
  // least[c]: the largest of k stages that end before layer c; from[c]: where the last of them begins
  std::vector<std::size_t> least(static_cast<std::size_t>(last) + 1, 0);
  std::vector<std::vector<int>> from;
  for (int c = 1; c <= last; ++c) least[static_cast<std::size_t>(c)] = bytes(0, c);
  const auto append = [&](int end, int first_possible) {
    std::pair<std::size_t, int> best{~std::size_t{0}, 0};
    for (int c = first_possible; c < std::min(end, last + 1); ++c) {
      best = std::min(best, {std::max(least[static_cast<std::size_t>(c)], bytes(c, end)), c});
    }
    return best;
  };
  for (int k = 2; k < stages; ++k) {
    std::vector<std::size_t> next(least.size(), ~std::size_t{0});
    auto& begins = from.emplace_back(least.size(), 0);
    for (int c = k; c <= last; ++c) {
      std::tie(next[static_cast<std::size_t>(c)], begins[static_cast<std::size_t>(c)]) = append(c, k - 1);
    }
    least = std::move(next);
  }
  std::vector<int> bounds{m.layers};
  bounds.push_back(append(m.layers, stages - 1).second);
  for (auto begins = from.rbegin(); begins != from.rend(); ++begins) {
    bounds.push_back((*begins)[static_cast<std::size_t>(bounds.back())]);
  }
  bounds.push_back(0);
  std::reverse(bounds.begin(), bounds.end());
  return bounds;
}

template <class Numbers>
std::string listed(const Numbers& numbers, const char* between = ", ") {
  return fmt::format("{}", fmt::join(numbers, between));
}

std::string where_it_can_be_cut(const g4::text_spec& m) {
  const int last = g4::last_cut(m);
  if (last == 0) return "nowhere";
  return last == 1 ? "before layer 1" : fmt::format("before layers 1 to {}", last);
}

std::string cuts_text(const g4::text_spec& m, const std::vector<weight>& all) {
  const int last = g4::last_cut(m);
  std::string text = fmt::format("\nas a pipeline it can be cut {}\n", where_it_can_be_cut(m));
  if (m.shared_layers > 0) {
    const std::set<int> read(m.producer.begin() + m.first_shared(), m.producer.begin() + m.layers);
    text += fmt::format("layers {} to {} read the keys and values of {} {}, and must be in their stage\n", m.first_shared(),
                        m.layers - 1, read.size() == 1 ? "layer" : "layers", listed(read, " and "));
  }
  text += fmt::format("{:>6}  {:<16}  {}\n", "stages", "cut before", "weights of each");
  for (int stages = 2; stages <= std::min(4, last + 1); ++stages) {
    const auto bounds = most_even(all, m, stages);
    std::vector<std::string> weights;
    const auto parts = stages_between(m, bounds);
    const double sum = std::accumulate(parts.begin(), parts.end(), 0.0, [&](double so_far, const g4::text_spec& part) {
      return so_far + static_cast<double>(bytes_of(all, part));
    });
    for (const g4::text_spec& part : parts) {
      const std::size_t bytes = bytes_of(all, part);
      weights.push_back(fmt::format("{} ({:.0f} %)", bytes_text(bytes), 100 * static_cast<double>(bytes) / sum));
    }
    text += fmt::format("{:>6}  {:<16}  {}\n", stages, listed(std::vector(bounds.begin() + 1, bounds.end() - 1)),
                        listed(weights));
  }
  return text;
}

g4::result<std::string> pipeline_text(const settings& s, const g4::text_spec& m, const std::vector<weight>& all) {
  std::vector<int> bounds{0};
  for (const std::size_t cut : s.pipeline) {
    const int layer = static_cast<int>(cut);
    if (layer <= bounds.back()) return g4::fail("--pipeline ", listed(s.pipeline, ","), ": every cut stands behind the one before it");
    if (!g4::can_be_cut_before(m, layer)) {
      return g4::fail("--pipeline ", listed(s.pipeline, ","), ": it cannot be cut before layer ", layer, ", only ",
                      where_it_can_be_cut(m), "; --cuts says why");
    }
    bounds.push_back(layer);
  }
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
                        bytes_text(bytes_of(all, stages[i])), bytes_text(cache(4096)), bytes_text(cache(32'768)));
  }
  const std::size_t row = static_cast<std::size_t>(m.width) * sizeof(float) * (m.altup ? static_cast<std::size_t>(m.altup->streams) : 1);
  text += fmt::format("a token sends {} over every cut\n", bytes_text(row));
  return text;
}

}  // namespace

g4::result<std::string> stages_text(const settings& s, const g4::text_spec& m) {
  if (!s.cuts && s.pipeline.empty()) return std::string();
  if (m.is_drafter() || m.sees == g4::visibility::everything) return g4::fail("drafters and encoders are not cut into stages");
  const auto all = weights_of(s, m);
  if (!all) return g4::unexpected(all.error());
  std::string text = s.cuts ? cuts_text(m, *all) : "";
  if (s.pipeline.empty()) return text;
  auto stages = pipeline_text(s, m, *all);
  if (!stages) return stages;
  return text + *stages;
}

}  // namespace program
