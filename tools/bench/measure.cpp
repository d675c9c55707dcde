#include "tools/bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <optional>

#include "kernels/device.h"
#include "kernels/memory.h"
#include "tools/bench/peak_memory.h"
#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::bench {
namespace {

class Runner {
 public:
  explicit Runner(const MeasureOptions& options) : options_(options) {}

  std::vector<Result> run(const std::vector<Case>& cases) {
    for (const Case& one : cases)
      benchmark::RegisterBenchmark(one.name.c_str(),
                                   [this, &one](benchmark::State& state) { measure(one, state); })
          ->UseManualTime()
          ->MinTime(options_.min_time)
          ->Repetitions(options_.repetitions);
    Collector collector(*this);
    benchmark::RunSpecifiedBenchmarks(&collector, ".");
    benchmark::ClearRegisteredBenchmarks();
    work_.reset();
    if (failure_) std::rethrow_exception(failure_);
    return std::move(results_);
  }

 private:
  // Receives each case's repetitions.
  class Collector final : public benchmark::BenchmarkReporter {
   public:
    explicit Collector(Runner& runner) : runner_(runner) {}
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override { runner_.collect(runs); }

   private:
    Runner& runner_;
  };

  // Google Benchmark calls this several times for one case, to find how often to run it: what was
  // prepared stays until the next case.
  void measure(const Case& one, benchmark::State& state) {
    try {
      if (!failure_) {
        tool::stop_if_interrupted();
        if (prepared_ != &one) {
          work_.reset();
          work_ = one.prepare();
          prepared_ = &one;
          work_->run();  // prepares plans and pages
        }
        reset_peak_of_step();
        for (auto unused : state) state.SetIterationTime(seconds_of_run(one.device));
        peak_ = one.device.type == DeviceType::kCpu
                    ? peak_resident_bytes()
                    : kernels::memory_statistics(one.device).peak_in_use;
        return;
      }
    } catch (const Error& error) {
      failure_ = std::make_exception_ptr(Error(fmt::format("{}: {}", one.name, error.what())));
    } catch (...) {
      failure_ = std::current_exception();
    }
    state.SkipWithError("failed");
  }

  double seconds_of_run(Device device) {
    if (device.type != DeviceType::kCpu) return kernels::seconds_of(device, work_->run);
    const auto start = std::chrono::steady_clock::now();
    work_->run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // Only steps' peaks are of interest, and giving the cache back costs fresh pages.
  void reset_peak_of_step() {
    if (work_->images > 0 && !peak_begun_) {
      reset_peak();
      work_->run();
    }
    peak_begun_ = work_->images > 0;
  }

  void collect(const std::vector<benchmark::BenchmarkReporter::Run>& runs) {
    if (failure_ || prepared_ == nullptr) return;
    Result result{.name = prepared_->name,
                  .used_by = prepared_->used_by,
                  .device = prepared_->device,
                  .seconds = {},
                  .flops = work_->flops,
                  .bytes = work_->bytes,
                  .images = work_->images,
                  .peak_bytes = peak_};
    for (const auto& run : runs) {
      if (run.run_type != benchmark::BenchmarkReporter::Run::RT_Iteration) continue;
      result.iterations = run.iterations;
      result.seconds.push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
    }
    peak_begun_ = false;
    if (result.seconds.empty()) return;
    tool::note("{}  {:.4g} ms", result.name, 1e3 * result.median());
    results_.push_back(std::move(result));
  }

  MeasureOptions options_;
  const Case* prepared_ = nullptr;
  std::optional<Work> work_;
  bool peak_begun_ = false;
  std::size_t peak_ = 0;
  std::exception_ptr failure_;
  std::vector<Result> results_;
};

}  // namespace

double Result::median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

std::vector<Result> measure(const std::vector<Case>& cases, const MeasureOptions& options) {
  return Runner(options).run(cases);
}

}  // namespace concord::bench
