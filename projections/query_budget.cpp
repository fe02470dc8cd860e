#include "projections/query_budget.h"

#include <sqlite3.h>

#include <algorithm>

#include "engine/base/check.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

namespace {

/// A look at the clock costs as much as a small allocation.
constexpr std::uint32_t kAllocationsBetweenLooks = 32;
constexpr std::size_t kLargeBytes = 4096;

thread_local QueryBudget* current_budget = nullptr;

// --- SQLite's allocator, asking the thread's budget ---

sqlite3_mem_methods system_allocator;

void* allocate(int bytes) {
  QueryBudget* const budget = current_budget;
  if (budget == nullptr) return system_allocator.xMalloc(bytes);
  if (!budget->may_take(static_cast<std::size_t>(bytes))) return nullptr;
  void* const made = system_allocator.xMalloc(bytes);
  if (made != nullptr) budget->taken(static_cast<std::size_t>(system_allocator.xSize(made)));
  return made;
}

void release(void* memory) {
  if (QueryBudget* const budget = current_budget) {
    budget->given_back(static_cast<std::size_t>(system_allocator.xSize(memory)));
  }
  system_allocator.xFree(memory);
}

void* reallocate(void* memory, int bytes) {
  QueryBudget* const budget = current_budget;
  if (budget == nullptr) return system_allocator.xRealloc(memory, bytes);
  const int before = system_allocator.xSize(memory);
  if (!budget->may_take(static_cast<std::size_t>(std::max(bytes - before, 0)))) return nullptr;
  void* const made = system_allocator.xRealloc(memory, bytes);
  if (made != nullptr) {
    budget->given_back(static_cast<std::size_t>(before));
    budget->taken(static_cast<std::size_t>(system_allocator.xSize(made)));
  }
  return made;
}

/// SQLite takes an allocator before its first use only. Its own count of its memory is switched
/// off: it is kept under one lock for the whole process, taken at each allocation, and nobody asks
/// for it.
bool install() {
  if (sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK) return false;
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_allocator) != SQLITE_OK) return false;
  sqlite3_mem_methods asking = system_allocator;
  asking.xMalloc = allocate;
  asking.xFree = release;
  asking.xRealloc = reallocate;
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &asking) == SQLITE_OK;
}

/// Before `main`, so that a program may use SQLite itself, whenever it likes.
const bool installed = install();

}  // namespace

void Deadline::watch(Database& database, int steps) const {
  sqlite3_progress_handler(
      database.handle(), steps,
      [](void* deadline) { return static_cast<const Deadline*>(deadline)->passed() ? 1 : 0; },
      const_cast<Deadline*>(this));
}

QueryBudget::QueryBudget(const Deadline& deadline, std::uint64_t memory_bytes_max)
    : deadline_(deadline),
      bytes_max_(static_cast<std::int64_t>(
          std::min(memory_bytes_max, static_cast<std::uint64_t>(INT64_MAX)))) {
  KEELSON_ASSERT(current_budget == nullptr);
  current_budget = this;
}

QueryBudget::~QueryBudget() { current_budget = nullptr; }

QueryBudget* QueryBudget::current() { return current_budget; }

Result<void> QueryBudget::check_installed() {
  if (installed) return {};
  return fail(Errc::internal,
              "SQLite was used in this process before Keelson was loaded, so that the memory and "
              "time of queries cannot be bounded");
}

bool QueryBudget::out_of_time() {
  if (exceeded_) return true;
  if (deadline_.passed()) exceeded_ = Errc::timeout;
  return exceeded_.has_value();
}

bool QueryBudget::may_take(std::size_t bytes) {
  if (exceeded_) return false;
  if (bytes_ + static_cast<std::int64_t>(bytes) > bytes_max_) {
    exceeded_ = Errc::too_large;
    return false;
  }
  if (bytes < kLargeBytes && ++looks_ % kAllocationsBetweenLooks != 0) return true;
  return !out_of_time();
}

}  // namespace keelson::projections
