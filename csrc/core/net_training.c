/* A step of training: what it changes and how that is put back, the loss, the update. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "net.h"

/* ---------------------------------------------------------------- what a run changes, and putting it back */

static char *kept(const bd_net *net)
{
    return part(net, PARAMS) + (size_t)changing(net) * bd_dtype_size(net->dtype);
}

/* Buffers and the generator; what an update changes is kept by bd_net_end_step. */
static void keep(bd_net *net)
{
    const size_t size = bd_dtype_size(net->dtype);
    char *kept_buffers = kept(net) + (size_t)(net->size * (PARTS - PARAMS)) * size;

    memcpy(kept_buffers, bd_net_buffers(net), (size_t)net->buffer_size * size);
    net->kept_position = net->rng.position;
}

void bd_net_undo(bd_net *net)
{
    const size_t size = bd_dtype_size(net->dtype);
    const char *kept_buffers = kept(net) + (size_t)(net->size * (PARTS - PARAMS)) * size;

    memcpy(bd_net_buffers(net), kept_buffers, (size_t)net->buffer_size * size);
    net->rng.position = net->kept_position;
}

static bd_status loss_and_hits(bd_net *net, double *loss, bd_size *hits, const net_run *run, bd_detail *detail)
{
    const bd_size width = bd_features(&net->value[scores_value(net)].shape);
    const bd_status status = bd_check_target(&loss_step(net)->layer, run->target, run->n, width, net->dtype, detail);

    if (status)
        return status;
    if (run->n == 0) {
        *detail = (bd_detail){.what = "x"};
        return BD_EMPTY_BATCH;
    }
    if (run->training)
        keep(net);
    net_forward(net, run, 0);
    if (net->stopped) {
        if (run->training)
            bd_net_undo(net);
        return BD_STOPPED;
    }
    *loss = net_loss_value(net);
    if (hits)
        *hits = net_count_hits(net, run);
    return BD_OK;
}

void bd_net_params_are_known(bd_net *net, bool known)
{
    net->known = known;
    net->prepared &= known;
}

bd_status bd_net_forward(bd_net *net, void *scores, const void *x, bd_size n, bool training, bool fuse_steps)
{
    const bool taken = net_take_threads(net, net->operations * (double)n);

    net_forward(net, &(net_run){.x = x, .scores = scores, .n = n, .training = training, .fuse = fuse_steps}, 0);
    net_give_threads(net, taken);
    net->prepared = net->known && !net->stopped;
    return net->stopped ? BD_STOPPED : BD_OK;
}

bd_status bd_net_loss(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t, bd_size n,
                      bool training, bd_detail *detail)
{
    const net_run run = {.x = x, .target = t, .n = n, .training = training, .fuse = true};
    const bool taken = net_take_threads(net, net->operations * (double)n);
    const bd_status status = loss_and_hits(net, loss, hits, &run, detail);

    net_give_threads(net, taken);
    return status;
}

double bd_net_loss_from(bd_net *net, int first, const void *x, const bd_target *t, bd_size n, bool training)
{
    net_forward(net, &(net_run){.x = x, .target = t, .n = n, .training = training, .fuse = true, .replay = true},
                first);
    return net->stopped ? (double)NAN : net_loss_value(net);
}

double bd_net_largest_score(const bd_net *net, bd_size n)
{
    const net_value *scores = &net->value[scores_value(net)];
    const bd_shape shape = of_batch(scores, n);
    double largest = 0;

    for (bd_size i = 0; i < bd_count(&shape); i++)
        largest = fmax(largest, fabs(net_real_at(net, net->activations + scores->at, i)));
    return largest;
}

bd_status bd_net_gradient(bd_net *net, double *loss, bd_size *hits, void *dx, const void *x, const bd_target *t,
                          bd_size n, bool fuse_steps, bd_detail *detail)
{
    const net_run run = {.x = x, .target = t, .dx = dx, .n = n, .training = true, .fuse = fuse_steps};
    const bool taken = net_take_threads(net, OF_A_STEP * net->operations * (double)n);
    bd_status status = loss_and_hits(net, loss, hits, &run, detail);

    if (!status)
        net_backward(net, &run);
    net_give_threads(net, taken);
    if (!status && net->stopped) {
        bd_net_undo(net);
        status = BD_STOPPED;
    }
    return status;
}

typedef struct {
    char *picked;
    const char *x;
    const int64_t *rows;
    size_t row_bytes;
} pick_job;

static void pick_range(void *context, bd_range range)
{
    const pick_job *job = context;

    for (bd_size i = range.from; i < range.from + range.count; i++)
        memcpy(job->picked + (size_t)i * job->row_bytes, job->x + (size_t)job->rows[i] * job->row_bytes,
               job->row_bytes);
}

/* Copies the wanted rows next to each other, into the net's own memory. */
static bd_status pick(bd_net *net, const void **x, bd_target *t, const int64_t *rows, bd_size n, bd_size total,
                      bd_detail *detail)
{
    const size_t size = bd_dtype_size(net->dtype);
    const bd_size features = bd_features(&net->value[0].shape);
    pick_job of_x = {net->activations + net->value[0].at, *x, rows, (size_t)features * size};
    pick_job of_t = {net->activations + net->picked_t_at, t->rows, rows, (size_t)t->width * size};
    int64_t *picked_index = (int64_t *)(void *)of_t.picked; /* a target has one or the other */

    for (bd_size i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= total) {
            *detail = (bd_detail){.what = "x", .got = rows[i], .expected = total - 1};
            return BD_BAD_ROW;
        }
    net_in_parts(net, pick_range, &of_x, n, 1, (double)features);
    *x = of_x.picked;
    for (bd_size i = 0; t->index && i < n; i++)
        picked_index[i] = t->index[rows[i]];
    if (t->index) {
        t->index = picked_index;
    } else if (t->rows) {
        pick_range(&of_t, (bd_range){0, n});
        t->rows = of_t.picked;
    }
    return BD_OK;
}

/* ---------------------------------------------------------------- training */

static char *param_at(const bd_net *net, int part_of_arena, const bd_array *a)
{
    return part(net, part_of_arena) + (size_t)a->offset * bd_dtype_size(net->dtype);
}

double bd_net_penalty(const bd_net *net, double weight_decay)
{
    double squares = 0;

    for (int i = 0; i < net->params; i++) {
        const bd_array *a = &net->param[i];
        if (a->role == BD_WEIGHT)
            squares += bd_sum_of_squares(param_at(net, PARAMS, a), bd_count(&a->shape), net->dtype);
    }
    return weight_decay / 2 * squares;
}

/* out += factor x */
static void add_scaled(const bd_net *net, void *out, const void *x, bd_size count, double factor)
{
    const void *k = bd_kernels(net->dtype);

    if (net->dtype == BD_F32)
        ((const bd_kernels_f32 *)k)->sgd(out, x, count, (float)-factor);
    else if (net->dtype == BD_F64)
        ((const bd_kernels_f64 *)k)->sgd(out, x, count, -factor);
    else
        ((const bd_kernels_ext *)k)->sgd(out, x, count, -(long double)factor);
}

/* The gradient of the penalty (book: section 6.4.2): weight_decay W to each weight's gradient. */
static void add_penalty_gradient(const bd_net *net, double weight_decay)
{
    for (int i = 0; i < net->params; i++) {
        const bd_array *a = &net->param[i];
        if (a->role == BD_WEIGHT)
            add_scaled(net, param_at(net, GRADS, a), param_at(net, PARAMS, a), bd_count(&a->shape), weight_decay);
    }
}

/* The first step whose output is not finite; -1 if x itself is not. */
static int first_bad_output(const bd_net *net, const net_run *run)
{
    if (bd_first_not_finite(run->x, run->n * bd_features(&net->value[0].shape), net->dtype) >= 0)
        return -1;
    for (int i = 0; i < net->steps - 1; i++) {
        const net_step *step = &net->step[i];
        const int value = run->fuse ? written_by(step, net->step) : step->out;
        if (run->fuse && (step->relu_done || step->pooled))
            continue;
        const bd_shape shape = of_batch(&net->value[value], run->n);
        if (bd_first_not_finite(net_value_at(net, run, value), bd_count(&shape), net->dtype) >= 0)
            return i;
    }
    return net->steps - 1;
}

/* The first step, in the order of backward, for which a part of the arena is not finite. */
static int last_bad_part(const bd_net *net, int which)
{
    for (int i = net->params - 1; i >= 0; i--) {
        const bd_array *a = &net->param[i];
        if (bd_first_not_finite(param_at(net, which, a), bd_count(&a->shape), net->dtype) >= 0)
            return a->step;
    }
    return net->steps - 1;
}

/* Numbers below this are harmless: products of two of them, and sums of many such, are finite. */
static double harmless(bd_dtype dtype)
{
    return dtype == BD_F32 ? 1e15 : 1e150;
}

typedef struct {
    const bd_net *net;
    atomic_bool below;
} below_job;

static void look_at_range(void *context, bd_range range)
{
    below_job *job = context;
    const bd_net *net = job->net;
    const char *grads = part(net, GRADS) + (size_t)range.from * bd_dtype_size(net->dtype);

    if (!bd_all_below(grads, range.count, harmless(net->dtype), net->dtype))
        atomic_store(&job->below, false);
}

static bool gradient_is_harmless(bd_net *net)
{
    enum { OPERATIONS = 4 };
    below_job job = {net, true};

    net_in_parts(net, look_at_range, &job, net->size, BD_LINE, OPERATIONS);
    return job.below;
}

static bd_status begin_step(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t,
                            const int64_t *rows, bd_size n, bd_size total, const bd_optimizer *optimizer,
                            bd_detail *detail)
{
    bd_target target = *t;
    bd_status status = BD_OK;

    if (target.rows && target.width != bd_features(&net->value[scores_value(net)].shape)) {
        *detail = (bd_detail){
            .what = "t", .got = target.width, .expected = bd_features(&net->value[scores_value(net)].shape)};
        return BD_BAD_TARGET_WIDTH;
    }
    if (rows && (status = pick(net, &x, &target, rows, n, total, detail)))
        return status;
    if ((status = bd_net_gradient(net, loss, hits, NULL, x, &target, n, true, detail)))
        return status;
    if (optimizer->weight_decay > 0) {
        *loss += bd_net_penalty(net, optimizer->weight_decay);
        add_penalty_gradient(net, optimizer->weight_decay);
    }
    if (!isfinite(*loss)) {
        *detail = (bd_detail){.value = *loss, .where = first_bad_output(net, &(net_run){.x = x, .n = n, .fuse = true})};
        status = BD_LOSS_NOT_FINITE;
    }
    net->risky = !gradient_is_harmless(net);
    if (!status && net->risky && bd_first_not_finite(bd_net_grads(net), net->size, net->dtype) >= 0) {
        *detail = (bd_detail){.where = last_bad_part(net, GRADS)};
        status = BD_GRADIENT_NOT_FINITE;
    }
    if (status)
        bd_net_undo(net);
    return status;
}

bd_status bd_net_begin_step(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t,
                            const int64_t *rows, bd_size n, bd_size total, const bd_optimizer *optimizer,
                            bd_detail *detail)
{
    const bool taken = net_take_threads(net, OF_A_STEP * net->operations * (double)n);
    const bd_status status = begin_step(net, loss, hits, x, t, rows, n, total, optimizer, detail);

    net_give_threads(net, taken);
    return status;
}

typedef struct {
    bd_net *net;
    const bd_optimizer *optimizer;
} update_job;

static void update_range(void *context, bd_range range)
{
    const update_job *job = context;
    const bd_net *net = job->net;
    const size_t at = (size_t)range.from * bd_dtype_size(net->dtype);
    void *state[BD_MAX_STATE];

    for (int i = 0; i < bd_state_count(net->optimizer); i++)
        state[i] = part(net, STATE + i) + at;
    net->optimizer->update[net->dtype](part(net, PARAMS) + at, part(net, GRADS) + at, state, range.count,
                                       job->optimizer->hyper, net->updates, bd_kernels(net->dtype));
}

bd_status bd_net_end_step(bd_net *net, const bd_optimizer *optimizer, bd_detail *detail)
{
    const int lr = bd_find_hyper(optimizer->kind->hyper, "lr");
    const size_t bytes = (size_t)changing(net) * bd_dtype_size(net->dtype);
    /* keeping and checking what changes would cost as much as the update: only where an overflow is possible at all */
    const bool risky = net->risky || optimizer->hyper[lr].f >= harmless(net->dtype);
    enum { OPERATIONS = 16 };

    if (risky)
        memcpy(kept(net), part(net, PARAMS), bytes - (size_t)net->buffer_size * bd_dtype_size(net->dtype));
    net->updates++;
    net_in_parts(net, update_range, &(update_job){net, optimizer}, net->size, BD_LINE, OPERATIONS);
    if (risky && bd_first_not_finite(part(net, PARAMS), net->size * (PARTS - PARAMS), net->dtype) >= 0) {
        *detail = (bd_detail){.where = last_bad_part(net, PARAMS)};
        memcpy(part(net, PARAMS), kept(net), bytes);
        net->rng.position = net->kept_position;
        net->updates--;
        return BD_UPDATE_NOT_FINITE;
    }
    return BD_OK;
}

bd_status bd_net_train(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t, const int64_t *rows,
                       bd_size n, bd_size total, const bd_optimizer *optimizer, bd_detail *detail)
{
    const bd_status status = bd_net_begin_step(net, loss, hits, x, t, rows, n, total, optimizer, detail);

    return status ? status : bd_net_end_step(net, optimizer, detail);
}
