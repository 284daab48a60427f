// A case of one operation (golden/operations.py), on the definitions and on the kernels. Every element has a limit of its own.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/mobile_operations.h"
#include "conformance/runner/operation_inputs.h"
#include "conformance/runner/written.h"
#include "g4/backend/composed.h"
#include "g4/backend/cuda_on_host.h"
#include "g4/backend/reference.h"
#include "g4/media/log_mel.h"
#include "g4/media/resize.h"
#include "g4/model/stack/frequencies.h"
#include "g4/ops/dequantise.h"
#include "g4/sample/candidates.h"
#ifdef G4_WITH_CPU
#include "g4/backend/cpu.h"
#endif

namespace g4::conformance {

namespace operation {  // the checks are compiled as one file, and these have plain names
namespace {

/// [T, streams, width] to [streams, T, width], or back with the first two exchanged.
numbers exchanged(const numbers& x, std::size_t first, std::size_t second) {
  const std::size_t width = x.size() / (first * second);
  numbers y(x.size());
  for (std::size_t i = 0; i < first; ++i) {
    for (std::size_t j = 0; j < second; ++j) {
      std::copy_n(x.data() + (i * second + j) * width, width, y.data() + (j * first + i) * width);
    }
  }
  return y;
}

template <class B>
outputs rms_norm(B& on, const variant_inputs& in) {
  numbers x = in.floats("x"), weight = in.has("weight") ? in.floats("weight") : numbers{};
  if (in.word("weight") == "1 + w") {
    for (float& w : weight) w += 1;  // as the loader does
  }
  const std::size_t width = in.extent("x", 1);
  on.rms_norm(x.data(), weight.empty() ? nullptr : weight.data(), x.size() / width, width, in.fact("eps"), x.data());
  return {{"y", wide(x)}};
}

template <class B>
outputs layer_norm(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  const numbers weight = in.floats("weight"), bias = in.has("bias") ? in.floats("bias") : numbers{};
  on.layer_norm(x.data(), weight.data(), bias.empty() ? nullptr : bias.data(), x.size() / weight.size(), weight.size(),
                in.fact("eps"), x.data());
  return {{"y", wide(x)}};
}

/// Cosines and sines of places [T, per_row], each by all frequencies.
struct angles {
  numbers cos, sin;
  angles(const std::vector<std::int32_t>& places, const std::vector<double>& frequencies)
      : cos(places.size() * frequencies.size()), sin(cos.size()) {
    const std::size_t n = frequencies.size();
    for (std::size_t i = 0; i < places.size(); ++i) {
      ops::rope_angles(frequencies.data(), n, places[i], cos.data() + i * n, sin.data() + i * n);
    }
  }
};

template <class B>
outputs rope(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  const std::size_t d = in.count("head_size");
  const rope_spec how{in.fact("theta"), in.fact("factor", 1), in.fact("fraction", 1)};
  const angles a(in.integers("positions"), rope_frequencies(how, static_cast<int>(d)));
  on.rope(x.data(), in.extent("x", 0), in.extent("x", 1), d, a.cos.data(), a.sin.data());
  return {{"y", wide(x)}};
}

template <class B>
outputs rope_by_axes(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  const std::size_t d = in.count("head_size");
  const angles a(in.integers("places"), rope_frequencies({in.fact("theta"), 1, 1}, static_cast<int>(d / 2)));
  on.rope_2d(x.data(), in.extent("x", 0), in.extent("x", 1), d, a.cos.data(), a.sin.data());
  return {{"y", wide(x)}};
}

template <class B>
outputs attention(B& on, const variant_inputs& in) {
  const numbers query = in.floats("query"), key = in.floats("key"), value = in.floats("value");
  const std::size_t T = in.extent("query", 0), heads = in.extent("query", 1), d = in.extent("query", 2);
  const std::vector<std::int32_t> images = in.has("images") ? in.integers("images") : std::vector<std::int32_t>(T, 0);
  const key_mask mask{static_cast<std::int64_t>(in.fact("back")), static_cast<std::int64_t>(in.fact("ahead")), true};
  std::vector<key_range> ranges(T);
  for (std::size_t t = 0; t < T; ++t) {
    std::size_t end = t + 1;
    while (images[t] != 0 && end < T && images[end] == images[t]) ++end;
    pass_row row{};
    row.at = position{static_cast<std::int64_t>(t)};
    row.text_end = position{static_cast<std::int64_t>(T)};
    row.run_end = position{static_cast<std::int64_t>(end)};
    ranges[t] = ops::visible_keys(row, mask);
  }
  const std::size_t kv_heads = in.extent("key", 1), bytes = cached_bytes(storage::f32, kv_heads, T, d);
  std::vector<std::byte> keys(bytes), values(bytes);
  const cache_view cache{keys.data(), values.data(), T, kv_heads, d, storage::f32};
  const cache_view* const caches = &cache;
  std::vector<pass_row> rows(T);
  for (std::size_t t = 0; t < T; ++t) rows[t].at = position{static_cast<std::int64_t>(t)};
  on.store(cached_rows<float>{&caches, 0, rows.data(), T, key.data(), value.data()});
  numbers y(query.size());
  const attention_call<float> of{query.data(), ranges.data(), y.data(), T, heads, in.fact("scale"), in.fact("cap")};
  on.attend(row_attention<float>{&caches, 0, rows.data(), of});
  return {{"y", wide(y)}};
}

template <class B>
outputs gate(B& on, const variant_inputs& in) {
  numbers y = in.floats("gate");
  const numbers up = in.floats("up");
  if (in.word("activation") == "gelu_tanh") {
    on.gelu_gate(y.data(), up.data(), y.size());
  } else {
    on.silu(y.data(), y.size());
    for (std::size_t i = 0; i < y.size(); ++i) y[i] *= up[i];
  }
  return {{"y", wide(y)}};
}

template <class B>
outputs sparsity(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  on.sparsify(x.data(), in.extent("x", 0), in.extent("x", 1),
              static_cast<float>(ops::normal_quantile(in.fact("share"))));
  return {{"y", wide(x)}};
}

template <class B>
outputs routing(B& on, const variant_inputs& in) {
  numbers logits = in.floats("logits");
  const numbers scale = in.floats("expert_scale");
  const std::size_t rows = in.extent("logits", 0), k = in.count("chosen");
  std::vector<std::int32_t> index(rows * k);
  numbers weight(rows * k);
  on.route(logits.data(), rows, scale.size(), k, scale.data(), index.data(), weight.data());
  return {{"index", wide(index)}, {"weight", wide(weight)}};
}

template <class B>
outputs experts(B& on, const variant_inputs& in) {
  const numbers z = in.floats("z"), weight = in.floats("weight"), gate_up = in.floats("gate_up"),
                down = in.floats("down");
  const std::vector<std::int32_t> choice = in.integers("index");
  experts_call<float> call;
  call.experts = in.extent("down", 0);
  call.chosen = in.extent("index", 1);
  call.hidden = in.extent("down", 2);
  call.width = in.extent("down", 1);
  call.rows = in.extent("z", 0);
  std::vector<weight_view> upper, lower;
  for (std::size_t e = 0; e < call.experts; ++e) {
    upper.push_back(plain(gate_up, call.width).slice(e * 2 * call.hidden, 2 * call.hidden));
    lower.push_back(plain(down, call.hidden).slice(e * call.width, call.width));
  }
  const std::size_t rows = call.rows * call.chosen;
  numbers gathered(rows * call.width), both(rows * 2 * call.hidden), gated(rows * call.hidden), out(gathered),
      y(z.size());
  call.z = z.data();
  call.weight = weight.data();
  call.choice = choice.data();
  call.gathered = gathered.data();
  call.both = both.data();
  call.gate = gated.data();
  call.out = out.data();
  call.y = y.data();
  const auto gate = [](auto& b, float* g, const float* up, std::size_t n) { b.gelu_gate(g, up, n); };
  if constexpr (requires { on.experts(upper, lower, gate, call); }) {
    on.experts(upper, lower, gate, call);
  } else {
    composed::experts(on, upper, lower, gate, call);
  }
  return {{"y", wide(y)}};
}

template <class B>
outputs altup(B& on, const variant_inputs& in) {
  const std::size_t T = in.extent("h", 0), streams = in.extent("h", 1), width = in.extent("h", 2);
  const numbers h = exchanged(in.floats("h"), T, streams), mix = in.floats("mix"), layer = in.floats("layer");
  const numbers correct = in.floats("correct");
  numbers predicted(h.size()), corrected(h.size());
  on.altup_predict(h.data(), mix.data(), streams, T, width, predicted.data());
  on.altup_correct(predicted.data(), layer.data(), correct.data(), streams, in.count("active"), T, width,
                   corrected.data());
  return {{"predicted", wide(exchanged(predicted, streams, T))}, {"corrected", wide(exchanged(corrected, streams, T))}};
}

template <class B>
outputs stream_magnitude(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  const numbers model = in.floats("model");
  on.match_magnitude(model.data(), in.extent("x", 0), in.extent("x", 1), x.data());
  return {{"y", wide(x)}};
}

template <class B>
outputs laurel(B& on, const variant_inputs& in) {
  const numbers x = in.floats("x"), left = in.floats("left"), right = in.floats("right"), norm = in.floats("norm");
  const std::size_t rows = in.extent("x", 0), width = in.extent("x", 1), rank = in.extent("left", 0);
  numbers low(rows * rank), y(x.size());
  on.matmul(plain(left, width), x.data(), rows, low.data());
  on.matmul(plain(right, rank), low.data(), rows, y.data());
  on.rms_norm(y.data(), norm.data(), rows, width, in.fact("eps"), y.data());
  on.add(x.data(), x.size(), y.data());
  return {{"y", wide(y)}};
}

template <class B>
outputs per_layer_inputs(B& on, const variant_inputs& in) {
  const numbers embed = in.floats("embed"), projection = in.floats("projection"), norm = in.floats("norm");
  const numbers table = in.floats("table");
  const std::vector<std::int32_t> ids = in.integers("ids");
  const std::size_t rows = ids.size(), all = in.extent("table", 1), width = in.count("width");
  numbers y(rows * all), room(all);
  on.matmul(plain(projection, in.extent("embed", 1)), embed.data(), rows, y.data());
  on.scale(y.data(), y.size(), 1 / std::sqrt(in.fact("embed_width")));
  on.rms_norm(y.data(), norm.data(), y.size() / width, width, in.fact("eps"), y.data());
  on.mix_embedded(plain(table, all), ids.data(), rows, std::sqrt(static_cast<float>(width)), std::sqrt(0.5f),
                  room.data(), y.data());
  return {{"y", wide(y)}};
}

template <class B>
outputs logits_cap(B& on, const variant_inputs& in) {
  numbers x = in.floats("x");
  on.soft_cap(x.data(), x.size(), in.fact("cap"));
  return {{"y", wide(x)}};
}

template <class B>
outputs subsampling(B& on, const variant_inputs& in) {
  const numbers x = in.floats("x"), kernel = in.floats("kernel");
  const ops::squares s{in.extent("x", 0), in.extent("x", 1), in.extent("x", 2), 3, in.count("step")};
  const std::size_t places = s.rows() * s.columns();
  numbers squares(places * s.numbers()), y(places * in.extent("kernel", 0));
  on.unfold(x.data(), s, 0, s.rows(), squares.data());
  on.exact_matmul(plain(kernel, s.numbers()), squares.data(), places, y.data());
  return {{"y", wide(y)}};
}

template <class B>
outputs convolution_back(B& on, const variant_inputs& in) {
  const numbers x = in.floats("x"), kernel = in.floats("kernel");
  numbers y(x.size());
  on.convolve_back(x.data(), kernel.data(), in.extent("x", 0), in.extent("x", 1), in.extent("kernel", 1), y.data());
  return {{"y", wide(y)}};
}

template <class B>
outputs glu(B& on, const variant_inputs& in) {
  const numbers x = in.floats("x");
  numbers y(x.size() / 2);
  on.glu(x.data(), in.extent("x", 0), in.extent("x", 1) / 2, y.data());
  return {{"y", wide(y)}};
}

template <class B>
outputs near_attention(B& on, const variant_inputs& in) {
  const numbers query = in.floats("query"), key = in.floats("key"), value = in.floats("value");
  const numbers distance = in.floats("distance"), per_number = in.floats("per_number");
  numbers y(query.size());
  ops::near_attention<float> call;
  call.rows = in.extent("query", 0);
  call.heads = in.extent("query", 1);
  call.head_size = in.extent("query", 2);
  call.past = in.count("past");
  call.self = call.past;  // where the case has the distance 0
  call.ahead = in.count("ahead");
  call.distances = in.extent("distance", 0);
  call.query_scale = in.fact("query_scale");
  call.key_scale = in.fact("key_scale");
  call.cap = in.fact("cap");
  call.query = query.data();
  call.key = key.data();
  call.value = value.data();
  call.distance = distance.data();
  call.per_number = per_number.data();
  call.out = y.data();
  on.attend_near(call);
  return {{"y", wide(y)}};
}

/// Operations of a backend, by the name of the case.
template <class B>
std::optional<outputs> on_backend(const std::string& operation, B& on, const variant_inputs& in) {
  if (operation == "rms-norm") return rms_norm(on, in);
  if (operation == "layer-norm") return layer_norm(on, in);
  if (operation == "rope") return rope(on, in);
  if (operation == "rope-by-axes") return rope_by_axes(on, in);
  if (operation == "attention") return attention(on, in);
  if (operation == "gate") return gate(on, in);
  if (operation == "sparsity") return sparsity(on, in);
  if (operation == "routing") return routing(on, in);
  if (operation == "experts") return experts(on, in);
  if (operation == "altup") return altup(on, in);
  if (operation == "stream-magnitude") return stream_magnitude(on, in);
  if (operation == "laurel") return laurel(on, in);
  if (operation == "per-layer-inputs") return per_layer_inputs(on, in);
  if (operation == "logits-cap") return logits_cap(on, in);
  if (operation == "subsampling") return subsampling(on, in);
  if (operation == "convolution-back") return convolution_back(on, in);
  if (operation == "glu") return glu(on, in);
  if (operation == "near-attention") return near_attention(on, in);
  if (operation == "edge-residual") return edge_residual(on, in);
  if (operation == "inverted-residual") return inverted_residual(on, in);
  if (operation == "mobile-attention") return mobile_attention(on, in);
  if (operation == "multi-scale-fusion") return multi_scale_fusion(on, in);
  return std::nullopt;
}

outputs sampling(const variant_inputs& in) {
  numbers logits = in.floats("logits");
  if (in.has("accepted")) {
    std::vector<std::int32_t> ids = in.integers("accepted");
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const std::int32_t id : ids) {
      float& logit = logits[static_cast<std::size_t>(id)];
      logit = sample::penalised(logit, in.fact("penalty"));
    }
  }
  std::vector<sample::candidate> room(logits.size());
  const std::size_t k = in.count("top_k");
  auto left = sample::top_k(logits, k == 0 ? logits.size() : k, room);
  sample::weigh(left, in.fact("temperature"));
  left = left.first(in.fact("top_p") < 1 ? sample::count_top_p(left, in.fact("top_p"), sample::total_weight(left))
                                         : left.size());
  left = left.first(in.fact("min_p") > 0 ? sample::count_min_p(left, in.fact("min_p")) : left.size());
  const double total = sample::total_weight(left);
  std::vector<double> probability(logits.size(), 0), kept;
  for (const sample::candidate& c : left) {
    probability[static_cast<std::size_t>(c.id)] = c.weight / total;
    kept.push_back(c.id);
  }
  return {{"probability", probability}, {"kept", kept}};
}

outputs log_mel(const variant_inputs& in) {
  media::log_mel_settings how;
  how.bins = in.count("bins");
  how.window = in.count("window");
  how.step = in.count("step");
  how.fft = in.count("fft");
  how.rate = in.fact("rate");
  how.most_hz = how.rate / 2;
  how.floor = static_cast<double>(in.fact("floor"));
  const numbers samples = in.floats("samples");
  return {{"y", wide(media::log_mel(how).of(samples))}};
}

outputs resize(const variant_inputs& in) {
  const numbers picture = in.floats("picture");
  const std::vector<std::uint8_t> rgb(picture.begin(), picture.end());
  const auto how = in.word("filter") == "cubic" ? media::joined_by::cubic : media::joined_by::triangle;
  const media::picture whole{rgb, in.extent("picture", 0), in.extent("picture", 1)};
  return {{"y", wide(media::resized(whole, in.count("rows"), in.count("columns"), how).rgb)}};
}

result<outputs> dequantise(const variant_inputs& in) {
  const std::string name = in.word("storage");
  for (std::size_t s = 0; facts_of(static_cast<storage>(s)).block_bytes != 0; ++s) {
    const storage_facts facts = facts_of(static_cast<storage>(s));
    if (facts.name != name) continue;
    const numbers read = in.floats("blocks");
    const std::vector<std::uint8_t> blocks(read.begin(), read.end());
    numbers y(blocks.size() / facts.block_bytes * facts.block_elements);
    g4::dequantise(static_cast<storage>(s), reinterpret_cast<const std::byte*>(blocks.data()), y.size(), y.data());
    return outputs{{"y", wide(y)}};
  }
  return fail("g4 knows no storage ", name);
}

void compare(const case_folder& folder, const std::string& label, const std::vector<double>& found, report& out) {
  const std::vector<double> expected = folder.numbers(label), limits = folder.numbers(label + ".limit");
  if (found.size() != expected.size()) {
    return out.failed(label, std::to_string(found.size()) + " numbers for " + std::to_string(expected.size()));
  }
  if (folder.is_integer(label)) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < found.size(); ++i) wrong += found[i] != expected[i] ? 1 : 0;
    return out.exact(label, wrong, found.size());
  }
  if (limits.size() != expected.size()) return out.failed(label, "the case gives no limits");
  double error = 0, limit = limits.empty() ? 0 : limits.front();  // of the element that has most of its limit
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double e = std::abs(found[i] - expected[i]);
    if (e * limit > error * limits[i] || !std::isfinite(e)) error = e, limit = limits[i];
    if (!std::isfinite(e)) break;
  }
  out.compared(label, error, limit);
}

std::optional<outputs> on_backend(const std::string& operation, const std::string& backend, const variant_inputs& in) {
  if (backend == "reference") {
    g4::backend::reference<float> on;
    return on_backend(operation, on, in);
  }
#ifdef G4_WITH_CPU
  if (backend == "cpu") {
    g4::backend::cpu on;
    return on_backend(operation, on, in);
  }
#endif
  if (backend == "cuda_on_host") {  // whose kernels may read and write the host's memory as well
    g4::backend::cuda_on_host on;
    auto made = on_backend(operation, on, in);
    return on.failure() ? made : std::nullopt;
  }
  return std::nullopt;
}

/// What no backend does.
result<std::optional<outputs>> on_no_backend(const std::string& operation, const variant_inputs& in) {
  if (operation == "sampling") return sampling(in);
  if (operation == "log-mel") return log_mel(in);
  if (operation == "resize") return resize(in);
  if (operation != "dequantise") return std::nullopt;
  auto made = dequantise(in);
  if (!made) return unexpected(made.error());
  return std::move(*made);
}

}  // namespace
}  // namespace operation

namespace {

/// Calls `see(variant, outputs)` for every variant.
template <class See>
result<void> each_variant(const case_folder& folder, const std::string& backend, See&& see) {
  const std::string name_of_it = folder.about().at("operation").get<std::string>();
  for (const auto& [name, facts] : folder.about().at("variants").items()) {
    const operation::variant_inputs in(folder, name, facts);
    auto made = backend == "-"
                    ? operation::on_no_backend(name_of_it, in)
                    : result<std::optional<operation::outputs>>(operation::on_backend(name_of_it, backend, in));
    if (!made) return unexpected(made.error());
    if (!*made) return fail("g4 knows no operation ", name_of_it, " on ", backend);
    see(name, **made);
  }
  return {};
}

}  // namespace

result<void> check_operation(const case_folder& folder, const std::string& backend, report& out) {
  return each_variant(folder, backend, [&](const std::string& name, const operation::outputs& made) {
    for (const std::string& label : folder.outputs()) {
      if (!label.starts_with(name + ".")) continue;
      const auto found = made.find(label.substr(name.size() + 1));
      if (found == made.end()) {
        out.failed(label, "g4 makes no such output");
      } else {
        operation::compare(folder, label, found->second, out);
      }
    }
  });
}

result<void> write_operation(const case_folder& folder, const std::string& backend, written& out) {
  return each_variant(folder, backend, [&](const std::string& name, const operation::outputs& made) {
    for (const auto& [of, values] : made) out.add(name + "." + of, values);
  });
}

bool needs_a_backend(const case_folder& folder) {
  const std::string name = folder.about().at("operation").get<std::string>();
  return name != "sampling" && name != "log-mel" && name != "resize" && name != "dequantise";
}

}  // namespace g4::conformance
