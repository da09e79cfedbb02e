/* Memory for large arrays, used again: a fresh block of it is cleared page by page by the system, which takes as long
 * as a layer's own work on it. An array owns its block as always; when it dies the block waits here for the next one of
 * about its size. (NumPy: NEP 49, a handler of its own for each array.)
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "bind.h"

enum {
    LARGE = 1 << 20,      /* bytes: smaller ones the allocator keeps by itself */
    HUGE_PAGES = 1 << 22, /* worth asking for, as NumPy does */
    BLOCKS = 16,
};
static const size_t most_waiting = (size_t)64 << 20; /* bytes, of all together */

/* Before what the array sees; as long as a cache line, so that this is aligned. */
typedef union {
    size_t bytes; /* that the array may use */
    char line[64];
} block;

/* From the system and back to it: the allocator would keep what is freed between other things. */
static block *new_block(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - sizeof(block))
        return NULL;
    block *made = mmap(NULL, sizeof(block) + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGES)
        madvise(made, sizeof(block) + bytes, MADV_HUGEPAGE); /* may fail: no matter */
#endif
    made->bytes = bytes;
    return made;
}

static void free_block(block *old)
{
    munmap(old, sizeof(block) + old->bytes);
}

static struct {
    pthread_mutex_t lock;
    block *block[BLOCKS]; /* the longest waiting first */
    int count;
    size_t bytes;
} waiting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static block *take_out(int i)
{
    block *taken = waiting.block[i];

    waiting.count--;
    waiting.bytes -= taken->bytes;
    memmove(waiting.block + i, waiting.block + i + 1, (size_t)(waiting.count - i) * sizeof *waiting.block);
    return taken;
}

/* One that waits and is at most a quarter too large; or NULL. */
static block *waiting_block(size_t bytes)
{
    block *found = NULL;

    pthread_mutex_lock(&waiting.lock);
    for (int i = waiting.count - 1; i >= 0 && !found; i--)
        if (waiting.block[i]->bytes >= bytes && waiting.block[i]->bytes - bytes <= bytes / 4)
            found = take_out(i);
    pthread_mutex_unlock(&waiting.lock);
    return found;
}

static void *large_malloc(void *context, size_t bytes)
{
    block *found = bytes >= LARGE ? waiting_block(bytes) : NULL;

    (void)context;
    if (!found)
        found = new_block(bytes);
    return found ? found + 1 : NULL;
}

static void *large_calloc(void *context, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *memory = large_malloc(context, count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

static void large_free(void *context, void *memory, size_t size)
{
    block *given = memory ? (block *)memory - 1 : NULL, *old[BLOCKS + 1];
    int count = 0;

    (void)context;
    (void)size; /* NumPy's idea of it; ours is right */
    if (given && given->bytes >= LARGE && given->bytes <= most_waiting) {
        pthread_mutex_lock(&waiting.lock);
        while (waiting.count == BLOCKS || waiting.bytes + given->bytes > most_waiting)
            old[count++] = take_out(0);
        waiting.block[waiting.count++] = given;
        waiting.bytes += given->bytes;
        pthread_mutex_unlock(&waiting.lock);
    } else if (given) {
        old[count++] = given;
    }
    while (count)
        free_block(old[--count]);
}

static void *large_realloc(void *context, void *memory, size_t bytes)
{
    void *moved = large_malloc(context, bytes);

    if (moved && memory) {
        const size_t had = ((block *)memory - 1)->bytes;
        memcpy(moved, memory, had < bytes ? had : bytes);
        large_free(context, memory, had);
    }
    return moved;
}

static PyDataMem_Handler handler = {"badak", 1, {NULL, large_malloc, large_calloc, large_realloc, large_free}};

PyArrayObject *fresh_array(int ndim, npy_intp *dim, int type_num, npy_intp *stride)
{
    size_t bytes = type_num == NPY_INT8 ? 1 : type_num == NPY_FLOAT ? sizeof(float) : sizeof(double);

    for (int i = 0; i < ndim; i++)
        bytes = dim[i] > 0 && bytes <= SIZE_MAX / (size_t)dim[i] ? bytes * (size_t)dim[i] : 0;
    PyObject *ours = bytes >= LARGE ? PyCapsule_New(&handler, "mem_handler", NULL) : NULL;
    PyObject *before = ours ? PyDataMem_SetHandler(ours) : NULL;
    Py_XDECREF(ours);
    if (PyErr_Occurred())
        return NULL;
    PyObject *array = PyArray_New(&PyArray_Type, ndim, dim, type_num, stride, NULL, 0, 0, NULL);
    if (before) {
        PyObject *type, *value, *traceback; /* of an allocation that failed */
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyDataMem_SetHandler(before));
        Py_DECREF(before);
        if (type)
            PyErr_Restore(type, value, traceback);
    }
    return (PyArrayObject *)array;
}
