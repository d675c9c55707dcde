#pragma once
// Functions of CUDA's libraries that answer what a test tells them, so that what follows a failure
// deep inside an operation can be seen without a GPU. scripted.cpp defines them in the program,
// which the linker prefers to the libraries'. What is not told anything goes to the library.

#include <string>

namespace concord::test {

// From now on the function of this name answers `status` and does nothing else. Functions that
// should have made something have made it of the host's memory (what each gives is said there).
void answer(const std::string& function, int status);
// Scripted success of a ranking of cuDNN's algorithms finds so many, which need no workspace.
void offer_algorithms(int count);
// CUDNN_PROPAGATE_NAN or CUDNN_NOT_PROPAGATE_NAN, of the last activation that a call was given.
int nan_option_of_activation();
// As before the first answer().
void forget_answers();
// Calls of the function since then.
int calls_of(const std::string& function);

}  // namespace concord::test
