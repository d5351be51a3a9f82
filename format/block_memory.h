// BlockMemory: where blocks live. A lookup jumps from block to block, and on small pages nearly each jump misses the
// TLB as well as the cache: on huge pages cached reads take a fifth less time (docs/performance.md).
//
// Pieces of up to 256 KiB come from slabs: 2 MiB of memory, cut into pieces of one size class, of which there are
// eight to each doubling (so an eighth at most is wasted). J. Bonwick, "The Slab Allocator" (USENIX 1994). The first
// slab of a class has small pages, so that a small store stays small; the others are huge pages where the system
// gives them. An empty slab goes back to the system, unless it is the last of its class. Larger pieces are malloc's.
//
// Sanitizers get every piece from malloc, because they see a step too far only there.
//
// Threads: any; one mutex for each class. Memory that cannot be had is null, never an exception.
#pragma once

#include <cstddef>

namespace tarn {

void* AllocateBlock(size_t bytes);
void FreeBlock(void* piece, size_t bytes);  // `bytes` as it was asked for
// What a piece for `bytes` really takes.
size_t BlockFootprint(size_t bytes);

}  // namespace tarn
