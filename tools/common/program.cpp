#include "tools/common/program.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#include "engine/text.h"
#include "tools/common/interrupt.h"
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

// A result that never reached its reader is a failure: a full disk behind "> table.txt".
void flush_output() {
  const bool good = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  const int cause = errno;
  check(good, "standard output could not be written: {}", std::strerror(cause));
}

}  // namespace

CommandLine::CommandLine(ProgramText text) : text_(std::move(text)), app_(text_.summary) {
  app_.name(text_.name);
  app_.set_version_flag("--version", text_.name + " " CONCORD_VERSION, "print the version");
  app_.get_formatter()->column_width(34);
  app_.get_formatter()->label("TEXT:{", "{");
  std::string footer;
  if (!text_.footnote.empty()) footer += text_.footnote + "\n\n";
  if (!text_.example.empty()) footer += "Example:\n" + text_.example + "\n\n";
  footer +=
      "Exit codes: 0 done, 1 failed (the message says why), 2 wrong usage, 130 interrupted\n"
      "(the first Ctrl-C stops at the next good place, the second at once).";
  app_.footer(footer);
}

CLI::Option* CommandLine::flag(const std::string& name, bool& value, const std::string& help) {
  CLI::Option* option = app_.add_flag(name, value, help);
  remember(name, [&value] { return nlohmann::ordered_json(value); });
  return option;
}

void CommandLine::remember(const std::string& flag, std::function<nlohmann::ordered_json()> value) {
  values_.emplace_back(bare(flag), std::move(value));
}

void CommandLine::parse(int argc, char** argv) {
  command_ = text_.name;
  for (int i = 1; i < argc; ++i) command_ += " " + quoted(argv[i]);
  app_.parse(argc, argv);
}

void CommandLine::refuse(const std::vector<std::string>& flags, const std::string& why) const {
  for (const std::string& flag : flags) check_usage(!given(flag), "{} {}", flag, why);
}

nlohmann::ordered_json CommandLine::values() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values_) json[name] = value();
  return json;
}

// CLI11 reads "-1" as the largest number there is.
CLI::Validator CommandLine::not_negative() {
  return CLI::Validator(
      [](std::string& text) {
        return text.starts_with('-') ? text + " is negative" : std::string();
      },
      "", "not negative");
}

CLI::Validator in_range(double low, double high) {
  const std::string range = fmt::format("{} to {}", plain_number(low), plain_number(high));
  return CLI::Validator(
      [=](std::string& text) {
        const double value = number_of(text);
        return value >= low && value <= high
                   ? std::string()
                   : fmt::format("{} is not a number from {}", text, range);
      },
      "", "range");
}

CLI::Validator above(double low) {
  return CLI::Validator(
      [=](std::string& text) {
        const double value = number_of(text);
        return value > low && std::isfinite(value)
                   ? std::string()
                   : fmt::format("{} is not a finite number above {}", text, plain_number(low));
      },
      "", "above");
}

CLI::Validator one_of(std::vector<std::string> words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return CLI::Validator(
      [=](std::string& text) {
        return std::find(words.begin(), words.end(), text) != words.end()
                   ? std::string()
                   : fmt::format("{} is none of: {}", text, list);
      },
      "", "word");
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

}  // namespace

namespace {

// "--epoch is no option of concord-train; near it are --epochs"
std::string unknown_option(const CommandLine& line) {
  std::vector<std::string> known;
  for (const CLI::Option* option : line.app().get_options())
    if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
  for (const std::string& word : line.app().remaining())
    if (word.starts_with("-"))
      return fmt::format("{} is no option of {}; near it are {}", word, line.text().name,
                         nearest_names(word, known));
  return fmt::format("{} is too much on the command line", line.app().remaining().front());
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
    body();
    flush_output();
    return kDone;
  } catch (const CLI::CallForHelp&) {
    std::fputs(line.app().help().c_str(), stdout);
    return kDone;
  } catch (const CLI::CallForVersion&) {
    std::fputs((line.text().name + " " CONCORD_VERSION "\n").c_str(), stdout);
    return kDone;
  } catch (const CLI::ParseError& error) {
    // A misspelt option is the likelier cause of one that is missing.
    return wrong_usage(line, line.app().remaining().empty() ? error.what() : unknown_option(line));
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
