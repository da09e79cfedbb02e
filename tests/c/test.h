/* test.h: the harness of the C tests. A test is a function; a check that fails prints where, and the values. */
#ifndef BADAK_TEST_H
#define BADAK_TEST_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "../../csrc/core/badak.h"
#include "../../csrc/kernels/kernels.h"

typedef struct {
    const char *name; /* the behaviour that it holds */
    void (*run)(void);
} test_case;

typedef struct {
    const char *name;
    const test_case *cases; /* up to the first without a name */
    bool each_isa;          /* run once with the kernels of every instruction set */
} test_group;

extern const test_group text_tests, shape_tests, rng_tests, function_tests, gradcheck_tests, gemm_tests, kernel_tests,
    square_tests, sparse_tests, optimizer_tests, isa_tests, plan_tests, net_tests, training_tests, thread_tests;

/* Counts against the running test; prints the first few of a test only. */
void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A short fact for the reader, printed once however many instruction sets there are. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Is this the first instruction set of the run? For what does not depend on it and takes long. */
bool test_first_isa(void);

#define CHECK(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "%s is false", #condition))
/* The same, with the values that explain it. */
#define CHECK_SAY(condition, ...) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, #condition ": " __VA_ARGS__))
#define CHECK_INT(got, expected) test_integer(__FILE__, __LINE__, #got, (long long)(got), (long long)(expected))
#define CHECK_STATUS(got, expected) test_status(__FILE__, __LINE__, #got, (got), (expected))
#define CHECK_NEAR(got, expected, bound)                                                                               \
    test_near(__FILE__, __LINE__, #got, (long double)(got), (long double)(expected), (long double)(bound))
#define CHECK_BYTES(got, expected, bytes) CHECK_SAY((bytes) == 0 || memcmp(got, expected, bytes) == 0, "they differ")

static inline void test_integer(const char *file, int line, const char *what, long long got, long long expected)
{
    if (got != expected)
        test_fail(file, line, "%s is %lld, expected %lld", what, got, expected);
}

static inline void test_status(const char *file, int line, const char *what, bd_status got, bd_status expected)
{
    if (got != expected)
        test_fail(file, line, "%s is status %d, expected %d", what, (int)got, (int)expected);
}

static inline void test_near(const char *file, int line, const char *what, long double got, long double expected,
                             long double bound)
{
    if (!(fabsl(got - expected) <= bound)) /* a NaN fails */
        test_fail(file, line, "%s is %.17Lg, expected %.17Lg within %.3Lg", what, got, expected, bound);
}

#endif
