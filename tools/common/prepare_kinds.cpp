#include "tools/common/prepare_kinds.h"

#include <memory>

#include "tools/common/interrupt.h"
#include "tools/common/terminal.h"

namespace concord::tool {

ProgressCallback report_progress(const std::string& what, const std::string& unit,
                                 std::int64_t each) {
  return [=, bar = std::shared_ptr<Progress>(), of = std::int64_t{-1}](std::int64_t done,
                                                                       std::int64_t total) mutable {
    stop_if_interrupted();
    // Another total is another piece of work.
    if (!bar || of != total) {
      of = total;
      bar.reset();  // before the next one draws
      bar = std::make_shared<Progress>(what, total / each, unit);
      bar->begin_at(done / each);
    }
    if (done < total)
      bar->update(done / each);
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
