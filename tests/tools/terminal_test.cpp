// What a program shows on a terminal, by a pseudo-terminal of its own, and what reaches a pipe.

#include "tools/common/terminal.h"

#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "tests/tools/small_data.h"
#include "tools/common/progress.h"
#include "tools/reproduce/child_log.h"

namespace concord::test {
namespace {

using Words = std::vector<std::string>;

// What stands on a terminal after these bytes, as far as the programs need it: line feeds, carriage
// returns, and text that wraps at the last column. Colours are passed over.
class Screen {
 public:
  Screen(const std::string& bytes, std::size_t columns) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const char byte = bytes[at];
      if (byte == '\r') {
        column_ = 0;
      } else if (byte == '\n') {
        next_row();
      } else if (byte == '\x1b') {
        const std::size_t end = bytes.find_first_not_of("0123456789;", at + 2);
        EXPECT_TRUE(bytes[at + 1] == '[' && end != std::string::npos && bytes[end] == 'm')
            << "an escape code that is no colour";
        at = end;
      } else {
        if (column_ == columns) {
          ++wraps;
          column_ = 0;
          next_row();
        }
        std::string& row = rows.back();
        row.resize(std::max(row.size(), column_ + 1), ' ');
        row[column_++] = byte;
      }
    }
    for (std::string& row : rows) row.erase(row.find_last_not_of(' ') + 1);
  }

  bool has_row(const std::string& beginning) const {
    return std::any_of(rows.begin(), rows.end(),
                       [&](const std::string& row) { return row.starts_with(beginning); });
  }

  std::vector<std::string> rows = {""};
  int wraps = 0;

 private:
  void next_row() { rows.emplace_back(); }
  std::size_t column_ = 0;
};

struct TerminalRun {
  int code = -1;
  std::string bytes;
};

struct TerminalSettings {
  unsigned short columns = 80;
  bool no_color = false;
  std::string terminal = "xterm-256color";
  std::string press_after = {};  // Ctrl-C is pressed once this has been shown
};

// `body`, whose result is the exit code, in a process with all three of its streams on a terminal.
TerminalRun run_on_terminal(const std::function<int()>& body,
                            const TerminalSettings& settings = {}) {
  std::fflush(nullptr);  // else the process writes it again
  const winsize size{.ws_row = 24, .ws_col = settings.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  int master = -1;
  const pid_t child = ::forkpty(&master, nullptr, nullptr, &size);
  if (child == 0) {
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    ::setenv("TERM", settings.terminal.c_str(), 1);
    ::unsetenv("NO_COLOR");
    if (settings.no_color) ::setenv("NO_COLOR", "1", 1);
    const int code = body();
    std::fflush(nullptr);
    ::_exit(code);
  }
  TerminalRun run;
  bool pressed = settings.press_after.empty();
  char buffer[4096];
  // At its end the master reads an error, EIO.
  for (ssize_t count = 0; (count = ::read(master, buffer, sizeof buffer)) > 0;) {
    run.bytes.append(buffer, static_cast<std::size_t>(count));
    if (!pressed && run.bytes.find(settings.press_after) != std::string::npos)
      pressed = ::write(master, "\x03", 1) == 1;
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(master);
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return run;
}

TerminalRun run_on_terminal(const std::string& program, Words words,
                            const TerminalSettings& settings = {}) {
  const std::string path = std::string(CONCORD_BIN_DIR) + "/" + program;
  words.insert(words.begin(), path);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return run_on_terminal(
      [&] {
        ::execv(path.c_str(), argv.data());
        return 127;
      },
      settings);
}

class OnATerminal : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = write_features(folder_ / "a.safetensors", random_features({200, 32, 14, 14}, 1));
    b_ = write_features(folder_ / "b.safetensors", random_features({200, 32, 14, 14}, 2));
  }
  // Long enough for a live line.
  Words words(const Words& more = {}, const std::string& epochs = "8") const {
    Words all = {"--features-a", a_,     "--features-b", b_,
                 "--epochs",     epochs, "--batch-size", "4",
                 "--threads",    "1",    "--output-dir", (folder_ / "run").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static void expect_no_leftovers(const Screen& screen) {
    for (const std::string& row : screen.rows) {
      EXPECT_EQ(row.find(" left"), std::string::npos) << row;
      EXPECT_EQ(row.find("[="), std::string::npos) << row;
    }
  }

  TemporaryFolder folder_;
  std::string a_;
  std::string b_;
};

TEST_F(OnATerminal, OneLiveLineAndTheFinishedLinesStay) {
  const TerminalRun run = run_on_terminal("concord-transnet", words(), {.no_color = true});
  ASSERT_EQ(run.code, 0) << run.bytes;
  EXPECT_EQ(run.bytes.find('\x1b'), std::string::npos) << "under NO_COLOR";
  for (const char* part : {"step ", "loss ", "images/s", " left"})
    EXPECT_NE(run.bytes.find(part), std::string::npos) << part << " in " << run.bytes;
  const Screen screen(run.bytes, 80);
  EXPECT_EQ(screen.wraps, 0) << run.bytes;
  for (int epoch = 1; epoch <= 8; ++epoch)
    EXPECT_TRUE(screen.has_row(fmt::format("epoch {}/8  loss ", epoch))) << epoch;
  EXPECT_TRUE(screen.has_row("best epoch")) << run.bytes;
  expect_no_leftovers(screen);
}

TEST_F(OnATerminal, ANarrowOneIsFilledNotOverrun) {
  const TerminalRun run = run_on_terminal("concord-transnet", words(), {.columns = 40});
  ASSERT_EQ(run.code, 0) << run.bytes;
  const Screen screen(run.bytes, 40);
  EXPECT_NE(run.bytes.find(" left"), std::string::npos) << run.bytes;
  expect_no_leftovers(screen);
  for (const std::string& row : screen.rows)
    if (row.starts_with("epoch")) {
      EXPECT_LE(row.size(), 37U) << row;
    }
}

TEST_F(OnATerminal, CtrlCLeavesACleanScreen) {
  const TerminalRun run =
      run_on_terminal("concord-transnet", words({}, "1000000"), {.press_after = " left"});
  EXPECT_EQ(run.code, 130) << run.bytes;
  const Screen screen(run.bytes, 80);
  expect_no_leftovers(screen);
  EXPECT_TRUE(screen.has_row("interrupted in epoch")) << run.bytes;
  for (const std::string& row : screen.rows) EXPECT_EQ(row.find("^C"), std::string::npos) << row;
}

TEST_F(OnATerminal, QuietAndDumbOnesHaveNoLiveLine) {
  const TerminalRun quiet = run_on_terminal("concord-transnet", words({"--quiet"}));
  ASSERT_EQ(quiet.code, 0) << quiet.bytes;
  EXPECT_TRUE(quiet.bytes.starts_with("best epoch")) << quiet.bytes;
  const TerminalRun dumb =
      run_on_terminal("concord-transnet", words({"--force"}, "2"), {.terminal = "dumb"});
  ASSERT_EQ(dumb.code, 0) << dumb.bytes;
  EXPECT_EQ(dumb.bytes.find('\x1b'), std::string::npos);
  EXPECT_EQ(dumb.bytes.find(" left"), std::string::npos) << dumb.bytes;
  EXPECT_NE(dumb.bytes.find("epoch 2/2"), std::string::npos);
}

TEST_F(OnATerminal, ColoursAreForTerminalsThatWantThem) {
  const Words wrong = {"--features-a", a_,
                       "--features-b", "missing.safetensors",
                       "--output-dir", (folder_ / "run").string()};
  EXPECT_NE(run_on_terminal("concord-transnet", wrong).bytes.find("\x1b[31merror: \x1b[0m"),
            std::string::npos);
  const TerminalRun plain = run_on_terminal("concord-transnet", wrong, {.no_color = true});
  EXPECT_TRUE(plain.bytes.starts_with("error: ")) << plain.bytes;
  EXPECT_EQ(plain.bytes.find('\x1b'), std::string::npos);
  expect_failure(run_program("concord-transnet", wrong), 1, {"error: "});
}

// One after the other and within each other, each longer than the second after which it is told.
int be_busy() {
  const auto work = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1600)); };
  const TemporaryFolder folder;
  const fs::path log = folder / "step.log";
  {
    tool::Waiting waiting("reading");
    work();
    waiting.next("hashing");
    work();
    {
      tool::Progress progress("counting", 10, "files");
      work();
      progress.update(5);
      work();
      const tool::Waiting within("saving");
      work();
    }
    tool::write_note("a line");
  }
  reproduce::begin_log(log, "train", {"--data", "a folder"});
  {
    const reproduce::ChildLine line("[1/2] step", log);
    work();
    std::ofstream(log, std::ios::app) << "epoch 1\nepoch 2\n";
    work();
  }
  tool::write_result("the result\n");
  return 0;
}

TEST(Busy, SaysOnWhatAndHowLong) {
  const TerminalRun run = run_on_terminal(be_busy);
  ASSERT_EQ(run.code, 0) << run.bytes;
  // In this order.
  std::size_t at = 0;
  for (const std::string part : {"reading  1 s", "hashing  1 s", "counting  1 s",
                                 "counting [==", "counting [==", "saving  1 s", "\ra line\r\n",
                                 "[1/2] step  2 s  ", "s  epoch 2", "\rthe result\r\n"}) {
    at = run.bytes.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << " in " << run.bytes;
    at += part.size();
  }
  const Screen screen(run.bytes, 80);
  EXPECT_EQ(std::count(screen.rows.begin(), screen.rows.end(), "a line"), 1) << run.bytes;
  EXPECT_EQ(std::count(screen.rows.begin(), screen.rows.end(), "the result"), 1);
  for (const std::string& row : screen.rows)
    for (const char* live : {"reading", "hashing", "counting", "saving", "[1/2]"})
      EXPECT_EQ(row.find(live), std::string::npos) << row;
}

TEST_F(OnATerminal, APipeGetsPlainLines) {
  const ProgramResult run = run_program("concord-transnet", words());
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.err.find_first_of("\r\x1b"), std::string::npos) << run.err;
  EXPECT_EQ(run.out.find_first_of("\r\x1b"), std::string::npos) << run.out;
  std::size_t lines = 0;
  for (auto at = run.err.find("epoch "); at != std::string::npos;
       at = run.err.find("epoch ", at + 1))
    ++lines;
  EXPECT_EQ(lines, 8U) << run.err;
}

}  // namespace
}  // namespace concord::test
