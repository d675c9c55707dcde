#include "tools/common/program.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>
#include <system_error>

#include "engine/text.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/shell_word.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

std::string bare(const std::string& flag) {
  const std::size_t start = flag.find_first_not_of('-');
  return start == std::string::npos ? flag : flag.substr(start);
}

// A number as it is written for people: 1, 0.5, 1e-06.
std::string plain_number(double value) { return fmt::format("{:g}", value); }

// A result that never reached its reader is a failure: a full disk behind "> table.txt".
void flush_output() {
  const bool good = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  const int cause = errno;
  check(good, "standard output could not be written: {}", std::strerror(cause));
}

}  // namespace

CommandOption& CommandOption::required() {
  option_->required();
  return *this;
}

CommandOption& CommandOption::check(const OptionCheck& check) {
  option_->check(CLI::Validator([check](std::string& text) { return check(text); }, ""));
  return *this;
}

CommandOption& CommandOption::described(const std::string& help) {
  option_->description(help);
  return *this;
}

CommandOption& CommandOption::without_default() {
  option_->default_str("");
  return *this;
}

CommandOption& CommandOption::one_word() {
  option_->allow_extra_args(false);
  return *this;
}

CommandOption& CommandOption::keeping_commas() {
  option_->delimiter('\0');
  return *this;
}

struct CommandLine::Implementation {
  explicit Implementation(ProgramText said) : text(std::move(said)), app(text.summary) {}

  ProgramText text;
  CLI::App app;
  std::string command;
  std::vector<std::pair<std::string, std::function<nlohmann::ordered_json()>>> values;
};

CommandLine::CommandLine(ProgramText text)
    : it_(std::make_unique<Implementation>(std::move(text))) {
  CLI::App& app = it_->app;
  const ProgramText& said = it_->text;
  app.name(said.name);
  app.set_version_flag("--version", said.name + " " CONCORD_VERSION, "print the version");
  app.get_formatter()->column_width(34);
  app.get_formatter()->label("TEXT:{", "{");
  std::string footer;
  if (!said.footnote.empty()) footer += said.footnote + "\n\n";
  if (!said.example.empty()) footer += "Example:\n" + said.example + "\n\n";
  footer +=
      "Exit codes: 0 done, 1 failed (the message says why), 2 wrong usage, 130 interrupted\n"
      "(the first Ctrl-C stops at the next good place, the second at once).";
  app.footer(footer);
}

CommandLine::~CommandLine() = default;

template <class T>
CommandOption CommandLine::option(const std::string& flag, T& value, const std::string& help) {
  constexpr bool kList = requires { typename T::value_type; }
  &&!std::is_same_v<T, std::string>;
  CLI::Option* option = it_->app.add_option(flag, value, help);
  if constexpr (kList) option->delimiter(',');
  bool blank = false;
  if constexpr (requires { value.empty(); }) blank = value.empty();
  if (!blank) option->capture_default_str();
  it_->values.emplace_back(bare(flag), [&value] { return nlohmann::ordered_json(value); });
  CommandOption result(option);
  // CLI11 reads "-1" as the largest number there is.
  if constexpr (std::is_unsigned_v<T>)
    result.check([](const std::string& text) {
      return text.starts_with('-') ? text + " is negative" : std::string();
    });
  return result;
}

template CommandOption CommandLine::option(const std::string&, int&, const std::string&);
template CommandOption CommandLine::option(const std::string&, std::int64_t&, const std::string&);
template CommandOption CommandLine::option(const std::string&, std::uint64_t&, const std::string&);
template CommandOption CommandLine::option(const std::string&, double&, const std::string&);
template CommandOption CommandLine::option(const std::string&, std::string&, const std::string&);
template CommandOption CommandLine::option(const std::string&, std::vector<std::int64_t>&,
                                           const std::string&);
template CommandOption CommandLine::option(const std::string&, std::vector<double>&,
                                           const std::string&);
template CommandOption CommandLine::option(const std::string&, std::vector<std::string>&,
                                           const std::string&);

CommandOption CommandLine::flag(const std::string& name, bool& value, const std::string& help) {
  CLI::Option* option = it_->app.add_flag(name, value, help);
  it_->values.emplace_back(bare(name), [&value] { return nlohmann::ordered_json(value); });
  return CommandOption(option);
}

CommandOption CommandLine::at(const std::string& flag) {
  return CommandOption(it_->app.get_option(flag));
}

void CommandLine::when_parsed(std::function<void()> action) {
  it_->app.parse_complete_callback(std::move(action));
}

void CommandLine::parse(int argc, char** argv) {
  it_->command = it_->text.name;
  for (int i = 1; i < argc; ++i) it_->command += " " + quoted(argv[i]);
  it_->app.parse(argc, argv);
}

std::string CommandLine::help() const { return it_->app.help(); }

bool CommandLine::given(const std::string& flag) const {
  return it_->app.get_option(flag)->count() > 0;
}

void CommandLine::refuse(const std::vector<std::string>& flags, const std::string& why) const {
  for (const std::string& flag : flags) check_usage(!given(flag), "{} {}", flag, why);
}

nlohmann::ordered_json CommandLine::values() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : it_->values) json[name] = value();
  return json;
}

std::string CommandLine::unknown_option() const {
  const std::vector<std::string> words = it_->app.remaining();
  if (words.empty()) return "";
  std::vector<std::string> known;
  for (const CLI::Option* option : std::as_const(it_->app).get_options())
    if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
  for (const std::string& word : words)
    if (word.starts_with("-"))
      return fmt::format("{} is no option of {}; near it are {}", word, text().name,
                         nearest_names(word, known));
  return fmt::format("{} is too much on the command line", words.front());
}

const std::string& CommandLine::command() const { return it_->command; }

const ProgramText& CommandLine::text() const { return it_->text; }

double number_of(const std::string& text) {
  std::size_t used = 0;
  double value = std::nan("");
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    return std::nan("");
  }
  return used == text.size() ? value : std::nan("");
}

OptionCheck in_range(double low, double high) {
  const std::string range = fmt::format("{} to {}", plain_number(low), plain_number(high));
  return [=](const std::string& text) {
    const double value = number_of(text);
    return value >= low && value <= high ? std::string()
                                         : fmt::format("{} is not a number from {}", text, range);
  };
}

OptionCheck above(double low) {
  return [=](const std::string& text) {
    const double value = number_of(text);
    return value > low && std::isfinite(value)
               ? std::string()
               : fmt::format("{} is not a finite number above {}", text, plain_number(low));
  };
}

OptionCheck one_of(std::vector<std::string> words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return [=](const std::string& text) {
    return std::find(words.begin(), words.end(), text) != words.end()
               ? std::string()
               : fmt::format("{} is none of: {}", text, list);
  };
}

namespace {

// By default OpenMP's threads spin for milliseconds at every barrier. Where anything else runs on
// the cores (the loader's workers, another experiment) that makes a step many times slower: whoever
// is waited for does not get the core. A short spin costs an idle machine nothing measurable. The
// runtime reads this once, before main, so the program starts itself again with it set.
void shorten_thread_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "20000", 0) != 0) return;
  execv("/proc/self/exe", argv);
  // Only reached when that failed (no /proc): go on as we are.
}

int wrong_usage(const CommandLine& line, const std::string& message) {
  write_error(message);
  std::fprintf(stderr, "try %s --help\n", line.text().name.c_str());
  return kWrongUsage;
}

}  // namespace

int run_program(CommandLine& line, int argc, char** argv, const std::function<void()>& body) {
  shorten_thread_spinning(argv);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    line.parse(argc, argv);
    watch_interrupts();
    const Waiting waiting("working");
    body();
    flush_output();
    return kDone;
  } catch (const CLI::CallForHelp&) {
    std::fputs(line.help().c_str(), stdout);
    return kDone;
  } catch (const CLI::CallForVersion&) {
    std::fputs((line.text().name + " " CONCORD_VERSION "\n").c_str(), stdout);
    return kDone;
  } catch (const CLI::ParseError& error) {
    // A misspelt option is the likelier cause of one that is missing.
    const std::string unknown = line.unknown_option();
    return wrong_usage(line, unknown.empty() ? error.what() : unknown);
  } catch (const UsageError& error) {
    return wrong_usage(line, error.what());
  } catch (const Interrupted& stop) {
    write_live("");
    std::fprintf(stderr, "%s\n", stop.what());
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    write_error("out of memory; use a smaller --batch-size, --image-size or fewer --workers");
  } catch (const std::exception& error) {
    write_error(error.what());
  } catch (...) {
    write_error("an unknown failure");
  }
  return kFailed;
}

}  // namespace concord::tool
