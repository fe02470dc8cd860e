#include "engine/log/codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <new>

namespace keelson::log {

namespace {

/// Fast rather than small: callers wait for it.
constexpr int kLevel = 1;
/// Less is a commit or two, and gains nothing.
constexpr std::size_t kBodyBytesMin = 512;

}  // namespace

struct BodyCompressor::Context {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> zstd{ZSTD_createCCtx()};
};

BodyCompressor::BodyCompressor() : context_(std::make_unique<Context>()) {
  if (!context_->zstd) throw std::bad_alloc();
}

BodyCompressor::~BodyCompressor() = default;

std::optional<std::string_view> BodyCompressor::compress(std::string_view body) {
  if (body.size() < kBodyBytesMin) return std::nullopt;
  compressed_.resize(ZSTD_compressBound(body.size()));
  const std::size_t size = ZSTD_compressCCtx(context_->zstd.get(), compressed_.data(),
                                             compressed_.size(), body.data(), body.size(), kLevel);
  // There is room for whatever comes of it, but zstd may have no memory: then it stays as it is.
  if (ZSTD_isError(size) != 0) return std::nullopt;
  if (size > body.size() - body.size() / 8) return std::nullopt;
  return std::string_view(compressed_).substr(0, size);
}

Result<std::string> decompress_body(std::string_view stored, std::uint64_t body_bytes_max) {
  const std::size_t frame = ZSTD_findFrameCompressedSize(stored.data(), stored.size());
  if (ZSTD_isError(frame) != 0) return fail(Errc::corruption, "the body is no zstd frame");
  const unsigned long long size = ZSTD_getFrameContentSize(stored.data(), frame);
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > body_bytes_max) {
    return fail(Errc::corruption, "the length of the compressed body");
  }
  std::string body(size, '\0');
  const std::size_t got = ZSTD_decompress(body.data(), body.size(), stored.data(), frame);
  if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) {
    return fail(Errc::overloaded, "no memory to decompress with");
  }
  if (ZSTD_isError(got) != 0 || got != size) {
    return fail(Errc::corruption, "the compressed body");
  }
  return body;
}

}  // namespace keelson::log
