// The limit of `append.inflight64`: SQLite behind a queue, as one would build a durable log on it.
#pragma once

#include <sqlite3.h>

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/report.h"

namespace keelson::bench {

/// Events appended by many threads, each waiting for its own to be durable. One writer takes all
/// that is queued into one transaction, WAL with synchronous=FULL. That a stream is at the expected
/// version is checked by the index, the cheapest way there is in SQLite.
class SqliteGroupCommit {
 public:
  explicit SqliteGroupCommit(const std::string& folder, std::size_t event_bytes)
      : data_(event_bytes, 'd') {
    must(sqlite3_open((folder + "/group_commit.db").c_str(), &db_) == SQLITE_OK);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE IF NOT EXISTS e(o INTEGER PRIMARY KEY, s TEXT, v INTEGER, t TEXT, d TEXT,"
        " UNIQUE(s, v))");
    insert_ = prepare("INSERT INTO e(s, v, t, d) VALUES(?,?,?,?)");
    begin_ = prepare("BEGIN IMMEDIATE");
    commit_ = prepare("COMMIT");
  }
  ~SqliteGroupCommit() {
    for (auto* statement : {insert_, begin_, commit_}) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }
  SqliteGroupCommit(const SqliteGroupCommit&) = delete;
  SqliteGroupCommit& operator=(const SqliteGroupCommit&) = delete;

  /// Events per second of `threads` that append `events` in all, each to `streams` of its own.
  double rate(int threads, int events, int streams) {
    const int each = events / threads;
    stopping_ = false;
    const double elapsed = seconds([&] {
      std::thread writer([&] { write(); });
      std::vector<std::thread> callers;
      for (int thread = 0; thread < threads; ++thread) {
        callers.emplace_back([&, thread] {
          Request request;
          for (int i = 0; i < each; ++i) {
            request.stream =
                "account-" + std::to_string(thread) + "-" + std::to_string(i % streams);
            request.version = first_version_ + i / streams;
            submit(request);
          }
        });
      }
      for (auto& caller : callers) caller.join();
      {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
      }
      wake_.notify_one();
      writer.join();
    });
    first_version_ += each / streams + 1;
    return each * threads / elapsed;
  }

 private:
  struct Request {
    std::string stream;
    std::int64_t version = 0;
    std::binary_semaphore durable{0};
  };

  void submit(Request& request) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = queue_.empty();
      queue_.push_back(&request);
    }
    if (first) wake_.notify_one();
    request.durable.acquire();
  }

  void write() {
    std::vector<Request*> batch;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        batch = std::exchange(queue_, {});
      }
      step(begin_);
      for (const Request* request : batch) {
        sqlite3_bind_text(insert_, 1, request->stream.data(),
                          static_cast<int>(request->stream.size()), SQLITE_STATIC);
        sqlite3_bind_int64(insert_, 2, request->version);
        sqlite3_bind_text(insert_, 3, "deposited", -1, SQLITE_STATIC);
        sqlite3_bind_text(insert_, 4, data_.data(), static_cast<int>(data_.size()), SQLITE_STATIC);
        step(insert_);
      }
      step(commit_);
      for (Request* request : batch) request->durable.release();
    }
  }

  static void must(bool good) {
    if (!good) std::abort();
  }
  static void step(sqlite3_stmt* statement) {
    must(sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
  }
  void run(const char* sql) const {
    must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  [[nodiscard]] sqlite3_stmt* prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    must(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) == SQLITE_OK);
    return statement;
  }

  const std::string data_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  std::int64_t first_version_ = 1;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Request*> queue_;
  bool stopping_ = false;
};

}  // namespace keelson::bench
