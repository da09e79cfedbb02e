/* The loss of a net with one number moved, many at a time: numerical derivatives of all its parameters.
 *
 * The net is run once where it is, plainly (no fusion, channels first), and every value is kept. A moved number then
 * costs what depends on it:
 *
 * 1. Where the layer has the hooks, the features that the number reaches change in place (`nudge`), layers that work
 *    channel by channel follow (a ReLU, a pool), and the next layer adds what the change makes of its output
 *    (`spread`). A sample in which nothing changed on the way, to the bit, is done: its part of the loss is known.
 * 2. The rows that did change, of many moved numbers, are stacked as one batch through the layers that are left. A
 *    layer that mixes samples gets each copy of the batch by itself.
 * 3. Each moved number has its loss over its own rows and the unmoved ones.
 *
 * On the way each row is compared with the unmoved one: on which side of each ReLU, which winner of each pool. So a
 * kink is known and not guessed.
 */
#ifdef real

static bool REAL(same)(const void *a, const void *b, bd_size count)
{
    const real *x = a, *y = b;

    for (bd_size i = 0; i < count; i++)
        if (!(x[i] == y[i]))
            return false;
    return true;
}

static void REAL(subtract)(void *out, const void *a, const void *b, bd_size count)
{
    for (bd_size i = 0; i < count; i++)
        ((real *)out)[i] = ((const real *)a)[i] - ((const real *)b)[i];
}

static long double REAL(get)(const void *at, bd_size i)
{
    return ((const real *)at)[i];
}

static void REAL(set)(void *at, bd_size i, long double value)
{
    ((real *)at)[i] = (real)value;
}

#else

#include <float.h>
#include <math.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "badak.h"

#define BD_BODY "net_derivative.c"
#include "each_real.h"

enum { MOST_ROWS = 256, LANES = 32, MOST_COPIES = 2 * LANES };
#define BATCH_MACS 1e8 /* multiply-adds of one batch: some 10 ms, so that a signal is seen in time */

/* A layer with its pointers, ready to be called for rows of one shape. */
typedef struct {
    bd_io io;
    bd_shape shape[BD_MAX_INPUT + 1];
    const void *param[BD_MAX_PARAM];
    void *buffer[BD_MAX_BUFFER];
} call;

/* A layer that works channel by channel, in the chain that follows what a moved number reaches. */
typedef struct {
    int step;
    bd_size inner_in, inner_out; /* features in a channel */
    call one;                    /* for a row of the channels that are reached */
} chain_link;

struct bd_stack {
    bd_net *net;
    bd_dtype dtype, of_net;
    size_t size;             /* of a number */
    int steps, values, last; /* the loss is step `last` */
    bd_step_info *step;
    bd_shape *shape; /* of each value, for one sample */
    bd_size *width;  /* its features */
    int *reader;     /* the one step that reads it, or -1 */
    char **base, **rows;
    double **draws; /* per step, for the unmoved batch */
    double *row_draws;
    char *params, *own_params, *target_rows, *keep, *work, *buffers, *part[2], *change;
    int64_t *keep_index;
    bool *dirty, mixes;
    bd_target target;
    bd_size n, most;           /* samples; rows that fit beside them */
    long double loss, *losses; /* the mean, and of each sample */
    double noise;
    /* one batch of copies */
    bd_size row_count;
    int copies, *row_copy;
    bd_size *row_sample, first_row[MOST_COPIES + 1];
    bd_branch branch[MOST_COPIES];
    /* the parameter that moves */
    int which, first, value; /* its step (-1: x moves), the value that it reaches */
    chain_link *chain;
    int links, onwards;    /* the step after the chain that spreads, or -1 */
    call nudge, spread;    /* for one sample */
    bool whole;            /* copies are made by the layer itself, all rows of them */
    bool watches;          /* branches are compared */
    bool frozen;           /* and kept */
    bool stopped;          /* by a layer that calls out of the core */
    bd_ladder lane[LANES]; /* of the derivatives that are taken at once: too large for a thread's stack */
};

/* ---------------------------------------------------------------- typed work */

static bool same(const bd_stack *s, const void *a, const void *b, bd_size count)
{
    static bool (*const each[])(const void *, const void *, bd_size) = BD_EACH_REAL(same);
    return each[s->dtype](a, b, count);
}

static long double get(const bd_stack *s, const void *at, bd_size i)
{
    static long double (*const each[])(const void *, bd_size) = BD_EACH_REAL(get);
    return each[s->dtype](at, i);
}

static void set(const bd_stack *s, void *at, bd_size i, long double value)
{
    static void (*const each[])(void *, bd_size, long double) = BD_EACH_REAL(set);
    each[s->dtype](at, i, value);
}

/* Numbers of the net's type as those of the stack's. */
static void take_in(const bd_stack *s, void *to, const void *from, bd_size count)
{
    static long double (*const each[])(const void *, bd_size) = BD_EACH_REAL(get);

    if (s->dtype == s->of_net)
        memcpy(to, from, (size_t)count * s->size);
    else
        for (bd_size i = 0; i < count; i++)
            set(s, to, i, each[s->of_net](from, i));
}

static char *row_of(const bd_stack *s, char *const *values, int value, bd_size row)
{
    return values[value] + (size_t)(row * s->width[value]) * s->size;
}

static void copy_row(const bd_stack *s, int value, bd_size row, const void *from)
{
    memcpy(row_of(s, s->rows, value, row), from, (size_t)s->width[value] * s->size);
}

/* ---------------------------------------------------------------- calling layers */

static bd_shape of_rows(const bd_shape *one, bd_size n)
{
    bd_shape shape = *one;
    shape.dim[0] = n;
    return shape;
}

/* Layer `i` for n rows; inputs, output and draws are still to be set. */
static void prepare(bd_stack *s, call *c, int i, bd_size n)
{
    const bd_step_info *step = &s->step[i];

    *c = (call){.io = {.keep = s->keep,
                       .keep_index = s->keep_index,
                       .work = s->work,
                       .target = &s->target,
                       .draws = s->row_draws,
                       .kernels = bd_kernels(s->dtype),
                       .training = true,
                       .stop = &s->stopped}};
    for (int j = 0; j < step->layer.kind->inputs; j++)
        c->shape[j] = of_rows(&s->shape[step->in[j]], n);
    c->shape[BD_MAX_INPUT] = i == s->last ? bd_shape1(1) : of_rows(&s->shape[step->out], n);
    for (int j = 0; j < step->param_count; j++)
        c->param[j] = s->params + (size_t)bd_net_param(s->net, step->first_param + j)->offset * s->size;
    for (int j = 0; j < bd_array_count(step->layer.kind->buffer, BD_MAX_BUFFER); j++)
        c->buffer[j] = s->buffers + (size_t)bd_net_buffer(s->net, step->first_buffer + j)->offset * s->size;
}

/* A call may have been copied since it was prepared. */
static void connect(call *c)
{
    c->io.shape = c->shape;
    c->io.out_shape = &c->shape[BD_MAX_INPUT];
    c->io.param = c->param;
    c->io.buffer = c->buffer;
}

static void run_call(const bd_stack *s, call *c, int i, const void *x0, const void *x1, void *out)
{
    const bd_layer *layer = &s->step[i].layer;

    connect(c);
    c->io.x[0] = x0;
    c->io.x[1] = x1;
    c->io.out = out;
    layer->kind->forward[s->dtype](layer, &c->io);
}

static bool mixes(const bd_stack *s, int i)
{
    return s->step[i].layer.kind->flags & BD_MIXES_SAMPLES;
}

/* The loss of one sample whose scores are these: all losses are means over the batch. */
static long double loss_of(bd_stack *s, call *c, const void *scores, bd_size sample)
{
    bd_target target = s->target;

    if (target.index)
        target.index += sample;
    else
        target.rows = (const char *)target.rows + (size_t)(sample * target.width) * s->size;
    c->io.target = &target;
    run_call(s, c, s->last, scores, NULL, s->rows[s->step[s->last].out]);
    return get(s, s->rows[s->step[s->last].out], 0);
}

/* ---------------------------------------------------------------- the unmoved net */

static void run_base(bd_stack *s)
{
    bd_size drawn = 0;

    for (int i = 0; i < s->last; i++) {
        const bd_step_info *step = &s->step[i];
        const bd_size draws = step->form.draws * s->n;
        call c;

        bd_net_draw(s->net, bd_net_rng(s->net)->position, drawn, draws, s->n, s->draws[i]);
        drawn += draws;
        prepare(s, &c, i, s->n);
        c.io.draws = s->draws[i];
        run_call(s, &c, i, s->base[step->in[0]], s->base[step->in[1]], s->base[step->out]);
    }
    const int scores = s->step[s->last].in[0];
    call one;
    prepare(s, &one, s->last, 1);
    s->loss = 0;
    for (bd_size i = 0; i < s->n; i++) {
        s->losses[i] = loss_of(s, &one, row_of(s, s->base, scores, i), i);
        s->loss += s->losses[i] / (long double)s->n;
    }
    long double largest = 0;
    for (bd_size i = 0; i < s->n * s->width[scores]; i++)
        largest = fmaxl(largest, fabsl(get(s, s->base[scores], i)));
    const double unit = s->dtype == BD_F32 ? FLT_EPSILON : s->dtype == BD_F64 ? DBL_EPSILON : (double)LDBL_EPSILON;
    s->noise = unit * (double)(2 * largest + fabsl(s->loss));
}

static void *room(bd_size count, size_t size, bool *failed)
{
    void *memory = *failed || count < 0 || count > BD_MAX_ELEMENTS ? NULL : bd_alloc(((size_t)count + 16) * size);
    *failed = *failed || !memory;
    return memory;
}

static void find_readers(bd_stack *s)
{
    for (int v = 0; v < s->values; v++)
        s->reader[v] = -2;
    for (int i = 0; i < s->steps; i++)
        for (int j = 0; j < s->step[i].layer.kind->inputs; j++) {
            int *reader = &s->reader[s->step[i].in[j]];
            *reader = *reader == -2 ? i : -1;
        }
}

/* Memory for values, and for what the largest call needs. */
static bd_status make_room(bd_stack *s)
{
    bd_size keep = 0, keep_index = 0, work = 0, draws = 0, macs = 1, widest = 0, buffers = 0;
    bool failed = false;

    for (int i = 0; i < s->steps; i++)
        macs += s->step[i].form.macs;
    s->most = (bd_size)fmin(BATCH_MACS / (double)macs, MOST_ROWS);
    if (s->most < s->n)
        s->most = s->n;
    s->losses = room(s->n, sizeof *s->losses, &failed);
    s->row_copy = room(s->most, sizeof *s->row_copy, &failed);
    s->row_sample = room(s->most, sizeof *s->row_sample, &failed);
    for (int i = 0; i < s->steps; i++) {
        const bd_step_info *step = &s->step[i];
        bd_shape shape[BD_MAX_INPUT];
        bd_form form = {0};
        bd_detail detail;
        for (int j = 0; j < BD_MAX_INPUT; j++)
            shape[j] = of_rows(&s->shape[step->in[j]], s->most);
        if (bd_layer_form(&step->layer, shape, &form, &detail))
            return BD_TOO_LARGE;
        keep = form.keep > keep ? form.keep : keep;
        keep_index = form.keep_index > keep_index ? form.keep_index : keep_index;
        work = form.work > work ? form.work : work;
        draws = form.draws > draws ? form.draws : draws;
        s->draws[i] = room(step->form.draws * s->n, sizeof(double), &failed);
    }
    for (int v = 0; v < s->values; v++) {
        widest = s->width[v] > widest ? s->width[v] : widest;
        s->base[v] = room(s->n * s->width[v], s->size, &failed);
        s->rows[v] = room((s->most + s->n) * s->width[v], s->size, &failed);
    }
    for (int i = 0; i < bd_net_buffer_count(s->net); i++) {
        const bd_array *a = bd_net_buffer(s->net, i);
        buffers = a->offset + bd_count(&a->shape) > buffers ? a->offset + bd_count(&a->shape) : buffers;
    }
    s->keep = room(keep, s->size, &failed);
    s->keep_index = room(keep_index, sizeof(int64_t), &failed);
    s->work = room(work, s->size, &failed);
    s->row_draws = room(draws, sizeof(double), &failed);
    s->buffers = room(buffers, s->size, &failed);
    for (int i = 0; i < 2; i++)
        s->part[i] = room(widest, s->size, &failed);
    s->change = room(widest, s->size, &failed);
    const bool own = s->dtype != s->of_net; /* else the net's: a layer from outside of the core reads them there */
    s->params = own ? room(bd_net_size(s->net), s->size, &failed) : bd_net_params(s->net);
    s->own_params = own ? s->params : NULL;
    if (s->target.rows)
        s->target_rows = room(s->n * s->target.width, s->size, &failed);
    if (failed)
        return BD_NO_MEMORY;
    take_in(s, s->buffers, bd_net_buffers(s->net), buffers);
    if (own)
        take_in(s, s->params, bd_net_params(s->net), bd_net_size(s->net));
    if (s->target.rows) {
        take_in(s, s->target_rows, s->target.rows, s->n * s->target.width);
        s->target.rows = s->target_rows;
    }
    return BD_OK;
}

static bool all_can_extend(const bd_stack *s)
{
    for (int i = 0; i < s->steps; i++)
        if (!s->step[i].layer.kind->forward[BD_EXT])
            return false;
    return true;
}

bd_status bd_stack_create(bd_stack **out, bd_net *net, const void *x, const bd_target *t, bd_size n, bool extended,
                          bd_detail *detail)
{
    const int steps = bd_net_step_count(net) + 1;
    bd_status status = BD_NO_MEMORY;
    bd_stack *s = bd_alloc(sizeof *s);
    bool failed = !s;

    *out = NULL;
    *detail = (bd_detail){0};
    if (!s)
        return BD_NO_MEMORY;
    s->net = net;
    s->dtype = s->of_net = bd_net_dtype(net);
    s->steps = steps;
    s->last = steps - 1;
    s->values = steps + 1;
    s->n = n;
    s->target = *t;
    s->which = -2;
    s->watches = true;
    s->step = room(steps, sizeof *s->step, &failed);
    s->shape = room(s->values, sizeof *s->shape, &failed);
    s->width = room(s->values, sizeof *s->width, &failed);
    s->reader = room(s->values, sizeof *s->reader, &failed);
    s->base = room(s->values, sizeof *s->base, &failed);
    s->rows = room(s->values, sizeof *s->rows, &failed);
    s->draws = room(steps, sizeof *s->draws, &failed);
    s->dirty = room(s->values, sizeof *s->dirty, &failed);
    s->chain = room(steps, sizeof *s->chain, &failed);
    if (failed)
        goto done;
    for (int i = 0; i < steps; i++)
        bd_net_step_info(net, i, &s->step[i]);
    if (extended && all_can_extend(s))
        s->dtype = BD_EXT;
    s->size = bd_dtype_size(s->dtype);
    for (int v = 0; v < s->values; v++) {
        s->shape[v] = bd_net_value_shape(net, v);
        s->width[v] = bd_features(&s->shape[v]);
    }
    find_readers(s);
    status = bd_check_target(&s->step[s->last].layer, t, n, s->width[s->step[s->last].in[0]], s->of_net, detail);
    if (status || (status = make_room(s)))
        goto done;
    take_in(s, s->base[0], x, n * s->width[0]);
    run_base(s);
    *out = s;
done:
    if (status)
        bd_stack_free(s);
    return status;
}

void bd_stack_free(bd_stack *s)
{
    if (!s)
        return;
    for (int i = 0; s->draws && i < s->steps; i++)
        bd_free(s->draws[i]);
    for (int v = 0; s->base && s->rows && v < s->values; v++) {
        bd_free(s->base[v]);
        bd_free(s->rows[v]);
    }
    void *const pieces[] = {s->own_params, s->target_rows, s->step,       s->losses,    s->shape,   s->width,
                            s->reader,     s->base,        s->rows,       s->draws,     s->dirty,   s->keep,
                            s->row_draws,  s->work,        s->buffers,    s->part[0],   s->part[1], s->change,
                            s->chain,      s->row_copy,    s->row_sample, s->keep_index};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        bd_free(pieces[i]);
    bd_free(s);
}

/* ---------------------------------------------------------------- aiming at a parameter */

static void note_branch(bd_stack *s, int copy, bd_branch branch)
{
    if (branch > s->branch[copy])
        s->branch[copy] = branch;
}

/* The chain of channel-wise layers from a value of which `count` features are reached. */
static void find_chain(bd_stack *s, int value, bd_size count)
{
    s->links = 0;
    s->onwards = -1;
    for (int i = s->reader[value]; i >= 0 && i != s->last; i = s->reader[value]) {
        const bd_step_info *step = &s->step[i];
        const bd_shape *in = &s->shape[value];
        chain_link *link = &s->chain[s->links];

        if (!(step->layer.kind->flags & BD_PER_CHANNEL)) {
            if (step->layer.kind->spread[s->dtype] && !s->mixes)
                s->onwards = i;
            return;
        }
        *link = (chain_link){.step = i, .inner_in = in->ndim == 4 ? in->dim[2] * in->dim[3] : 1};
        link->inner_out = s->width[step->out] / (s->width[value] / link->inner_in);
        if (count % link->inner_in) /* images only where whole channels are reached */
            return;
        prepare(s, &link->one, i, 1);
        link->one.shape[0].dim[1] = count / link->inner_in;
        bd_shape *to = &link->one.shape[BD_MAX_INPUT];
        to->dim[1] = to->ndim == 2 ? count / link->inner_in * link->inner_out : count / link->inner_in;
        if (to->ndim != 2 && to->ndim != 4)
            return;
        count = count / link->inner_in * link->inner_out;
        value = step->out;
        s->links++;
    }
}

/* The features that an element reaches first: of the output of its layer, or a channel of x. */
static void reach(const bd_stack *s, bd_size element, bd_size *from, bd_size *count)
{
    if (s->which >= 0) {
        const bd_step_info *step = &s->step[s->first];
        step->layer.kind->reach(&step->layer, &s->shape[step->in[0]], s->which - step->first_param, element, from,
                                count);
    } else {
        const bd_shape *x = &s->shape[0];
        *count = x->ndim == 4 ? x->dim[2] * x->dim[3] : 1;
        *from = element % s->width[0] / *count * *count;
    }
}

static bool hooked(const bd_stack *s)
{
    return s->which < 0 || s->step[s->first].layer.kind->nudge[s->dtype];
}

static void aim(bd_stack *s, int which)
{
    bd_size from, count;

    s->which = which;
    s->first = which < 0 ? -1 : bd_net_param(s->net, which)->step;
    s->value = which < 0 ? 0 : s->step[s->first].out;
    s->mixes = false;
    for (int i = s->first + 1; i < s->steps; i++)
        s->mixes = s->mixes || mixes(s, i);
    s->links = 0;
    s->onwards = -1;
    if (hooked(s) && !s->mixes) {
        reach(s, 0, &from, &count);
        find_chain(s, s->value, count);
    }
    if (s->first >= 0)
        prepare(s, &s->nudge, s->first, 1);
    if (s->onwards >= 0)
        prepare(s, &s->spread, s->onwards, 1);
    connect(&s->nudge);
    connect(&s->spread);
}

/* ---------------------------------------------------------------- one copy */

static char *param_of(const bd_stack *s)
{
    return s->params + (size_t)bd_net_param(s->net, s->which)->offset * s->size;
}

/* A row more for this copy, to be filled in at `value`. */
static bd_size add_row(bd_stack *s, int copy, bd_size sample)
{
    s->row_copy[s->row_count] = copy;
    s->row_sample[s->row_count] = sample;
    return s->row_count++;
}

/* The element moved by `step` in this copy, as far as its row of the stack: through nudge, chain and spread. False if
 * it does not reach this sample: nor will it by another step. */
static bool move_in_sample(bd_stack *s, int copy, bd_size element, const void *step, bd_size sample, bd_size from,
                           bd_size count)
{
    const size_t size = s->size;
    int value = s->value, at = 0;
    const char *before = row_of(s, s->base, value, sample) + (size_t)from * size;
    memcpy(s->part[0], before, (size_t)count * size);
    if (s->which < 0) {
        if (element / s->width[0] != sample)
            return false;
        set(s, s->part[0], element % s->width[0] - from,
            get(s, s->part[0], element % s->width[0] - from) + get(s, step, 0));
    } else {
        const bd_step_info *info = &s->step[s->first];
        s->nudge.io.x[0] = row_of(s, s->base, info->in[0], sample);
        info->layer.kind->nudge[s->dtype](&info->layer, &s->nudge.io, s->which - info->first_param, element, step,
                                          s->part[0]);
    }
    if (same(s, s->part[0], before, count))
        return false;
    for (int i = 0; i < s->links; i++) {
        chain_link *link = &s->chain[i];
        const bd_layer *layer = &s->step[link->step].layer;
        if (s->step[link->step].form.draws)
            link->one.io.draws = s->draws[link->step] + sample * s->step[link->step].form.draws + from;
        run_call(s, &link->one, link->step, s->part[at], NULL, s->part[!at]);
        if (layer->kind->branch[s->dtype] && s->watches) {
            if (!s->frozen)
                link->one.io.out = NULL;
            const bd_branch branch = layer->kind->branch[s->dtype](layer, &link->one.io, before);
            if (branch != BD_SAME_BRANCH && !s->frozen)
                note_branch(s, copy, branch);
        }
        value = s->step[link->step].out;
        from = from / link->inner_in * link->inner_out;
        count = count / link->inner_in * link->inner_out;
        before = row_of(s, s->base, value, sample) + (size_t)from * size;
        at = !at;
        if (same(s, s->part[at], before, count))
            return true;
    }
    const bd_size row = add_row(s, copy, sample);
    if (s->onwards >= 0) {
        static void (*const subtract[])(void *, const void *, const void *, bd_size) = BD_EACH_REAL(subtract);
        const bd_step_info *next = &s->step[s->onwards];
        char *out = row_of(s, s->rows, next->out, row);
        subtract[s->dtype](s->change, s->part[at], before, count);
        memcpy(out, row_of(s, s->base, next->out, sample), (size_t)s->width[next->out] * size);
        next->layer.kind->spread[s->dtype](&next->layer, &s->spread.io, out, s->change, from, count);
    } else {
        copy_row(s, value, row, row_of(s, s->base, value, sample));
        memcpy(row_of(s, s->rows, value, row) + (size_t)from * size, s->part[at], (size_t)count * size);
    }
    return true;
}

/* The value that the rows of a batch hold, once its copies are in. */
static int rows_at(const bd_stack *s)
{
    if (s->whole)
        return s->value;
    if (s->onwards >= 0)
        return s->step[s->onwards].out;
    return s->links ? s->step[s->chain[s->links - 1].step].out : s->value;
}

/* All rows of a copy, computed by the layer itself: for layers without hooks, directions, and nets that mix samples. */
static void move_whole(bd_stack *s, int copy, const bd_move *move, long double step)
{
    char *moved = s->which < 0 ? NULL : param_of(s);
    const bd_size count = s->which < 0 ? s->n * s->width[0] : bd_count(&bd_net_param(s->net, s->which)->shape);
    const bd_size row = s->row_count;
    char *to = row_of(s, s->rows, s->value, row);

    for (bd_size i = 0; i < s->n; i++)
        add_row(s, copy, i);
    if (s->which < 0) {
        memcpy(to, s->base[0], (size_t)(s->n * s->width[0]) * s->size);
        moved = to;
    }
    const long double kept = move->along ? 0 : get(s, moved, move->element);
    if (move->along)
        for (bd_size i = 0; i < count; i++)
            set(s, moved, i, get(s, moved, i) + step * move->along[i]);
    else
        set(s, moved, move->element, kept + step);
    if (s->which >= 0) {
        const bd_step_info *info = &s->step[s->first];
        call c;
        prepare(s, &c, s->first, s->n);
        c.io.draws = s->draws[s->first];
        run_call(s, &c, s->first, s->base[info->in[0]], s->base[info->in[1]], to);
        if (move->along)
            take_in(s, moved, move->start, count);
        else
            set(s, moved, move->element, kept);
    }
    if (same(s, to, s->base[s->value], s->n * s->width[s->value]))
        s->row_count = row; /* nothing moved */
}

/* ---------------------------------------------------------------- the rows of a batch, stacked */

/* What a step that did not move gave, for each row. */
static void fill_from_base(bd_stack *s, int value)
{
    for (bd_size r = 0; r < s->row_count; r++)
        copy_row(s, value, r, row_of(s, s->base, value, s->row_sample[r]));
}

static void fill_draws(bd_stack *s, int i)
{
    const bd_size draws = s->step[i].form.draws;

    for (bd_size r = 0; r < s->row_count && draws; r++)
        memcpy(s->row_draws + r * draws, s->draws[i] + s->row_sample[r] * draws, (size_t)draws * sizeof(double));
}

static void compare_branches(bd_stack *s, int i)
{
    const bd_step_info *step = &s->step[i];
    call one;

    if (!step->layer.kind->branch[s->dtype] || !s->watches)
        return;
    prepare(s, &one, i, 1);
    one.io.shape = one.shape;
    for (bd_size r = 0; r < s->row_count; r++) {
        if (s->branch[s->row_copy[r]] == BD_CROSSED)
            continue;
        one.io.x[0] = row_of(s, s->rows, step->in[0], r);
        one.io.out = s->frozen ? row_of(s, s->rows, step->out, r) : NULL;
        const bd_branch branch = step->layer.kind->branch[s->dtype](&step->layer, &one.io,
                                                                    row_of(s, s->base, step->in[0], s->row_sample[r]));
        if (!s->frozen)
            note_branch(s, s->row_copy[r], branch);
    }
}

static void run_stack(bd_stack *s)
{
    memset(s->dirty, 0, (size_t)s->values * sizeof *s->dirty);
    s->dirty[rows_at(s)] = true;
    for (int i = s->first + 1; i < s->last; i++) {
        const bd_step_info *step = &s->step[i];
        const int inputs = step->layer.kind->inputs;
        const bd_size together = mixes(s, i) ? s->n : s->row_count;
        bool moves = false;

        for (int j = 0; j < inputs; j++)
            moves = moves || s->dirty[step->in[j]];
        if (!moves || s->dirty[step->out])
            continue;
        for (int j = 0; j < inputs; j++)
            if (!s->dirty[step->in[j]])
                fill_from_base(s, step->in[j]);
        fill_draws(s, i);
        call c;
        prepare(s, &c, i, together);
        for (bd_size r = 0; r < s->row_count; r += together)
            run_call(s, &c, i, row_of(s, s->rows, step->in[0], r), row_of(s, s->rows, step->in[1], r),
                     row_of(s, s->rows, step->out, r));
        s->dirty[step->out] = true;
        compare_branches(s, i);
    }
}

/* The loss of each copy: in the rows that moved, and of the other samples as it was. */
static void take_losses(bd_stack *s, bd_sample **out)
{
    const int scores = s->step[s->last].in[0];
    const bd_sample unmoved = bd_stack_at(s);
    call c;

    prepare(s, &c, s->last, 1);
    for (int copy = 0; copy < s->copies; copy++) {
        long double change = 0;
        for (bd_size r = s->first_row[copy]; r < s->first_row[copy + 1]; r++)
            change += loss_of(s, &c, row_of(s, s->rows, scores, r), s->row_sample[r]) - s->losses[s->row_sample[r]];
        if (s->first_row[copy] < s->first_row[copy + 1] && s->branch[copy] == BD_UNMOVED)
            s->branch[copy] = BD_SAME_BRANCH;
        *out[copy] = (bd_sample){.value = unmoved.value + change / (long double)s->n,
                                 .moved = out[copy]->moved,
                                 .noise = unmoved.noise,
                                 .branch = s->branch[copy]};
    }
}

static void finish_batch(bd_stack *s, bd_sample **out)
{
    s->first_row[s->copies] = s->row_count;
    if (s->row_count)
        run_stack(s);
    take_losses(s, out);
    s->row_count = 0;
    s->copies = 0;
}

bd_sample bd_stack_at(const bd_stack *s)
{
    return (bd_sample){.value = s->loss, .noise = s->noise, .branch = BD_UNMOVED};
}

void bd_stack_losses(bd_stack *s, int which, const bd_move *move, int count, bd_sample *out)
{
    bd_sample *pending[MOST_COPIES];
    bd_size unreached = -1; /* an element on which nothing depends, such as the weight of a blank pixel */

    if (which != s->which)
        aim(s, which);
    s->whole = s->mixes || !hooked(s) || (count && move->along);
    s->row_count = 0;
    s->copies = 0;
    for (int i = 0; i < count; i++) {
        long double step = move[i].h;
        char typed[sizeof(long double)];

        if (s->copies == MOST_COPIES || s->row_count + s->n > s->most)
            finish_batch(s, pending);
        pending[s->copies] = &out[i];
        s->first_row[s->copies] = s->row_count;
        s->branch[s->copies] = BD_UNMOVED;
        if (!move[i].along) { /* the step that is really made, on the grid of floats */
            const long double from = get(s, which < 0 ? s->base[0] : param_of(s), move[i].element);
            set(s, typed, 0, from + step);
            step = get(s, typed, 0) - from;
        }
        out[i].moved = (double)step;
        set(s, typed, 0, step);
        if (s->whole)
            move_whole(s, s->copies, &move[i], step);
        if (!s->whole && move[i].element != unreached) {
            bd_size from, width;
            bool reached = false;
            reach(s, move[i].element, &from, &width);
            for (bd_size sample = 0; sample < s->n; sample++)
                reached = move_in_sample(s, s->copies, move[i].element, typed, sample, from, width) || reached;
            unreached = reached ? -1 : move[i].element;
        }
        s->copies++;
    }
    if (s->copies)
        finish_batch(s, pending);
}

/* ---------------------------------------------------------------- many ladders at once */

static double size_of(const bd_stack *s, const bd_move *move)
{
    const void *values = s->which < 0 ? s->base[0] : param_of(s);

    return move->along ? move->size : (double)fabsl(get(s, values, move->element));
}

/* Plain central differences with step h. */
static void central(bd_derivative_result *out, const bd_sample *right, const bd_sample *left, double h)
{
    *out = (bd_derivative_result){
        .value = (double)((right->value - left->value) / ((long double)right->moved - (long double)left->moved)),
        .step = h,
        .evaluations = 2,
        .finite = true};
}

bool bd_stack_derivatives(bd_stack *s, int which, const bd_move *moves, bd_size count, const bd_ladder_options *options,
                          bd_derivative_result *out, bool (*go_on)(void *), void *context)
{
    /* so many at once that it is not long until somebody asks whether to go on */
    const int most_lanes = s->n > MOST_ROWS ? 1 : LANES;
    bd_ladder *lane = s->lane;
    bd_size of_lane[LANES], next = 0;
    bd_move move[2 * LANES];
    bd_sample sample[2 * LANES];
    const bd_sample at = bd_stack_at(s);
    int lanes = 0;

    if (which != s->which)
        aim(s, which);
    s->watches = options->h == 0;
    s->frozen = options->frozen;
    while (next < count || lanes) {
        for (; lanes < most_lanes && next < count; lanes++, next++) {
            of_lane[lanes] = next;
            if (options->h == 0)
                bd_ladder_begin(&lane[lanes], &at, size_of(s, &moves[next]), options->coarsest, options->rtol,
                                options->both_sides);
        }
        for (int i = 0; i < lanes; i++)
            for (int side = 0; side < 2; side++) {
                double h = options->h;
                if (h == 0 && !bd_ladder_next(&lane[i], &h))
                    h = 1;
                move[2 * i + side] = moves[of_lane[i]];
                move[2 * i + side].h = side ? -h : h;
            }
        bd_stack_losses(s, which, move, 2 * lanes, sample);
        int left = 0;
        for (int i = 0; i < lanes; i++) {
            double h;
            if (options->h != 0) {
                central(&out[of_lane[i]], &sample[2 * i], &sample[2 * i + 1], options->h);
                continue;
            }
            if (lane[i].stage != BD_DONE)
                bd_ladder_take(&lane[i], &sample[2 * i], &sample[2 * i + 1]);
            if (!bd_ladder_next(&lane[i], &h)) {
                bd_ladder_end(&lane[i], &out[of_lane[i]]);
                continue;
            }
            if (left != i) {
                lane[left] = lane[i];
                of_lane[left] = of_lane[i];
            }
            left++;
        }
        lanes = options->h != 0 ? 0 : left;
        if (s->stopped || (go_on && !go_on(context)))
            return false;
    }
    return true;
}

#endif
