// An array that grows at its end and never moves, for one writer and many lock-free readers.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/base/check.h"

namespace keelson::log {

/// Elements stand in chunks that double in size, so that an element stays where it is for ever and
/// at most half of what is allocated is unused (and untouched, so not in memory as long as the
/// system hands out pages at first use).
///
/// Threads: `push` by one writer; `operator[]` by any thread for an index that the writer handed
/// out with a release store after the push, and the reader took with an acquire load.
template <class T, std::uint32_t kFirstChunk = 256>
class AppendArena {
  static_assert(std::has_single_bit(kFirstChunk));

 public:
  AppendArena() = default;
  AppendArena(const AppendArena&) = delete;
  AppendArena& operator=(const AppendArena&) = delete;
  ~AppendArena() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }

  /// Makes room for one more element, default-initialised, and returns its index. Its owner fills
  /// it before handing the index out.
  std::uint32_t push() {
    KEELSON_ASSERT(size_ < kSizeMax);
    const Place place = place_of(size_);
    if (place.position == 0) {
      chunks_[place.chunk].store(new T[std::size_t{kFirstChunk} << place.chunk],
                                 std::memory_order_release);
    }
    return size_++;
  }

  /// For the writer's thread.
  [[nodiscard]] std::uint32_t size() const { return size_; }

  [[nodiscard]] T& operator[](std::uint32_t i) { return at(i); }
  [[nodiscard]] const T& operator[](std::uint32_t i) const { return at(i); }

 private:
  static constexpr std::uint32_t kSizeMax = 1u << 31;
  static constexpr std::size_t kChunks = 32 - std::bit_width(kFirstChunk - 1);

  struct Place {
    std::size_t chunk;
    std::size_t position;
  };

  /// Chunk c holds the indexes [(2^c - 1) * kFirstChunk, (2^(c+1) - 1) * kFirstChunk).
  [[nodiscard]] static Place place_of(std::uint32_t i) {
    const std::size_t chunk = std::bit_width(i / kFirstChunk + 1) - 1;
    return {chunk, i - ((std::size_t{1} << chunk) - 1) * kFirstChunk};
  }

  [[nodiscard]] T& at(std::uint32_t i) const {
    const Place place = place_of(i);
    return chunks_[place.chunk].load(std::memory_order_acquire)[place.position];
  }

  std::array<std::atomic<T*>, kChunks> chunks_{};
  std::uint32_t size_ = 0;
};

}  // namespace keelson::log
