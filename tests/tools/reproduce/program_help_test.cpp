#include "tools/reproduce/program_help.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"

namespace concord::reproduce {
namespace {

TEST(ProgramHelp, OptionsOfAText) {
  const ProgramHelp help = parse_help(R"(Trains a classifier --not an option.
Usage: concord-train [OPTIONS] kind

Positionals:
  kind TEXT REQUIRED              synthetic --with what

Options:
  -h,--help                       Print this help message and exit
  --data TEXT REQUIRED            folder, or --nothing
  --lr FLOAT=0.01                 learning rate
  --class-names TEXT ...          several
  --an-option-with-a-name-that-fills-the-column TEXT=logspace:2
                                  its help
  --strict                        an unreadable image ends the run

Example:
  --lr 5
)");
  ASSERT_EQ(help.size(), 6U);
  EXPECT_FALSE(help.at("--help").takes_value);
  EXPECT_TRUE(help.at("--data").takes_value);
  EXPECT_TRUE(help.at("--data").required);
  EXPECT_FALSE(help.at("--lr").required);
  EXPECT_EQ(help.at("--lr").default_value, "0.01");
  EXPECT_TRUE(help.at("--class-names").takes_value);
  EXPECT_EQ(help.at("--an-option-with-a-name-that-fills-the-column").default_value, "logspace:2");
  EXPECT_FALSE(help.at("--strict").takes_value);
}

TEST(ProgramHelp, ProgramsThatFailOrAreNotThere) {
  EXPECT_EQ(output_of("/bin/echo", {"two words"}), "two words\n");
  test::expect_error([] { output_of("/bin/false", {}); }, {"/bin/false", "ended with 1"});
  test::expect_error([] { output_of("/no/such/program", {}); },
                     {"/no/such/program", "cannot be started"});
  test::expect_error([] { program_file("../train"); }, {"\"../train\" is no program", "train"});
}

}  // namespace
}  // namespace concord::reproduce
