#pragma once
// Runs a program of Concord as a user does and catches what it says.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/files.h"
#include "tests/temporary_folder.h"

namespace concord::test {

namespace fs = std::filesystem;

struct ProgramResult {
  int code = -1;    // of exit, -signal where a signal ended it
  std::string out;  // standard output
  std::string err;  // standard error
};

inline std::string text_of(const fs::path& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

struct ProgramLimits {
  rlim_t file_bytes = RLIM_INFINITY;  // larger files cannot be written: a full disk
  // Called every 5 ms while the program runs, with its process, to send it signals.
  std::function<void(pid_t)> meanwhile = {};
  std::string input = {};      // standard input
  std::string directory = {};  // that it works in; empty: where the tests do
};

// `program` without path ("concord-train").
inline ProgramResult run_program(const std::string& program, std::vector<std::string> words,
                                 const ProgramLimits& limits = {}) {
  const TemporaryFolder folder;
  const std::string path = std::string(CONCORD_BIN_DIR) + "/" + program;
  const std::string out = (folder / "stdout").string();
  const std::string err = (folder / "stderr").string();
  const std::string in = (folder / "stdin").string();
  write_bytes(in, limits.input);
  words.insert(words.begin(), path);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    // Sleeping threads between parallel loops: the tests share their cores.
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    if (std::freopen(in.c_str(), "r", stdin) == nullptr ||
        std::freopen(out.c_str(), "w", stdout) == nullptr ||
        std::freopen(err.c_str(), "w", stderr) == nullptr)
      ::_exit(126);
    if (!limits.directory.empty() && ::chdir(limits.directory.c_str()) != 0) ::_exit(126);
    const rlimit limit{limits.file_bytes, limits.file_bytes};
    if (limits.file_bytes != RLIM_INFINITY) ::setrlimit(RLIMIT_FSIZE, &limit);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  while (limits.meanwhile && ::waitpid(child, &status, WNOHANG) == 0) {
    limits.meanwhile(child);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (!limits.meanwhile) ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_of(out), text_of(err)};
}

// Sends `signal` once, `delay` after `file` has `lines` lines.
inline std::function<void(pid_t)> signal_after(const fs::path& file, std::size_t lines, int signal,
                                               std::chrono::milliseconds delay) {
  using Clock = std::chrono::steady_clock;
  return [=, at = Clock::time_point::max(), sent = false](pid_t child) mutable {
    std::error_code error;
    if (at == Clock::time_point::max() && fs::exists(file, error)) {
      const std::string text = text_of(file);
      if (static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) >= lines)
        at = Clock::now() + delay;
    }
    if (!sent && Clock::now() >= at) {
      ::kill(child, signal);
      sent = true;
    }
  };
}

// The program ends with `code` and every one of `parts` in its standard error.
inline void expect_failure(const ProgramResult& run, int code,
                           const std::vector<std::string>& parts) {
  EXPECT_EQ(run.code, code) << run.err << run.out;
  for (const std::string& part : parts)
    EXPECT_NE(run.err.find(part), std::string::npos) << "\"" << part << "\" not in: " << run.err;
}

}  // namespace concord::test
