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

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.h"

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

// The options of a program, each bound to a variable that holds its default. Keeps the variables,
// so that config.json states every option as resolved.
class CommandLine {
 public:
  explicit CommandLine(ProgramText text);

  // T is a number, std::string, or std::vector of these (comma-separated or repeated). `flag` is
  // "--name", or "name" for a positional argument. The help shows the variable's present value.
  template <class T>
  CLI::Option* option(const std::string& flag, T& value, const std::string& help) {
    CLI::Option* option = app_.add_option(flag, value, help);
    if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>)
      option->delimiter(',');
    if (!is_blank(value)) option->capture_default_str();
    if constexpr (std::is_unsigned_v<T>) option->check(not_negative());
    remember(flag, [&value] { return nlohmann::ordered_json(value); });
    return option;
  }
  template <class T, class... Validators>
  requires(sizeof...(Validators) > 0) CLI::Option* option(const std::string& flag, T& value,
                                                          const std::string& help,
                                                          Validators... validators) {
    CLI::Option* result = option(flag, value, help);
    (result->check(validators), ...);
    return result;
  }
  // Without an argument: `value` becomes true.
  CLI::Option* flag(const std::string& name, bool& value, const std::string& help);

  // Throws CLI::ParseError.
  void parse(int argc, char** argv);

  // Whether the option stood on the command line.
  bool given(const std::string& flag) const { return app_.get_option(flag)->count() > 0; }
  // Throws UsageError when one of these options, which have no effect with (or without) what `why`
  // says, stood on the command line: "--half does not apply to --evaluate".
  void refuse(const std::vector<std::string>& flags, const std::string& why) const;
  // Every option with its variable's present value, by name without dashes, in order.
  nlohmann::ordered_json values() const;
  // The command as given, quoted for a shell.
  const std::string& command() const { return command_; }
  const ProgramText& text() const { return text_; }
  CLI::App& app() { return app_; }
  const CLI::App& app() const { return app_; }

 private:
  static CLI::Validator not_negative();
  template <class T>
  static bool is_blank(const T& value) {
    if constexpr (requires { value.empty(); })
      return value.empty();
    else
      return false;
  }
  void remember(const std::string& flag, std::function<nlohmann::ordered_json()> value);

  ProgramText text_;
  CLI::App app_;
  std::string command_;
  std::vector<std::pair<std::string, std::function<nlohmann::ordered_json()>>> values_;
};

// Accepts numbers in [low, high]; NaN is outside every range.
CLI::Validator in_range(double low, double high);
// Accepts finite numbers above `low`.
CLI::Validator above(double low);
// Accepts one of the words.
CLI::Validator one_of(std::vector<std::string> words);

// Parses, runs `body`, and turns what happens into an exit code. Exceptions become "error: ..." on
// stderr. Signals are set up as interrupt.h says; writing past a file-size limit is an error like a
// full disk, not a signal.
int run_program(CommandLine& line, int argc, char** argv, const std::function<void()>& body);

}  // namespace concord::tool
