/* Optimisers: one descriptor each, as for layers. They change p in place, over any number of elements at once.
 *
 *     SGD    p -= lr g                                                     (book: section 6.1.2)
 *     Momentum   v = momentum v - lr g,  p += v                            (book: section 6.1.4)
 *     Nesterov   p += momentum^2 v - (1 + momentum) lr g,  v = momentum v - lr g    (Bengio et al. 2012, arXiv
 * 1212.0901) AdaGrad    h += g^2,  p -= lr g / (sqrt(h) + eps)                    (book: section 6.1.5; Duchi et al.
 * 2011) RMSprop    h = decay_rate h + (1 - decay_rate) g^2,  p as AdaGrad    (Tieleman, Hinton 2012) Adam   m += (1 -
 * beta1) (g - m),  v += (1 - beta2) (g^2 - v), p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps) (book:
 * section 6.1.6; Kingma, Ba 2015, end of section 2)
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

static void REAL(momentum_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper,
                                  int64_t t, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;

    (void)t;
    k->momentum(p, g, state[V_ALONE], n, (real)hyper[LR].f, (real)hyper[MOMENTUM].f);
}

static void REAL(nesterov_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper,
                                  int64_t t, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;

    (void)t;
    k->nesterov(p, g, state[V_ALONE], n, (real)hyper[LR].f, (real)hyper[MOMENTUM].f);
}

static void REAL(adagrad_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper,
                                 int64_t t, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;

    (void)t;
    k->adagrad(p, g, state[H], n, (real)hyper[LR].f, 1, 1, (real)hyper[ADAGRAD_EPS].f);
}

static void REAL(rmsprop_update)(void *p, const void *g, void *const *state, bd_size n, const bd_value *hyper,
                                 int64_t t, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;
    const double decay = hyper[DECAY_RATE].f;

    (void)t;
    k->adagrad(p, g, state[H], n, (real)hyper[LR].f, (real)decay, (real)(1 - decay), (real)hyper[RMSPROP_EPS].f);
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

enum { LR };                          /* hyper-parameters: first of all, then */
enum { MOMENTUM = 1 };                /* of Momentum and Nesterov */
enum { ADAGRAD_EPS = 1 };             /* of AdaGrad */
enum { DECAY_RATE = 1, RMSPROP_EPS }; /* of RMSprop */
enum { BETA1 = 1, BETA2, EPS };       /* of Adam */
enum { V_ALONE = 0 };                 /* state of Momentum and Nesterov */
enum { H };                           /* of AdaGrad and RMSprop */
enum { M, V };                        /* of Adam */

#define BD_BODY "optimizer.c"
#include "each_real.h"

#define LEARNING_RATE(rate) {"lr", BD_REAL, .min = 0, .above = true, .max = 1e30, .fallback = (rate)}
#define SMALL {"eps", BD_REAL, .min = 0, .above = true, .max = 1, .fallback = 1e-7}
#define DECAY(name, rate) {name, BD_REAL, .min = 0, .max = 1, .below = true, .fallback = (rate)}

const bd_optimizer_kind bd_sgd = {
    .name = "SGD",
    .hyper = {[LR] = LEARNING_RATE(0.01)},
    .update = BD_EACH_REAL(sgd_update),
};

const bd_optimizer_kind bd_momentum = {
    .name = "Momentum",
    .hyper = {[LR] = LEARNING_RATE(0.01), [MOMENTUM] = DECAY("momentum", 0.9)},
    .state = {[V_ALONE] = "v"},
    .update = BD_EACH_REAL(momentum_update),
};

const bd_optimizer_kind bd_nesterov = {
    .name = "Nesterov",
    .hyper = {[LR] = LEARNING_RATE(0.01), [MOMENTUM] = DECAY("momentum", 0.9)},
    .state = {[V_ALONE] = "v"},
    .update = BD_EACH_REAL(nesterov_update),
};

const bd_optimizer_kind bd_adagrad = {
    .name = "AdaGrad",
    .hyper = {[LR] = LEARNING_RATE(0.01), [ADAGRAD_EPS] = SMALL},
    .state = {[H] = "h"},
    .update = BD_EACH_REAL(adagrad_update),
};

const bd_optimizer_kind bd_rmsprop = {
    .name = "RMSprop",
    .hyper = {[LR] = LEARNING_RATE(0.01), [DECAY_RATE] = DECAY("decay_rate", 0.99), [RMSPROP_EPS] = SMALL},
    .state = {[H] = "h"},
    .update = BD_EACH_REAL(rmsprop_update),
};

const bd_optimizer_kind bd_adam = {
    .name = "Adam",
    .hyper = {[LR] = LEARNING_RATE(0.001),
              [BETA1] = DECAY("beta1", 0.9),
              [BETA2] = DECAY("beta2", 0.999),
              [EPS] = SMALL},
    .state = {[M] = "m", [V] = "v"},
    .update = BD_EACH_REAL(adam_update),
};

const bd_optimizer_kind *const bd_optimizer_kinds[] = {&bd_sgd,     &bd_momentum, &bd_nesterov, &bd_adagrad,
                                                       &bd_rmsprop, &bd_adam,     NULL};

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
