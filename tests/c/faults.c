/* A library to be loaded before all others (LD_PRELOAD): allocators that fail at the n-th call, for the tests of memory
 * that is not there. Nothing of it is in badak: what is tested is the extension as it is shipped.
 *
 * glibc only. What counts are the calls of one thread that are made below a function of the extension: the stack is
 * walked from the allocator up to the extension's code, or to the interpreter's loop, whichever comes first.
 * Allocations of the interpreter itself are left alone: it does not survive all of them (CPython 3.11 loses the
 * exception, or crashes, where a traceback's frame or a dictionary's iterator cannot be made). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

/* What Python sets, through ctypes: plain memory, so that disarming needs no memory. */
volatile int faults_armed;   /* 0: nothing fails, nothing is counted */
volatile int faults_persist; /* the n-th call and all after it fail */
volatile long faults_nth, faults_count;
atomic_long faults_live;      /* blocks that are allocated, of whomever */
atomic_long faults_live_core; /* those of them that the core asked for */

static pthread_t armed_thread;
static uintptr_t core_begin, core_end, loop_begin, loop_end;

/* The blocks of the core: who frees them may be anybody. */
enum { BLOCKS = 1 << 16 };
static _Atomic(void *) block[BLOCKS];

static bool is_core(const void *caller)
{
    return (uintptr_t)caller >= core_begin && (uintptr_t)caller < core_end;
}

static void born(void *memory, bool core)
{
    atomic_fetch_add(&faults_live, 1);
    if (!core)
        return;
    for (uintptr_t i = (uintptr_t)memory >> 4;; i++) {
        void *empty = NULL;
        if (atomic_compare_exchange_strong(&block[i % BLOCKS], &empty, memory))
            break;
    }
    atomic_fetch_add(&faults_live_core, 1);
}

/* Blocks are few, so that a whole chain is one place or two: what was removed is searched past. */
static void died(void *memory)
{
    atomic_fetch_sub(&faults_live, 1);
    if (atomic_load(&faults_live_core) == 0)
        return;
    for (uintptr_t i = (uintptr_t)memory >> 4, end = i + 64; i < end; i++) {
        void *expected = memory;
        if (atomic_compare_exchange_strong(&block[i % BLOCKS], &expected, NULL)) {
            atomic_fetch_sub(&faults_live_core, 1);
            return;
        }
    }
}

/* Is the extension's code nearer on the stack than the interpreter's loop? */
static bool below_extension(void)
{
    void *frame[48];
    const int depth = backtrace(frame, sizeof frame / sizeof *frame);

    for (int i = 0; i < depth; i++) {
        if (is_core(frame[i]))
            return true;
        if ((uintptr_t)frame[i] >= loop_begin && (uintptr_t)frame[i] < loop_end)
            return false;
    }
    return false;
}

static bool fails(bool core)
{
    if (!faults_armed || !pthread_equal(pthread_self(), armed_thread) || !(core || below_extension()))
        return false;
    const long count = ++faults_count;
    if (count == faults_nth || (faults_persist && count > faults_nth)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static void *noted(void *memory, bool core)
{
    if (memory)
        born(memory, core);
    return memory;
}

#define CORE is_core(__builtin_return_address(0))

void *malloc(size_t size)
{
    const bool core = CORE;
    return fails(core) ? NULL : noted(__libc_malloc(size), core);
}

void *calloc(size_t count, size_t size)
{
    const bool core = CORE;
    return fails(core) ? NULL : noted(__libc_calloc(count, size), core);
}

void *realloc(void *memory, size_t size)
{
    const bool core = CORE;
    if (fails(core))
        return NULL;
    void *moved = __libc_realloc(memory, size);
    if (memory && (moved || size == 0))
        died(memory);
    return noted(moved, core);
}

void *memalign(size_t alignment, size_t size)
{
    const bool core = CORE;
    return fails(core) ? NULL : noted(__libc_memalign(alignment, size), core);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void free(void *memory)
{
    if (memory)
        died(memory);
    __libc_free(memory);
}

/* Where the code of the extension lies, and the interpreter's loop; calls of this thread are those that count. */
void faults_begin(uintptr_t core_from, uintptr_t core_to, const void *loop);
void faults_begin(uintptr_t core_from, uintptr_t core_to, const void *loop)
{
    void *frame[1];
    Dl_info info;
    const ElfW(Sym) * symbol;

    core_begin = core_from;
    core_end = core_to;
    if (dladdr1(loop, &info, (void **)&symbol, RTLD_DL_SYMENT)) {
        loop_begin = (uintptr_t)info.dli_saddr;
        loop_end = loop_begin + symbol->st_size;
    }
    armed_thread = pthread_self();
    backtrace(frame, 1); /* its first call allocates */
}
