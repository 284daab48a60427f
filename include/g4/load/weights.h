/// From a checkpoint's tensors to a model's weights: every name, extent and storage checked once, here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/load/matcher.h"
#include "g4/load/module_source.h"
#include "g4/load/names.h"
#include "g4/load/weight_places.h"
#include "g4/model/pipeline.h"
#include "g4/model/split.h"
#include "g4/model/weights.h"

namespace g4::load {

namespace detail {

/// Fills the weights of a module: of a variant's text, or of anything else that has `weights<Module>` and `each_weight`.
template <class Module, class B>
class filler {
 public:
  filler(const io::tensor_file& file, format f, matcher match, B& on, checks look, progress told)
      : from_(file, f, std::move(match), facts(), look, told), places_(on) {
    if constexpr (shared_out || in_stages) rank_ = on.rank();
  }

  [[nodiscard]] result<std::shared_ptr<const weights<Module>>> run() {
    auto w = std::make_shared<weights<Module>>();
    each_weight(*w, [&](const tensor_entry& t, auto& member) {
      if (from_.failed()) return;
      if (is_here(t)) {
        fill(t, member);
      } else {
        leave_out(t);
      }
    });
    if constexpr (Variant<Module>) {
      if (!from_.failed()) from_.refuse_unknown();
      if (!from_.failed()) tie_head(*w);
    }
    if (from_.failed()) return from_.why();
    if constexpr (Variant<Module>) w->checkpoint = io::fingerprint_of(from_.file());
    from_.keep_in(w->keep);
    places_.keep_in(w->keep);
    return std::shared_ptr<const weights<Module>>(std::move(w));
  }

 private:
  /// Whether one rank's share is filled: of every large weight some rows, which are looked over and take memory here.
  static constexpr bool shared_out = [] {
    if constexpr (Variant<Module>) return Module::spec.ranks > 1;
    return false;
  }();

  /// Whether a stage of a pipeline is filled: with the layers of its range, and what is in front of them or behind them.
  static constexpr bool in_stages = [] {
    if constexpr (Variant<Module>) return Module::spec.stages > 1;
    return false;
  }();
  [[nodiscard]] bool is_here([[maybe_unused]] const tensor_entry& t) const {
    if constexpr (in_stages) return stage_has(Module::of_stage[static_cast<std::size_t>(rank_)], t);
    return true;
  }
  /// Whether all numbers of a tensor are used here, and so looked over. A tied table is looked over where it is the head.
  [[nodiscard]] bool is_used(const tensor_entry& t) const {
    if constexpr (in_stages) {
      return t.as != role::token_table || !Module::spec.tied_head || Module::of_stage[static_cast<std::size_t>(rank_)].ends();
    }
    return !shared_out;
  }
  /// A tensor of another stage must be there, and is not read.
  void leave_out(const tensor_entry& t) {
    const bool several = from_.in() != format::gguf && t.numbered();
    for (int i = 0; i < (several ? t.extents[0] : 1) && !from_.failed(); ++i) {
      if (const io::stored_tensor* found = from_.known(several ? t.one() : t, i)) from_.advance(*found);
    }
  }

  [[nodiscard]] static constexpr module_facts facts() {
    if constexpr (Variant<Module>) {
      return {Module::spec.one_plus_weight, generation_of(Module::spec)};
    } else {
      return {};
    }
  }

  /// The head is the token table where the two are one.
  void tie_head(weights<Module>& w) {
    if constexpr (in_stages) {
      if (!Module::of_stage[static_cast<std::size_t>(rank_)].ends()) return;
    }
    if constexpr (Module::spec.tied_head && shared_out) {
      const stretch mine = share_of(w.embed.rows, Module::spec.ranks, rank_);
      w.head = prepared(w.embed.slice(mine.first, mine.count), table_, weight_use::head);
    } else if constexpr (Module::spec.tied_head && prepares_tables<B>) {
      w.head = static_cast<const weight_view&>(w.embed);
    } else if constexpr (Module::spec.tied_head) {
      w.head = prepared(w.embed, table_, weight_use::head);
      // Rows are then read from the backend's own table: a page of the file for every token would come back and stay.
      // A drafter cuts single rows out, which only the file's order allows.
      if constexpr (!Module::spec.is_drafter()) w.embed = w.head;
    }
  }

  /// A weight that this kind of layer does not have: the file may carry it all the same.
  void fill(const tensor_entry& t, absent&) { (void)from_.checked(t); }

  template <int N>
  void fill(const tensor_entry& t, vector<N>& v) {
    std::span<const float> numbers = from_.numbers(t, shared_out ? static_cast<std::size_t>(t.elements()) : N);
    if (numbers.empty()) return;
    if constexpr (shared_out) numbers = numbers.subspan(mine(t, numbers.size()).first, N);
    auto placed = places_.place(numbers);
    if (!placed) return from_.refuse(std::move(placed.error()));
    v.data = *placed;
  }

  template <int Out, int In>
  void fill(const tensor_entry& t, matrix<Out, In>& m) {
    const io::stored_tensor* found = is_used(t) ? from_.checked(t) : from_.known(t);
    if (found == nullptr) return;
    if (split_here(t) == split::columns) {
      const auto in = static_cast<std::size_t>(t.extents[1]);
      m = of_columns(t, *found, module_source::rows_of(*found, in));
      return from_.advance(*found);
    }
    const matrix_view all = module_source::rows_of(*found, In);
    const matrix_view raw = used(t, *found, all);
    // Tables are read row by row, as stored; everything else goes through the backend's own layout.
    const bool table = t.as == role::token_table || t.as == role::table;
    const weight_use use = t.as == role::head ? weight_use::head : weight_use::layer;
    m = table && !prepares_tables<B> ? weight_view{raw} : prepared(raw, found, use);
    if (t.as == role::token_table) table_ = found;
    from_.advance(*found);
  }

  /// Several matrices: one stacked tensor, or numbered tensors where the format's name has a '#'.
  template <int Out, int In, std::size_t N>
  void fill(const tensor_entry& t, std::array<matrix<Out, In>, N>& several) {
    if (from_.in() == format::gguf || !t.numbered()) {
      const io::stored_tensor* found = shared_out ? from_.known(t) : from_.checked(t);
      if (found == nullptr) return;
      const auto rows = static_cast<std::size_t>(t.extents[1]);
      const bool divided = split_here(t) == split::columns;
      const std::size_t columns = divided ? static_cast<std::size_t>(t.extents[2]) : In;
      const matrix_view all{found->bytes.data(), N * rows, columns, *found->type.weights};
      for (std::size_t i = 0; i < N && !from_.failed(); ++i) {
        const matrix_view one = all.slice(i * rows, rows);
        several[i] = divided ? of_columns(t, *found, one) : prepared(used(t, *found, one), found);
      }
      from_.advance(*found);
      return;
    }
    for (std::size_t i = 0; i < N; ++i) {
      const io::stored_tensor* found = from_.checked(t.one(), static_cast<int>(i));
      if (found == nullptr) return;
      several[i] = prepared(matrix_view{found->bytes.data(), Out, In, *found->type.weights}, found);
      from_.advance(*found);
    }
  }
  /// The same of gates above what they gate, of which this rank has some rows each.
  template <int Out, int In, std::size_t N>
  void fill(const tensor_entry& t, std::array<gate_and_up<Out, In>, N>& several) {
    const io::stored_tensor* found = from_.known(t);
    if (found == nullptr) return;
    const auto half = static_cast<std::size_t>(t.extents[1] / 2);
    const matrix_view all{found->bytes.data(), N * 2 * half, In, *found->type.weights};
    for (std::size_t i = 0; i < N; ++i) {
      several[i].gate = prepared(used(t, *found, all.slice(2 * i * half, half)), found);
      several[i].up = prepared(used(t, *found, all.slice((2 * i + 1) * half, half)), found);
    }
    from_.advance(*found);
  }

  void fill(const tensor_entry& t, std::vector<token_id>& ordering) { ordering = from_.tokens(t, Module::spec.vocab); }

  /// Which of so many rows of a tensor (of one matrix of it) this rank has.
  [[nodiscard]] stretch mine(const tensor_entry& t, std::size_t rows) const {
    if constexpr (shared_out)
      return rows_of_a_rank(whole_of<Module>::spec, t, rows, Module::spec.ranks, rank_, Module::plan::sums_are);
    return {0, rows};
  }
  [[nodiscard]] split split_here(const tensor_entry& t) const {
    if constexpr (shared_out) return split_of(t.what, Module::plan::sums_are);
    return split::copied;
  }
  /// This rank's columns of a matrix, in memory of their own, and some of its rows looked over. What is stored as blocks cannot
  /// be cut inside one.
  [[nodiscard]] weight_view of_columns(const tensor_entry& t, const io::stored_tensor& of, const matrix_view& all) {
    if constexpr (shared_out) {
      constexpr int ranks = Module::spec.ranks;
      const stretch some = share_of(all.rows, ranks, rank_);
      from_.look_over(t, of, all.slice(some.first, some.count));
      const stretch mine = columns_of_a_rank(t, all.columns, ranks, rank_, Module::plan::sums_are);
      const storage_facts stored = facts_of(all.type);
      if (mine.first % stored.block_elements != 0 || mine.count % stored.block_elements != 0) {
        from_.refuse({from_.file().file_name(of) + ": " + of.name + " is stored as " + std::string(stored.name) +
                      ", whose blocks of " + std::to_string(stored.block_elements) + " numbers " +
                      std::to_string(ranks) + " ranks would cut, " + std::to_string(mine.count) +
                      " columns each; take sums::whole, or fewer ranks"});
        return all;
      }
      if (from_.failed()) return all;
      auto columns = places_.columns_of(all, mine);
      if (!columns) {
        from_.refuse(std::move(columns.error()));
        return all;
      }
      from_.file().pages_of(of)({all.data, all.rows * all.stride()});
      auto made = places_.prepare(*columns, {});
      if (made) return *made;
      from_.refuse(std::move(made.error()));
    }
    return all;
  }
  /// The rows of a matrix that are used here, looked over. A table has all, of which this rank looks over its share.
  [[nodiscard]] matrix_view used(const tensor_entry& t, const io::stored_tensor& of, const matrix_view& all) {
    if constexpr (shared_out) {
      const bool table = split_here(t) == split::looked_up;
      const stretch some = table ? share_of(all.rows, Module::spec.ranks, rank_) : mine(t, all.rows);
      const matrix_view rows = all.slice(some.first, some.count);
      from_.look_over(t, of, rows);
      return table ? all : rows;
    }
    return all;
  }

  [[nodiscard]] weight_view prepared(const matrix_view& raw, const io::stored_tensor* from,
                                     weight_use use = weight_use::layer) {
    auto made = places_.prepare(raw, from_.file().pages_of(*from), use);
    if (made) return *made;
    from_.refuse(std::move(made.error()));
    return raw;
  }

  module_source from_;
  weight_places<B> places_;
  const io::stored_tensor* table_ = nullptr;
  int rank_ = 0;
};

}  // namespace detail

/// Makes the weights of variant V from a checkpoint. Views point into the mapped file, or into a backend's own layout
/// where `on` prepares weights; the result keeps both alive.
///
/// Fails, naming file and tensor, when a tensor is missing, has other extents, is stored in a way g4 does not read, holds
/// numbers that cannot be meant (see `checks`), or is no part of the model.
template <Variant V, class B>
[[nodiscard]] result<std::shared_ptr<const weights<V>>> make_weights(const io::tensor_file& file, format f, B& on,
                                                                     checks look = {}, progress told = {}) {
  return detail::filler<V, B>(file, f, detail::matcher(file, f), on, look, told).run();
}

/// The same for another module of the file, whose tensors a safetensors file calls `prefix`…: what the rest of the file
/// holds is no business of its.
template <class Module, class B>
[[nodiscard]] result<std::shared_ptr<const weights<Module>>> make_module(const io::tensor_file& file, format f,
                                                                         std::string_view prefix, B& on,
                                                                         checks look = {}, progress told = {}) {
  return detail::filler<Module, B>(file, f, detail::matcher(file, f, prefix), on, look, told).run();
}

}  // namespace g4::load
