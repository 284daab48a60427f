// Runs the program under test, with pipes or on a terminal of its own.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cli_test {

struct ended {
  int status = -1;  ///< exit status; 128 + n for signal n
  std::string out;
  std::string err;
};

inline std::vector<char*> argument_pointers(std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  for (std::string& a : arguments) pointers.push_back(a.data());
  pointers.push_back(nullptr);
  return pointers;
}

inline int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Runs a program with `input` on stdin, and waits for it.
///
/// arguments   the program's path first
inline ended run_program(std::vector<std::string> arguments, std::string_view input = {}) {
  const auto argv = argument_pointers(arguments);
  int in[2], out[2], err[2];
  if (::pipe(in) != 0 || ::pipe(out) != 0 || ::pipe(err) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    for (const int d : {in[0], in[1], out[0], out[1], err[0], err[1]}) ::close(d);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  ended result;
  std::signal(SIGPIPE, SIG_IGN);                      // the program may end without reading all of its input
  (void)!::write(in[1], input.data(), input.size());  // short inputs only: they fit into the pipe
  ::close(in[1]);
  pollfd ends[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  for (int open = 2; open > 0;) {
    ::poll(ends, 2, -1);
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t count = ::read(ends[i].fd, buffer, sizeof buffer);
      if (count > 0) {
        (i == 0 ? result.out : result.err).append(buffer, static_cast<std::size_t>(count));
      } else {
        ::close(ends[i].fd);
        ends[i].fd = -1;
        --open;
      }
    }
  }
  result.status = status_of(child);
  return result;
}

/// Runs G4_PROGRAM.
inline ended run(std::vector<std::string> arguments, std::string_view input = {}) {
  arguments.insert(arguments.begin(), G4_PROGRAM);
  return run_program(std::move(arguments), input);
}

/// The program on a terminal: what is typed, and everything it has shown so far.
class on_terminal {
 public:
  explicit on_terminal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), G4_PROGRAM);
    const auto argv = argument_pointers(arguments);
    child_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  on_terminal(const on_terminal&) = delete;
  on_terminal& operator=(const on_terminal&) = delete;
  ~on_terminal() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      (void)status_of(child_);
    }
    ::close(terminal_);
  }

  void type(std::string_view text) { (void)!::write(terminal_, text.data(), text.size()); }

  /// Waits until `text` has been shown once more; false after a minute, or when the program has ended.
  bool shows(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::chrono::steady_clock::now() < until) {
      if (const std::size_t at = shown_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      if (!read_some()) return false;
    }
    return false;
  }
  /// Waits for the program to end by itself.
  int ends() {
    while (read_some()) {
    }
    return status_of(std::exchange(child_, -1));
  }
  [[nodiscard]] const std::string& shown() const { return shown_; }
  [[nodiscard]] std::size_t seen() const { return seen_; }

 private:
  bool read_some() {
    pollfd end{terminal_, POLLIN, 0};
    if (::poll(&end, 1, 1000) == 0) return true;
    char buffer[4096];
    const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
    if (count <= 0) return false;
    shown_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};

}  // namespace cli_test
