#include "engine/store/group_offset.h"

namespace keelson {

namespace {
constexpr int kOffsetBytes = 8;
}

std::string encode_group_offset(Offset next) {
  std::string bytes;
  for (int i = 0; i < kOffsetBytes; ++i) bytes += static_cast<char>(next.value >> (8 * i));
  return bytes;
}

Result<Offset> decode_group_offset(std::string_view bytes) {
  if (bytes.size() != kOffsetBytes) {
    return fail(Errc::corruption,
                "a group offset of " + std::to_string(bytes.size()) + " bytes, not 8");
  }
  Offset next;
  for (int i = 0; i < kOffsetBytes; ++i) {
    next.value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return next;
}

}  // namespace keelson
