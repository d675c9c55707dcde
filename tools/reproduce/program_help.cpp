#include "tools/reproduce/program_help.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "engine/descriptor.h"
#include "engine/text.h"
#include "kernels/error.h"
#include "tools/reproduce/child.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

// "  -h,--help" or "  --lr FLOAT=0.01   learning rate": the name and what follows it.
bool split_option(const std::string& line, std::string& name, std::string& rest) {
  const std::size_t start = line.find_first_not_of(' ');
  if (start == 0 || start == std::string::npos || line[start] != '-') return false;
  const std::size_t dashes = line.find("--", start);
  // "-x,--name" at most before it
  if (dashes == std::string::npos || dashes > start + 3) return false;
  const std::size_t end = line.find(' ', dashes);
  name = line.substr(dashes, end - dashes);
  rest = end == std::string::npos ? "" : line.substr(end);
  return true;
}

}  // namespace

ProgramHelp parse_help(const std::string& text) {
  ProgramHelp help;
  std::istringstream lines(text);
  std::string name;
  std::string rest;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Example:")) break;
    if (!split_option(line, name, rest)) continue;
    OptionHelp option;
    // One space: what the option takes. More: its description.
    if (rest.size() > 1 && rest[1] != ' ') {
      option.takes_value = true;
      const std::string described = rest.substr(0, rest.find("  ", 1));
      option.required = described.find(" REQUIRED") != std::string::npos;
      const std::string type = described.substr(1, described.find(' ', 1) - 1);
      if (const std::size_t equals = type.find('='); equals != std::string::npos)
        option.default_value = type.substr(equals + 1);
    }
    help[name] = option;
  }
  return help;
}

std::string output_of(const fs::path& program, const std::vector<std::string>& arguments) {
  const auto memory_file = [] {
    const int file = ::memfd_create("output", MFD_CLOEXEC);
    check(file >= 0, "no memory for a program's output: {}", std::strerror(errno));
    return file;
  };
  const Descriptor out(memory_file());
  const Descriptor err(memory_file());
  const auto path_of = [](const Descriptor& file) {
    return fmt::format("/proc/self/fd/{}", file.get());
  };
  const int code = run_child(program, arguments,
                             {.standard_output = path_of(out), .standard_error = path_of(err)});
  const auto text_of = [&](const Descriptor& file) {
    std::ifstream stream(path_of(file), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  check(code == 0, "{}: ended with {}: {}", program.string(), code, text_of(err));
  return text_of(out);
}

ProgramHelp help_of(const fs::path& program) { return parse_help(output_of(program, {"--help"})); }

fs::path program_file(const std::string& name) {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-';
  });
  const fs::path file = folder / ("concord-" + name);
  std::error_code error;
  if (plain && name != "reproduce" && fs::is_regular_file(file, error) &&
      ::access(file.c_str(), X_OK) == 0)
    return file;
  std::vector<std::string> known;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string found = entry.path().filename().string();
    if (found.starts_with("concord-") && found != "concord-reproduce")
      known.push_back(found.substr(8));
  }
  std::sort(known.begin(), known.end());
  fail("\"{}\" is no program: there is no concord-{} in {}; there are {}", name, name,
       folder.string(), nearest_names(name, known, known.size()));
}

}  // namespace concord::reproduce
