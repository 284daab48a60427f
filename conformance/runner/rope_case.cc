// Rotary tables: frequencies, cosines, sines and rotated queries of every flavour, at positions near and far.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "g4/model/stack/frequencies.h"
#include "g4/ops/rope.h"

namespace g4::conformance {

namespace {

/// The error that comes nearest to its limit (or goes furthest beyond it).
struct worst {
  double error = 0;
  double limit = 1;
  void see(double e, double l) {
    if (!(e / l <= error / limit)) error = e, limit = l;
  }
};

template <class Scalar>
struct table {
  std::vector<Scalar> cos, sin;  ///< [positions, d/2]
};

template <class Scalar>
table<Scalar> table_of(const std::vector<double>& frequencies, const std::vector<std::int32_t>& positions) {
  const std::size_t half = frequencies.size();
  table<Scalar> out{std::vector<Scalar>(half * positions.size()), std::vector<Scalar>(half * positions.size())};
  for (std::size_t p = 0; p < positions.size(); ++p) {
    ops::rope_angles(frequencies.data(), half, positions[p], out.cos.data() + p * half, out.sin.data() + p * half);
  }
  return out;
}

class flavour_check {
 public:
  flavour_check(const case_folder& folder, const std::string& name, const json& facts, report& out)
      : folder_(folder), name_(name), out_(out), positions_(folder.integers("positions")) {
    d_ = facts.at("head_dim").get<int>();
    const rope_spec rope{facts.at("theta").get<float>(), facts.value("factor", 1.0f),
                         facts.value("partial_rotary_factor", 1.0f)};
    frequencies_ = rope_frequencies(rope, d_);
    off_exact_ = facts.at("max_abs_cos_or_sin_difference_from_exact_by_position").get<std::vector<double>>();
    off_exact_.resize(positions_.size());
  }

  void run() {
    check_frequencies();
    const auto single = table_of<float>(frequencies_, positions_);
    check_table("cos", single.cos);
    check_table("sin", single.sin);
    const auto exact = table_of<double>(frequencies_, positions_);
    check_exact("cos_exact", exact.cos);
    check_exact("sin_exact", exact.sin);
    check_rotation(single);
  }

 private:
  [[nodiscard]] std::vector<double> expected(const char* what) const { return folder_.numbers(name_ + "." + what); }
  [[nodiscard]] std::size_t half() const { return static_cast<std::size_t>(d_) / 2; }

  /// Frequencies differ in their last bits: the reference takes the power in float32.
  void check_frequencies() {
    const std::vector<double> wanted = expected("inv_freq");
    double largest = wanted.size() == frequencies_.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < wanted.size() && i < frequencies_.size(); ++i) {
      const double error = std::abs(frequencies_[i] - wanted[i]);
      largest = std::max(largest, wanted[i] == 0 ? (error == 0 ? 0.0 : INFINITY) : error / wanted[i]);
    }
    out_.compared(name_ + ".inv_freq (relative)", largest, 1e-6);
  }

  /// Against the reference's table or the exact one, whichever is nearer: see `suggested_tolerance` in case.json.
  void check_table(const char* what, const std::vector<float>& found) {
    const std::vector<double> wanted = expected(what);
    const std::vector<double> exact = expected((std::string(what) + "_exact").c_str());
    if (wanted.size() != found.size()) return out_.failed(name_ + "." + what, "has another size");
    worst w;
    for (std::size_t i = 0; i < found.size(); ++i) {
      double error = std::abs(static_cast<double>(found[i]) - wanted[i]);
      if (exact.size() == wanted.size()) error = std::min(error, std::abs(static_cast<double>(found[i]) - exact[i]));
      w.see(error, 2e-6 + 2 * off_exact_[i / half()]);
    }
    out_.compared(name_ + "." + what, w.error, w.limit);
  }

  void check_exact(const char* what, const std::vector<double>& found) {
    const std::vector<double> wanted = expected(what);
    if (!wanted.empty()) out_.compared(name_ + "." + what + " (double)", largest_error(found, wanted), 2e-6);
  }

  void check_rotation(const table<float>& angles) {
    const std::vector<double> q = expected("q");
    const std::vector<double> wanted = expected("q_rotated");
    if (q.empty() || q.size() != wanted.size()) return;
    const std::size_t per_position = q.size() / positions_.size();
    std::vector<float> x(q.begin(), q.end());
    ops::rope(x.data(), positions_.size(), per_position / static_cast<std::size_t>(d_), static_cast<std::size_t>(d_),
              angles.cos.data(), angles.sin.data());
    worst w;
    for (std::size_t i = 0; i < x.size(); ++i) {
      w.see(std::abs(static_cast<double>(x[i]) - wanted[i]), 6 * (2e-6 + 2 * off_exact_[i / per_position]));
    }
    out_.compared(name_ + ".q_rotated", w.error, w.limit);
  }

  const case_folder& folder_;
  const std::string& name_;
  report& out_;
  int d_ = 0;
  std::vector<std::int32_t> positions_;
  std::vector<double> frequencies_;
  std::vector<double> off_exact_;
};

/// Both halves of a head, each turned by its own axis.
void check_axial(const case_folder& folder, const std::string& name, const json& facts, report& out) {
  const int d = facts.at("head_dim").get<int>();
  const auto pairs = static_cast<std::size_t>(d) / 4;
  const std::vector<double> f = rope_frequencies({facts.at("theta").get<float>(), 1.0f, 1.0f}, d / 2);
  const std::vector<std::int32_t> places = folder.integers("vision_positions");  // [n, 2]
  const std::size_t n = places.size() / 2;
  std::vector<float> cos(places.size() * pairs), sin(cos.size());
  std::vector<double> shown_cos, shown_sin;  // as the reference lays them out: each axis twice
  for (std::size_t i = 0; i < places.size(); ++i) {
    ops::rope_angles(f.data(), pairs, places[i], cos.data() + i * pairs, sin.data() + i * pairs);
    for (int twice = 0; twice < 2; ++twice) {
      const auto at = static_cast<std::ptrdiff_t>(i * pairs), end = at + static_cast<std::ptrdiff_t>(pairs);
      shown_cos.insert(shown_cos.end(), cos.begin() + at, cos.begin() + end);
      shown_sin.insert(shown_sin.end(), sin.begin() + at, sin.begin() + end);
    }
  }
  // A frequency that differs in its last bit, and the rounding of its product, move an angle by the place times 2⁻²³.
  const auto check = [&](const char* what, const std::vector<double>& found, double times) {
    const std::vector<double> wanted = folder.numbers(name + what);
    if (wanted.size() != found.size() || n == 0) return out.failed(name + what, "has another size");
    worst w;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::size_t t = i / (found.size() / n);
      w.see(std::abs(found[i] - wanted[i]), times * (2e-6 + std::max(places[2 * t], places[2 * t + 1]) * 0x1p-23));
    }
    out.compared(name + what, w.error, w.limit);
  };
  check(".cos", shown_cos, 1);
  check(".sin", shown_sin, 1);
  const std::vector<double> q = folder.numbers(name + ".q");
  std::vector<float> x(q.begin(), q.end());
  ops::rope_2d(x.data(), n, q.size() / n / static_cast<std::size_t>(d), static_cast<std::size_t>(d), cos.data(),
               sin.data());
  check(".q_rotated", {x.begin(), x.end()}, 6);
}

}  // namespace

result<void> check_rope(const case_folder& folder, report& out) {
  for (const auto& [name, facts] : folder.about().at("flavours").items()) {
    const std::string type = facts.value("type", "");
    if (type == "axial") {
      check_axial(folder, name, facts, out);
    } else if (type == "default" || type == "linear" || type == "proportional") {
      flavour_check(folder, name, facts, out).run();
    } else {
      out.failed(name, "g4 knows no rotary embedding of type " + type);
    }
  }
  return {};
}

}  // namespace g4::conformance
