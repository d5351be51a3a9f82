// BlockMemory: where blocks live. A lookup jumps from block to block, and on small pages nearly each jump misses the
// TLB as well as the cache: on huge pages cached reads take a fifth less time (docs/performance.md).
//
// Pieces of up to 256 KiB come from slabs: 2 MiB of memory, cut into pieces of one size class, of which there are
// eight to each doubling (so an eighth at most is wasted). J. Bonwick, "The Slab Allocator" (USENIX 1994). The first
// slab of a class has small pages, so that a small store stays small; the others are huge pages where the system
// gives them. An empty slab goes back to the system, unless it is the last of its class; four stay at hand, because
// clearing a page costs more than to fill it. Larger pieces are mapped one by one, a few of them at hand too: malloc
// would keep what is freed between others.
//
// What leaves a cache leaves it one by one, and its slabs stay, each a bit emptier. IdleBlockBytes says how much
// memory is lost so; who can move blocks asks ThinBlocks for a slab to empty.
//
// Sanitizers get every piece from malloc, because they see a step too far only there.
//
// Threads: any; one mutex for each class. Memory that cannot be had is null, never an exception.
#pragma once

#include <cstddef>
#include <functional>

namespace tarn {

void* AllocateBlock(size_t bytes);
void FreeBlock(void* piece, size_t bytes);  // `bytes` as it was asked for
// What a piece for `bytes` really takes.
size_t BlockFootprint(size_t bytes);

// Bytes on huge pages that nobody has, in pieces of 1 KiB or more: in smaller ones there are few.
size_t IdleBlockBytes();
// Takes the emptiest slab of the class with most idle bytes out of use, until it is empty or eight others of the
// class were taken out after it, and shows every place where a piece of it may be. False: no slab has so few pieces
// that the others of its class could take them in. `show` must not call anything of this header.
bool ThinBlocks(const std::function<void(const void* place)>& show);

}  // namespace tarn
