// bench_towers: seconds that a tower of a released model takes over one input, by stage and by kind of operation.
//
//   bench_towers siglip                        an 896 x 896 picture through Gemma 3's tower
//   bench_towers vit_small                     a picture of 280 tokens through that of Gemma 4 E2B and E4B
//   bench_towers vit_large                     the same through that of Gemma 4 26B-A4B and 31B
//   bench_towers conformer --threads 2         ten seconds of sound through E2B's and E4B's
//   bench_towers mobilenet                     a 768 x 768 picture through MobileNetV5, of Gemma 3n
//   bench_towers conformer_3n                  ten seconds of sound through Gemma 3n's
//
//   --mode exact|fast|fast8   (fast)        --threads N   (1)       --repeat N   (3)
//   --file FILE   safetensors with the tower, written there if it is not there: random weights in bfloat16
//   --cpu         seconds of the CPU, and not of the wall: for one thread, where others share the machine
//   --json        one line for a program
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/machine.h"
#include "bench/random_checkpoint/towers.h"
#include "bench/towers/timed.h"
#include "g4/backend/pool.h"
#include "g4/io/safetensors.h"
#include "g4/load/tower.h"
#include "g4/media/log_mel.h"
#include "g4/media/patches.h"
#include "g4/model/tower/run.h"
#include "g4/variants/gemma3n_conformer.h"
#include "g4/variants/gemma4_conformer.h"
#include "g4/variants/gemma4_vit_large.h"
#include "g4/variants/gemma4_vit_small.h"
#include "g4/variants/mobilenet_v5_300m.h"
#include "g4/variants/siglip_so400m.h"

namespace g4::bench {
namespace {

struct settings {
  std::string tower;
  std::string file;
  backend::numeric mode = backend::numeric::fast;
  std::size_t threads = 1;
  std::size_t repeat = 3;
  bool json = false;
};

int refuse(const std::string& why) {
  std::fprintf(stderr, "bench_towers: %s\n", why.c_str());
  return 1;
}

/// Seconds by stage, as a tap sees them pass.
struct stages_seen {
  double last = 0;
  std::vector<std::pair<std::string, double>> stages;

  static void see(void* self, const tapped<float>& what) {
    auto& me = *static_cast<stages_seen*>(self);
    me.add(what.name);
  }
  void add(const std::string& name) {
    if (stages.empty() || stages.back().first != name) stages.emplace_back(name, 0.0);
    stages.back().second += seconds_since(last);
    last = stopwatch::now();
  }
};

double megabytes(double bytes) { return bytes / 1e6; }

double peak_bytes() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) * 1024;
}

/// A picture of noise, so that no patch is like another.
media::pixels noise(std::size_t height, std::size_t width) {
  media::pixels p;
  p.height = height;
  p.width = width;
  random_bits random(3);
  p.rgb.resize(height * width * 3);
  for (auto& byte : p.rgb) byte = static_cast<std::uint8_t>(random.next() >> 56);
  return p;
}

struct rows_in {
  std::vector<float> rows;
  std::vector<place> places;
};

template <class T>
rows_in picture_rows(const media::pixels& p, bool colours_apart) {
  constexpr auto side = static_cast<std::size_t>(T::spec.template find<stage::patches>()->side);
  return {media::cut(p.view(), side, colours_apart), media::places_of(p.view(), side)};
}

template <class T>
rows_in sound_rows(std::span<const float> samples) {
  const media::log_mel features(
      media::settings_of(*T::spec.template find<stage::log_mel>(), *T::spec.template find<stage::waveform>()));
  return {features.of(samples), {}};
}

template <class T, int Text>
int run(const settings& how, std::size_t height, std::size_t width) {
  const bool own = how.file.empty();
  const std::string path = !own ? how.file : "bench_towers." + std::to_string(::getpid()) + ".safetensors";
  if (own || ::access(path.c_str(), R_OK) != 0) {
    if (auto written = write_tower_safetensors<T, Text>(path); !written) return refuse(written.error().message);
  }
  const auto file = io::open_safetensors(path);
  if (own) ::unlink(path.c_str());
  if (!file) return refuse(file.error().message);
  thread_pool pool(how.threads);
  timed on({how.mode, how.threads > 1 ? &pool : nullptr, backend::weights_move::at_load});
  const double before = peak_bytes();
  const double begun = stopwatch::now();
  const auto weights = load::make_tower<T, Text>(*file, load::format::safetensors, on, {.contents = false});
  if (!weights) return refuse(weights.error().message);
  const double loading = seconds_since(begun);
  double of_weights = 0;
  for (const io::stored_tensor& t : file->tensors()) of_weights += static_cast<double>(t.bytes.size());

  media::pixels picture;
  std::vector<float> samples;
  if constexpr (T::of_pictures) {
    picture = noise(height, width);
  } else {
    random_bits random(3);
    samples.resize(10 * 16'000);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      samples[i] = 0.2f * std::sin(0.05f * static_cast<float>(i)) + 0.1f * random.sign_unit();
    }
  }

  std::vector<double> seconds;
  stages_seen best;
  std::array<spent, kind_names.size()> by_kind{};
  std::size_t made = 0;
  tower_plan plan;
  double given = 0;
  for (std::size_t i = 0; i <= how.repeat; ++i) {  // the first warms up
    on.by_kind = {};
    stages_seen seen;
    const double start = seen.last = stopwatch::now();
    rows_in in;
    if constexpr (T::of_pictures) {
      in = picture_rows<T>(picture, (*weights)->colours_apart);
    } else {
      in = sound_rows<T>(samples);
    }
    seen.add("features");
    const auto rows = run_tower(on, **weights, {in.rows, in.places}, {&seen, stages_seen::see});
    if (!rows) return refuse(rows.error().message);
    const double took = seconds_since(start);
    for (std::size_t k = 0; k < rows->count() * Text; ++k) {
      if (!std::isfinite(rows->view().data[k])) return refuse("a row holds a number that is none");
    }
    made = rows->count();
    plan = plan_tower<T, Text>(in.rows.size() / T::input_width, sizeof(float), on.cache_storage());
    given = static_cast<double>(in.rows.size() * sizeof(float));
    if (i == 0) continue;
    if (seconds.empty() || took < *std::min_element(seconds.begin(), seconds.end())) best = seen, by_kind = on.by_kind;
    seconds.push_back(took);
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2], least = seconds.front();
  const double peak_memory = peak_bytes() - before;
  const auto of_backend = static_cast<double>(on.working_bytes(plan.limits));
  const double planned = of_weights + static_cast<double>(plan.total()) + of_backend + given;
  if (how.json) {
    std::printf("{\"tower\": \"%s\", \"least_s\": %.6f, \"median_s\": %.6f, \"rows\": %zu, \"peak_mb\": %.1f}\n",
                how.tower.c_str(), least, median, made, megabytes(peak_memory));
    return 0;
  }
  const machine_limits limits = measure_limits(how.threads);
  const double peak = (how.mode == backend::numeric::exact ? limits.f32 : limits.int16) * 1e9;
  double operations = 0;
  for (const spent& s : by_kind) operations += s.operations;
  std::printf("%s: %zu rows, %s, %zu threads: least %.3f s, median %.3f s of %zu; %.1f Gop, %.0f Gop/s, %.0f %% of the "
              "peak of %s products (%.0f Gop/s)\n",
              how.tower.c_str(), made, simd_target(), how.threads, least, median, how.repeat, operations * 1e-9,
              operations / least * 1e-9, 100 * operations / least / peak,
              how.mode == backend::numeric::exact ? "float32" : "16-bit", peak * 1e-9);
  std::printf("loading %.2f s; memory: weights %.0f MB, rows given %.1f MB, planned to work in %.1f MB, the "
              "backend's own %.1f MB, made %.1f MB: %.0f MB; peak %.0f MB\n\n",
              loading, megabytes(of_weights), megabytes(given), megabytes(static_cast<double>(plan.working)),
              megabytes(of_backend), megabytes(static_cast<double>(plan.out)), megabytes(planned), megabytes(peak_memory));
  std::printf("| stage | ms | %% |\n|---|---:|---:|\n");
  for (const auto& [name, s] : best.stages) std::printf("| %s | %.1f | %.1f |\n", name.c_str(), s * 1e3, 100 * s / least);
  std::printf("\n| operations | ms | %% | Gop/s | %% of peak |\n|---|---:|---:|---:|---:|\n");
  for (std::size_t k = 0; k < kind_names.size(); ++k) {
    const spent& s = by_kind[k];
    if (s.seconds == 0) continue;
    std::printf("| %s | %.1f | %.1f |", kind_names[k], s.seconds * 1e3, 100 * s.seconds / least);
    if (s.operations != 0) {
      std::printf(" %.0f | %.0f |\n", s.operations / s.seconds * 1e-9, 100 * s.operations / s.seconds / peak);
    } else {
      std::printf(" | |\n");
    }
  }
  return 0;
}

int usage() {
  std::fputs("bench_towers siglip|vit_small|vit_large|conformer|mobilenet|conformer_3n [--mode exact|fast|fast8] [--threads N]\n"
             "             [--repeat N] [--file FILE] [--cpu] [--json]\n", stderr);
  return 2;
}

int start(int argc, char** argv) {
  settings how;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--json") {
      how.json = true;
    } else if (word == "--cpu") {
      stopwatch::of_cpus = true;
    } else if (word.starts_with("--") && i + 1 < argc) {
      const std::string value = argv[++i];
      const long number = std::strtol(value.c_str(), nullptr, 10);
      if (word == "--file") {
        how.file = value;
      } else if (word == "--mode" && (value == "exact" || value == "fast" || value == "fast8")) {
        how.mode = value == "exact"  ? backend::numeric::exact
                   : value == "fast" ? backend::numeric::fast
                                     : backend::numeric::fast8;
      } else if (word == "--threads" && number > 0 && number <= 1024) {
        how.threads = static_cast<std::size_t>(number);
      } else if (word == "--repeat" && number > 0) {
        how.repeat = static_cast<std::size_t>(number);
      } else {
        return usage();
      }
    } else if (how.tower.empty()) {
      how.tower = word;
    } else {
      return usage();
    }
  }
  // 42 x 60 patches of 16 pixels are the most of a picture of 280 tokens.
  if (how.tower == "siglip") return run<siglip_so400m, 2560>(how, 896, 896);
  if (how.tower == "vit_small") return run<gemma4_vit_small, 1536>(how, 672, 960);
  if (how.tower == "vit_large") return run<gemma4_vit_large, 2816>(how, 672, 960);
  if (how.tower == "conformer") return run<gemma4_conformer, 1536>(how, 0, 0);
  if (how.tower == "mobilenet") return run<mobilenet_v5_300m, 2048>(how, 768, 768);
  if (how.tower == "conformer_3n") return run<gemma3n_conformer, 2048>(how, 0, 0);
  return usage();
}

}  // namespace
}  // namespace g4::bench

int main(int argc, char** argv) {
  try {
    return g4::bench::start(argc, argv);
  } catch (const std::exception& e) {
    return g4::bench::refuse(e.what());
  }
}
