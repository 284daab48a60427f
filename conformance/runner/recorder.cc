#include "conformance/runner/recorder.h"

namespace g4::conformance {

std::string name_of(std::string_view tap, int layer) {
  std::string name(tap);
  if (layer < 0) return name;
  const std::size_t dot = name.find('.');
  const std::string number = "." + std::to_string(layer);
  if (tap.ends_with(".layer") || tap.find(".block.") != std::string_view::npos) return name + number;  // of a tower
  return dot == std::string::npos ? name + number : name.substr(0, dot) + number + name.substr(dot);
}

void recorder::keep(const std::string& name, const sight& what) {
  if (!wanted_(name)) return;
  std::vector<double>& rows = kept_[name];
  if (last_row_) rows.clear();
  for (std::size_t t = last_row_ ? what.rows - 1 : 0; t < what.rows; ++t) {
    for (std::size_t s = 0; s < what.streams; ++s) {
      const double* row = what.data.data() + (s * what.rows + t) * what.width;
      rows.insert(rows.end(), row, row + what.width);
    }
  }
}

void recorder::see(const sight& what) {
  const std::string name = name_of(what.name, what.layer);
  if (what.indices == nullptr) {
    keep(name, what);
    // The dense half of a mixture-of-experts block is what its mlp module gives.
    if (what.name == "moe.dense") keep(name_of("mlp.out", what.layer), what);
    return;
  }
  const bool router = what.name == "router";
  keep(router ? name + ".weight" : name, what);
  const std::vector<double> indices(what.indices, what.indices + what.rows * what.chosen);
  sight chosen = what;
  chosen.data = indices;
  chosen.width = what.chosen;
  keep(router ? name + ".index" : "draft.centroid_index", chosen);
}

}  // namespace g4::conformance
