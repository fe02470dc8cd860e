#include "projections/packed_values.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "engine/base/check.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

namespace {

constexpr const char* kPackFunction = "keelson_pack";

/// Of one call; SQLite allows 127. More values are packed in groups, and the groups once more.
constexpr std::size_t kGroup = 100;

// A packed value is a byte with its type, then: 8 bytes of a number; the length in 4 bytes and the
// bytes of a TEXT or BLOB; of NULL nothing. Numbers as the machine has them: they do not leave it.

template <class Number>
void append(std::string& packed, Number number) {
  packed.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <class Number>
Number number_at(const char* place) {
  Number number;
  std::memcpy(&number, place, sizeof number);
  return number;
}

void append(std::string& packed, sqlite3_value* value) {
  const int type = sqlite3_value_type(value);
  packed += static_cast<char>(type);
  if (type == SQLITE_INTEGER) append(packed, std::int64_t{sqlite3_value_int64(value)});
  if (type == SQLITE_FLOAT) append(packed, sqlite3_value_double(value));
  if (type != SQLITE_TEXT && type != SQLITE_BLOB) return;
  const auto* const bytes = static_cast<const char*>(sqlite3_value_blob(value));
  const auto size = static_cast<std::uint32_t>(sqlite3_value_bytes(value));
  append(packed, size);
  if (size > 0) packed.append(bytes, size);
}

std::string_view bytes_at(const char* place) {
  return {place + 1 + sizeof(std::uint32_t), number_at<std::uint32_t>(place + 1)};
}

std::size_t size_at(const char* place) {
  switch (*place) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: return 1 + sizeof(std::int64_t);
    case SQLITE_TEXT:
    case SQLITE_BLOB: return 1 + sizeof(std::uint32_t) + bytes_at(place).size();
    default: return 1;
  }
}

void pack(sqlite3_context* context, int argc, sqlite3_value** argv) {
  auto& packed = *static_cast<std::string*>(sqlite3_user_data(context));
  try {
    packed.clear();
    for (int i = 0; i < argc; ++i) append(packed, argv[i]);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
    return;
  }
  sqlite3_result_blob64(context, packed.data(), packed.size(), SQLITE_TRANSIENT);
}

std::string call(const std::string* first, const std::string* end) {
  std::string sql = std::string(kPackFunction) + "(";
  for (const std::string* value = first; value != end; ++value) {
    sql += (value == first ? "" : ", ") + *value;
  }
  return sql + ")";
}

}  // namespace

std::string pack_sql(const std::vector<std::string>& values) {
  const std::string* const end = values.data() + values.size();
  if (values.size() <= kGroup) return call(values.data(), end);
  std::vector<std::string> groups;
  for (const std::string* first = values.data(); first < end; first += kGroup) {
    groups.push_back(call(first, std::min(first + kGroup, end)));
  }
  KEELSON_ASSERT(groups.size() <= kGroup);
  return call(groups.data(), groups.data() + groups.size());
}

Result<void> register_pack_function(Database& database) {
  const int code = sqlite3_create_function_v2(
      database.handle(), kPackFunction, -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
      new std::string, pack, nullptr, nullptr,
      [](void* packed) { delete static_cast<std::string*>(packed); });
  if (code != SQLITE_OK) return std::unexpected(database.error(code, "register keelson_pack"));
  return {};
}

void PackedValues::read(std::string_view bytes, std::size_t count) {
  places_.clear();
  if (count <= kGroup) {
    read_values(bytes);
  } else {
    PackedValues groups;
    groups.read_values(bytes);
    for (const char* const group : groups.places_) read_values(bytes_at(group));
  }
  KEELSON_ASSERT(places_.size() == count);
}

void PackedValues::read_values(std::string_view bytes) {
  const char* const end = bytes.data() + bytes.size();
  for (const char* place = bytes.data(); place != end; place += size_at(place)) {
    places_.push_back(place);
  }
}

void PackedValues::result(sqlite3_context* context, std::size_t i) const {
  const char* const place = places_[i];
  switch (*place) {
    case SQLITE_INTEGER: sqlite3_result_int64(context, number_at<std::int64_t>(place + 1)); return;
    case SQLITE_FLOAT: sqlite3_result_double(context, number_at<double>(place + 1)); return;
    case SQLITE_TEXT: {
      const std::string_view text = bytes_at(place);
      sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
      return;
    }
    case SQLITE_BLOB: {
      const std::string_view blob = bytes_at(place);
      sqlite3_result_blob64(context, blob.data(), blob.size(), SQLITE_TRANSIENT);
      return;
    }
    default: sqlite3_result_null(context);
  }
}

}  // namespace keelson::projections
