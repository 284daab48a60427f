/// A model of any variant on any backend, as the checks see it: every number a double, nothing a template.
///
/// A case's own program is this interface filled in for one variant (`unit.cc`), linked to the checks, which are
/// compiled once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g4/backend/numeric.h"
#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/load/names.h"
#include "g4/model/text/plan.h"
#include "g4/spec/text.h"

namespace g4::conformance {

/// What is run. Everything but `ids` may be empty (`model/session.h`, prompt_view).
struct prompt {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> image_run;
  std::vector<double> soft_rows;  ///< [T, D]
  std::vector<std::uint8_t> soft;
};

/// An inner tensor, valid during the call.
struct sight {
  std::string_view name;  ///< as `model/tap.h` has it
  int layer = -1;
  std::span<const double> data;  ///< [streams, rows, width]
  std::size_t rows = 0;
  std::size_t width = 0;
  std::size_t streams = 1;
  const std::int32_t* indices = nullptr;  ///< [rows, chosen]: what was chosen by `data`
  std::size_t chosen = 0;
};

class observer {
 public:
  virtual ~observer() = default;
  virtual void see(const sight& what) = 0;
};

using logits_sink = std::function<void(std::size_t token, std::span<const double> logits)>;

/// One text (a `g4::session`).
class running_text {
 public:
  virtual ~running_text() = default;
  /// The logits after the last token.
  virtual result<std::vector<double>> run(const prompt& what) = 0;
  virtual result<std::size_t> run_all(const prompt& what, const logits_sink& sink) = 0;
  virtual result<std::size_t> rewind(std::size_t size) = 0;
  virtual void watch(observer* who) = 0;
};

/// A drafter beside its target's text (a `g4::draft_session`).
class running_drafter {
 public:
  virtual ~running_drafter() = default;
  /// The `count` guesses for what follows `id`, the target's choice after the tokens it has run.
  virtual std::vector<std::int32_t> draft(std::int32_t id, std::size_t count) = 0;
  virtual void watch(observer* who) = 0;
};

/// What an embedder makes of a text (`g4::text_embedding`).
struct text_vector {
  std::vector<double> pooled;
  std::vector<std::vector<double>> dense;
  std::vector<double> unit;
};

/// What a tower is given (`model/tower/run.h`).
struct medium {
  std::vector<float> rows;           ///< [n, input width]
  std::vector<std::int32_t> places;  ///< [n, 2] column and row; of pictures
  std::size_t padding = 0;           ///< of the rows; of sounds
};

class loaded_model {
 public:
  virtual ~loaded_model() = default;
  virtual result<std::unique_ptr<running_text>> start(const session_options& options) = 0;
  /// The rows [n, D] that the model's picture tower, or its sound tower, makes; `who` is shown what each stage leaves.
  virtual result<std::vector<double>> see(const medium& what, observer* who) = 0;
  virtual result<std::vector<double>> hear(const medium& what, observer* who) = 0;
  /// The drafter of this program's model, if it has one. `text` must be of this model and outlive the drafter.
  virtual result<void> load_drafter(const io::tensor_file& file, load::format format) = 0;
  virtual result<std::unique_ptr<running_drafter>> start_drafter(running_text& text) = 0;
  /// The embedder in `folder`, of this program's model, and what it makes of a text.
  virtual result<text_vector> embed(const std::string& folder, std::span<const std::int32_t> ids) = 0;
};

/// How the error begins that names what ranks made otherwise than one process did.
inline constexpr std::string_view other_than_one_process = "ranks differ from one process in ";
/// The same of what they made otherwise than each other.
inline constexpr std::string_view other_than_each_other = "ranks differ from each other in ";

/// How a model gets onto one backend.
struct engine {
  std::string_view backend;
  result<std::unique_ptr<loaded_model>> (*load)(const io::tensor_file& file, load::format format,
                                                backend::numeric mode) = nullptr;
  bool sees = false;  ///< whether the model has a picture tower
  bool hears = false;
  bool (*embeds)(std::int32_t id) = nullptr;  ///< whether an id's row is one of a tower's own
  int ranks = 1;                              ///< that the model is shared out among
  std::string_view cannot = {};               ///< why the model is not run at all; empty: it is
  std::string_view drafter_cannot = {};       ///< why its drafter is not
};

/// The model of this program; `spec` is null where it has none.
struct model_unit {
  const text_spec* spec = nullptr;
  std::vector<engine> engines;
};
[[nodiscard]] model_unit this_unit();

}  // namespace g4::conformance
