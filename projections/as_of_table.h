// A projection's tables as a query sees them: over all partitions, at one moment of each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/types.h"
#include "projections/as_of_sql.h"
#include "projections/sqlite_database.h"
#include "projections/versioned_schema.h"

namespace keelson::projections {

/// One partition's read model during one query: a connection with a read transaction open.
struct PartitionSnapshot {
  PartitionId partition;
  StatementCache* statements = nullptr;
  bool live = true;        ///< the rows as they are are the rows wanted
  std::int64_t last = -1;  ///< offset of the last event whose effects are wanted; -1: none
};

/// What the virtual tables of one connection read; set before a query is run.
struct QuerySnapshot {
  std::vector<PartitionSnapshot> partitions;
  /// Whether the query may compare texts as numbers (query_shape.h); set before it is prepared.
  bool texts_as_numbers = false;
  /// Ways to scan that the tables remember, for as long as the connection lives.
  std::size_t plans_kept = 0;
};

/// Makes a virtual table in `database` for each table of `schema`, under its name and with its
/// columns, and one with all its versions, `<table>__history`, that has `_from` and `_to` besides.
/// Views of the schema are made over them. `_partition`, and `_from` of the tables themselves, can
/// be named but are not part of `*`.
///
/// A virtual table stands for no data of its own. When a query is planned it offers SQLite the ways
/// in which it can be asked: by key, by the first columns of the key, by an index, or all of it,
/// each with its price. When the query runs, it puts what it was asked into SQL on each partition's
/// own connection, where that table has its indexes. So a join looks each row up as of the same
/// moment, which a view with the same SQL could not do: SQLite would compute the view whole.
///
/// `snapshot` and `schema` must outlive `database`.
[[nodiscard]] Result<void> make_as_of_tables(Database& database, const VersionedSchema& schema,
                                             QuerySnapshot& snapshot);

}  // namespace keelson::projections
