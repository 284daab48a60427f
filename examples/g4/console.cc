#include "console.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <system_error>

#include "g4/core/printable.h"

namespace program {

namespace {

constexpr int ending[] = {SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t interrupted = 0;  // the signal
struct sigaction before_guard[std::size(ending)];

void note_interrupt(int signal) { interrupted = signal; }

g4::result<std::string> read_all(int descriptor, const std::string& name) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return g4::fail(name, ": cannot be read (", std::generic_category().message(errno), ")");
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > longest_text)
      return g4::fail(name, ": has more than ", longest_text >> 20, " MiB; expected a text that a model can hold");
  }
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

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

interrupt_guard::interrupt_guard(kind what) {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  // Without SA_RESTART: a read that waits for a line comes back as well.
  action.sa_flags = what == once ? static_cast<int>(SA_RESETHAND) : 0;
  for (std::size_t i = 0; i < std::size(ending); ++i) {
    ::sigaction(ending[i], nullptr, &before_guard[i]);
    if (what == answer && ending[i] != SIGINT) continue;
    // What the caller had ignored, as nohup does, stays ignored.
    if (before_guard[i].sa_handler != SIG_IGN) ::sigaction(ending[i], &action, nullptr);
  }
}
interrupt_guard::~interrupt_guard() {
  for (std::size_t i = 0; i < std::size(ending); ++i) ::sigaction(ending[i], &before_guard[i], nullptr);
}
int interrupt_guard::status() { return 128 + (interrupted != 0 ? static_cast<int>(interrupted) : SIGINT); }
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

g4::result<void> is_no_input(const std::string& out, std::initializer_list<std::string> inputs) {
  struct stat written {};
  if (::stat(out.c_str(), &written) != 0) return {};
  for (const std::string& path : inputs) {
    struct stat read {};
    if (path.empty() || ::stat(path.c_str(), &read) != 0) continue;
    if (!S_ISDIR(read.st_mode)) {
      if (same_file(written, read)) return g4::fail(out, ": is read by this command (", path, "); give another name");
      continue;
    }
    DIR* const folder = ::opendir(path.c_str());
    if (folder == nullptr) continue;
    bool found = false;
    while (const dirent* const entry = ::readdir(folder)) {
      found = found || (::stat((path + '/' + entry->d_name).c_str(), &read) == 0 && same_file(written, read));
    }
    ::closedir(folder);
    if (found) return g4::fail(out, ": is a file of the folder that is read (", path, "); give another name");
  }
  return {};
}

void say_note(const g4::text::tokenizer& vocabulary) {
  if (!vocabulary.note().empty()) fmt::print(stderr, "g4: {}\n", g4::printable(vocabulary.note()));
}

std::string bytes_text(std::size_t bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (n < 1e7) return fmt::format("{:.1f} kB", n / 1e3);
  if (n < 1e10) return fmt::format("{:.1f} MB", n / 1e6);
  return fmt::format("{:.1f} GB", n / 1e9);
}

}  // namespace program
