/* The one place where the core asks for memory. */
#include <stdint.h>
#include <stdlib.h>

#include "badak.h"

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector */

/* calloc, not memset: large blocks come as untouched pages, so that parts never used cost no memory. */
void *bd_alloc(size_t bytes)
{
    if (bytes > (size_t)PTRDIFF_MAX - 2 * ALIGNMENT)
        return NULL;
    char *block = calloc(1, bytes + ALIGNMENT + sizeof(void *));
    if (!block)
        return NULL;
    const uintptr_t first = (uintptr_t)block + sizeof(void *);
    char *aligned = (char *)((first + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    ((void **)(void *)aligned)[-1] = block; /* what bd_free gives back */
    return aligned;
}

void bd_free(void *memory)
{
    if (memory)
        free(((void **)memory)[-1]);
}

size_t bd_dtype_size(bd_dtype dtype)
{
    static const size_t size[BD_DTYPES] = {sizeof(float), sizeof(double), sizeof(long double)};
    return size[dtype];
}
