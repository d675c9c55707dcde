#pragma once
// What a program of Concord says of its options, to check a plan before anything is run.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace concord::reproduce {

struct OptionHelp {
  bool takes_value = false;
  bool required = false;
  std::string default_value;  // empty where the help states none
};

// By name with dashes, as PROGRAM --help lists them. Throws Error naming the program when it fails.
using ProgramHelp = std::map<std::string, OptionHelp>;
ProgramHelp help_of(const std::filesystem::path& program);

// The options in a text of help.
ProgramHelp parse_help(const std::string& text);

// The file of the program: concord-NAME beside the one that runs. Throws Error where there is none,
// naming those near it.
std::filesystem::path program_file(const std::string& name);

// What a program says on standard output. Throws Error when it exits with anything but 0.
std::string output_of(const std::filesystem::path& program,
                      const std::vector<std::string>& arguments);

}  // namespace concord::reproduce
