#include "samples/bank/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace bank {

using keelson::Errc;
using keelson::fail;

namespace {

constexpr std::array<unsigned char, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
constexpr int kZstdWindowLogMax = 27;

std::unexpected<keelson::Error> system_failure(const std::string& what, int error) {
  const Errc code = error == ENOENT ? Errc::not_found : Errc::io_error;
  return fail(code, what + ": " + std::strerror(error));
}

/// A file descriptor, with some first bytes that were already taken from it to look at.
class DescriptorSource final : public ByteSource {
 public:
  DescriptorSource(std::string name, int descriptor, bool owned)
      : name_(std::move(name)), descriptor_(descriptor), owned_(owned) {
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) size_ = status.st_size;
  }
  ~DescriptorSource() override {
    if (owned_) ::close(descriptor_);
  }
  DescriptorSource(const DescriptorSource&) = delete;
  DescriptorSource& operator=(const DescriptorSource&) = delete;

  Result<std::size_t> read(std::span<char> buffer) override {
    if (!peeked_.empty()) {
      const std::size_t length = std::min(buffer.size(), peeked_.size());
      std::copy_n(peeked_.begin(), length, buffer.begin());
      peeked_.erase(0, length);
      return length;
    }
    return read_descriptor(buffer);
  }

  std::optional<double> fraction_read() const override {
    if (size_ <= 0) return std::nullopt;
    return std::min(1.0, static_cast<double>(read_bytes_) / static_cast<double>(size_));
  }

  /// Whether the input begins with `magic`; those bytes are still there for `read`.
  Result<bool> begins_with(std::span<const unsigned char> magic) {
    while (peeked_.size() < magic.size()) {
      std::array<char, 16> bytes{};
      const auto wanted = std::span(bytes).first(magic.size() - peeked_.size());
      KEELSON_TRY_ASSIGN(const std::size_t length, read_descriptor(wanted));
      if (length == 0) return false;
      peeked_.append(bytes.data(), length);
    }
    return std::memcmp(peeked_.data(), magic.data(), magic.size()) == 0;
  }

 private:
  Result<std::size_t> read_descriptor(std::span<char> buffer) {
    for (;;) {
      const ssize_t length = ::read(descriptor_, buffer.data(), buffer.size());
      if (length >= 0) {
        read_bytes_ += static_cast<std::uint64_t>(length);
        return static_cast<std::size_t>(length);
      }
      if (errno != EINTR) return system_failure("reading " + name_, errno);
    }
  }

  std::string name_;
  int descriptor_;
  bool owned_;
  std::int64_t size_ = -1;
  std::uint64_t read_bytes_ = 0;
  std::string peeked_;
};

/// Decompresses another source frame by frame.
class ZstdSource final : public ByteSource {
 public:
  ZstdSource(std::string name, std::unique_ptr<ByteSource> compressed)
      : name_(std::move(name)),
        compressed_(std::move(compressed)),
        stream_(ZSTD_createDStream()),
        input_bytes_(ZSTD_DStreamInSize()) {
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }

  Result<std::size_t> read(std::span<char> buffer) override {
    ZSTD_outBuffer output{buffer.data(), buffer.size(), 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size) {
        KEELSON_TRY_ASSIGN(const std::size_t length, compressed_->read(input_bytes_));
        if (length == 0) {
          if (inside_frame_) return fail(Errc::corruption, name_ + ": ends inside a zstd frame");
          return 0;
        }
        input_ = {input_bytes_.data(), length, 0};
      }
      const std::size_t hint = ZSTD_decompressStream(stream_.get(), &output, &input_);
      if (ZSTD_isError(hint) != 0)
        return fail(Errc::corruption, name_ + ": zstd: " + ZSTD_getErrorName(hint));
      inside_frame_ = hint != 0;
    }
    return output.pos;
  }

  std::optional<double> fraction_read() const override { return compressed_->fraction_read(); }

 private:
  struct FreeStream {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  std::string name_;
  std::unique_ptr<ByteSource> compressed_;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream_;
  std::vector<char> input_bytes_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool inside_frame_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_byte_source(const std::string& path) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : path;
  int descriptor = STDIN_FILENO;
  if (!standard_input) {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return system_failure("opening " + path, errno);
  }
  auto plain = std::make_unique<DescriptorSource>(name, descriptor, !standard_input);
  KEELSON_TRY_ASSIGN(const bool compressed, plain->begins_with(kZstdMagic));
  if (compressed) return std::make_unique<ZstdSource>(name, std::move(plain));
  return plain;
}

}  // namespace bank
