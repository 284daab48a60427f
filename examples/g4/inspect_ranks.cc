#include "inspect_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "console.h"
#include "engine.h"
#include "g4/model/split.h"
#include "g4/model/text/plan.h"
#include "inspected.h"

namespace program {

namespace {

/// Tensors that are alike in every layer that has one.
struct part_line {
  std::string name;
  g4::tensor_entry entry;
  std::string storage;
  int layers = 0;
  std::size_t bytes = 0;  ///< in the file, of all layers
  std::size_t mine = 0;   ///< of the rank that has most
};

std::string extents_text(const g4::tensor_entry& t, std::size_t rows, std::size_t columns) {
  std::string text;
  for (int i = 0; i < t.rank; ++i) {
    const std::size_t extent = i == (t.rank == 3 ? 1 : 0) ? rows
                               : i == t.rank - 1          ? columns
                                                          : static_cast<std::size_t>(t.extents[i]);
    text += (i > 0 ? ", " : "") + std::to_string(extent);
  }
  return "[" + text + "]";
}

std::size_t rows_of(const g4::tensor_entry& t) { return static_cast<std::size_t>(t.extents[t.rank == 3 ? 1 : 0]); }

/// The most rows of it that a rank has.
std::size_t rows_of_a_rank(const g4::text_spec& m, const g4::tensor_entry& t, int ranks, g4::sums how) {
  const bool halves = g4::split_of(t.what) == g4::split::gate_and_up;
  std::size_t most = 0;
  for (int r = 0; r < ranks; ++r) {
    most = std::max(most, g4::rows_of_a_rank(m, t, rows_of(t) / (halves ? 2 : 1), ranks, r, how).count * (halves ? 2 : 1));
  }
  return most;
}
std::size_t columns_of(const g4::tensor_entry& t) { return static_cast<std::size_t>(t.extents[t.rank - 1]); }
std::size_t columns_of_a_rank(const g4::tensor_entry& t, int ranks, g4::sums how) {
  std::size_t most = 0;
  for (int r = 0; r < ranks; ++r) most = std::max(most, g4::columns_of_a_rank(t, columns_of(t), ranks, r, how).count);
  return most;
}

/// Exchanges of one token, and the bytes of them: two for each product that closes a branch, or one that adds up; what the model has
/// besides; the logits, and the leader's word.
void count_exchanges(const g4::text_spec& m, int ranks, g4::sums how, ranks_figures& to) {
  const auto meet = [&](std::size_t numbers) {
    ++to.exchanges;
    to.sent += numbers * sizeof(float);
  };
  const auto part = [&](int n) { return static_cast<std::size_t>(g4::largest_share(n, ranks)); };
  const auto close = [&](std::size_t read) {
    if (how == g4::sums::whole) meet(read);
    meet(how == g4::sums::whole ? part(m.width) : static_cast<std::size_t>(m.width));
  };
  for (int l = 0; l < m.layers; ++l) {
    const g4::layer_kind& k = m.layer[l];
    close(part(k.query_heads * k.head_size));
    if (k.sparsity > 0) meet(static_cast<std::size_t>(g4::largest_hidden(k.hidden, ranks, how)));
    close(part(k.hidden));
    if (m.experts) close(static_cast<std::size_t>(m.experts->chosen) * part(m.experts->hidden));
  }
  meet(part(m.vocab));
  ++to.exchanges;
}

/// What a rank has of every part.
struct shared_parts {
  std::vector<part_line> lines;
  ranks_figures figures;
};

g4::sums sums_of(const settings& s) { return s.divided_sums ? g4::sums::divided : g4::sums::whole; }

g4::result<shared_parts> parts_of_a_rank(const settings& s, const g4::text_spec& m) {
  const int ranks = static_cast<int>(s.ranks);
  const g4::sums how_summed = sums_of(s);
  if (!g4::heads_divide(m, ranks)) {
    return g4::fail("--ranks ", ranks, ": ", m.query_heads, " query heads and ", m.key_value_heads,
                    " key/value heads do not divide among so many ranks, so that each has whole ones");
  }
  shared_parts made;
  std::vector<part_line>& lines = made.lines;
  const auto stored = stored_weights(s);
  if (!stored) return g4::unexpected(stored.error());
  g4::each_tensor(m, [&](const g4::tensor_entry& t) {
    if (t.needed != g4::need::required || t.as == g4::role::integers) return;
    const auto found = (*stored)(t);
    const std::string storage(found ? found->storage : "");
    const std::size_t bytes = found ? found->bytes : static_cast<std::size_t>(t.elements()) * 2;
    const auto alike = [&](const part_line& one) {
      return one.entry.what.safetensors == t.what.safetensors && one.entry.extents == t.extents && one.storage == storage;
    };
    auto line = std::find_if(lines.begin(), lines.end(), alike);
    if (line == lines.end()) {
      lines.push_back({std::string(t.what.safetensors), t, storage});
      line = lines.end() - 1;
    }
    long long most = 0;
    for (int r = 0; r < ranks; ++r) most = std::max(most, g4::elements_of_a_rank(m, t, ranks, r, how_summed));
    ++line->layers;
    line->bytes += bytes;
    line->mine += static_cast<std::size_t>(static_cast<double>(bytes) * static_cast<double>(most) /
                                           static_cast<double>(t.elements()));
  });
  for (const part_line& line : lines) {
    const bool some_read = line.entry.rank == 3 && m.experts;
    made.figures.of_all += line.bytes;
    made.figures.of_a_rank += line.mine;
    made.figures.read += some_read ? line.mine * static_cast<std::size_t>(m.experts->chosen) / static_cast<std::size_t>(m.experts->count)
                                   : line.mine;
  }
  count_exchanges(m, ranks, how_summed, made.figures);
  return made;
}

}  // namespace

g4::result<json> ranks_json(const settings& s, const g4::text_spec& m) {
  const auto shared = parts_of_a_rank(s, m);
  if (!shared) return g4::unexpected(shared.error());
  const ranks_figures& f = shared->figures;
  return json::object({{"ranks", s.ranks},
                       {"sums", s.divided_sums ? "divided" : "whole"},
                       {"weights", f.of_a_rank},
                       {"weights_of_all", f.of_all},
                       {"read_a_token", f.read},
                       {"exchanges_a_token", f.exchanges},
                       {"sent_a_token", f.sent}});
}

g4::result<std::string> ranks_text(const settings& s, const g4::text_spec& m) {
  const auto shared = parts_of_a_rank(s, m);
  if (!shared) return g4::unexpected(shared.error());
  const int ranks = static_cast<int>(s.ranks);
  const g4::sums how_summed = sums_of(s);
  const std::vector<part_line>& lines = shared->lines;
  std::string text = fmt::format("\nshared out among {} ranks: {}\n"
                                 "{:<34}  {:>6}  {:<26}  {:<8}  {:<18}  {:<18}  {:>9}\n",
                                 ranks,
                                 s.divided_sums ? "sums are divided, so that their last bits are other than those of one process"
                                                : "every sum is whole, so that the bits are those of one process",
                                 "part", "layers", "a rank has", "stored", "in the file", "at most", "a rank");
  for (const part_line& line : lines) {
    const g4::split how = g4::split_of(line.entry.what, how_summed);
    const bool head = how == g4::split::looked_up && line.entry.as == g4::role::token_table && m.tied_head;
    const std::size_t rows = head ? g4::share_of(rows_of(line.entry), ranks, ranks - 1).count
                                  : rows_of_a_rank(m, line.entry, ranks, how_summed);
    const bool vector = line.entry.rank < 2;
    const std::size_t columns = vector ? rows : columns_of_a_rank(line.entry, ranks, how_summed);
    text += fmt::format("{:<34}  {:>6}  {:<26}  {:<8}  {:<18}  {:<18}  {:>9}\n", line.name,
                        line.entry.layer < 0 ? std::string() : std::to_string(line.layers),
                        head ? "rows, as the head" : g4::name_of(how), line.storage,
                        extents_text(line.entry, rows_of(line.entry), columns_of(line.entry)),
                        how == g4::split::looked_up && !head ? "-" : extents_text(line.entry, rows, columns), bytes_text(line.mine));
  }
  const g4::text_spec share = g4::spec_of_a_rank(m, ranks, how_summed);
  text += fmt::format("\na rank   weights {} of {}{}\n", bytes_text(shared->figures.of_a_rank),
                      bytes_text(shared->figures.of_all), s.model.empty() ? " in bfloat16" : "");
  for (const std::size_t context : {std::size_t{4096}, std::size_t{32'768}}) {
    const auto cache = [&](const g4::text_spec& of) {
      return g4::plan_session(of, g4::distinct_kinds(of), options_of(s, context), sizeof(float), usual_cache()).cache;
    };
    text += fmt::format("         cache {} of {} for {} tokens\n", bytes_text(cache(share)), bytes_text(cache(m)), context);
  }
  const g4::work_limits most = g4::limits_of(share, s.batch, 4096);
  text += fmt::format("         room for exchanges {} with a batch of {}\n", bytes_text(most.joined * sizeof(float) * 2), s.batch);
  text += fmt::format("         {} exchanges a token, in which it sends {} to each other\n", shared->figures.exchanges,
                      bytes_text(shared->figures.sent));
  return text;
}

}  // namespace program
