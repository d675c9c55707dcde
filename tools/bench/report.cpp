#include "tools/bench/report.h"

#include "kernels/device.h"
#include "tools/common/terminal.h"

namespace concord::bench {
namespace {

std::string number_or_dash(bool given, double value, const char* unit = "") {
  return given ? fmt::format("{:.4g}{}", value, unit) : "-";
}

std::string time_text(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.3g} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.4g} ms", seconds * 1e3);
  return fmt::format("{:.4g} s", seconds);
}

std::string share_text(bool given, double share) {
  return given ? fmt::format("{:.1f} %", 100 * share) : "-";
}

constexpr const char* kMeaning =
    "Times are medians of the repetitions. FLOP/s of convolutions are direct-equivalent: the\n"
    "operations of the direct convolution by the time taken, so that Winograd, which needs fewer,\n"
    "may exceed 100 % of the peak. Bytes are every operand once: what lies in a cache may exceed\n"
    "100 % of the copy bandwidth. The bytes of steps are those of files.\n";

std::string ceilings_text(Device device, const Ceilings& ceilings) {
  if (device.type != DeviceType::kCpu)
    return fmt::format(
        "\n{}: {}\nmatrix rate     {:.4g} GFLOP/s (8192 x 8192, in the chosen precision)\n"
        "copy bandwidth  {:.4g} GB/s read + written\n\n",
        name_of(device), kernels::describe_device(device, device.index), ceilings.fma_flops / 1e9,
        ceilings.copy_bytes / 1e9);
  std::string text = fmt::format("\nFMA peak        {:.4g} GFLOP/s (float32, all threads)\n",
                                 ceilings.fma_flops / 1e9);
  text += fmt::format(
      "copy bandwidth  {:.4g} GB/s read + written with ordinary stores (each written line is read\n"
      "                first, not counted)",
      ceilings.copy_bytes / 1e9);
  if (ceilings.copy_bytes_non_temporal > 0)
    text +=
        fmt::format(", {:.4g} GB/s with non-temporal ones", ceilings.copy_bytes_non_temporal / 1e9);
  return text + fmt::format("; shares are of {:.4g} GB/s\n\n", ceilings.memory_bytes() / 1e9);
}

}  // namespace

std::string table_of(Device device, const Ceilings& ceilings, const std::vector<Result>& results) {
  std::string text = kMeaning;
  text += ceilings_text(device, ceilings);
  tool::Table table(
      {"benchmark", "time", "GFLOP/s", "of peak", "GB/s", "of copy", "images/s", "peak MiB"});
  for (const Result& result : results) {
    const double seconds = result.median();
    const double flops = result.flops / seconds;
    const double bytes = result.bytes / seconds;
    table.row(
        {result.name, time_text(seconds), number_or_dash(result.flops > 0, flops / 1e9),
         share_text(result.flops > 0, flops / ceilings.fma_flops),
         number_or_dash(result.bytes > 0, bytes / 1e9),
         share_text(result.bytes > 0, bytes / ceilings.memory_bytes()),
         number_or_dash(result.images > 0, result.images / seconds),
         number_or_dash(result.images > 0, static_cast<double>(result.peak_bytes) / (1 << 20))});
  }
  return text + table.to_string();
}

nlohmann::ordered_json json_of(Device device, const Ceilings& ceilings,
                               const std::vector<Result>& results, int threads) {
  nlohmann::ordered_json json = {
      {"version", CONCORD_VERSION},
      {"device", name_of(device)},
      {"threads", threads},
      {"ceilings",
       {{"fma_flops_per_second", ceilings.fma_flops},
        {"copy_bytes_per_second", ceilings.copy_bytes},
        {"copy_bytes_per_second_non_temporal", ceilings.copy_bytes_non_temporal}}},
      {"benchmarks", nlohmann::ordered_json::array()}};
  for (const Result& result : results) {
    const double seconds = result.median();
    nlohmann::ordered_json object = {{"name", result.name},
                                     {"used_by", result.used_by},
                                     {"seconds", seconds},
                                     {"repetitions", result.seconds},
                                     {"iterations", result.iterations}};
    if (result.flops > 0) {
      object["flops_per_second"] = result.flops / seconds;
      object["share_of_fma_peak"] = result.flops / seconds / ceilings.fma_flops;
    }
    if (result.bytes > 0) {
      object["bytes_per_second"] = result.bytes / seconds;
      object["share_of_copy_bandwidth"] = result.bytes / seconds / ceilings.memory_bytes();
    }
    if (result.images > 0) {
      object["images_per_second"] = result.images / seconds;
      object["peak_bytes"] = result.peak_bytes;
    }
    json["benchmarks"].push_back(std::move(object));
  }
  return json;
}

}  // namespace concord::bench
