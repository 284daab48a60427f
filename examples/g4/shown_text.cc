#include "shown_text.h"

#include <algorithm>
#include <utility>

namespace program {

namespace {

using kind = g4::text::content_part::kind;

struct place_word {
  std::string_view word;
  kind is;
};
constexpr place_word place_words[] = {{"<image>", kind::image}, {"<audio>", kind::audio}, {"<video>", kind::video}};

kind kind_of(const g4::any_shown& shown) {
  return shown.is_video ? kind::video : shown.is_picture ? kind::image : kind::audio;
}
constexpr std::size_t number_of(kind is) { return is == kind::video ? 2 : is == kind::audio ? 1 : 0; }

}  // namespace

g4::laid_prompt<float> part_of(const g4::laid_prompt<float>& all, std::size_t first, std::size_t count) {
  g4::laid_prompt<float> part;
  const auto begin = all.ids.begin() + static_cast<std::ptrdiff_t>(first);
  part.ids.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  for (g4::inlay<float> one : all.inlays) {
    if (one.first < first || one.first >= first + count) continue;
    one.first -= first;
    part.inlays.push_back(one);
  }
  return part;
}

std::size_t whole_pass(const g4::laid_prompt<float>& prompt, std::size_t most) {
  std::size_t length = most;
  for (const g4::inlay<float>& one : prompt.inlays) {
    if (one.first < length && one.first + one.count > length) length = one.first > 0 ? one.first : one.count;
  }
  return length;
}

g4::result<void> shown_text::lay_out(const g4::text::prompt& written, const g4::text::tokenizer& vocabulary,
                                     const g4::any_senses* senses) {
  if (senses != nullptr) {
    auto all = senses->lay(written, kept);
    if (!all) return g4::unexpected(std::move(all.error()));
    laid = std::move(*all);
  } else {
    auto ids = vocabulary.encode(written.text, {.parse_special = true, .plain = written.said});
    if (!ids) return g4::unexpected(std::move(ids.error()));
    laid = {std::move(*ids), {}};
  }
  return {};
}

void shown_text::append(const shown_text& more) {
  for (g4::inlay<float> one : more.laid.inlays) {
    one.first += size();
    laid.inlays.push_back(one);
  }
  laid.ids.insert(laid.ids.end(), more.laid.ids.begin(), more.laid.ids.end());
  kept.insert(kept.end(), more.kept.begin(), more.kept.end());
}

void shown_text::resize(std::size_t size) {
  laid.ids.resize(std::min(size, laid.ids.size()));
  while (!laid.inlays.empty() && laid.inlays.back().first + laid.inlays.back().count > size) laid.inlays.pop_back();
  if (laid.inlays.empty()) kept.clear();
}

std::size_t shown_text::shared_with(const shown_text& other, std::size_t most) const {
  most = std::min({most, size(), other.size()});
  std::size_t same = static_cast<std::size_t>(
      std::mismatch(laid.ids.begin(), laid.ids.begin() + static_cast<std::ptrdiff_t>(most), other.laid.ids.begin())
          .first -
      laid.ids.begin());
  for (std::size_t i = 0; i < std::max(laid.inlays.size(), other.laid.inlays.size()); ++i) {
    const auto* const a = i < laid.inlays.size() ? &laid.inlays[i] : nullptr;
    const auto* const b = i < other.laid.inlays.size() ? &other.laid.inlays[i] : nullptr;
    const bool alike =
        a != nullptr && b != nullptr && a->first == b->first && a->count == b->count && a->rows == b->rows;
    if (alike && a->first + a->count <= same) continue;
    if (a != nullptr) same = std::min(same, a->first);
    if (b != nullptr) same = std::min(same, b->first);
    break;
  }
  return same;
}

g4::laid_prompt<float> shown_text::from(std::size_t first) const { return part_of(laid, first, size() - first); }

g4::result<bool> run_most(g4::any_session& session, g4::laid_prompt<float>& left, status_line& status) {
  const std::size_t all = left.ids.size();
  const std::size_t batch = session.options().batch;
  while (left.ids.size() > batch) {
    if (interrupt_guard::pressed()) return false;
    const std::size_t length = whole_pass(left, batch);
    if (length >= left.ids.size()) break;
    if (all >= 4 * batch) status.percent("Reading", all - left.ids.size(), all);
    if (auto done = session.run(part_of(left, 0, length).view()); !done) return g4::unexpected(std::move(done.error()));
    left = part_of(left, length, left.ids.size() - length);
  }
  status.clear();
  return true;
}

g4::result<std::vector<g4::text::content_part>> parts_of(std::string_view text, std::span<const g4::any_shown> media,
                                                         std::vector<g4::any_shown>& in_order) {
  std::vector<g4::text::content_part> parts;
  // Pictures, sounds and videos that the text has places for, the next one last.
  std::vector<const g4::any_shown*> waiting[3];
  bool in_front[3] = {};
  for (const place_word& place : place_words) {
    auto& files = waiting[number_of(place.is)];
    for (const g4::any_shown& one : media) {
      if (kind_of(one) == place.is) files.push_back(&one);
    }
    std::size_t places = 0;
    for (std::size_t at = text.find(place.word); at != std::string_view::npos; at = text.find(place.word, at + 1))
      ++places;
    if (places != 0 && !files.empty() && places != files.size()) {
      return g4::fail("the text says ", place.word, " ", places, " times, and ", files.size(),
                      " files were given for it; say it once for each, or not at all");
    }
    in_front[number_of(place.is)] = places == 0;
    if (places == 0) files.clear();
    std::reverse(files.begin(), files.end());
  }
  const auto shown = [&](const g4::any_shown& one) {
    parts.push_back({one.is_picture ? kind::image : kind::audio});  // a video is pictures with their times
    in_order.push_back(one);
  };
  for (const g4::any_shown& one : media) {
    if (in_front[number_of(kind_of(one))]) shown(one);
  }
  std::string said;
  const auto say = [&] {
    if (!said.empty()) parts.push_back({kind::text, std::exchange(said, {})});
  };
  while (!text.empty()) {
    const auto* const place = std::find_if(std::begin(place_words), std::end(place_words), [&](const place_word& p) {
      return text.starts_with(p.word) && !waiting[number_of(p.is)].empty();
    });
    if (place == std::end(place_words)) {
      said += text[0];
      text.remove_prefix(1);
      continue;
    }
    say();
    auto& files = waiting[number_of(place->is)];
    shown(*files.back());
    files.pop_back();
    text.remove_prefix(place->word.size());
  }
  say();
  return parts;
}

}  // namespace program
