/* Nets to test with: their layers, some data, and what they compute, worked out once more in long double. */
#ifndef BADAK_TEST_NETS_H
#define BADAK_TEST_NETS_H

#include "../../csrc/core/badak.h"

typedef enum { LABELS, SOFT_LABELS, NUMBERS } target_kind;

typedef struct {
    const char *name;
    const bd_node *layers;
    int count;
    bd_shape input;
    target_kind target; /* what its loss takes; SoftmaxWithLoss is tried with both kinds of labels */
    double eps;         /* of SoftmaxWithLoss */
} architecture;

extern const architecture architectures[];
extern const int architecture_count;

/* A net with data for it: `total` samples. */
typedef struct {
    const architecture *of;
    bd_net *net;
    bd_dtype dtype;
    target_kind kind;
    bd_size total, features, width; /* samples; numbers of an input and of a row of scores */
    void *x, *rows;
    int64_t *index;
    bd_target target;
} problem;

/* Random data and parameters, with room for all samples. */
problem make_problem(const architecture *of, bd_dtype dtype, target_kind target, bd_size total);
void free_problem(problem *p);
/* Calls `check` for every architecture with every float type and kind of target that it takes, with N samples. */
enum { N = 5 };
void for_each_problem(void (*check)(problem *p));

size_t bytes_of(const problem *p, bd_size count);
void *copy_of(const void *memory, size_t bytes);
/* Fails at the first number of a that is not that of b. (long double has bytes that mean nothing.) */
void check_same(const problem *p, const void *a, const void *b, bd_size count, const char *what);

bd_status create_net(bd_net **net, const architecture *of, bd_dtype dtype, bd_detail *detail);

/* Sets all parameters, biases too, to random numbers. */
void randomise(bd_net *net, uint64_t seed);
size_t param_bytes(const bd_net *net);

/* The scores of one sample, (width) numbers. */
void expected_scores(const problem *p, bd_size sample, long double *scores);
long double expected_loss(const problem *p, bd_size n);

enum { MOST_FEATURES = 64 };

#define AFFINE(n)                                                                                                      \
    {                                                                                                                  \
        .layer = {&bd_affine, {{.i = (n)}, {.f = BD_INIT_XAVIER}}}                                                     \
    }
#define LAYER(of_kind)                                                                                                 \
    {                                                                                                                  \
        .layer = {.kind = &bd_##of_kind}                                                                               \
    }
#define RESIDUAL(nodes) {.layer = {.kind = &bd_residual}, .children = (nodes), .child_count = COUNT(nodes)}
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

#endif
