#include "projections/offset_function.h"

#include <sqlite3.h>

#include "projections/capture_names.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

Result<void> register_offset_function(Database& database, EventOffset& offset) {
  const int code = sqlite3_create_function_v2(
      database.handle(), kOffsetFunction.data(), 0,
      SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, &offset,
      [](sqlite3_context* context, int, sqlite3_value**) {
        sqlite3_result_int64(context, static_cast<EventOffset*>(sqlite3_user_data(context))->value);
      },
      nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(database.error(code, "register keelson_offset"));
  return {};
}

}  // namespace keelson::projections
