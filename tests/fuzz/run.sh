#!/usr/bin/env bash
# Runs fuzzers that `cmake --preset fuzz && cmake --build build-fuzz` built, one after the other, and
# prints for each the inputs tried, the CPU time, the coverage and the findings. Exits with 1 where
# there is one.
#
#   tests/fuzz/run.sh [--build FOLDER] [--minutes N | --runs N] HARNESS...
#
# --minutes: of CPU time (user and system, 20 by default) for each, on top of what earlier runs found:
# their inputs stay in FOLDER/fuzz/HARNESS/corpus. --runs: that many inputs, from the seeds alone and
# the same ones each time, as the tests do it. Inputs that break the contract are kept and minimised in
# FOLDER/fuzz/HARNESS/findings; once mended they belong into tests/fuzz/corpus/HARNESS.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build-fuzz
minutes=20
runs=
harnesses=()
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift ;;
    --minutes) minutes=$2; shift ;;
    --runs) runs=$2; shift ;;
    -*) echo "error: $1 is no option of run.sh" >&2; exit 2 ;;
    *) harnesses+=("$1") ;;
  esac
  shift
done
if [ ${#harnesses[@]} -eq 0 ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
# A folder that a harness writes its inputs to belongs into memory.
[ -w /dev/shm ] && export TMPDIR=/dev/shm
export UBSAN_OPTIONS=print_stacktrace=1

# The last number behind a word in the logs of a harness.
last() { # WORD LOG...
  local word=$1
  shift
  sed -n "s/.*$word:* \([0-9][0-9]*\).*/\1/p" "$@" | tail -1
}

# user + system seconds of a command, added up in $seconds; its output goes to $log.
timed() {
  local TIMEFORMAT='%U %S' spent
  spent=$({ time "$@" >"$log" 2>&1 || true; } 2>&1)
  seconds=$(awk -v sum="$seconds" '{ print sum + $1 + $2 }' <<<"$spent")
}

# One that cannot even start would be started for ever, or pass without an input. libFuzzer states the
# number also where a finding ends it.
expect_started() {
  grep -q 'stat::number_of_executed_units: *[1-9]' "$log" || { cat "$log" >&2; exit 1; }
}

failed=0
for harness in "${harnesses[@]}"; do
  fuzzer=$build/bin/${harness}_fuzzer
  if [ ! -x "$fuzzer" ]; then
    echo "error: $fuzzer does not exist; build it with cmake --preset fuzz && cmake --build build-fuzz" >&2
    exit 2
  fi
  folder=$build/fuzz/$harness
  [ -n "$runs" ] && rm -rf "$folder/corpus"
  mkdir -p "$folder/corpus" "$folder/findings" "$folder/logs"
  rm -f "$folder"/logs/*
  options=(-max_len=16384 -timeout=25 -rss_limit_mb=1024 -malloc_limit_mb=512 -print_final_stats=1
    -artifact_prefix="$folder/findings/")
  [ -f "$root/tests/fuzz/$harness.dict" ] && options+=(-dict="$root/tests/fuzz/$harness.dict")
  seconds=0
  log=$folder/logs/1.log
  if [ -n "$runs" ]; then
    timed "$fuzzer" "${options[@]}" -seed=1 -runs="$runs" "$folder/corpus" "$folder/seeds"
    expect_started
  else
    # libFuzzer limits the time on the clock, which is no less than that of the CPU.
    for ((turn = 1; ; ++turn)); do
      left=$(awk -v all="$minutes" -v spent="$seconds" 'BEGIN { print int(all * 60 - spent + 0.999) }')
      [ "$left" -gt 0 ] || break
      log=$folder/logs/$turn.log
      timed "$fuzzer" "${options[@]}" -max_total_time=$((left < 300 ? left : 300)) \
        "$folder/corpus" "$folder/seeds"
      expect_started
    done
  fi
  findings=0
  for input in "$folder"/findings/{crash,leak,oom,timeout}-*; do
    [ -f "$input" ] || continue
    findings=$((findings + 1))
    [ -f "$folder/findings/small-$(basename "$input")" ] && continue
    case $(basename "$input") in
      crash-*)
        "$fuzzer" -minimize_crash=1 -max_total_time=60 -rss_limit_mb=1024 \
          -exact_artifact_path="$folder/findings/small-$(basename "$input")" "$input" >/dev/null 2>&1 || true
        ;;
    esac
  done
  inputs=$(sed -n 's/stat::number_of_executed_units: *//p' "$folder"/logs/*.log |
    awk '{ sum += $1 } END { print sum + 0 }')
  edges=$(sed -n 's/.*modules* *(\([0-9]*\) inline.*/\1/p' "$log" | tail -1)
  printf '%s: %s inputs, %.1f CPU minutes, coverage %s of %s edges, %s findings\n' "$harness" "$inputs" \
    "$(awk -v s="$seconds" 'BEGIN { print s / 60 }')" "$(last cov "$log")" "$edges" "$findings"
  if [ "$findings" -gt 0 ]; then
    failed=1
    echo "  see $folder/findings and $folder/logs" >&2
    [ -n "$runs" ] && tail -40 "$log" >&2
  fi
done
exit $failed
