#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "engine.h"
#include "g4/io/file_writer.h"
#include "g4/io/mapped_file.h"

namespace program {

g4::result<int> logits(const settings& s) {
  const auto file = g4::io::map_file(s.ids);
  if (!file) return g4::unexpected(file.error());
  const auto bytes = (*file)->bytes();
  if (bytes.size() % sizeof(g4::token_id) != 0) {
    return g4::fail(s.ids, ": has ", bytes.size(), " bytes; expected int32 token ids, 4 bytes each");
  }
  std::vector<g4::token_id> ids(bytes.size() / sizeof(g4::token_id));
  std::memcpy(ids.data(), bytes.data(), bytes.size());

  auto out = g4::io::file_writer::create(s.out);
  if (!out) return g4::unexpected(std::move(out.error()));
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));
  auto session = e->model->session(options_of(s, s.context != 0 ? s.context : ids.size()));
  if (!session) return g4::unexpected(std::move(session.error()));

  status_line status(is_terminal(STDERR_FILENO));
  g4::result<void> written;
  const std::span<const g4::token_id> all(ids);
  const auto ran =
      (*session)->run_all(g4::prompt_view<float>{all}, [&](std::size_t t, std::span<const float> row) {
        if (written) written = out->write(std::as_bytes(row));
        status.percent("Running", t + 1, ids.size());
      });
  if (!ran) return g4::unexpected(ran.error());
  if (written) written = out->finish();
  if (!written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
