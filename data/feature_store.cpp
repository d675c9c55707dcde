#include "data/feature_store.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "data/files.h"
#include "data/row_file.h"
#include "engine/replaced_file.h"
#include "engine/safetensors_header.h"
#include "kernels/parallel.h"

namespace concord {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kIndex = "index.json";
constexpr const char* kFormat = "concord-features";
constexpr std::int64_t kVersion = 1;

std::string shard_name(std::size_t index) { return fmt::format("shard-{:05}.safetensors", index); }

// [n,C,H,W] -> [C,H,W]
Shape sample_shape(const Shape& shape) { return {shape[1], shape[2], shape[3]}; }

}  // namespace

// --- writing ---

struct FeatureStoreWriter::State {
  fs::path directory;
  FeatureStoreInfo info;
  std::size_t shard_bytes = 0;
  bool made_directory = false;
  bool finished = false;

  Shape sample;  // [C,H,W], from the first batch on
  StoredDType dtype = StoredDType::kFloat32;
  std::int64_t rows_per_shard = 0;
  // The shard that is being filled, features as they are stored.
  std::vector<std::byte> features;
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> top1;
  std::vector<std::uint8_t> top3;
  std::vector<std::int64_t> shard_rows;  // of the shards written
  std::vector<std::string> names;        // of all rows

  // False when a value is too large for the stored dtype.
  bool append_row(const float* values, std::int64_t count);
  void flush();
  void clean_up() noexcept;
};

bool FeatureStoreWriter::State::append_row(const float* values, std::int64_t count) {
  const auto number = static_cast<std::size_t>(count);
  const std::size_t begin = features.size();
  features.resize(begin + number * size_of(dtype));
  std::byte* to = features.data() + begin;
  if (dtype == StoredDType::kFloat32) {
    std::memcpy(to, values, number * sizeof(float));
    return true;
  }
  // The rows of a shard are all of one even size, so that they are aligned.
  auto* halves = reinterpret_cast<std::uint16_t*>(to);
  return dtype == StoredDType::kBFloat16 ? narrow_to_bfloat16(values, number, halves)
                                         : narrow_to_float16(values, number, halves);
}

void FeatureStoreWriter::State::flush() {
  const std::int64_t rows = static_cast<std::int64_t>(labels.size());
  if (rows == 0) return;
  SafetensorsHeader header;
  std::vector<std::span<const std::byte>> pieces;
  std::uint64_t offset = 0;
  const auto add = [&](const char* name, const char* type, const Shape& shape, const auto& values) {
    pieces.push_back(std::as_bytes(std::span(values)));
    const std::uint64_t begin = offset;
    offset += pieces.back().size();
    header.entries.push_back(
        {.name = name, .dtype = type, .shape = shape, .begin = begin, .end = offset});
  };
  add("features", safetensors_name(dtype), {rows, sample[0], sample[1], sample[2]}, features);
  add("label", "I64", {rows}, labels);
  add("top1", "U8", {rows}, top1);
  add("top3", "U8", {rows}, top3);
  const std::string text = write_safetensors_header(header);
  const std::uint64_t text_bytes = text.size();
  // Counted before it is written, so that clean_up() removes it whatever happens.
  shard_rows.push_back(rows);
  ReplacedFile file(directory / shard_name(shard_rows.size() - 1), 8 + text_bytes + offset);
  file.write(&text_bytes, 8);
  file.write(text);
  for (const auto& piece : pieces) file.write(piece.data(), piece.size());
  file.commit();
  features.clear();
  labels.clear();
  top1.clear();
  top3.clear();
}

void FeatureStoreWriter::State::clean_up() noexcept {
  std::error_code ignored;  // a destructor has nobody to tell
  for (std::size_t i = 0; i < shard_rows.size(); ++i)
    fs::remove(directory / shard_name(i), ignored);
  if (made_directory) fs::remove(directory, ignored);
}

FeatureStoreWriter::FeatureStoreWriter(fs::path directory, FeatureStoreInfo info,
                                       std::size_t shard_bytes, StoredDType dtype)
    : state_(std::make_unique<State>()) {
  check(shard_bytes > 0, "feature store: shards of 0 bytes");
  check(dtype != StoredDType::kFloat64, "feature store: float64 is not written");
  state_->dtype = dtype;
  state_->directory = std::move(directory);
  state_->info = std::move(info);
  state_->shard_bytes = shard_bytes;
  const fs::path& target = state_->directory;
  std::error_code error;
  state_->made_directory = fs::create_directories(target, error);
  check(!error && fs::is_directory(target, error), "{}: cannot be made a folder: {}",
        target.string(), error ? error.message() : "a file of this name exists");
  for (const std::string& name : {std::string(kIndex), shard_name(0)})
    check(!fs::exists(target / name, error),
          "{}: holds a feature store already ({}); remove it or name another folder",
          target.string(), name);
}

FeatureStoreWriter::~FeatureStoreWriter() {
  if (!state_->finished) state_->clean_up();
}

void FeatureStoreWriter::append(const Tensor& features, const Tensor& labels,
                                const std::vector<std::uint8_t>& top1,
                                const std::vector<std::uint8_t>& top3,
                                const std::vector<std::string>& names) {
  State& state = *state_;
  const std::string folder = state.directory.string();
  check(!state.finished, "{}: the feature store is finished", folder);
  check(features.shape().rank() == 4 && features.numel() > 0,
        "{}: features [n,C,H,W] expected, got {}", folder, features.shape().to_string());
  const std::int64_t rows = features.dim(0);
  const std::size_t count = static_cast<std::size_t>(rows);
  check(labels.dtype() == DType::kInt64 && labels.shape() == Shape({rows}) &&
            top1.size() == count && top3.size() == count && names.size() == count,
        "{}: {} rows of features come with labels {} {}, {} top-1 and {} top-3 flags and {} names",
        folder, rows, name_of(labels.dtype()), labels.shape().to_string(), top1.size(), top3.size(),
        names.size());
  const Shape sample = sample_shape(features.shape());
  if (state.rows_per_shard == 0) {
    state.sample = sample;
    const std::size_t row_bytes = static_cast<std::size_t>(sample.numel()) * size_of(state.dtype);
    state.rows_per_shard =
        static_cast<std::int64_t>(std::max<std::size_t>(1, state.shard_bytes / row_bytes));
    // Growing would hold two copies while it moves.
    state.features.reserve(static_cast<std::size_t>(state.rows_per_shard) * row_bytes);
  }
  check(sample == state.sample, "{}: features of {} follow features of {} a sample", folder,
        sample.to_string(), state.sample.to_string());

  const Tensor plain = features.in_format(MemoryFormat::kPlain).to(DType::kFloat32);
  const float* values = plain.data<float>();
  const std::int64_t* label = labels.data<std::int64_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::size_t i = static_cast<std::size_t>(row);
    check(state.append_row(values + row * sample.numel(), sample.numel()),
          "{}: a feature of {} is too large for {}; store the features as fp32 or bf16", folder,
          names[i], state.dtype == StoredDType::kFloat16 ? "fp16" : "bf16");
    state.labels.push_back(label[row]);
    state.top1.push_back(top1[i]);
    state.top3.push_back(top3[i]);
    state.names.push_back(names[i]);
    if (static_cast<std::int64_t>(state.labels.size()) == state.rows_per_shard) state.flush();
  }
}

void FeatureStoreWriter::finish() {
  State& state = *state_;
  check(!state.finished, "{}: the feature store is finished", state.directory.string());
  state.flush();
  check(!state.shard_rows.empty(), "{}: no features were given to the store",
        state.directory.string());
  json shards = json::array();
  for (std::size_t i = 0; i < state.shard_rows.size(); ++i)
    shards.push_back({{"file", shard_name(i)}, {"rows", state.shard_rows[i]}});
  const json index = {
      {"format", kFormat},
      {"version", kVersion},
      {"arch", state.info.arch},
      {"layer", state.info.layer},
      {"dataset", state.info.dataset},
      {"split", state.info.split},
      {"weights", state.info.weights},
      {"image_size", state.info.image_size},
      {"count", std::accumulate(state.shard_rows.begin(), state.shard_rows.end(), std::int64_t{0})},
      {"shape",
       std::vector<std::int64_t>(state.sample.sizes().begin(), state.sample.sizes().end())},
      {"shards", shards},
      {"names", state.names}};
  // File names need not be UTF-8; what is not is shown as U+FFFD.
  write_file(state.directory / kIndex,
             index.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  state.finished = true;
}

// --- reading ---

struct FeatureStore::State {
  FeatureStoreInfo info;
  Shape shape;                       // [N,C,H,W]
  std::vector<RowFile> shards;       // [n,C,H,W]
  std::vector<Tensor> mapped;        // of each; undefined unless stored as float32
  std::vector<std::int64_t> starts;  // the first row of each shard, and N
  bool has_labels = false;
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> top1;
  std::vector<std::uint8_t> top3;
  std::vector<std::string> names;

  void open_file(const fs::path& path);
  void open_store(const fs::path& directory);
  void add_shard(const fs::path& path, std::int64_t rows);
  // The shard that holds `row`.
  std::size_t shard_of(std::int64_t row) const {
    return static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), row) -
                                    starts.begin() - 1);
  }
  void add_features(const fs::path& path);
  // Calls visit(shard, first row in the shard, rows, position in `rows` of the first) for runs of
  // rows that lie one behind the other, by shard and place; in a run the positions follow too.
  template <class Visit>
  void for_each_run(std::span<const std::int64_t> rows, const Visit& visit) const;
};

template <class Visit>
void FeatureStore::State::for_each_run(std::span<const std::int64_t> rows,
                                       const Visit& visit) const {
  for (const std::int64_t row : rows)
    check(0 <= row && row < shape[0], "feature store: row {} of {}", row, shape[0]);
  std::vector<std::size_t> by_place(rows.size());
  std::iota(by_place.begin(), by_place.end(), std::size_t{0});
  std::stable_sort(by_place.begin(), by_place.end(),
                   [&](std::size_t l, std::size_t r) { return rows[l] < rows[r]; });
  for (std::size_t i = 0; i < by_place.size();) {
    const std::size_t position = by_place[i];
    const std::int64_t row = rows[position];
    const std::size_t shard = shard_of(row);
    std::size_t count = 1;
    while (i + count < by_place.size() && by_place[i + count] == position + count &&
           rows[position + count] == row + static_cast<std::int64_t>(count) &&
           rows[position + count] < starts[shard + 1])
      ++count;
    visit(shard, row - starts[shard], static_cast<std::int64_t>(count), position);
    i += count;
  }
}

namespace {

template <class T>
void append_column(const SafetensorsFile& file, const char* name, std::int64_t rows,
                   std::vector<T>& into) {
  const Tensor column = file.tensor(name);
  check(column.dtype() == kDTypeOf<T> && column.shape() == Shape({rows}),
        "{}: its tensor {} is {} {}, {} [{}] is expected", file.path().string(), name,
        column.shape().to_string(), name_of(column.dtype()), name_of(kDTypeOf<T>), rows);
  const T* values = column.data<T>();
  into.insert(into.end(), values, values + rows);
}

}  // namespace

void FeatureStore::State::add_features(const fs::path& path) {
  const RowFile& rows = shards.emplace_back(path, "features");
  check(rows.shape().rank() == 4 && rows.shape().numel() > 0,
        "{}: its tensor features is {}, floating [N,C,H,W] is expected", path.string(),
        rows.shape().to_string());
  // Of another dtype or not aligned it would be a copy of the whole.
  const bool shared =
      rows.dtype() == StoredDType::kFloat32 && rows.offset() % std::int64_t{sizeof(float)} == 0;
  mapped.push_back(shared ? SafetensorsFile(path).tensor("features") : Tensor());
}

void FeatureStore::State::open_file(const fs::path& path) {
  add_features(path);
  shape = shards[0].shape();
  starts = {0, shape[0]};
}

void FeatureStore::State::add_shard(const fs::path& path, std::int64_t rows) {
  add_features(path);
  const Shape& found = shards.back().shape();
  check(found == shape.with(0, rows),
        "{}: its features are {}, the index expects {}; extract them "
        "anew",
        path.string(), found.to_string(), shape.with(0, rows).to_string());
  const SafetensorsFile file(path);
  append_column(file, "label", rows, labels);
  append_column(file, "top1", rows, top1);
  append_column(file, "top3", rows, top3);
  starts.push_back(starts.back() + rows);
}

void FeatureStore::State::open_store(const fs::path& directory) {
  const fs::path index_path = directory / kIndex;
  std::error_code error;
  check(fs::exists(index_path, error),
        "{}: not a feature store: it has no {} (its extraction may not have finished)",
        directory.string(), kIndex);
  const std::vector<std::uint8_t> text = read_file(index_path);
  std::vector<std::string> files;
  std::vector<std::int64_t> rows;
  try {
    const json index = json::parse(text.begin(), text.end());
    check(index.at("format") == kFormat && index.at("version") == kVersion,
          "format {} version {} cannot be read, {} version {} is expected",
          index.at("format").dump(), index.at("version").dump(), kFormat, kVersion);
    index.at("arch").get_to(info.arch);
    index.at("layer").get_to(info.layer);
    index.at("dataset").get_to(info.dataset);
    index.at("split").get_to(info.split);
    index.at("weights").get_to(info.weights);
    index.at("image_size").get_to(info.image_size);
    index.at("names").get_to(names);
    const auto sample = index.at("shape").get<std::vector<std::int64_t>>();
    const auto count = index.at("count").get<std::int64_t>();
    check(sample.size() == 3, "its shape has {} axes, three are expected", sample.size());
    shape = Shape({count, sample[0], sample[1], sample[2]});
    for (const json& shard : index.at("shards")) {
      files.push_back(shard.at("file").get<std::string>());
      rows.push_back(shard.at("rows").get<std::int64_t>());
      check(fs::path(files.back()).filename() == files.back(),
            "its shard \"{}\" does not lie in the folder", files.back());
      check(rows.back() > 0 && rows.back() <= count, "its shard {} has {} rows of {}", files.back(),
            rows.back(), count);
    }
    check(static_cast<std::int64_t>(names.size()) == count, "it names {} images of {}",
          names.size(), count);
  } catch (const json::exception& bad) {
    fail("{}: malformed: {}", index_path.string(), std::string(bad.what()).substr(0, 300));
  } catch (const Error& bad) {
    fail("{}: {}", index_path.string(), bad.what());
  }
  starts = {0};
  has_labels = true;
  for (std::size_t i = 0; i < files.size(); ++i) add_shard(directory / files[i], rows[i]);
  check(starts.back() == shape[0] && shape.numel() > 0, "{}: its shards hold {} rows, it counts {}",
        index_path.string(), starts.back(), shape[0]);
}

FeatureStore::FeatureStore(const fs::path& path) {
  auto state = std::make_shared<State>();
  std::error_code error;
  if (fs::is_directory(path, error))
    state->open_store(path);
  else
    state->open_file(path);
  state_ = std::move(state);
}

std::int64_t FeatureStore::size() const { return state_->shape[0]; }
const Shape& FeatureStore::shape() const { return state_->shape; }
StoredDType FeatureStore::dtype() const { return state_->shards[0].dtype(); }
const FeatureStoreInfo& FeatureStore::info() const { return state_->info; }
bool FeatureStore::has_labels() const { return state_->has_labels; }
const std::vector<std::int64_t>& FeatureStore::labels() const { return state_->labels; }
const std::vector<std::uint8_t>& FeatureStore::top1() const { return state_->top1; }
const std::vector<std::uint8_t>& FeatureStore::top3() const { return state_->top3; }
const std::vector<std::string>& FeatureStore::names() const { return state_->names; }

Tensor FeatureStore::rows(std::int64_t begin, std::int64_t end) const {
  check(0 <= begin && begin <= end && end <= size(), "feature store: rows [{}, {}) of {}", begin,
        end, size());
  if (begin < end) {
    const std::size_t shard = state_->shard_of(begin);
    const Tensor& mapped = state_->mapped[shard];
    if (mapped.defined() && end <= state_->starts[shard + 1])
      return mapped.rows(begin - state_->starts[shard], end - state_->starts[shard]);
  }
  std::vector<std::int64_t> wanted(static_cast<std::size_t>(end - begin));
  std::iota(wanted.begin(), wanted.end(), begin);
  return gather(wanted);
}

Tensor FeatureStore::gather(const std::vector<std::int64_t>& rows) const {
  const std::int64_t count = static_cast<std::int64_t>(rows.size());
  const std::int64_t values = state_->shape.numel() / size();
  Tensor result = Tensor::empty(state_->shape.with(0, count));
  float* to = result.data<float>();
  parallel_for(count, std::max<std::int64_t>(1, (1 << 14) / values),
               [&](std::int64_t begin, std::int64_t end) {
                 const std::span part = std::span(rows).subspan(
                     static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
                 announce(part);
                 read(part, to + begin * values);
               });
  return result;
}

void FeatureStore::read(std::span<const std::int64_t> rows, float* to) const {
  const std::int64_t values = state_->shape.numel() / size();
  std::optional<OpenRowFile> file;
  std::size_t open = 0;
  state_->for_each_run(
      rows, [&](std::size_t shard, std::int64_t first, std::int64_t count, std::size_t position) {
        if (!file || shard != open) file.emplace(state_->shards[shard]);
        open = shard;
        file->read(first, count, to + static_cast<std::int64_t>(position) * values);
      });
}

void FeatureStore::announce(std::span<const std::int64_t> rows) const {
  std::optional<OpenRowFile> file;
  std::size_t open = 0;
  state_->for_each_run(rows,
                       [&](std::size_t shard, std::int64_t first, std::int64_t count, std::size_t) {
                         if (!file || shard != open) file.emplace(state_->shards[shard]);
                         open = shard;
                         file->announce(first, count);
                       });
}

}  // namespace concord
