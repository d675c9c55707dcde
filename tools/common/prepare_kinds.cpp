#include "tools/common/prepare_kinds.h"

#include <memory>

#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::tool {

ProgressCallback report_progress(Progress& bar) {
  return [&bar](std::int64_t done, std::int64_t) {
    stop_if_interrupted();
    bar.update(done);
  };
}

ProgressCallback report_bytes(const std::string& what) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  return [=, bar = std::shared_ptr<Progress>(), of = std::int64_t{-1}](std::int64_t done,
                                                                       std::int64_t total) mutable {
    stop_if_interrupted();
    // Another total is another file.
    if (!bar || of != total) {
      of = total;
      bar.reset();
      bar = std::make_shared<Progress>(what, total / kMiB, "MiB");
      bar->begin_at(done / kMiB);
    }
    if (done < total)
      bar->update(done / kMiB);
    else
      bar.reset();
  };
}

void print_counts(const std::vector<std::string>& classes, const std::vector<std::string>& splits,
                  const std::vector<std::vector<std::int64_t>>& images,
                  const std::vector<std::int64_t>& totals) {
  std::vector<std::string> header{"class"};
  header.insert(header.end(), splits.begin(), splits.end());
  Table table(header);
  for (std::size_t label = 0; label < classes.size(); ++label) {
    std::vector<std::string> row{classes[label]};
    for (const auto& counts : images) row.push_back(fmt::format("{}", counts[label]));
    table.row(std::move(row));
  }
  std::vector<std::string> last{"total"};
  for (const std::int64_t total : totals) last.push_back(fmt::format("{}", total));
  table.row(std::move(last));
  table.print();
}

}  // namespace concord::tool
