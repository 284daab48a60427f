#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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

  if (auto fine = is_no_input(s.out, {s.model, s.ids}); !fine) return g4::unexpected(std::move(fine.error()));
  // Whether it can be written is known before a model is loaded, and no unfinished file lies there meanwhile.
  {
    const interrupt_guard guard(interrupt_guard::always);
    if (auto probe = g4::io::file_writer::create(s.out); !probe) return g4::unexpected(std::move(probe.error()));
    if (interrupt_guard::pressed()) return interrupt_guard::status();
  }
  auto e = open_engine(s);
  if (!e) return g4::unexpected(std::move(e.error()));
  auto session = e->model->session(options_of(s, s.context != 0 ? s.context : ids.size()));
  if (!session) return g4::unexpected(std::move(session.error()));

  const interrupt_guard guard(interrupt_guard::always);
  auto out = g4::io::file_writer::create(s.out);
  if (!out) return g4::unexpected(std::move(out.error()));
  status_line status(is_terminal(STDERR_FILENO));
  g4::result<void> written;
  std::span<const g4::token_id> left(ids);
  if (left.empty()) return g4::fail(s.ids, ": holds no token ids");
  while (!left.empty() && written) {
    if (interrupt_guard::pressed()) return interrupt_guard::status();
    const auto chunk = left.first(std::min(left.size(), s.batch));
    const auto ran =
        (*session)->run_all(g4::prompt_view<float>{chunk}, [&](std::size_t t, std::span<const float> row) {
          if (written) written = out->write(std::as_bytes(row));
          status.percent("Running", ids.size() - left.size() + t + 1, ids.size());
        });
    if (!ran) return g4::unexpected(ran.error());
    left = left.subspan(chunk.size());
  }
  if (written) written = out->finish();
  if (!written) return g4::unexpected(std::move(written.error()));
  return 0;
}

}  // namespace program
