/// A text on disk: what has been run is read back in place of being run again.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/fingerprint.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/io/file_writer.h"
#include "g4/io/mapped_file.h"
#include "g4/load/match.h"
#include "g4/model/text/session.h"
#include "g4/model/whole.h"
#include "g4/tensor/storage.h"

namespace g4 {

namespace detail {

/// How a file of a text begins. Behind it lie the stretches of `session::each_kept_of`, and at the end the fingerprint of
/// all that lies before. Little-endian, like every file that g4 reads in place.
struct saved_header {
  static constexpr std::array<char, 8> mark = {'g', '4', ' ', 't', 'e', 'x', 't', '1'};

  std::array<char, 8> magic = mark;       ///< the last letter is the version
  std::array<char, 48> variant{};         ///< its name, as `name_within` has it, then noughts
  std::array<char, 8> local{}, global{};  ///< what keys and values are kept as in layers of each kind
  std::uint64_t checkpoint = 0;           ///< `weights::checkpoint`
  std::uint64_t number_bytes = 0;         ///< of the backend's scalar
  std::uint64_t batch = 0;                ///< rings are as long as their window and this
  std::int64_t first_position = 0;
  std::uint64_t size = 0;      ///< tokens
  std::uint64_t furthest = 0;  ///< tokens whose keys and values are here
};
static_assert(std::is_trivially_copyable_v<saved_header> && sizeof(saved_header) == 120);

template <std::size_t N>
[[nodiscard]] std::array<char, N> letters(std::string_view name) {
  std::array<char, N> held{};
  std::copy_n(name.data(), std::min(name.size(), N - 1), held.data());
  return held;
}
template <std::size_t N>
[[nodiscard]] std::string held_text(const std::array<char, N>& held) {
  return {held.data(), static_cast<std::size_t>(std::find(held.begin(), held.end(), '\0') - held.begin())};
}

template <Variant V, Backend B>
[[nodiscard]] saved_header header_of(const session<V, B>& text) {
  const auto kept_as = [&](const std::optional<storage>& choice) {
    return letters<8>(facts_of(choice.value_or(text.backend().cache_storage())).name);
  };
  saved_header h;
  std::string name(load::variant_name<whole_of<V>>());
  if (V::spec.divides_sums) name += " with sums divided among " + std::to_string(V::spec.ranks);  // other last bits
  h.variant = letters<48>(name_within(47, name));
  h.local = kept_as(text.options().cache.local);
  h.global = kept_as(text.options().cache.global);
  h.checkpoint = text.model_weights().checkpoint;
  h.number_bytes = sizeof(typename B::scalar);
  h.batch = text.options().batch;
  h.first_position = text.options().first_position;
  h.size = text.size();
  h.furthest = text.furthest();
  return h;
}

/// What keeps a file's text from going on in a session that would begin its own file with `here`.
[[nodiscard]] inline result<void> check_saved(const std::string& path, const saved_header& file,
                                              const saved_header& here, std::size_t context) {
  const auto differs = [&](const char* what, const auto& found, const auto& expected) {
    return fail(path, ": ", what, " ", found, "; this session's is ", expected);
  };
  if (file.variant != here.variant) return differs("a text of", held_text(file.variant), held_text(here.variant));
  if (file.checkpoint != here.checkpoint) {
    return fail(path, ": a text of another checkpoint of ", held_text(here.variant),
                "; keys and values of other weights mean nothing here");
  }
  if (file.local != here.local || file.global != here.global) {
    return fail(path, ": keys and values are in ", held_text(file.local), " (local layers) and ", held_text(file.global),
                " (global); this session keeps them in ", held_text(here.local), " and ", held_text(here.global));
  }
  if (file.number_bytes != here.number_bytes)
    return differs("a number's bytes are", file.number_bytes, here.number_bytes);
  if (file.batch != here.batch) return differs("a text run in batches of", file.batch, here.batch);
  if (file.first_position != here.first_position)
    return differs("a text whose first position is", file.first_position, here.first_position);
  if (file.size > file.furthest) {
    return fail(path, ": says that ", file.size, " tokens were run, and that ", file.furthest, " are kept");
  }
  if (file.furthest > context) {
    return fail(path, ": holds ", file.furthest, " tokens; this session has a context of ", context);
  }
  return {};
}

/// Writes a file of a text.
///
/// pieces   calls what it is given with the bytes of each stretch behind the header, and says whether it has them all
template <class Pieces>
[[nodiscard]] result<void> write_saved(const std::string& path, const saved_header& header, Pieces&& pieces) {
  auto file = io::file_writer::create(path);
  if (!file) return unexpected(std::move(file.error()));
  fingerprint print;
  result<void> done;
  const auto write = [&](std::span<const std::byte> bytes) {
    print.add(bytes);
    if (done) done = file->write(bytes);
  };
  write(std::as_bytes(std::span(&header, 1)));
  if (result<void> whole = pieces(write); !whole) return whole;
  const std::uint64_t sum = print.value();
  if (done) done = file->write(std::as_bytes(std::span(&sum, 1)));
  if (!done) return done;
  return file->finish();
}

/// A file of a text that goes on in the session it was opened for: of how many tokens, and the stretches behind its header.
struct saved_text {
  io::mapped_file file;
  saved_header header;
  std::span<const std::byte> kept;
};

/// expected   expected(furthest): bytes of the stretches of so many tokens
template <class Expected>
[[nodiscard]] result<saved_text> open_saved(const std::string& path, const saved_header& here, std::size_t context,
                                            Expected&& expected) {
  auto file = io::mapped_file::open(path);
  if (!file) return unexpected(std::move(file.error()));
  const std::span<const std::byte> bytes = file->bytes();
  saved_header header;
  std::uint64_t sum = 0;
  if (bytes.size() < sizeof header + sizeof sum) {
    return fail(path, ": ", bytes.size(), " bytes are too few for a saved text");
  }
  file->sequential(bytes);
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != saved_header::mark) return fail(path, ": is no saved text, or one of another version of g4");
  const std::span<const std::byte> summed = bytes.first(bytes.size() - sizeof sum);
  std::memcpy(&sum, summed.data() + summed.size(), sizeof sum);
  fingerprint print;
  print.add(summed);
  if (print.value() != sum)
    return fail(path, ": is damaged or cut short; its last bytes are not the fingerprint of the others");
  if (auto fits = check_saved(path, header, here, context); !fits) return unexpected(std::move(fits.error()));
  const std::size_t needed = sizeof header + expected(static_cast<std::size_t>(header.furthest));
  if (summed.size() != needed) {
    return fail(path, ": has ", bytes.size(), " bytes; ", header.furthest, " tokens take ", needed + sizeof sum);
  }
  const std::span<const std::byte> kept = summed.subspan(sizeof header);
  return saved_text{std::move(*file), header, kept};
}

template <Variant V, Backend B>
[[nodiscard]] result<void> write_text(const session<V, B>& text, const std::string& path) {
  return write_saved(path, header_of(text), [&](auto&& write) -> result<void> {
    std::vector<std::byte> room;
    text.each_kept_of(text.furthest(), [&](const std::byte* p, std::size_t bytes) {
      write(host_view(text.backend(), p, bytes, room));
    });
    return {};
  });
}

template <Variant V, Backend B>
[[nodiscard]] result<void> read_text(const std::string& path, session<V, B>& text) {
  const auto file = open_saved(path, header_of(text), text.options().context, [&](std::size_t furthest) {
    std::size_t all = 0;
    text.each_kept_of(furthest, [&](const std::byte*, std::size_t some) { all += some; });
    return all;
  });
  if (!file) return unexpected(file.error());
  const std::byte* from = file->kept.data();
  text.each_kept_of(file->header.furthest, [&](std::byte* p, std::size_t some) {
    text.backend().put(from, some, p);
    from += some;
  });
  text.resume(file->header.size, file->header.furthest);
  return {};
}

}  // namespace detail

/// Writes what a session has run to a file, whole or not at all:
///
///     g4::save(*session, "system-prompt.g4");             // once
///     g4::restore("system-prompt.g4", *another);          // in place of running those tokens again
///
/// The file holds keys and values as the session keeps them, rings included, and the last final norm: a session restored
/// goes on with the bits that this one would give. Weights and ids are not in it.
template <Variant V, Backend B>
[[nodiscard]] result<void> save(const session<V, B>& text, const std::string& path) {
  return guarded([&] { return detail::write_text(text, path); });
}

/// Fills a session with a saved text, in place of what it has run.
///
/// Fails, and leaves the session as it is, when the file is damaged or no saved text, was saved of another variant or
/// checkpoint, was run with another `batch`, `first_position` or kind of cache, or is longer than the context.
template <Variant V, Backend B>
[[nodiscard]] result<void> restore(const std::string& path, session<V, B>& text) {
  return guarded([&] { return detail::read_text(path, text); });
}

}  // namespace g4
