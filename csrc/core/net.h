/* What the files of the net share: its plan (net_plan.c), runs of it (net_run.c), training (net_training.c).
 *
 * Memory is two blocks. The arena, made once: parameters, gradients and the optimiser's state, each part laid out
 * like the others, then buffers, then room for what a failed step puts back. The activations, made by bd_net_reserve
 * for a number of samples: values, their gradients, what layers keep for backward, one scratch space, and room for a
 * batch picked from a larger array.
 *
 * Fusion is a property of the plan, decided once: a layer that can apply a ReLU while it stores does the work of
 * the Relu after it (relu_out), and while it stores dx that of the Relu before it (relu_dx); it may pool as well.
 */
#ifndef BADAK_NET_H
#define BADAK_NET_H

#include "badak.h"
#include "share.h"

enum { OF_A_STEP = 3 }; /* arithmetic of forward and backward, where that of forward is 1 */

typedef struct {
    bd_shape shape;     /* for one sample */
    int uses;           /* steps that read it */
    bool trains;        /* depends on a parameter, so that its gradient is needed */
    bool channels_last; /* an image that lies as n h w c in a fused run, and its gradient */
    size_t at, grad_at; /* bytes into the activations */
} net_value;

typedef struct {
    bd_layer layer;
    int depth;
    int number;                /* in the names of its parameters */
    int in[BD_MAX_INPUT], out; /* values */
    bd_form form;              /* for one sample */
    int first_param, param_count, first_buffer;
    /* applies the next step's ReLU, or that behind the pool it does; is a ReLU that the step before applies */
    bool relu_out, relu_done;
    bool relu_dx, relu_dx_done;
    int pool;    /* the step of a pool that this one does, forward and backward; or 0 */
    bool pooled; /* is that pool */
    size_t keep_at, keep_index_at, prepared_at;
    bd_size draws_before; /* random numbers per sample that the steps before take */
} net_step;

struct bd_net {
    bd_dtype dtype;
    net_step *step; /* the loss is the last */
    int steps;
    net_value *value;
    int values;
    bd_array *param, *buffer;
    int params, buffers;
    bd_size size, buffer_size; /* elements, with the gaps that alignment leaves */
    char *arena;
    bool arena_taken;
    char *activations;
    size_t activation_bytes, work_at, work_bytes, common_at, draws_at, sum_at, picked_t_at;
    bd_size room;       /* samples that fit */
    int parts;          /* of work, each with a scratch space of its own */
    double operations;  /* of one sample, forward */
    bd_team team;       /* the pool of threads, while a run has it */
    bool *grad_written; /* per value, in one backward */
    const bd_optimizer_kind *optimizer;
    int64_t updates;
    bd_rng rng;
    uint64_t run_began; /* position of rng when the last run began */
    double *given;      /* what layers draw instead, by a batch of so many numbers; or NULL */
    bd_size given_count;
    uint64_t kept_position; /* for bd_net_undo */
    bool stopped;           /* by a layer or by poll, in the run that is on */
    bool (*poll)(void *);   /* is asked between steps whether to go on */
    void *poll_context;
    bool known;    /* all parameters are known to be finite, and to stay the same */
    bool prepared; /* since they are known there has been a run */
    bool risky;    /* the gradient holds huge numbers: the update may overflow */
    bd_size draws; /* random numbers per sample in one run */
};

/* Everything about one run that is not about the net. */
typedef struct {
    const void *x;
    const bd_target *target; /* NULL: the loss is not run */
    void *scores, *dx;       /* NULL: not wanted */
    bd_size n;
    bool training, fuse;
    bool replay; /* with the random numbers of the run before */
} net_run;

/* Gradients, parameters and two states are alike; buffers come last, in one block with what an update changes. Room to
 * keep that block follows: untouched, and so without cost, but for the buffers and in steps with huge numbers. */
enum { GRADS, PARAMS, STATE, PARTS = STATE + BD_MAX_STATE };

static inline const net_step *loss_step(const bd_net *net)
{
    return &net->step[net->steps - 1];
}

static inline int scores_value(const bd_net *net)
{
    return loss_step(net)->in[0];
}

/* The value that this step writes in a fused run. */
static inline int written_by(const net_step *step, const net_step *all)
{
    const net_step *last = step->pool ? all + step->pool : step;

    return last->relu_out ? (last + 1)->out : last->out;
}

static inline bd_size changing(const bd_net *net)
{
    return net->size * (PARTS - PARAMS) + net->buffer_size;
}

static inline char *part(const bd_net *net, int which)
{
    return net->arena + (size_t)net->size * (size_t)which * bd_dtype_size(net->dtype);
}

static inline void set_real(const bd_net *net, char *base, bd_size i, double value)
{
    if (net->dtype == BD_F32)
        ((float *)(void *)base)[i] = (float)value;
    else if (net->dtype == BD_F64)
        ((double *)(void *)base)[i] = value;
    else
        ((long double *)(void *)base)[i] = value;
}

static inline bd_shape of_batch(const net_value *value, bd_size n)
{
    bd_shape shape = value->shape;
    shape.dim[0] = n;
    return shape;
}

/* ---------------------------------------------------------------- net_run.c */

/* Takes the pool of threads for a run of so much arithmetic. True if it did: the caller gives it back. */
bool net_take_threads(bd_net *net, double operations);
void net_give_threads(bd_net *net, bool taken);
/* Calls `work` for the ranges of 0 .. count - 1, in threads if that is worth it; `operations` are those of one. */
void net_in_parts(bd_net *net, void (*work)(void *context, bd_range range), void *context, bd_size count, bd_size unit,
                  double operations);

/* The steps from `first` on; all of them backward. */
void net_forward(bd_net *net, const net_run *run, int first);
void net_backward(bd_net *net, const net_run *run);

void *net_value_at(const bd_net *net, const net_run *run, int value);
double net_real_at(const bd_net *net, const void *base, bd_size i);
double net_loss_value(const bd_net *net);
bd_size net_count_hits(const bd_net *net, const net_run *run); /* samples that are classified right */

#endif
