// Matlab's lists of names.

#include "data/mat_file.h"
#include "tests/fuzz/contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // In memory of its own, not the fuzzer's, which is larger than the input.
  const std::vector<std::uint8_t> bytes(data, data + size);
  const std::string name = "lists/train_list.mat";
  constexpr concord::MatLimits kLimits{.inflated_bytes = std::size_t{1} << 18};
  for (const char* variable : {"file_list", "one_text", "matrix"})
    concord::fuzz::read_or_refuse(name,
                                  [&] { concord::read_mat_texts(bytes, name, variable, kLimits); });
  return 0;
}
