/* How layers divide their work (bd_io.part): shares of any count have the same result, to the bit. */
#ifndef BADAK_SHARE_H
#define BADAK_SHARE_H

#include "badak.h"

enum { BD_LINE = 16 }; /* elements in a cache line, or a multiple of that: two threads do not write to the same line */

typedef struct {
    bd_size from, count;
} bd_range;

static inline bd_range bd_share_of(bd_size count, bd_size unit, int part, int parts)
{
    const bd_size units = (count + unit - 1) / unit, from = units * part / parts * unit;
    const bd_size to = units * (part + 1) / parts * unit;

    return (bd_range){from, (to < count ? to : count) - from};
}

/* This part's share of `count` things, in whole `unit`s. */
static inline bd_range bd_share(const bd_io *io, bd_size count, bd_size unit)
{
    return io->parts > 1 ? bd_share_of(count, unit, io->part, io->parts) : (bd_range){0, count};
}

/* Of the elements of x. */
static inline bd_range bd_share_elements(const bd_io *io)
{
    return bd_share(io, bd_count(io->shape), BD_LINE);
}

/* Is this the part for what only one does? */
static inline bool bd_is_last(const bd_io *io)
{
    return io->parts <= 1 || io->part == io->parts - 1;
}

#endif
