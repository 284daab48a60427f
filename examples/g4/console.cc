#include "console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <system_error>

namespace program {

namespace {

volatile std::sig_atomic_t interrupted = 0;
struct sigaction before_guard;

void note_interrupt(int) { interrupted = 1; }

g4::result<std::string> read_all(int descriptor, const std::string& name) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return g4::fail(name, ": cannot be read (", std::generic_category().message(errno), ")");
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace

bool is_terminal(int descriptor) { return ::isatty(descriptor) != 0; }

bool output::write(std::string_view text) {
  if (error_ == 0 && (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)) {
    error_ = errno == 0 ? EIO : errno;
  }
  return error_ == 0;
}

g4::result<void> output::finish() {
  if (error_ == 0 && std::fflush(stdout) != 0) error_ = errno;
  if (error_ == 0 || error_ == EPIPE) return {};
  return g4::fail("stdout: cannot be written (", std::generic_category().message(error_), ")");
}

void status_line::show(const std::string& text) {
  if (!wanted_) return;
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
  shown_ = true;
}

void status_line::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

void status_line::percent(std::string_view what, std::size_t done, std::size_t total) {
  const std::size_t now =
      total == 0 ? 100 : static_cast<std::size_t>(100.0 * static_cast<double>(done) / static_cast<double>(total));
  if (!wanted_ || now == last_) return;
  last_ = now;
  show(fmt::format("{} {} %", what, now));
}

interrupt_guard::interrupt_guard(times how_often) {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  // Without SA_RESTART: a read that waits for a line comes back as well.
  action.sa_flags = how_often == once ? static_cast<int>(SA_RESETHAND) : 0;
  ::sigaction(SIGINT, &action, &before_guard);
}
interrupt_guard::~interrupt_guard() { ::sigaction(SIGINT, &before_guard, nullptr); }
bool interrupt_guard::pressed() { return interrupted != 0; }
void interrupt_guard::forget() { interrupted = 0; }

g4::result<std::string> read_stdin() { return read_all(STDIN_FILENO, "stdin"); }

g4::result<std::string> read_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return g4::fail(path, ": cannot be opened (", std::generic_category().message(errno), ")");
  auto text = read_all(descriptor, path);
  ::close(descriptor);
  return text;
}

std::string bytes_text(std::size_t bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (n < 1e7) return fmt::format("{:.1f} kB", n / 1e3);
  if (n < 1e10) return fmt::format("{:.1f} MB", n / 1e6);
  return fmt::format("{:.1f} GB", n / 1e9);
}

}  // namespace program
