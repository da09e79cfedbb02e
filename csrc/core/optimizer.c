/* Optimisers: one descriptor each, as for layers. They change p in place, over any number of elements at once.
 *
 *     SGD    p -= lr g                                                     (book: section 6.1.2)
 *     Adam   m += (1 - beta1) (g - m),  v += (1 - beta2) (g^2 - v),
 *            p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps) (book: section 6.1.6; Kingma, Ba 2015,
 *                                                                           end of section 2)
 */
#ifdef real

static void REAL(sgd_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper, int64_t t,
                             const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;

    (void)state;
    (void)t;
    k->sgd(p, g, n, (real)hyper[LR].f);
}

static void REAL(adam_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper, int64_t t,
                              const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;
    const double beta1 = hyper[BETA1].f, beta2 = hyper[BETA2].f;
    const double lr = hyper[LR].f * sqrt(1 - pow(beta2, (double)t)) / (1 - pow(beta1, (double)t));

    k->adam(p, g, state[M], state[V], n, (real)lr, (real)(1 - beta1), (real)(1 - beta2), (real)hyper[EPS].f);
}

#else

#include <math.h>
#include <string.h>

#include "badak.h"
#include "../kernels/kernels.h"

enum { LR, BETA1, BETA2, EPS }; /* hyper-parameters */
enum { M, V };                  /* state */

#define BD_BODY "optimizer.c"
#include "each_real.h"

#define LEARNING_RATE(rate) {"lr", BD_REAL, .min = 0, .above = true, .max = 1e30, .fallback = (rate)}
#define DECAY(name, rate) {name, BD_REAL, .min = 0, .max = 1, .below = true, .fallback = (rate)}

const bd_optimizer_kind bd_sgd = {
    .name = "SGD",
    .hyper = {[LR] = LEARNING_RATE(0.01)},
    .update = BD_EACH_REAL(sgd_update),
};

const bd_optimizer_kind bd_adam = {
    .name = "Adam",
    .hyper = {[LR] = LEARNING_RATE(0.001),
              [BETA1] = DECAY("beta1", 0.9),
              [BETA2] = DECAY("beta2", 0.999),
              [EPS] = {"eps", BD_REAL, .min = 0, .above = true, .max = 1, .fallback = 1e-7}},
    .state = {[M] = "m", [V] = "v"},
    .update = BD_EACH_REAL(adam_update),
};

const bd_optimizer_kind *const bd_optimizer_kinds[] = {&bd_sgd, &bd_adam, NULL};

const bd_optimizer_kind *bd_find_optimizer(const char *name)
{
    for (const bd_optimizer_kind *const *kind = bd_optimizer_kinds; *kind; kind++)
        if (!strcmp((*kind)->name, name))
            return *kind;
    return NULL;
}

int bd_state_count(const bd_optimizer_kind *kind)
{
    int count = 0;
    while (count < BD_MAX_STATE && kind->state[count])
        count++;
    return count;
}

#endif
