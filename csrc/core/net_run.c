/* Runs of a net: room for a batch, forward, backward. */
#include <string.h>

#include "../kernels/kernels.h"
#include "net.h"

/* ---------------------------------------------------------------- room for a batch */

/* Hands out consecutive aligned places; `failed` once they cannot be counted any more. */
typedef struct {
    size_t used;
    bool failed;
} place_maker;

static size_t place(place_maker *maker, bd_size elements, size_t element_size)
{
    const size_t at = maker->used, align = 64;

    if (elements < 0 || elements > BD_MAX_ELEMENTS || at > (size_t)PTRDIFF_MAX / 2)
        maker->failed = true;
    else
        maker->used = (at + (size_t)elements * element_size + align - 1) / align * align;
    return at;
}

bd_status bd_net_reserve(bd_net *net, bd_size n)
{
    const size_t size = bd_dtype_size(net->dtype);
    const bd_size width = bd_features(&net->value[scores_value(net)].shape);
    place_maker maker = {0};
    const bd_size room = n > net->room ? n : net->room;
    const int parts = bd_parts_for(OF_A_STEP * net->operations * (double)room, BD_TO_WAKE);
    bd_size work = 0, common = 0, draws = 0, most = 0;
    bd_detail detail;

    if (net->activations && n <= net->room && parts <= net->parts) /* for 0 samples as well: the loss has its place */
        return BD_OK;
    n = room;
    /* first count: a failure must leave the net as it was */
    for (int attempt = 0; attempt < 2; attempt++) {
        maker = (place_maker){0};
        for (int i = 0; i < net->values; i++) {
            const bd_shape shape = of_batch(&net->value[i], i == net->values - 1 ? 1 : n);
            const bd_size count = bd_count(&shape);
            const size_t at = place(&maker, count, size), grad_at = place(&maker, count, size);
            if (count > most)
                most = count;
            if (attempt) {
                net->value[i].at = at;
                net->value[i].grad_at = grad_at;
            }
        }
        for (int i = 0; i < net->steps; i++) {
            net_step *step = &net->step[i];
            bd_shape shape[BD_MAX_INPUT];
            bd_form form;
            for (int j = 0; j < BD_MAX_INPUT; j++)
                shape[j] = of_batch(&net->value[step->in[j]], n);
            if (bd_layer_form(&step->layer, shape, &form, &detail))
                return BD_NO_MEMORY; /* more elements than any memory holds */
            if (form.work > work)
                work = form.work;
            if (form.common > common)
                common = form.common;
            if (form.draws > draws)
                draws = form.draws;
            const size_t keep_at = place(&maker, form.keep, size);
            const size_t keep_index_at = place(&maker, form.keep_index, sizeof(int64_t));
            const size_t prepared_at = place(&maker, form.prepared, size);
            if (attempt) {
                step->keep_at = keep_at;
                step->keep_index_at = keep_index_at;
                step->prepared_at = prepared_at;
            }
        }
        const size_t work_at = place(&maker, work, size), work_bytes = maker.used - work_at;
        for (int i = 1; i < parts; i++)
            (void)place(&maker, work, size);
        const size_t common_at = place(&maker, common, size), sum_at = place(&maker, most, size);
        const size_t draws_at = place(&maker, draws, sizeof(double));
        const size_t picked_t_at = place(&maker, n, sizeof(int64_t) + (size_t)width * size);
        if (maker.failed)
            return BD_NO_MEMORY;
        if (!attempt) {
            char *activations = bd_alloc(maker.used);
            if (!activations)
                return BD_NO_MEMORY;
            bd_free(net->activations);
            net->activations = activations;
            net->prepared = false;
        } else {
            net->work_at = work_at;
            net->work_bytes = work_bytes;
            net->common_at = common_at;
            net->sum_at = sum_at;
            net->draws_at = draws_at;
            net->picked_t_at = picked_t_at;
        }
    }
    net->activation_bytes = maker.used;
    net->room = n;
    net->parts = parts;
    return BD_OK;
}

/* ---------------------------------------------------------------- threads */

/* How many threads work at something small, once they are awake. */
static int parts_for(const bd_net *net, double operations)
{
    const int parts = bd_parts_for(operations, BD_TO_SHARE);
    return parts < net->parts ? parts : net->parts;
}

/* Takes the pool for a run of so much arithmetic. True if it did: the caller gives it back. */
bool net_take_threads(bd_net *net, double operations)
{
    const int parts = bd_parts_for(operations, BD_TO_WAKE);

    if (net->team.ticket)
        return false;
    net->team = bd_team_begin(parts < net->parts ? parts : net->parts);
    return net->team.ticket;
}

void net_give_threads(bd_net *net, bool taken)
{
    if (taken)
        bd_net_give_threads(net);
}

void bd_net_take_threads(bd_net *net, bd_size n)
{
    (void)net_take_threads(net, OF_A_STEP * net->operations * (double)n);
}

void bd_net_give_threads(bd_net *net)
{
    bd_team_end(net->team);
    net->team.ticket = 0;
}

/* Calls work for a range of 0 .. count-1 in each part. */
typedef struct {
    void (*work)(void *context, bd_range range);
    void *context;
    bd_size count, unit;
} range_job;

static void run_range(void *context, int part, int parts)
{
    const range_job *job = context;
    job->work(job->context, bd_share_of(job->count, job->unit, part, parts));
}

void net_in_parts(bd_net *net, void (*work)(void *context, bd_range range), void *context, bd_size count, bd_size unit,
                  double operations)
{
    bd_team_run(net->team, parts_for(net, operations * (double)count), run_range,
                &(range_job){work, context, count, unit});
}

/* ---------------------------------------------------------------- running it */

void *net_value_at(const bd_net *net, const net_run *run, int value)
{
    if (value == scores_value(net) && run->scores)
        return run->scores;
    return net->activations + net->value[value].at;
}

static const void *input_at(const bd_net *net, const net_run *run, int value)
{
    return value == 0 ? run->x : net_value_at(net, run, value);
}

/* A step with all its pointers: what forward and backward share. The shapes live in `shape`: inputs, then output. */
static bd_io io_of(bd_net *net, const net_run *run, const net_step *step, bd_shape shape[BD_MAX_INPUT + 1],
                   const void *param[BD_MAX_PARAM], void *dparam[BD_MAX_PARAM], void *buffer[BD_MAX_BUFFER])
{
    const size_t size = bd_dtype_size(net->dtype);
    const int out = run->fuse ? written_by(step, net->step) : step->out;
    bd_io io = {.shape = shape,
                .out_shape = &shape[BD_MAX_INPUT],
                .out = net_value_at(net, run, out),
                .param = param,
                .dparam = dparam,
                .buffer = buffer,
                .keep = net->activations + step->keep_at,
                .keep_index = (int64_t *)(void *)(net->activations + step->keep_index_at),
                .work = net->activations + net->work_at,
                .common = net->activations + net->common_at,
                .target = run->target,
                .draws = (const double *)(const void *)(net->activations + net->draws_at),
                .kernels = bd_kernels(net->dtype),
                .stop = &net->stopped,
                .training = run->training,
                .prepared = net->known && step->form.prepared ? net->activations + step->prepared_at : NULL,
                .is_prepared = net->prepared,
                .finite = net->known,
                .x_last = run->fuse && net->value[step->in[0]].channels_last,
                .relu_out = run->fuse && step->relu_out,
                .out_last = run->fuse && net->value[out].channels_last,
                .winner = run->fuse && step->pool ? net->activations + net->value[step->out].at : NULL};

    for (int i = 0; i < step->layer.kind->inputs; i++) {
        shape[i] = of_batch(&net->value[step->in[i]], run->n);
        io.x[i] = input_at(net, run, step->in[i]);
    }
    shape[BD_MAX_INPUT] = of_batch(&net->value[step->out], run->n);
    for (int i = 0; i < step->param_count; i++) {
        const size_t at = (size_t)net->param[step->first_param + i].offset * size;
        param[i] = part(net, PARAMS) + at;
        dparam[i] = part(net, GRADS) + at;
    }
    for (int i = 0; i < bd_array_count(step->layer.kind->buffer, BD_MAX_BUFFER); i++)
        buffer[i] = part(net, PARTS) + (size_t)net->buffer[step->first_buffer + i].offset * size;
    return io;
}

void bd_net_draw(const bd_net *net, uint64_t began, bd_size from, bd_size count, bd_size n, double *draws)
{
    bd_rng rng = {net->rng.seed, began + (uint64_t)from};

    if (net->given && net->given_count == net->draws * n) {
        memcpy(draws, net->given + from, (size_t)count * sizeof *draws);
        return;
    }
    for (bd_size i = 0; i < count; i++)
        draws[i] = bd_rng_uniform(&rng);
}

typedef struct {
    const bd_net *net;
    bd_size from, n;
    double *draws;
} draw_job;

static void draw_range(void *context, bd_range range)
{
    const draw_job *job = context;

    bd_net_draw(job->net, job->net->run_began, job->from + range.from, range.count, job->n, job->draws + range.from);
}

/* The random numbers of a step in training. Each step has its own place in the stream, counted from where the run
 * began, so that a run of a part of the plan draws what the whole run drew. */
static void draw(bd_net *net, const net_run *run, const net_step *step)
{
    enum { OPERATIONS = 300 }; /* of one, roughly */
    draw_job job = {net, step->draws_before * run->n, run->n, (double *)(void *)(net->activations + net->draws_at)};

    if (run->training && step->form.draws)
        net_in_parts(net, draw_range, &job, step->form.draws * run->n, BD_LINE, OPERATIONS);
}

/* Forward or backward of a step. */
static void call_step(bd_net *net, const net_step *step, void (*run)(const bd_layer *, const bd_io *), const bd_io *io,
                      int times)
{
    const double operations = times * bd_layer_operations(&step->form, io->shape->dim[0], io->shape);
    bd_team_run_layer(net->team, parts_for(net, operations), run, &step->layer, io, net->work_bytes);
}

static bool goes_on(bd_net *net)
{
    if (!net->stopped && net->poll && !net->poll(net->poll_context))
        net->stopped = true;
    return !net->stopped;
}

void net_forward(bd_net *net, const net_run *run, int first)
{
    const int end = run->target ? net->steps : net->steps - 1;

    net->stopped = false;
    if (!run->replay)
        net->run_began = net->rng.position;
    for (int i = first; i < end && goes_on(net); i++) {
        const net_step *step = &net->step[i];
        const void *param[BD_MAX_PARAM];
        void *dparam[BD_MAX_PARAM], *buffer[BD_MAX_BUFFER];
        bd_shape shape[BD_MAX_INPUT + 1];

        if (run->fuse && (step->relu_done || step->pooled))
            continue;
        draw(net, run, step);
        const bd_io io = io_of(net, run, step, shape, param, dparam, buffer);
        call_step(net, step, step->layer.kind->forward[net->dtype], &io, 1);
    }
    if (run->training)
        net->rng.position = net->run_began + (uint64_t)(net->draws * run->n);
}

typedef struct {
    const bd_net *net;
    char *sum;
    const char *more;
} add_job;

static void add_range(void *context, bd_range range)
{
    const add_job *job = context;
    const void *k = bd_kernels(job->net->dtype);
    const size_t at = (size_t)range.from * bd_dtype_size(job->net->dtype);
    void *sum = job->sum + at;
    const void *more = job->more + at;

    if (job->net->dtype == BD_F32)
        ((const bd_kernels_f32 *)k)->add(sum, sum, more, range.count);
    else if (job->net->dtype == BD_F64)
        ((const bd_kernels_f64 *)k)->add(sum, sum, more, range.count);
    else
        ((const bd_kernels_ext *)k)->add(sum, sum, more, range.count);
}

static void add_to(bd_net *net, void *sum, const void *more, bd_size count)
{
    enum { OPERATIONS = 4 };
    net_in_parts(net, add_range, &(add_job){net, sum, more}, count, BD_LINE, OPERATIONS);
}

static bool gradient_wanted(const bd_net *net, const net_run *run, int value)
{
    return net->value[value].trains || run->dx;
}

static char *grad_at(const bd_net *net, const net_run *run, int value)
{
    return value == 0 ? run->dx : net->activations + net->value[value].grad_at;
}

void net_backward(bd_net *net, const net_run *run)
{
    memset(net->grad_written, 0, (size_t)net->values * sizeof *net->grad_written);
    set_real(net, grad_at(net, run, loss_step(net)->out), 0, 1);

    for (int i = net->steps - 1; i >= 0 && goes_on(net); i--) {
        const net_step *step = &net->step[i];
        const void *param[BD_MAX_PARAM];
        void *dparam[BD_MAX_PARAM], *buffer[BD_MAX_BUFFER];
        bd_shape shape[BD_MAX_INPUT + 1];

        if (run->fuse && (step->relu_dx_done || step->pooled))
            continue;
        bd_io io = io_of(net, run, step, shape, param, dparam, buffer);
        int to[BD_MAX_INPUT];
        io.dout = grad_at(net, run, run->fuse && step->pool ? net->step[step->pool].out : step->out);
        for (int j = 0; j < step->layer.kind->inputs; j++) {
            to[j] = step->in[j];
            if (run->fuse && step->relu_dx)
                to[j] = net->step[i - 1].in[0]; /* past the ReLU */
            if (!gradient_wanted(net, run, to[j]))
                continue;
            /* what meets at a value is summed: the second to arrive waits in the scratch at sum_at */
            io.dx[j] = net->grad_written[to[j]] ? net->activations + net->sum_at : grad_at(net, run, to[j]);
        }
        io.relu_dx = run->fuse && step->relu_dx;
        call_step(net, step, step->layer.kind->backward[net->dtype], &io, OF_A_STEP - 1);
        for (int j = 0; j < step->layer.kind->inputs; j++) {
            if (io.dx[j] && net->grad_written[to[j]])
                add_to(net, grad_at(net, run, to[j]), io.dx[j], bd_count(&shape[j]));
            if (io.dx[j])
                net->grad_written[to[j]] = true;
        }
    }
}

double net_loss_value(const bd_net *net)
{
    const void *loss = net->activations + net->value[loss_step(net)->out].at;

    return net->dtype == BD_F32 ? *(const float *)loss
         : net->dtype == BD_F64 ? *(const double *)loss
                                : (double)*(const long double *)loss;
}

double net_real_at(const bd_net *net, const void *base, bd_size i)
{
    return net->dtype == BD_F32 ? ((const float *)base)[i]
         : net->dtype == BD_F64 ? ((const double *)base)[i]
                                : (double)((const long double *)base)[i];
}

/* The first of the largest, as np.argmax. */
static bd_size largest_at(const bd_net *net, const void *base, bd_size from, bd_size count)
{
    bd_size best = 0;

    for (bd_size j = 1; j < count; j++)
        if (net_real_at(net, base, from + j) > net_real_at(net, base, from + best))
            best = j;
    return best;
}

/* Samples whose every column is on the right side. */
static bd_size count_binary_hits(const bd_net *net, const net_run *run, bd_size c)
{
    const void *scores = input_at(net, run, scores_value(net));
    bd_size hits = 0;

    for (bd_size i = 0; i < run->n; i++) {
        bool right = true;
        for (bd_size j = 0; j < c; j++)
            right = right &&
                    (net_real_at(net, scores, i * c + j) > 0) == (net_real_at(net, run->target->rows, i * c + j) > 0.5);
        hits += right;
    }
    return hits;
}

bd_size net_count_hits(const bd_net *net, const net_run *run)
{
    const bd_size c = bd_features(&net->value[scores_value(net)].shape);
    const void *scores = input_at(net, run, scores_value(net));
    bd_size hits = 0;

    if (loss_step(net)->layer.kind->flags & BD_BINARY_TARGET)
        return count_binary_hits(net, run, c);
    for (bd_size i = 0; i < run->n; i++) {
        const bd_size label = run->target->index ? run->target->index[i] : largest_at(net, run->target->rows, i * c, c);
        hits += largest_at(net, scores, i * c, c) == label;
    }
    return hits;
}
