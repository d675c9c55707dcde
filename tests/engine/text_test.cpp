#include "engine/text.h"

#include <gtest/gtest.h>

namespace concord {
namespace {

TEST(NearestNames, SubstringsComeFirst) {
  EXPECT_EQ(nearest_names("bn2", {"abc", "layer1.bn2", "bn", "bn1"}, 2), "bn, layer1.bn2");
}

TEST(NearestNames, ThenTheSmallestEditDistance) {
  EXPECT_EQ(nearest_names("conv4_9", {"features.0", "conv4_1", "conv5_1", "FC6"}, 2),
            "conv4_1, conv5_1");
  EXPECT_EQ(nearest_names("fc6", {"FC7", "FC6"}, 1), "FC6");
}

TEST(NearestNames, AtMostTheNumberAsked) {
  EXPECT_EQ(nearest_names("x", {}), "");
  EXPECT_EQ(nearest_names("", {"a"}), "a");
  EXPECT_EQ(nearest_names("a", {"a", "b", "c"}, 0), "");
}

}  // namespace
}  // namespace concord
