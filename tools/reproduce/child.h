#pragma once
// A program that is run and waited for.

#include <filesystem>
#include <string>
#include <vector>

namespace concord::reproduce {

struct ChildOptions {
  std::filesystem::path standard_output;  // files; created or written over
  std::filesystem::path standard_error;   // appended to
  int kept_open = -1;                     // a descriptor that the program inherits
};

// The program's exit code, or minus the signal that ended it. It runs without a shell, reads
// nothing from the terminal, and dies with this process, however that dies. Ctrl-C and SIGTERM that
// come to this process are passed on to it once, as SIGINT, and it is waited for. Throws Error
// naming the program when it cannot be started.
int run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
              const ChildOptions& options);

}  // namespace concord::reproduce
