#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/error.h"

namespace concord::test {

// Fails unless `action` throws an Error whose message holds every one of `parts`.
template <class Action>
void expect_error(Action action, const std::vector<std::string>& parts) {
  try {
    action();
    ADD_FAILURE() << "no error, expected one with \"" << parts.front() << "\"";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" not in: " << message;
  }
}

}  // namespace concord::test
