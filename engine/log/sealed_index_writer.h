// Makes the index file of a sealed segment.
#pragma once

#include <string>

#include "engine/log/sealed_index.h"
#include "engine/log/tail_index.h"

namespace keelson::log {

/// The bytes of the index file for all of `tail`, published or not: the same for the same segment,
/// byte by byte. On the thread of the tail's writer, or on any once it is done. Takes about the
/// file's size and 40 bytes per stream and commit in memory: at most that of a segment at a time.
[[nodiscard]] std::string seal_index(const TailIndex& tail, const SegmentId& segment);

/// Sets the checksums of a whole index file anew. The last step of `seal_index`, and for tests that
/// damage what checksums would otherwise hide. Leaves alone what does not have an index's size.
void set_index_checksums(std::string& bytes);

}  // namespace keelson::log
