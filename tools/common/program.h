#pragma once
// What every program shares: the command line, exit codes, --help, --version, signals, and the one
// place where an exception becomes a message. A program is
//
//   int main(int argc, char** argv) {
//     Options options;
//     CommandLine line({.name = "concord-train", .summary = "...", .example = "..."});
//     line.option("--epochs", options.epochs, "passes over the training images", in_range(1, 1e6));
//     return run_program(line, argc, argv, [&] { train(options, line); });
//   }

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace CLI {
class Option;
}

namespace concord::tool {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,         // the run failed: "error: ..." on stderr says what to do
  kWrongUsage = 2,     // an unknown option, a bad value, options that exclude each other
  kInterrupted = 130,  // Ctrl-C or SIGTERM; what was done so far is kept where the program says so
};

// Options that are fine one by one but not together: exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Throws UsageError with the formatted message unless `condition` holds.
template <class... Args>
void check_usage(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

struct ProgramText {
  std::string name;      // "concord-train"
  std::string summary;   // one or two sentences
  std::string example;   // a command that works, and what to expect of it
  std::string footnote;  // further text of --help, may be empty
};

// What is wrong with a value of the command line, "2 is not a number from 0 to 1"; empty when
// nothing is.
using OptionCheck = std::function<std::string(const std::string&)>;

// An option of a CommandLine, for what is not said of every one.
class CommandOption {
 public:
  explicit CommandOption(CLI::Option* option) : option_(option) {}

  CommandOption& required();
  CommandOption& check(const OptionCheck& check);
  CommandOption& described(const std::string& help);
  // The help does not show the variable's value.
  CommandOption& without_default();
  // Of a list: no further value without the option's name before it.
  CommandOption& one_word();
  // Of a list: a value may hold commas.
  CommandOption& keeping_commas();

 private:
  CLI::Option* option_;
};

// The options of a program, each bound to a variable that holds its default. Keeps the variables,
// so that config.json states every option as resolved.
class CommandLine {
 public:
  explicit CommandLine(ProgramText text);
  ~CommandLine();

  // T is int, std::int64_t, std::uint64_t, double or std::string, or std::vector of std::int64_t,
  // double or std::string (comma-separated or repeated). `flag` is "--name", or "name" for a
  // positional argument. The help shows the variable's present value.
  template <class T>
  CommandOption option(const std::string& flag, T& value, const std::string& help);
  template <class T, class... Checks>
  requires(sizeof...(Checks) > 0) CommandOption
      option(const std::string& flag, T& value, const std::string& help, const Checks&... checks) {
    CommandOption result = option(flag, value, help);
    (result.check(checks), ...);
    return result;
  }
  // Without an argument: `value` becomes true.
  CommandOption flag(const std::string& name, bool& value, const std::string& help);
  // One that was added before.
  CommandOption at(const std::string& flag);
  // What is done when the command line was understood, before anything else.
  void when_parsed(std::function<void()> action);

  // What run_program does first; it turns what is thrown into an exit code.
  void parse(int argc, char** argv);
  std::string help() const;

  // Whether the option stood on the command line.
  bool given(const std::string& flag) const;
  // Throws UsageError when one of these options, which have no effect with (or without) what `why`
  // says, stood on the command line: "--half does not apply to --evaluate".
  void refuse(const std::vector<std::string>& flags, const std::string& why) const;
  // Every option with its variable's present value, by name without dashes, in order.
  nlohmann::ordered_json values() const;
  // "--epoch is no option of concord-train; near it are --epochs"; empty where every word was one.
  std::string unknown_option() const;
  // The command as given, quoted for a shell.
  const std::string& command() const;
  const ProgramText& text() const;

 private:
  struct Implementation;  // of CLI11, whose header takes longer to compile than most programs
  std::unique_ptr<Implementation> it_;
};

// The number that the whole text is; NaN where it is none.
double number_of(const std::string& text);

// Accepts numbers in [low, high]; NaN is outside every range.
OptionCheck in_range(double low, double high);
// Accepts finite numbers above `low`.
OptionCheck above(double low);
// Accepts one of the words.
OptionCheck one_of(std::vector<std::string> words);

// Parses, runs `body`, and turns what happens into an exit code. Exceptions become "error: ..." on
// stderr. Signals are set up as interrupt.h says; writing past a file-size limit is an error like a
// full disk, not a signal.
int run_program(CommandLine& line, int argc, char** argv, const std::function<void()>& body);

}  // namespace concord::tool
