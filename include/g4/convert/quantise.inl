#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/backend/pool.h"
#include "g4/convert/quantise.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/io/finite.h"
#include "g4/io/gguf_writer.h"
#include "g4/io/json.h"
#include "g4/io/mapped_file.h"
#include "g4/load/file_type.h"
#include "g4/load/gguf_config.h"
#include "g4/load/gguf_header.h"
#include "g4/load/gguf_vocabulary.h"
#include "g4/load/match.h"
#include "g4/load/names.h"
#include "g4/load/weights.h"
#include "g4/model/schema.h"
#include "g4/open/checkpoint.h"
#include "g4/ops/dequantise.h"
#include "g4/ops/quantise.h"

namespace g4 {

namespace detail {

/// A tensor of the file to be written, and where its rows come from.
struct quantise_step {
  io::tensor_plan plan;
  std::vector<const io::stored_tensor*> from;  ///< several where the input numbers what the output stacks
  part what;
  role as = role::matrix;
  float plus = 0;                 ///< what norms of Gemma 3 are stored with on top
  std::vector<std::int32_t> ids;  ///< what a list of tokens holds
  bool copy = false;              ///< bytes as they are
};

class quantiser {
 public:
  quantiser(const checkpoint& from, const load::file_type& to, const std::string& path, const quantise_options& options)
      : from_(from),
        to_(to),
        path_(path),
        options_(options),
        threads_(options.threads != nullptr ? *options.threads : alone_) {}

  [[nodiscard]] result<quantised> run() {
    for (const auto& file : from_.tensors.files()) {
      if (io::same_file(file->path(), path_)) return fail(path_, ": is the file to be read; give another name");
    }
    auto planned = plan();
    if (!planned) return unexpected(std::move(planned.error()));
    auto keys = header();
    if (!keys) return unexpected(std::move(keys.error()));
    if (auto same = check_header(*keys); !same) return unexpected(std::move(same.error()));

    std::vector<io::tensor_plan> tensors;
    for (const quantise_step& step : steps_) tensors.push_back(step.plan);
    auto out = io::write_gguf(path_, *keys, tensors);
    if (!out) return unexpected(std::move(out.error()));
    for (const quantise_step& step : steps_) {
      if (auto written = write(*out, step); !written) return unexpected(std::move(written.error()));
    }
    if (auto finished = out->finish(); !finished) return unexpected(std::move(finished.error()));
    return std::move(report_);
  }

 private:
  [[nodiscard]] bool is_gguf() const { return from_.format == load::format::gguf; }

  [[nodiscard]] result<void> plan() {
    load::detail::matcher match(from_.tensors, from_.format);
    if (!is_gguf()) {
      if (from_.spec.sees == visibility::everything) {
        return fail(from_.path, ": is a text embedder, of which g4 quantises GGUF files only");
      }
      divisors_ = load::rope_divisors(from_.spec);
      if (!divisors_.empty()) {
        quantise_step step;
        step.plan = {"rope_freqs.weight", io::element_of(storage::f32), {divisors_.size()}};
        step.copy = true;
        steps_.push_back(std::move(step));
      }
    }
    result<void> good;
    each_tensor(from_.spec, [&](const tensor_entry& t) {
      if (good) good = plan(t, match);
    });
    if (!good) return good;
    if (auto known = match.refuse_unknown(); !known) return unexpected(std::move(known.error()));
    for (const io::stored_tensor& e : from_.tensors.tensors()) {
      if (match.knows(e)) continue;
      if (!is_gguf()) {
        ++report_.left_out;
        continue;
      }
      quantise_step step;
      step.plan = {e.name, e.type, e.dims};
      step.from = {&e};
      step.copy = true;
      steps_.push_back(std::move(step));
    }
    for (const quantise_step& step : steps_) {
      for (const io::stored_tensor* e : step.from) total_ += e->bytes.size();
    }
    return {};
  }

  [[nodiscard]] result<void> plan(const tensor_entry& t, load::detail::matcher& match) {
    const generation g = generation_of(from_.spec);
    const bool numbered = !is_gguf() && t.numbered();
    const tensor_entry one = numbered ? t.one() : t;
    quantise_step step;
    for (int i = 0; i < (numbered ? t.extents[0] : 1); ++i) {
      const auto found = match.find(one, i);
      if (!found) return unexpected(found.error());
      if (*found == nullptr) return {};
      const io::stored_tensor& e = **found;
      if (!load::detail::fitting_extents(e, one, from_.format, g)) return unexpected(match.wrong_shape(e, one));
      step.from.push_back(&e);
    }
    const io::stored_tensor& first = *step.from.front();
    step.what = t.what;
    step.as = t.as;
    step.plan.name = load::name_in(load::format::gguf, {}, t);
    for (int i = 0; i < t.rank; ++i)
      step.plan.dims.push_back(static_cast<std::size_t>(t.extents[static_cast<std::size_t>(i)]));
    if (t.as == role::token_table) step.plan.dims = {first.dims.rows(), first.dims.columns()};
    if (t.as == role::integers) {
      auto ids = load::detail::token_ids(from_.tensors, first, from_.spec.vocab);
      if (!ids) return unexpected(std::move(ids.error()));
      step.ids = std::move(*ids);
      step.plan.type = *io::ggml_type(26);
    } else {
      for (const io::stored_tensor* e : step.from) {
        const auto type = io::storage_of(from_.tensors, *e);
        if (!type) return unexpected(type.error());
        if (facts_of(*type).block_elements != 1) {
          return fail(from_.tensors.file_name(*e), ": ", e->name, " is stored as ", std::string(e->type.name),
                      ", which is quantised already; give the model in F32, F16 or BF16");
        }
      }
      step.plan.type = io::element_of(load::storage_in_gguf(t, from_.spec, to_.base, *first.type.weights));
      if (!is_gguf() && from_.spec.one_plus_weight && t.as == role::norm_weight) step.plus = 1;
    }
    steps_.push_back(std::move(step));
    return {};
  }

  [[nodiscard]] result<io::gguf_keys> header() const {
    io::gguf_keys keys;
    if (is_gguf()) {
      for (const io::gguf_value& value : from_.keys.values()) {
        if (value.key == "general.file_type" || value.key == "general.quantization_version" ||
            value.key == "general.alignment" || value.key.starts_with("split.")) {
          continue;
        }
        keys.copy(value);
      }
      keys.u32("general.file_type", to_.id).u32("general.quantization_version", 2);
      return keys;
    }
    const std::string name = from_.path + "/config.json";
    auto config = io::parse_json_file(name);
    if (!config) return unexpected(std::move(config.error()));
    keys =
        load::gguf_header(from_.spec, from_.path.substr(from_.path.find_last_of('/') + 1), to_.id, context_in(*config));
    auto vocabulary = from_.tokenizer();
    if (!vocabulary) return unexpected(std::move(vocabulary.error()));
    if (auto added = load::add_vocabulary(keys, *vocabulary, generation_of(from_.spec), rows_of_table(),
                                          from_.path + "/tokenizer.json");
        !added) {
      return unexpected(std::move(added.error()));
    }
    // Nothing in g4 reads it, but other programs build their prompts with it.
    const std::string chat = from_.path + "/chat_template.jinja";
    if (io::kind_of(chat) == io::path_kind::file) {
      const auto file = io::map_file(chat);
      if (!file) return unexpected(file.error());
      keys.string("tokenizer.chat_template", io::text_of((*file)->bytes()));
    }
    return keys;
  }

  /// How many tokens the model was trained to hold, by config.json, or by what is usual for its size.
  [[nodiscard]] int context_in(const io::json& config) const {
    constexpr std::int64_t most = 1 << 30;
    const io::json* text = config.find("text_config");
    const io::json* found = (text != nullptr && text->is_object() ? *text : config).find("max_position_embeddings");
    const auto* context = found == nullptr ? nullptr : found->as<std::uint64_t>();
    if (context == nullptr) return load::trained_context(from_.spec);
    return static_cast<int>(std::clamp<std::uint64_t>(*context, 1, most));
  }

  [[nodiscard]] std::size_t rows_of_table() const {
    for (const quantise_step& step : steps_) {
      if (step.as == role::token_table && !step.copy) return step.plan.dims[0];
    }
    return 0;
  }

  /// Refuses a model that a GGUF header cannot tell from another: what a reader will take it for must be what it is.
  [[nodiscard]] result<void> check_header(const io::gguf_keys& keys) const {
    auto metadata = io::metadata_of(keys, path_);
    if (!metadata) return unexpected(std::move(metadata.error()));
    std::vector<io::stored_tensor> tensors;
    for (const quantise_step& step : steps_) {
      std::span<const std::byte> bytes;
      if (step.copy) bytes = step.from.empty() ? std::as_bytes(std::span(divisors_)) : step.from[0]->bytes;
      tensors.push_back({step.plan.name, step.plan.type, step.plan.dims, bytes, 0});
    }
    auto file = io::tensor_file::make(path_, std::move(tensors), {});
    if (!file) return unexpected(std::move(file.error()));
    const io::gguf_file written{std::move(*metadata), std::move(*file)};
    const auto read = load::read_config(written);
    if (!read) return unexpected(read.error());
    load::laxity unsaid = load::laxity_of(written);
    unsaid.images = unsaid.images || from_.unsaid.images;
    const auto lines = load::differences(*read, from_.spec, "the model", unsaid);
    if (lines.empty()) return {};
    return fail(path_, ": a GGUF header cannot say what this model is: ", lines.front());
  }

  [[nodiscard]] result<void> write(io::tensor_writer& out, const quantise_step& step) {
    if (step.copy) {
      const auto bytes = step.from.empty() ? std::as_bytes(std::span(divisors_)) : step.from[0]->bytes;
      if (auto written = out.write(step.plan.name, bytes); !written) return written;
      return advance(step.from.empty() ? 0 : bytes.size());
    }
    if (step.as == role::integers) {
      if (auto written = out.write(step.plan.name, std::as_bytes(std::span(step.ids))); !written) return written;
      return advance(step.from[0]->bytes.size());
    }
    quantised_tensor done;
    done.name = step.plan.name;
    done.what = step.what;
    done.from = *step.from[0]->type.weights;
    done.to = *step.plan.type.weights;
    done.elements = step.plan.dims.elements();
    done.bytes_after = *io::bytes_of(step.plan.type, step.plan.dims);
    for (const io::stored_tensor* e : step.from) {
      done.bytes_before += e->bytes.size();
      if (auto written = write_rows(out, step, *e, done); !written) return written;
    }
    report_.tensors.push_back(std::move(done));
    return {};
  }

  /// The rows of one tensor of the input, a few MiB at a time. Rows are independent of one another, and their errors
  /// are summed in order, so the threads change nothing.
  [[nodiscard]] result<void> write_rows(io::tensor_writer& out, const quantise_step& step, const io::stored_tensor& e,
                                        quantised_tensor& done) {
    constexpr std::size_t at_once = std::size_t{1} << 20;  // elements
    const std::size_t columns = step.plan.dims.columns();
    const std::size_t rows = e.dims.elements() / columns;
    const storage from = *e.type.weights;
    const storage to = *step.plan.type.weights;
    const std::size_t in_bytes = row_bytes(from, columns);
    const std::size_t out_bytes = row_bytes(to, columns);
    const std::size_t stretch = std::max<std::size_t>(1, at_once / columns);
    const std::size_t per_task = std::max<std::size_t>(1, stretch / 64);
    struct outcome {
      double squares = 0;
      double squared_error = 0;
      bool refused = false;
      std::size_t row = 0;
    };
    std::vector<outcome> outcomes((stretch + per_task - 1) / per_task);
    bytes_.resize(std::min(rows, stretch) * out_bytes);
    floats_.resize(2 * columns * threads_.workers());
    for (std::size_t first = 0; first < rows; first += stretch) {
      const std::size_t count = std::min(stretch, rows - first);
      const std::size_t tasks = (count + per_task - 1) / per_task;
      threads_.run(tasks, [&](std::size_t task, std::size_t worker) {
        outcome& o = outcomes[task] = {};
        float* const x = floats_.data() + 2 * columns * worker;
        float* const y = x + columns;
        for (std::size_t r = task * per_task; r < std::min(count, (task + 1) * per_task); ++r) {
          dequantise(from, e.bytes.data() + (first + r) * in_bytes, columns, x);
          for (std::size_t i = 0; step.plus != 0 && i < columns; ++i) x[i] += step.plus;
          std::byte* const made = bytes_.data() + r * out_bytes;
          if (!quantise(to, x, columns, made)) {
            o.refused = true;
            o.row = first + r;
            return;
          }
          dequantise(to, made, columns, y);
          for (std::size_t i = 0; i < columns; ++i) {
            const double off = static_cast<double>(y[i]) - static_cast<double>(x[i]);
            o.squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
            o.squared_error += off * off;
          }
        }
      });
      for (const outcome& o : std::span(outcomes).first(tasks)) {
        if (o.refused) return refuse_row(e, to, o.row);
        done.squares += o.squares;
        done.squared_error += o.squared_error;
      }
      if (auto written = out.write(step.plan.name, std::span(bytes_).first(count * out_bytes)); !written)
        return written;
      const auto read = e.bytes.subspan(first * in_bytes, count * in_bytes);
      from_.tensors.pages_of(e)(read);
      if (auto going_on = advance(read.size()); !going_on) return going_on;
    }
    return {};
  }

  [[nodiscard]] unexpected refuse_row(const io::stored_tensor& e, storage to, std::size_t row) const {
    if (auto finite = io::check_finite(from_.tensors, e); !finite) return unexpected(std::move(finite.error()));
    return fail(from_.tensors.file_name(e), ": ", e.name, " holds a number in row ", row, " that is too large for ",
                std::string(facts_of(to).name));
  }

  [[nodiscard]] result<void> advance(std::size_t bytes) {
    done_ += bytes;
    if (options_.progress.tell != nullptr) options_.progress.tell(options_.progress.self, done_, total_);
    if (options_.cancelled != nullptr && options_.cancelled())
      return fail(path_, ": was given up; nothing is left of it");
    return {};
  }

  const checkpoint& from_;
  const load::file_type& to_;
  const std::string& path_;
  const quantise_options& options_;
  inline_pool alone_;
  pool& threads_;
  std::vector<quantise_step> steps_;
  std::vector<float> divisors_;
  std::vector<std::byte> bytes_;
  std::vector<float> floats_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
  quantised report_;
};

}  // namespace detail

G4_INLINE result<quantised> quantise_checkpoint(const checkpoint& from, const load::file_type& to,
                                                const std::string& path, const quantise_options& options) {
  return guarded([&] { return detail::quantiser(from, to, path, options).run(); });
}

}  // namespace g4
