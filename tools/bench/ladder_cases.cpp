// The rungs of the ladders, at maps that divide into packs and at maps that do not (7x7).

#include "kernels/ladder.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

// prepare(rung) gives what add_named wants, for each rung that the device has.
template <class Signature, class Prepare>
void add_rungs(CaseList& list, const kernels::Ladder<Signature>& ladder, const std::string& shape,
               Prepare prepare) {
  if (!ladder.available(list.device().type)) return;
  for (const kernels::Rung<Signature>& rung : ladder(list.device()))
    list.add_named(fmt::format("{}/{}", ladder.name(), rung.name), shape, rung.change,
                   [prepare, run = rung.run] { return prepare(run); });
}

void add_gated_stage(CaseList& list, const Shape& maps, MemoryFormat format) {
  add_rungs(list, kernels::gated_stage_ladder, text_of(maps, format),
            [setting = list.setting(), maps, format](auto* run) {
              const Tensor x = random_tensor(setting, maps, format);
              const Tensor h = random_tensor(setting, maps, format);
              const Tensor s = Tensor::full({maps[0], maps[1]}, 1.5, {.device = setting.device});
              const Tensor p = Tensor::full({1}, 0.5, {.device = setting.device});
              Tensor y = empty_like(x);
              const auto elements = static_cast<double>(x.numel());
              return Work{[run, x, h, s, p, y]() mutable {
                            run(x.view(), h.view(), s.view(), p.view(), y.view());
                          },
                          4 * elements, bytes_of({x, h, s, y})};
            });
}

// With y, or the statistics alone.
void add_batch_norm(CaseList& list, const Shape& maps, MemoryFormat format, bool wants_y) {
  add_rungs(
      list, kernels::batch_norm_ladder, text_of(maps, format) + (wants_y ? "" : "/statistics"),
      [setting = list.setting(), maps, format, wants_y](auto* run) {
        const Tensor x = random_tensor(setting, maps, format);
        const Tensor weight = random_tensor(setting, {maps[1]});
        const Tensor bias = random_tensor(setting, {maps[1]});
        Tensor mean = empty_tensor(setting, {maps[1]}, MemoryFormat::kPlain, DType::kFloat64);
        Tensor variance = empty_like(mean);
        Tensor y = empty_like(x);
        const auto elements = static_cast<double>(x.numel());
        // The first element of y waits for the last one of x, which is then read again.
        return Work{[run, x, weight, bias, mean, variance, y, wants_y]() mutable {
                      run(x.view(), weight.view(), bias.view(), 1e-5, mean.view(), variance.view(),
                          wants_y ? y.view() : kernels::View{});
                    },
                    (wants_y ? 6 : 4) * elements, bytes_of({x}) + (wants_y ? bytes_of({x, y}) : 0)};
      });
}

}  // namespace

void add_ladder_cases(CaseList& list) {
  for (const Shape& maps : {Shape{list.batch(), 512, 28, 28}, Shape{list.batch(), 512, 7, 7}})
    for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast})
      add_gated_stage(list, maps, format);
  for (const Shape& maps : {Shape{list.batch(), 64, 112, 112}, Shape{list.batch(), 512, 28, 28}})
    for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast})
      for (const bool wants_y : {true, false}) add_batch_norm(list, maps, format, wants_y);
}

}  // namespace concord::bench
