#include "tools/reproduce/results.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "data/files.h"
#include "tools/common/terminal.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

Json parsed(const fs::path& file, const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  check(!json.is_discarded(), "{}: is no JSON", file.string());
  return json;
}

// The line that `where` chooses.
Json chosen_line(const fs::path& file, const std::string& text, const std::string& where) {
  const std::size_t space = where.find(' ');
  const std::string kind = where.substr(0, space);
  const std::string key = space == std::string::npos ? "" : where.substr(space + 1);
  const bool last = where.empty() || where == "last";
  check(last || ((kind == "highest" || kind == "lowest") && !key.empty()),
        "where: \"{}\" is none of: last, highest KEY, lowest KEY", where);
  std::istringstream lines(text);
  Json best;
  double best_value = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const Json object = parsed(file, line);
    if (last) {
      best = object;
      continue;
    }
    if (!object.is_object() || !object.contains(key) || !object[key].is_number()) continue;
    const double value = object[key].get<double>();
    if (best.is_null() || (kind == "highest" ? value > best_value : value < best_value)) {
      best = object;
      best_value = value;
    }
  }
  check(!best.is_null(), "{}: has no line{}", file.string(),
        key.empty() ? "" : " with a number \"" + key + "\"");
  return best;
}

std::string formatted(double value, const Column& column) {
  const double shown = value * column.scale;
  return (column.decimals ? fmt::format("{:.{}f}", shown, *column.decimals)
                          : fmt::format("{:.4g}", shown)) +
         column.unit;
}

std::string formatted(const Measured& measured, const Column& column) {
  const auto mean = measured.mean();
  if (!mean) return "-";
  const auto deviation = measured.deviation();
  if (!deviation) return formatted(*mean, column);
  Column bare = column;
  bare.unit = "";
  return formatted(*mean, bare) + " ± " + formatted(*deviation, bare) + column.unit;
}

// Whether any row has a value of both: where rows are either's, they share a column.
bool stands_beside(const ResultTable& table, std::size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const Row& row) {
    return row.cells[column].paper && row.cells[column].result;
  });
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

void add_statistics(Json& json, const Measured& measured) {
  json["n"] = measured.count();
  json["mean"] = or_null(measured.mean());
  json["deviation"] = or_null(measured.deviation());
}

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::string cell : rows[i]) {
      for (std::size_t at = cell.find('|'); at != std::string::npos; at = cell.find('|', at + 2))
        cell.insert(at, "\\");
      text += "| " + cell + " ";
    }
    text += "|\n";
    if (i > 0) continue;
    for (std::size_t column = 0; column < rows[i].size(); ++column)
      text += column == 0 ? "| --- " : "| ---: ";
    text += "|\n";
  }
  return text;
}

void print(const std::string& title, const std::vector<std::vector<std::string>>& rows) {
  tool::Table table(rows.front());
  for (std::size_t i = 1; i < rows.size(); ++i) table.row(rows[i]);
  tool::write_result(tool::without_controls(title) + "\n");
  table.print();
}

}  // namespace

double read_value(const fs::path& file, const std::string& where, const std::string& value) {
  const auto bytes = read_file(file);
  const std::string text(bytes.begin(), bytes.end());
  const bool lines = file.extension() == ".jsonl";
  check(lines || where.empty(), "{}: where is for .jsonl files", file.string());
  const Json json = lines ? chosen_line(file, text, where) : parsed(file, text);
  const Json* found = nullptr;
  try {
    found = &json.at(Json::json_pointer(value));
  } catch (const Json::exception&) {
    fail("{}: has no {}", file.string(), value);
  }
  check(found->is_number(), "{}: {} is {}, a number is expected", file.string(), value,
        found->dump().substr(0, 60));
  return found->get<double>();
}

std::size_t Measured::count() const {
  return static_cast<std::size_t>(
      std::count_if(values.begin(), values.end(), [](const auto& v) { return v.has_value(); }));
}

std::optional<double> Measured::mean() const {
  if (count() == 0) return {};
  double sum = 0;
  for (const auto& value : values) sum += value.value_or(0);
  return sum / static_cast<double>(count());
}

std::optional<double> Measured::deviation() const {
  if (count() < 2) return {};
  const double center = *mean();
  double squares = 0;
  for (const auto& value : values)
    if (value) squares += (*value - center) * (*value - center);
  return std::sqrt(squares / static_cast<double>(count() - 1));
}

std::vector<Measured> measure(
    const Suite& suite, const std::function<std::optional<fs::path>(const ResultSource&)>& file,
    std::vector<std::string>& problems) {
  std::vector<Measured> measured;
  for (const Result& result : suite.results) {
    Measured values;
    for (const ResultSource& source : result.sources) {
      values.values.emplace_back();
      try {
        if (const auto path = file(source))
          values.values.back() = read_value(*path, source.where, source.value);
      } catch (const Error& error) {
        problems.push_back("result " + result.name + ": " + error.what());
      }
    }
    measured.push_back(std::move(values));
  }
  return measured;
}

Json results_json(const Suite& suite, const std::vector<Measured>& measured) {
  Json json;
  json["results"] = Json::array();
  for (std::size_t i = 0; i < measured.size(); ++i) {
    Json result = {{"name", suite.results[i].name}};
    add_statistics(result, measured[i]);
    result["values"] = Json::array();
    for (std::size_t k = 0; k < measured[i].values.size(); ++k) {
      Json value = Json::object();
      const Json& repetition = suite.results[i].sources[k].repetition;
      if (!repetition.is_null()) value["repetition"] = repetition;
      value["value"] = or_null(measured[i].values[k]);
      result["values"].push_back(value);
    }
    json["results"].push_back(result);
  }
  json["tables"] = Json::array();
  for (const ResultTable& table : suite.tables) {
    Json columns = Json::array();
    for (const Column& column : table.columns)
      columns.push_back({{"title", column.title},
                         {"scale", column.scale},
                         {"decimals", column.decimals ? Json(*column.decimals) : Json()},
                         {"unit", column.unit}});
    Json rows = Json::array();
    for (const Row& row : table.rows) {
      Json cells = Json::array();
      for (const Cell& cell : row.cells) {
        Json shown = {{"paper", or_null(cell.paper)}};
        shown["result"] = cell.result ? Json(suite.results[*cell.result].name) : Json();
        if (cell.result) add_statistics(shown, measured[*cell.result]);
        cells.push_back(shown);
      }
      rows.push_back({{"title", row.title}, {"cells", cells}});
    }
    json["tables"].push_back(
        {{"title", table.title}, {"note", table.note}, {"columns", columns}, {"rows", rows}});
  }
  return json;
}

std::vector<std::vector<std::string>> rows_of(const ResultTable& table,
                                              const std::vector<Measured>& measured) {
  std::vector<std::vector<std::string>> rows(1, {""});
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (stands_beside(table, i)) rows.front().push_back(table.columns[i].title + ", paper");
    rows.front().push_back(table.columns[i].title);
  }
  for (const Row& row : table.rows) {
    std::vector<std::string> cells = {row.title};
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const Cell& cell = row.cells[i];
      const Column& column = table.columns[i];
      // The paper's values stand in the plan as the table shows them.
      const std::string paper =
          cell.paper ? fmt::format("{:g}", *cell.paper) + column.unit : std::string("-");
      if (stands_beside(table, i)) cells.push_back(paper);
      const bool ours = cell.result || stands_beside(table, i);
      cells.push_back(!ours         ? paper
                      : cell.result ? formatted(measured[*cell.result], column)
                                    : "-");
    }
    rows.push_back(std::move(cells));
  }
  return rows;
}

std::vector<std::vector<std::string>> rows_of(const Suite& suite,
                                              const std::vector<Measured>& measured) {
  std::vector<std::vector<std::string>> rows = {{"result", "n", "mean", "deviation"}};
  const auto text = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : std::string("-");
  };
  for (std::size_t i = 0; i < measured.size(); ++i)
    rows.push_back({suite.results[i].name, std::to_string(measured[i].count()),
                    text(measured[i].mean()), text(measured[i].deviation())});
  return rows;
}

void print_results(const Suite& suite, const std::vector<Measured>& measured) {
  for (std::size_t i = 0; i < suite.tables.size(); ++i) {
    print((i == 0 ? "" : "\n") + suite.tables[i].title, rows_of(suite.tables[i], measured));
    if (!suite.tables[i].note.empty())
      tool::write_result(tool::without_controls(suite.tables[i].note) + "\n");
  }
  if (suite.tables.empty() && !suite.results.empty()) print("Results", rows_of(suite, measured));
}

std::string markdown_of(const PlanFile& plan, const Suite& suite,
                        const std::vector<Measured>& measured) {
  std::string text = "# " + plan.name + "\n";
  if (!plan.description.empty()) text += "\n" + plan.description + "\n";
  for (const ResultTable& table : suite.tables) {
    text += "\n## " + table.title + "\n\n" + markdown_table(rows_of(table, measured));
    if (!table.note.empty()) text += "\n" + table.note + "\n";
  }
  if (!suite.results.empty())
    text += "\n## All results\n\n" + markdown_table(rows_of(suite, measured));
  return text;
}

}  // namespace concord::reproduce
