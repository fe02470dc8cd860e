// A vocabulary for making SQL of bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace keelson::fuzz {

/// What may stand in a query, what must not, and names of the model in query_gate_fuzz.cpp. Words
/// are parted by two blanks or a line's end; what is most useful stands several times.
inline constexpr std::string_view kSqlWords = R"sql(
SELECT  SELECT  SELECT  FROM  FROM  FROM  t  t  u  w  k  v  a  c  *  ,  ,  ,  (  (  (  )
)  )  1  0  'x'  NULL  =  <  >  AND  OR  NOT  WHERE  WHERE  GROUP BY  ORDER BY  HAVING
LIMIT  OFFSET  JOIN  LEFT JOIN  NATURAL JOIN  CROSS JOIN  FULL JOIN  ON  USING  UNION ALL
UNION  EXCEPT  INTERSECT  WITH  WITH RECURSIVE  AS  AS MATERIALIZED  VALUES  DISTINCT  ALL
IN  EXISTS  BETWEEN  LIKE  GLOB  MATCH  REGEXP  IS  ISNULL  CASE  WHEN  THEN  ELSE  END
CAST  COLLATE  NOCASE  OVER  PARTITION BY  ROWS  RANGE  GROUPS  UNBOUNDED PRECEDING
CURRENT ROW  FILTER  WINDOW  INDEXED BY  NOT INDEXED  main  temp  .  .  rowid  _from  _to
_partition  t__history  t__h  t__dead  t__was1  t_v  u__history  u__h  keelson_identity
keelson_checkpoint  keelson_offset  sqlite_schema  sqlite_master  sqlite_temp_schema
sqlite_stat1  sqlite_sequence  dbstat  sqlite_dbpage  sqlite_stmt  bytecode  tables_used
pragma_table_info  pragma_database_list  pragma_function_list  pragma_module_list
pragma_compile_options  json_each  json_tree  json  json_set  json_extract
json_group_array  fts3tokenize  rtreecheck  generate_series  carray  keelson_as_of  random
randomblob  date  datetime  time  julianday  strftime  unixepoch  current_timestamp
current_date  current_time  changes  total_changes  last_insert_rowid  sqlite_version
sqlite_source_id  load_extension  readfile  writefile  edit  fts3_tokenizer  sqlite_log
sqlite_rename_column  unlikely  printf  zeroblob  hex  quote  char  replace  instr  substr
trim  length  group_concat  count  sum  min  max  avg  total  coalesce  iif  likelihood
row_number  lag  first_value  ntile  INSERT INTO  REPLACE INTO  UPDATE  SET  DELETE FROM
RETURNING  ON CONFLICT  DO NOTHING  CREATE TABLE  CREATE TEMP TABLE  CREATE VIEW
CREATE TRIGGER  CREATE INDEX  CREATE VIRTUAL TABLE  DROP TABLE  ALTER TABLE  RENAME TO
ATTACH  DETACH  DATABASE  VACUUM  VACUUM INTO  REINDEX  ANALYZE  PRAGMA  writable_schema
query_only  journal_mode  data_version  BEGIN  COMMIT  ROLLBACK  SAVEPOINT  RELEASE
EXPLAIN  EXPLAIN QUERY PLAN  ;  --  /*  */  ?  :a  @a  $a  ||  +  -  *  /  %  &  <<  ->
->>  x'00'  '[1,{"a":2}]'  'now'  '/tmp/x'  9223372036854775807  1e999  0.1  "k"  `t`  [t]
2
)sql";

[[nodiscard]] inline std::vector<std::string_view> sql_words() {
  std::vector<std::string_view> words;
  std::string_view rest = kSqlWords;
  while (true) {
    const std::size_t start = rest.find_first_not_of(" \n");
    if (start == rest.npos) return words;
    rest.remove_prefix(start);
    const std::size_t end = std::min({rest.find("  "), rest.find('\n'), rest.size()});
    words.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
}

/// Each byte a word.
[[nodiscard]] inline std::string sql_of(std::string_view bytes) {
  static const std::vector<std::string_view> words = sql_words();
  std::string sql;
  for (const char c : bytes) {
    sql += words[static_cast<unsigned char>(c) % words.size()];
    sql += ' ';
  }
  return sql;
}

}  // namespace keelson::fuzz
