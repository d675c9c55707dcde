#include "tools/reproduce/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine/descriptor.h"
#include "kernels/error.h"
#include "tools/common/interrupt.h"

namespace concord::reproduce {
namespace {

int open_for_writing(const std::filesystem::path& path, int flags) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  check(file >= 0, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  return file;
}

struct ChildFiles {
  int in, out, err, kept_open, report;
};

// Between fork and exec only what is safe in a signal handler is called.
[[noreturn]] void become(const char* program, char* const* argv, const ChildFiles& files,
                         pid_t parent) {
  // A group of its own: Ctrl-C at the terminal reaches this process through its parent alone, for
  // the second one would end it at once.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  if (files.kept_open >= 0) ::fcntl(files.kept_open, F_SETFD, 0);
  if (::dup2(files.in, 0) >= 0 && ::dup2(files.out, 1) >= 0 && ::dup2(files.err, 2) >= 0)
    ::execv(program, argv);
  const int cause = errno;
  const ssize_t told = ::write(files.report, &cause, sizeof cause);
  ::_exit(told == sizeof cause ? 127 : 126);
}

}  // namespace

int run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
              const ChildOptions& options) {
  const Descriptor in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor out(open_for_writing(options.standard_output, O_TRUNC));
  const Descriptor err(open_for_writing(options.standard_error, O_APPEND));
  // Closed by a successful exec, else it tells why there was none.
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe can be made: {}", std::strerror(errno));
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);

  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  check(child >= 0, "{}: cannot be started: {}", program.string(), std::strerror(errno));
  if (child == 0)
    become(words.front().c_str(), argv.data(),
           {in.get(), out.get(), err.get(), options.kept_open, writing.get()}, parent);
  writing.close();
  int cause = 0;
  const bool failed = ::read(reading.get(), &cause, sizeof cause) == sizeof cause;

  int status = 0;
  bool passed_on = false;
  for (;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    check(ended == 0 || errno == EINTR, "{}: cannot be waited for: {}", program.string(),
          std::strerror(errno));
    if (tool::interrupted() && !passed_on) {
      ::kill(child, SIGINT);
      passed_on = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  check(!failed, "{}: cannot be started: {}", program.string(), std::strerror(cause));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace concord::reproduce
