#include "tools/common/kd_weight.h"

#include <gtest/gtest.h>

namespace concord::tool {
namespace {

TEST(KdWeight, IsReadFromOneNumberOrTwo) {
  EXPECT_EQ(kd_weight("0.5")->start, 0.5);
  EXPECT_EQ(kd_weight("0.5")->end, 0.5);
  EXPECT_FALSE(kd_weight("0.5")->varies());
  EXPECT_EQ(kd_weight("1e-2:4")->start, 0.01);
  EXPECT_EQ(kd_weight("1e-2:4")->end, 4);
  EXPECT_EQ(kd_weight("0")->start, 0) << "the truth alone";
  for (const char* text : {"", ":", "0.5:", ":0.5", "a", "-1", "0.5:-1", "0:0.5", "0.5:0", "nan",
                           "inf", "1:2:3", "0.5 1"})
    EXPECT_FALSE(kd_weight(text)) << text;
}

TEST(KdWeight, GrowsByAConstantFactor) {
  const KdWeight weight = {.start = 0.1, .end = 0.8};
  const double expected[] = {0.1, 0.2, 0.4, 0.8};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(weight.at(i, 4), expected[i], 1e-15);
  EXPECT_EQ(weight.at(0, 1), 0.1);
  EXPECT_EQ((KdWeight{.start = 0.3, .end = 0.3}.at(2, 7)), 0.3);
  EXPECT_EQ((KdWeight{.start = 0, .end = 0}.at(2, 7)), 0);

  // Five generations, of which the first has no teacher.
  for (int g = 1; g < 5; ++g) EXPECT_NEAR(weight.of_generation(g, 5), expected[g - 1], 1e-15);
  const KdWeight over_epochs = {.start = 0.1, .end = 0.8, .over_epochs = true};
  for (int g = 1; g < 5; ++g) EXPECT_EQ(over_epochs.of_generation(g, 5), 0.1);
}

}  // namespace
}  // namespace concord::tool
