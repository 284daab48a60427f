// Part of programs that are built with G4_MPI for some numbers of ranks: these as the stages of a pipeline.
#include <type_traits>

#include "g4/ranks.h"
#include "inspect_stages.h"
#include "over_mpi.h"
#include "ranks.h"

#include "program_pipelines.h"  // made by g4_add_program: compiled_pipelines
#include "program_variants.h"   // made by g4_add_program: compiled_variants, compiled_ranks

namespace program {

g4::result<std::unique_ptr<g4::any_model>> open_in_stages(const g4::result<g4::checkpoint>& from, const settings& s, joined& on,
                                                          const g4::open_options& options) {
  return g4::open_in_stages<compiled_variants, compiled_ranks, compiled_pipelines>(from, cuts_of(s), on, options);
}

std::vector<std::string> pipelines_of(std::string_view variant) {
  std::vector<std::string> all;
  [&]<class... V>(g4::one_of<V...>) {
    const auto add = [&]<class One>(std::type_identity<One>) {
      if (g4::load::variant_name<One>() != variant) return;
      g4::detail::each_pipeline_of<One>(compiled_ranks{}, compiled_pipelines{},
                                        [&](auto one) { all.push_back(g4::detail::cuts_text(one)); });
    };
    (add(std::type_identity<V>{}), ...);
  }(compiled_variants{});
  return all;
}

}  // namespace program
