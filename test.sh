#!/usr/bin/env bash
# Installs what is missing, builds everything with warnings as errors, checks the formatting, gives
# every fuzzer some seconds and runs every test. Ends with ctest's summary. Extra arguments go to
# ctest.
set -euo pipefail
cd "$(dirname "$0")"
. cmake/bootstrap.sh
install_packages "${concord_build_packages[@]}" "${concord_test_packages[@]}" "${concord_fuzz_packages[@]}"
install_packages "${concord_browser_packages[@]}" ||
  echo "warning: no Chromium; the tests of the report's page in a browser will be skipped" >&2

sources=$(find analysis engine kernels models data tools tests -name '*.h' -o -name '*.cpp' -o -name '*.cu')
echo "$sources" | xargs clang-format --dry-run --Werror

configure --preset release -DCONCORD_TESTS=ON
cmake --build build
# Spinning at barriers makes small parallel work many times slower where cores are shared.
export OMP_WAIT_POLICY=passive
# Without a GPU they are skipped: ctest names them at its end, here is their count.
echo "The device suite on a GPU: $(build/bin/device_tests --gtest_filter='*/cuda' |
  sed -n 's/^\[  PASSED  \] \([0-9]*\) .*/\1 passed/p; s/^\[  SKIPPED \] \([0-9]*\) tests.*/\1 skipped/p' |
  paste -sd ',' | sed 's/,/, /')"
configure --preset fuzz
cmake --build build-fuzz
ctest --test-dir build-fuzz --output-on-failure -j2
ctest --test-dir build --output-on-failure -j2 "$@"
