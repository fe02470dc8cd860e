#include "aggregates/snapshot_store.h"

#include <utility>

#include "aggregates/fields.h"

namespace keelson::aggregates {

namespace {

constexpr std::string_view kFirstWords = "keelson-snapshot 1 ";
constexpr std::uint64_t kFileBytesMax = 64u << 20;

struct Header {
  std::string stream;
  std::uint64_t version = 0;
  std::uint64_t offset = 0;
  std::string event;
  std::string code_version;
  static constexpr auto kFields =
      fields(field("stream", &Header::stream), field("version", &Header::version),
             field("offset", &Header::offset), field("event", &Header::event),
             field("code_version", &Header::code_version));
};

std::string encode_snapshot(const Snapshot& snapshot) {
  std::string body = encode(Header{snapshot.stream, snapshot.version.value, snapshot.offset.value,
                                   to_hex(snapshot.event), snapshot.code_version});
  body += '\n';
  body += snapshot.state;
  return std::string(kFirstWords) + to_hex(hash128({body})) + '\n' + body;
}

std::optional<Hash128> from_hex(std::string_view text) {
  Hash128 hash{};
  if (text.size() != 2 * hash.size()) return {};
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i < hash.size(); ++i) {
    hash[i] = static_cast<std::byte>(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
  }
  return to_hex(hash) == text ? std::optional(hash) : std::nullopt;
}

std::optional<Snapshot> decode_snapshot(std::string_view bytes) {
  const std::size_t first_end = bytes.find('\n');
  if (!bytes.starts_with(kFirstWords) || first_end == std::string_view::npos) return {};
  const std::string_view hash = bytes.substr(kFirstWords.size(), first_end - kFirstWords.size());
  const std::string_view body = bytes.substr(first_end + 1);
  const std::size_t header_end = body.find('\n');
  if (header_end == std::string_view::npos || hash != to_hex(hash128({body}))) return {};
  auto header = decode<Header>(body.substr(0, header_end));
  if (!header) return {};
  const auto event = from_hex(header->event);
  if (!event) return {};
  return Snapshot{std::move(header->stream),       Version(header->version),
                  Offset(header->offset),          *event,
                  std::move(header->code_version), std::string(body.substr(header_end + 1))};
}

}  // namespace

Hash128 identity_of(const EventView& event) {
  return hash128({event.stream, std::to_string(event.version.value),
                  std::to_string(event.offset.value), std::to_string(event.time.value), event.type,
                  event.data, event.metadata, event.command_id});
}

bool lies_in(const Snapshot& snapshot, const Partition& partition) {
  bool same = false;
  StreamRange range;
  range.from = snapshot.version;
  range.limit = 1;
  const auto read = partition.read_stream(snapshot.stream, range, [&](const EventView& event) {
    same = event.version == snapshot.version && identity_of(event) == snapshot.event;
    return false;
  });
  return read.has_value() && same;
}

std::optional<Snapshot> SnapshotStore::find(std::string_view stream) const {
  const auto bytes = io::read_file(files_, path_of(stream), kFileBytesMax);
  if (!bytes) return {};
  auto snapshot = decode_snapshot(*bytes);
  if (!snapshot || snapshot->stream != stream) return {};
  return snapshot;
}

Result<void> SnapshotStore::save(const Snapshot& snapshot) {
  const std::string path = path_of(snapshot.stream);
  const std::string temporary = path + ".new";
  KEELSON_TRY(files_.create_folders(path.substr(0, path.rfind('/'))));
  KEELSON_TRY_ASSIGN(const bool left_over, files_.exists(temporary));
  if (left_over) KEELSON_TRY(files_.remove(temporary));
  {
    KEELSON_TRY_ASSIGN(const auto file, files_.open(temporary, io::OpenMode::create_new));
    KEELSON_TRY(file->write_at(0, encode_snapshot(snapshot)));
  }
  return files_.rename(temporary, path);
}

std::string SnapshotStore::path_of(std::string_view stream) const {
  const std::string hex = to_hex(hash128({stream}));
  return folder_ + "/" + hex.substr(0, 2) + "/" + hex.substr(2) + ".snapshot";
}

}  // namespace keelson::aggregates
