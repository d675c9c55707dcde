#include "engine/random.h"
#include "engine/staging.h"
#include "kernels/copy_rows.h"
#include "kernels/gather_rows.h"
#include "kernels/memory.h"
#include "kernels/transfer.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

constexpr std::size_t kLarge = std::size_t{64} << 20;

void add_allocation(CaseList& list) {
  const Device device = list.device();
  const auto cycle = [device](std::size_t bytes) {
    return Work{
        [device, bytes] { kernels::release(device, kernels::allocate(device, bytes), bytes); }};
  };
  // One says little without the other: both are measured as a pair, from the pool's cache.
  list.add(kernels::allocate, "64MiB/and-release", "every tensor",
           [cycle] { return cycle(kLarge); });
  list.add(kernels::release, "4KiB/and-allocate", "every tensor", [cycle] { return cycle(4096); });
  list.add(kernels::release_cache, "64MiB/after-release", "between networks", [device] {
    return Work{[device] {
      kernels::release(device, kernels::allocate(device, kLarge), kLarge);
      kernels::release_cache(device);
    }};
  });
  list.add(kernels::allocate_pinned, "64MiB/and-release", "batches that are read ahead", [device] {
    return Work{[device] {
      kernels::release_pinned(device, kernels::allocate_pinned(device, kLarge), kLarge);
    }};
  });
  list.add(kernels::release_pinned, "4KiB/and-allocate", "batches that are read ahead", [device] {
    return Work{[device] {
      kernels::release_pinned(device, kernels::allocate_pinned(device, 4096), 4096);
    }};
  });
  list.add(kernels::memory_statistics, "-", "reports",
           [device] { return Work{[device] { kernels::memory_statistics(device); }}; });
}

void add_copies(CaseList& list) {
  const Setting s = list.setting();
  const Shape maps = {s.batch_size, 512, 28, 28};
  const std::string text = maps.to_string();
  list.add(kernels::copy, text, "clone, checkpoints kept in memory", [s, maps] {
    Tensor from = random_tensor(s, maps);
    Tensor to = empty_like(from);
    return Work{[from, to]() mutable {
                  kernels::copy(from.device(), to.view().data, from.view().data, from.bytes());
                },
                0, bytes_of({from, to})};
  });
  list.add(kernels::copy_from_host, text, "batches brought to the device", [s, maps] {
    const Tensor from = random_tensor({Device{}, s.batch_size, s.seed}, maps);
    Tensor to = empty_tensor(s, maps);
    return Work{[from, to]() mutable {
                  kernels::copy_from_host(to.device(), to.view().data, from.view().data,
                                          from.bytes());
                },
                0, bytes_of({from, to})};
  });
  list.add(
      kernels::start_transfer, text + "/and-wait", "batches copied beside computing", [s, maps] {
        const Tensor from = random_tensor({Device{}, s.batch_size, s.seed}, maps);
        PinnedBuffers buffers(s.device);
        Tensor pinned = buffers.rows(maps, maps[0]);
        pinned.copy_from(from);
        Tensor to = empty_tensor(s, maps);
        return Work{[pinned, to]() mutable {
                      const kernels::CopyRun run{to.view().data, std::as_const(pinned).view().data,
                                                 pinned.bytes()};
                      kernels::start_transfer(to.device(), std::span(&run, 1))->wait_on_device();
                    },
                    0, bytes_of({pinned, to})};
      });
  list.add(kernels::copy_to_host, text, "features written to a store", [s, maps] {
    const Tensor from = random_tensor(s, maps);
    Tensor to = Tensor::empty(maps);
    return Work{[from, to]() mutable {
                  kernels::copy_to_host(from.device(), to.view().data, from.view().data,
                                        from.bytes());
                },
                0, bytes_of({from, to})};
  });
  list.add(kernels::zero, text, "optimiser state", [s, maps] {
    Tensor to = random_tensor(s, maps);
    return Work{[to]() mutable { kernels::zero(to.device(), to.view().data, to.bytes()); }, 0,
                bytes_of({to})};
  });
  list.add(kernels::fill, text, "constant tensors", [s, maps] {
    Tensor to = random_tensor(s, maps);
    return Work{[to]() mutable { kernels::fill(to.device(), 0.5, to.view()); }, 0, bytes_of({to})};
  });
  // Half of every sample's channels: what concat and slice along them do.
  list.add(kernels::copy_rows, text + "/half-the-channels", "concat, slice", [s, maps] {
    Tensor from = random_tensor(s, maps);
    Tensor to = empty_tensor(s, maps.with(1, maps[1] / 2));
    return Work{[from, to]() mutable {
                  const std::size_t rows = static_cast<std::size_t>(from.dim(0));
                  const std::size_t row = to.bytes() / rows;
                  kernels::copy_rows(from.device(), from.view().data, 2 * row, to.view().data, row,
                                     row, rows);
                },
                0, 2 * bytes_of({to})};
  });
}

void add_gathering(CaseList& list) {
  const Setting s = list.setting();
  const Shape maps = {64, 512, 28, 28};
  list.add(kernels::gather_rows, maps.to_string(), "a shuffled batch of features held in memory",
           [s, maps] {
             Tensor from = random_tensor(s, maps);
             Tensor to = empty_tensor(s, maps.with(0, 32));
             std::vector<std::int64_t> rows;
             for (std::int64_t i = 0; i < 32; ++i) rows.push_back(i * 37 % 64);
             return Work{[from, to, rows]() mutable {
                           kernels::gather_rows(from.device(), std::as_const(from).view(), rows,
                                                to.view());
                         },
                         0, 2 * bytes_of({to})};
           });
}

void add_conversions(CaseList& list) {
  const Setting s = list.setting();
  const auto add = [&](const Shape& maps, MemoryFormat from_format, MemoryFormat to_format,
                       DType to_type, const char* used_by) {
    const std::string text =
        fmt::format("{}/{}-to-{}{}", maps.to_string(), name_of(from_format), name_of(to_format),
                    to_type == DType::kFloat64 ? "-float64" : "");
    list.add(kernels::convert, text, used_by, [=] {
      Tensor from = random_tensor(s, maps, from_format);
      Tensor to = empty_tensor(s, maps, to_format, to_type);
      return Work{[from, to]() mutable { kernels::convert(from.device(), from.view(), to.view()); },
                  0, bytes_of({from, to})};
    });
  };
  const Shape features = {s.batch_size, 512, 28, 28};
  const Shape flattened = {s.batch_size, 512, 7, 7};
  const MemoryFormat blocked = network_format(s, features);
  constexpr MemoryFormat kPlain = MemoryFormat::kPlain;
  constexpr MemoryFormat kLast = MemoryFormat::kChannelsLast;
  add(features, kPlain, blocked, DType::kFloat32, "features into a Trans-Net");
  add(features, blocked, kPlain, DType::kFloat32, "features into a store");
  add(flattened, blocked, kPlain, DType::kFloat32, "vgg: maps into FC6");
  add(features, kPlain, kLast, DType::kFloat32, "no network here");
  add(features, kLast, kPlain, DType::kFloat32, "no network here");
  add(features, kPlain, kPlain, DType::kFloat64, "statistics in float64");
}

// Not a kernel: the engine draws initial parameters and knows only the CPU.
void add_random_numbers(CaseList& list) {
  if (list.device().type != DeviceType::kCpu) return;
  struct Name {
    const char* text;
    const char* name() const { return text; }
  };
  const Shape weight = {512, 512, 3, 3};
  const auto add = [&](const char* name, void (*fill)(Tensor&, random::Generator&)) {
    list.add(Name{name}, weight.to_string(), "initial parameters",
             [s = list.setting(), weight, fill] {
               Tensor to = empty_tensor(s, weight);
               return Work{[to, fill, seed = s.seed]() mutable {
                             random::Generator generator(seed);
                             fill(to, generator);
                           },
                           0, bytes_of({to})};
             });
  };
  add("fill_normal",
      [](Tensor& to, random::Generator& generator) { random::fill_normal(to, generator, 0, 1); });
  add("fill_uniform",
      [](Tensor& to, random::Generator& generator) { random::fill_uniform(to, generator, 0, 1); });
}

}  // namespace

void add_memory_cases(CaseList& list) {
  add_allocation(list);
  add_copies(list);
  add_gathering(list);
  add_conversions(list);
  add_random_numbers(list);
}

}  // namespace concord::bench
