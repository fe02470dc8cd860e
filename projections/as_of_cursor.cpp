#include "projections/as_of_cursor.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace keelson::projections {

namespace {

constexpr std::int64_t kAllEvents = INT64_MAX;

/// Of an IN; with more, all rows are read once and SQLite looks each up in the list.
constexpr std::size_t kListMax = 10'000;

/// Whole numbers up to here are the same as REAL.
constexpr std::int64_t kExactRealMax = std::int64_t{1} << 53;

bool is_number(int type) { return type == SQLITE_INTEGER || type == SQLITE_FLOAT; }

/// Makes `value` what a comparison with a column makes of it, and tells whether SQL on a partition
/// then finds all rows for which SQLite may find the comparison true:
/// - A number column makes a number of a text that reads as one.
/// - TEXT against a number compares numbers if the number came from a numeric column, texts if it
///   came from a literal, and a value alone does not tell.
/// - REAL against a large integer is compared exactly, but looked up in an index after rounding.
/// - `x GLOB 'I*'` asks for a range of texts, and yet is true for an infinite REAL, whose text is
///   Inf. A BLOB may be matched likewise.
bool understood(const Column& column, std::string_view op, sqlite3_value* value) {
  switch (column.type) {
    case ColumnType::integer:
    case ColumnType::real: {
      const int type = sqlite3_value_numeric_type(value);
      if (type == SQLITE_TEXT) return op == "=";
      if (column.type == ColumnType::integer || type != SQLITE_INTEGER) return true;
      const std::int64_t number = sqlite3_value_int64(value);
      return number >= -kExactRealMax && number <= kExactRealMax;
    }
    case ColumnType::text: return !is_number(sqlite3_value_type(value));
    case ColumnType::blob: return sqlite3_value_type(value) != SQLITE_TEXT;
  }
  return false;
}

int compare_bytes(sqlite3_stmt* a, sqlite3_stmt* b, int column) {
  const void* const a_bytes = sqlite3_column_blob(a, column);
  const void* const b_bytes = sqlite3_column_blob(b, column);
  const int a_size = sqlite3_column_bytes(a, column);
  const int b_size = sqlite3_column_bytes(b, column);
  const auto common = static_cast<std::size_t>(std::min(a_size, b_size));
  const int compared = common == 0 ? 0 : std::memcmp(a_bytes, b_bytes, common);
  return compared != 0 ? compared : a_size - b_size;
}

}  // namespace

static_assert(kScanConstraintsMax <= 32, "one bit each in left_out_");

void AsOfCursor::FreeValue::operator()(sqlite3_value* value) const { sqlite3_value_free(value); }

int AsOfCursor::start(const Table& table, bool versions, PlannedScan& plan,
                      const QuerySnapshot& snapshot, std::span<sqlite3_value*> values) {
  inputs_.clear();
  current_ = nullptr;
  table_ = &table;
  versions_ = versions;
  plan_ = &plan;
  snapshot_ = &snapshot;
  next_partition_ = 0;
  next_value_ = 0;
  if (const int code = take_values(values); code != SQLITE_OK) return code;
  if (listed_ && list_.empty()) return SQLITE_OK;  // no row is in it
  return plan.scan.order.empty() ? open_next() : open_all();
}

int AsOfCursor::take_values(std::span<sqlite3_value*> values) {
  left_out_ = 0;
  listed_.reset();
  list_.clear();
  values_.clear();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ScanConstraint& constraint = plan_->scan.constraints[i];
    if (constraint.list) {
      values_.emplace_back();
      if (const int code = take_list(i, values[i]); code != SQLITE_OK) return code;
      continue;
    }
    values_.emplace_back(sqlite3_value_dup(values[i]));
    if (!values_.back()) return SQLITE_NOMEM;
    const Column& column = table_->columns[static_cast<std::size_t>(constraint.column)];
    if (!understood(column, constraint.op, values_.back().get())) left_out_ |= 1u << i;
  }
  return SQLITE_OK;
}

/// The planner takes lists for TEXT columns alone, and SQLite gives each value once. No text is
/// equal to NULL or a BLOB.
int AsOfCursor::take_list(std::size_t constraint, sqlite3_value* list) {
  sqlite3_value* value = nullptr;
  int code = sqlite3_vtab_in_first(list, &value);
  for (; code == SQLITE_OK; code = sqlite3_vtab_in_next(list, &value)) {
    const int type = sqlite3_value_type(value);
    if (is_number(type) || list_.size() == kListMax) {
      list_.clear();
      left_out_ |= 1u << constraint;
      return SQLITE_OK;
    }
    if (type != SQLITE_TEXT) continue;
    list_.emplace_back(sqlite3_value_dup(value));
    if (!list_.back()) return SQLITE_NOMEM;
  }
  listed_ = constraint;
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

const std::string& AsOfCursor::sql_of(ScanMode mode) {
  const std::uint64_t variant = (std::uint64_t{left_out_} << 2) | static_cast<unsigned>(mode);
  std::string& sql = plan_->sql[variant];
  if (sql.empty()) {
    Scan scan = plan_->scan;
    for (std::size_t i = 0; i < scan.constraints.size(); ++i) {
      if ((left_out_ >> i & 1) != 0) scan.constraints[i].op = {};
    }
    sql = scan_sql(*table_, scan, mode);
  }
  return sql;
}

int AsOfCursor::open(const PartitionSnapshot& partition, Input& input) {
  if (!partition.live && partition.last < 0) return SQLITE_DONE;  // before the first event
  const ScanMode mode = versions_        ? ScanMode::versions
                        : partition.live ? ScanMode::live
                                         : ScanMode::as_of;
  auto statement = partition.statements->prepare(sql_of(mode));
  if (!statement) return SQLITE_INTERNAL;
  input.partition = partition.partition;
  input.statement = std::move(*statement);
  input.as_of = mode == ScanMode::as_of;
  sqlite3_stmt* const handle = input.statement.handle();
  if (mode != ScanMode::live) {
    sqlite3_bind_int64(handle, 1, partition.live ? kAllEvents : partition.last);
  }
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if ((left_out_ >> i & 1) != 0) continue;
    const OwnedValue& value = listed_ == i ? list_[next_value_] : values_[i];
    const int code = sqlite3_bind_value(handle, static_cast<int>(i) + 2, value.get());
    if (code != SQLITE_OK) return code;
  }
  return step(input);
}

int AsOfCursor::step(Input& input) const {
  sqlite3_stmt* const row = input.statement.handle();
  const auto version = static_cast<int>(plan_->sole.value_or(plan_->scan.columns.size()));
  int code = sqlite3_step(row);
  if (!input.as_of) return code;
  while (code == SQLITE_ROW && sqlite3_column_type(row, version) == SQLITE_NULL) {
    code = sqlite3_step(row);
  }
  if (code != SQLITE_ROW || plan_->sole) return code;
  input.changed = sqlite3_column_type(row, version) == SQLITE_BLOB;
  if (input.changed) {
    const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(row, version));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(row, version));
    input.version.read({bytes, size}, static_cast<std::size_t>(plan_->packed_count));
  }
  return code;
}

int AsOfCursor::open_next() {
  while (next_partition_ < snapshot_->partitions.size()) {
    inputs_.clear();
    Input& input = inputs_.emplace_back();
    const int code = open(snapshot_->partitions[next_partition_], input);
    if (!listed_ || ++next_value_ == list_.size()) {
      next_value_ = 0;
      ++next_partition_;
    }
    if (code == SQLITE_ROW) {
      current_ = &input;
      return SQLITE_OK;
    }
    if (code != SQLITE_DONE) return code;
  }
  inputs_.clear();
  current_ = nullptr;
  return SQLITE_OK;
}

int AsOfCursor::open_all() {
  inputs_.reserve(snapshot_->partitions.size());
  for (const PartitionSnapshot& partition : snapshot_->partitions) {
    Input input;
    const int code = open(partition, input);
    if (code == SQLITE_ROW) inputs_.push_back(std::move(input));
    if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
  }
  std::ranges::make_heap(inputs_, [this](const Input& a, const Input& b) { return after(a, b); });
  return take_least();
}

int AsOfCursor::take_least() {
  if (inputs_.empty()) {
    current_ = nullptr;
    return SQLITE_OK;
  }
  std::ranges::pop_heap(inputs_, [this](const Input& a, const Input& b) { return after(a, b); });
  current_ = &inputs_.back();
  return SQLITE_OK;
}

int AsOfCursor::next() {
  Input& input = inputs_.back();
  const int code = step(input);
  if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
  if (plan_->scan.order.empty()) return code == SQLITE_ROW ? SQLITE_OK : open_next();
  if (code == SQLITE_DONE) {
    inputs_.pop_back();
  } else {
    std::ranges::push_heap(inputs_, [this](const Input& a, const Input& b) { return after(a, b); });
  }
  return take_least();
}

bool AsOfCursor::after(const Input& a, const Input& b) const {
  sqlite3_stmt* const a_row = a.statement.handle();
  sqlite3_stmt* const b_row = b.statement.handle();
  for (const ScanOrder& term : plan_->scan.order) {
    const int place = plan_->place[static_cast<std::size_t>(term.column)];
    int compared = 0;
    if (table_->columns[static_cast<std::size_t>(term.column)].type == ColumnType::integer) {
      const auto a_number = sqlite3_column_int64(a_row, place);
      const auto b_number = sqlite3_column_int64(b_row, place);
      compared = a_number < b_number ? -1 : a_number > b_number ? 1 : 0;
    } else {
      compared = compare_bytes(a_row, b_row, place);
    }
    if (compared != 0) return (compared > 0) != term.descending;
  }
  return a.partition > b.partition;
}

void AsOfCursor::column(sqlite3_context* context, int ordinal) const {
  const auto index = static_cast<std::size_t>(ordinal);
  if (index == plan_->place.size()) {
    sqlite3_result_int64(context, current_->partition.value);
    return;
  }
  const int place = plan_->place[index];
  if (place < 0) return;  // NULL: not asked for when the scan was planned
  const int packed = plan_->packed[static_cast<std::size_t>(place)];
  if (current_->changed && packed >= 0) {
    current_->version.result(context, static_cast<std::size_t>(packed));
    return;
  }
  sqlite3_result_value(context, sqlite3_column_value(current_->statement.handle(), place));
}

}  // namespace keelson::projections
