/* The net: a list of layers becomes a plan, a list of steps over values; forward runs it in order, backward in
 * reverse. A value is an array that a step makes (value 0 is the input), with its gradient beside it.
 *
 * Memory is two blocks. The arena, made once: parameters, gradients and the optimiser's state, each part laid out
 * like the others, then buffers, then room for what a failed step puts back. The activations, made by bd_net_reserve
 * for a number of samples: values, their gradients, what layers keep for backward, one scratch space, and room for a
 * batch picked from a larger array.
 *
 * Fusion is a property of the plan, decided once: a layer that can apply a ReLU while it stores does the work of
 * the Relu after it (relu_out), and while it stores dx that of the Relu before it (relu_dx); it may pool as well.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "badak.h"
#include "share.h"

enum { MAX_DEPTH = 64, ALIGN_ELEMENTS = 16 };
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
    bool relu_out, relu_done; /* applies the next step's ReLU; is a ReLU that the step before applies */
    bool relu_dx, relu_dx_done;
    int pool;    /* the step of a pool that this one does, forward and backward; or 0 */
    bool pooled; /* is that pool */
    size_t keep_at, keep_index_at;
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

/* How many threads work at something small, once they are awake. */
static int parts_for(const bd_net *net, double operations)
{
    const int parts = bd_parts_for(operations, BD_TO_SHARE);
    return parts < net->parts ? parts : net->parts;
}

/* ---------------------------------------------------------------- making the plan */

static int count_layers(const bd_node *node, int count, int depth)
{
    int total = count;

    if (depth <= MAX_DEPTH)
        for (int i = 0; i < count; i++)
            total += count_layers(node[i].children, node[i].child_count, depth + 1);
    return total;
}

static bd_size aligned(bd_size elements)
{
    return (elements + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
}

static bool share_a_name(const bd_layer_kind *a, const bd_layer_kind *b)
{
    for (int i = 0; i < bd_array_count(a->param, BD_MAX_PARAM); i++)
        for (int j = 0; j < bd_array_count(b->param, BD_MAX_PARAM); j++)
            if (!strcmp(a->param[i].name, b->param[j].name))
                return true;
    return false;
}

/* 1 for the first layer with parameters of these names, and so on: W1 b1 W2 b2, gamma1 beta1. Looked up backwards,
 * where the one before usually is near: numbers of a name ascend. */
static int number_of(const bd_net *net, const bd_layer_kind *kind)
{
    int number = 0;

    for (int i = net->steps - 1; i >= 0; i--)
        if (share_a_name(net->step[i].layer.kind, kind)) {
            if (net->step[i].layer.kind == kind)
                return net->step[i].number + 1 > number ? net->step[i].number + 1 : number + 1;
            number = net->step[i].number > number ? net->step[i].number : number;
        }
    return number + 1;
}

static double init_of(const bd_layer *layer)
{
    const int at = bd_find_hyper(layer->kind->hyper, "init");
    return at < 0 ? BD_INIT_HE : layer->hyper[at].f;
}

static void add_arrays(bd_array *array, int *count, bd_size *size, const bd_array_spec *spec, const bd_shape *shape,
                       int max, const net_step *step, int step_index)
{
    for (int i = 0; i < bd_array_count(spec, max); i++) {
        bd_array *a = &array[(*count)++];
        *a = (bd_array){.shape = shape[i],
                        .role = spec[i].role,
                        .fan_in = step->form.fan_in,
                        .init = init_of(&step->layer),
                        .offset = *size,
                        .step = step_index};
        const char last = spec[i].name[strlen(spec[i].name) - 1];
        snprintf(a->name, sizeof a->name, "%s%s%d", spec[i].name, last >= '0' && last <= '9' ? "_" : "", step->number);
        *size += aligned(bd_count(&shape[i]));
    }
}

/* A step whose inputs are known: its shapes, parameters and output value. */
static bd_status add_step(bd_net *net, const bd_layer *layer, int depth, const int in[BD_MAX_INPUT], bd_detail *detail)
{
    net_step *step = &net->step[net->steps];
    bd_shape shape[BD_MAX_INPUT] = {{0}};
    bool trains = layer->kind->param[0].name != NULL;

    *step = (net_step){.layer = *layer, .depth = depth, .first_param = net->params, .first_buffer = net->buffers};
    for (int i = 0; i < layer->kind->inputs; i++) {
        net_value *value = &net->value[in[i]];
        step->in[i] = in[i];
        shape[i] = value->shape;
        value->uses++;
        trains = trains || value->trains;
    }
    const bd_status status = bd_layer_form(layer, shape, &step->form, detail);
    if (status) {
        detail->where = net->steps;
        return status;
    }
    if (layer->kind->param[0].name) {
        step->number = number_of(net, layer->kind);
        add_arrays(net->param, &net->params, &net->size, layer->kind->param, step->form.param, BD_MAX_PARAM, step,
                   net->steps);
        add_arrays(net->buffer, &net->buffers, &net->buffer_size, layer->kind->buffer, step->form.buffer, BD_MAX_BUFFER,
                   step, net->steps);
    }
    if (net->size > BD_MAX_ELEMENTS || net->buffer_size > BD_MAX_ELEMENTS) {
        *detail = (bd_detail){.what = "the parameters of the net", .where = net->steps};
        return BD_TOO_LARGE;
    }
    step->draws_before = net->draws;
    net->draws += step->form.draws;
    net->operations += bd_layer_operations(&step->form, 1, shape);
    step->param_count = net->params - step->first_param;
    step->out = net->values;
    net->value[net->values++] = (net_value){.shape = step->form.out, .trains = trains};
    net->steps++;
    return BD_OK;
}

/* The steps of a chain of layers, from value *at to the value that it leaves in *at. */
static bd_status add_chain(bd_net *net, const bd_node *node, int count, int depth, int *at, bd_detail *detail)
{
    for (int i = 0; i < count; i++) {
        const bd_layer_kind *kind = node[i].layer.kind;
        int in[BD_MAX_INPUT] = {*at, *at};
        bd_status status = BD_OK;

        if (depth > MAX_DEPTH) {
            *detail = (bd_detail){.what = kind->name, .expected = MAX_DEPTH, .where = net->steps};
            return BD_TOO_DEEP;
        }
        if (kind->flags & BD_IS_LOSS) {
            *detail = (bd_detail){.what = kind->name, .where = net->steps};
            return BD_LOSS_INSIDE;
        }
        if (kind->branches)
            status = add_chain(net, node[i].children, node[i].child_count, depth + 1, &in[1], detail);
        if (!status)
            status = add_step(net, &node[i].layer, depth, in, detail);
        if (status)
            return status;
        *at = net->step[net->steps - 1].out;
    }
    return BD_OK;
}

static const net_step *loss_step(const bd_net *net)
{
    return &net->step[net->steps - 1];
}

static int scores_value(const bd_net *net)
{
    return loss_step(net)->in[0];
}

static void fuse(bd_net *net)
{
    for (int i = 1; i < net->steps; i++) {
        net_step *step = &net->step[i], *before = &net->step[i - 1];
        const bool follows = before->out == step->in[0] && net->value[before->out].uses == 1;

        if (!follows)
            continue;
        if (step->layer.kind->flags & BD_IS_RELU && before->layer.kind->flags & BD_CAN_RELU)
            before->relu_out = step->relu_done = true;
        if (before->layer.kind->flags & BD_IS_RELU && step->layer.kind->flags & BD_CAN_RELU)
            step->relu_dx = before->relu_dx_done = true;
    }
    for (int i = 0; i + 2 < net->steps; i++) {
        net_step *step = &net->step[i];
        const int at = i + (step->relu_out ? 2 : 1), in = net->step[at - 1].out;
        const bool follows = net->step[at].in[0] == in && net->value[in].uses == 1;
        if (follows && step->layer.kind->flags & BD_CAN_POOL &&
            bd_pools_squares(&net->step[at].layer, &net->value[in].shape)) {
            step->pool = at;
            net->step[at].pooled = true;
        }
    }
}

/* The value that this step writes in a fused run. */
static int written_by(const net_step *step, const net_step *all)
{
    return step->pool ? all[step->pool].out : step->relu_out ? (step + 1)->out : step->out;
}

/* Images between layers that can read and write so lie with their channels last; the layers at both ends of such a
 * stretch turn them. A step that takes any order spreads what it meets on one side to the other, until nothing moves.
 */
static void order_images(bd_net *net)
{
    bool settled = false;

    for (int i = 1; i < net->values; i++)
        net->value[i].channels_last = net->value[i].shape.ndim == 4 && i != scores_value(net);
    while (!settled) {
        settled = true;
        for (int i = 0; i < net->steps; i++) {
            const net_step *step = &net->step[i];
            const unsigned flags = step->layer.kind->flags;
            bool *of[BD_MAX_INPUT + 1] = {&net->value[step->out].channels_last};
            bool all = flags & BD_ANY_ORDER && *of[0];
            for (int j = 0; j < step->layer.kind->inputs; j++) {
                of[j + 1] = &net->value[step->in[j]].channels_last;
                all = all && *of[j + 1];
            }
            for (int j = 0; j <= step->layer.kind->inputs && !all && !(flags & BD_IMAGES); j++) {
                settled = settled && !*of[j];
                *of[j] = false;
            }
        }
    }
}

/* Gradients, parameters and two states are alike; buffers come last, in one block with what an update changes. Room to
 * keep that block follows: untouched, and so without cost, but for the buffers and in steps with huge numbers. */
enum { GRADS, PARAMS, STATE, PARTS = STATE + BD_MAX_STATE };

static bd_size changing(const bd_net *net)
{
    return net->size * (PARTS - PARAMS) + net->buffer_size;
}

static bd_status make_arena(bd_net *net)
{
    const bd_size elements = net->size * PARAMS + 2 * changing(net);

    net->arena = bd_alloc((size_t)elements * bd_dtype_size(net->dtype));
    return net->arena ? BD_OK : BD_NO_MEMORY;
}

bd_status bd_net_plan(bd_net **out, bd_dtype dtype, const bd_node *layers, int count, const bd_layer *loss,
                      const bd_shape *input, uint64_t seed, bd_detail *detail)
{
    const size_t steps = (size_t)count_layers(layers, count, 0) + 1;
    bd_status status = BD_NO_MEMORY;
    int at = 0;

    *out = NULL;
    *detail = (bd_detail){0};
    if (!(loss->kind->flags & BD_IS_LOSS)) {
        detail->what = loss->kind->name;
        return BD_NOT_A_LOSS;
    }
    bd_net *net = bd_alloc(sizeof *net);
    if (!net)
        return BD_NO_MEMORY;
    net->dtype = dtype;
    net->rng.seed = seed;
    net->step = bd_alloc(steps * sizeof *net->step);
    net->value = bd_alloc((steps + 1) * sizeof *net->value);
    net->grad_written = bd_alloc((steps + 1) * sizeof *net->grad_written);
    net->param = bd_alloc(steps * BD_MAX_PARAM * sizeof *net->param);
    net->buffer = bd_alloc(steps * BD_MAX_BUFFER * sizeof *net->buffer);
    if (!net->step || !net->value || !net->grad_written || !net->param || !net->buffer)
        goto done;

    net->value[net->values++] = (net_value){.shape = *input};
    if ((status = add_chain(net, layers, count, 0, &at, detail)))
        goto done;
    if ((status = add_step(net, loss, 0, (int[]){at, at}, detail)))
        goto done;
    fuse(net);
    order_images(net);
    *out = net;
done:
    if (status)
        bd_net_free(net);
    return status;
}

bd_status bd_net_create(bd_net **out, bd_dtype dtype, const bd_node *layers, int count, const bd_layer *loss,
                        const bd_shape *input, uint64_t seed, bd_detail *detail)
{
    bd_status status = bd_net_plan(out, dtype, layers, count, loss, input, seed, detail);

    if (!status && (status = make_arena(*out))) {
        bd_net_free(*out);
        *out = NULL;
    }
    if (!status) {
        bd_net_init(*out);
        (*out)->run_began = (*out)->rng.position;
    }
    return status;
}

void bd_net_free(bd_net *net)
{
    if (!net)
        return;
    bd_free(net->step);
    bd_free(net->value);
    bd_free(net->grad_written);
    bd_free(net->param);
    bd_free(net->buffer);
    bd_free(net->activations);
    bd_free(net->given);
    if (!net->arena_taken)
        bd_free(net->arena);
    bd_free(net);
}

/* ---------------------------------------------------------------- looking at it */

static char *part(const bd_net *net, int which)
{
    return net->arena + (size_t)net->size * (size_t)which * bd_dtype_size(net->dtype);
}

int bd_net_param_count(const bd_net *net)
{
    return net->params;
}

const bd_array *bd_net_param(const bd_net *net, int i)
{
    return &net->param[i];
}

int bd_net_buffer_count(const bd_net *net)
{
    return net->buffers;
}

const bd_array *bd_net_buffer(const bd_net *net, int i)
{
    return &net->buffer[i];
}

bd_size bd_net_size(const bd_net *net)
{
    return net->size;
}

void *bd_net_params(const bd_net *net)
{
    return part(net, PARAMS);
}

void *bd_net_grads(const bd_net *net)
{
    return part(net, GRADS);
}

void *bd_net_state(const bd_net *net, int i)
{
    return part(net, STATE + i);
}

void *bd_net_buffers(const bd_net *net)
{
    return part(net, PARTS);
}

void *bd_net_take_arena(bd_net *net)
{
    net->arena_taken = true;
    return net->arena;
}

int bd_net_step_count(const bd_net *net)
{
    return net->steps - 1; /* without the loss */
}

void bd_net_step_info(const bd_net *net, int i, bd_step_info *info)
{
    const net_step *step = &net->step[i];
    *info = (bd_step_info){.layer = step->layer,
                           .depth = step->depth,
                           .fused = step->relu_done || step->pooled,
                           .form = step->form,
                           .first_param = step->first_param,
                           .param_count = step->param_count,
                           .first_buffer = step->first_buffer,
                           .in = {step->in[0], step->in[1]},
                           .out = step->out};
}

bd_shape bd_net_value_shape(const bd_net *net, int value)
{
    return net->value[value].shape;
}

bd_shape bd_net_output(const bd_net *net)
{
    return net->value[scores_value(net)].shape;
}

bd_dtype bd_net_dtype(const bd_net *net)
{
    return net->dtype;
}

const bd_layer *bd_net_loss_layer(const bd_net *net)
{
    return &loss_step(net)->layer;
}

bd_rng *bd_net_rng(bd_net *net)
{
    return &net->rng;
}

bd_status bd_net_give_draws(bd_net *net, const double *draws, bd_size count)
{
    double *own = NULL;

    if (draws && !(own = bd_alloc((size_t)(count + 1) * sizeof *own)))
        return BD_NO_MEMORY;
    if (draws)
        memcpy(own, draws, (size_t)count * sizeof *own);
    bd_free(net->given);
    net->given = own;
    net->given_count = count;
    return BD_OK;
}

bd_rng bd_net_last_draws(const bd_net *net)
{
    return (bd_rng){net->rng.seed, net->run_began};
}

size_t bd_net_activation_bytes(const bd_net *net)
{
    return net->activation_bytes;
}

bool bd_net_mixes_samples(const bd_net *net)
{
    for (int i = 0; i < net->steps; i++)
        if (net->step[i].layer.kind->flags & BD_MIXES_SAMPLES)
            return true;
    return false;
}

const bd_optimizer_kind *bd_net_optimizer(const bd_net *net)
{
    return net->optimizer;
}

int64_t bd_net_updates(const bd_net *net)
{
    return net->updates;
}

void bd_net_set_updates(bd_net *net, int64_t updates)
{
    net->updates = updates;
}

/* ---------------------------------------------------------------- parameters at first */

void bd_net_set_poll(bd_net *net, bool (*poll)(void *), void *context)
{
    net->poll = poll;
    net->poll_context = context;
}

static void set_real(const bd_net *net, char *base, bd_size i, double value)
{
    if (net->dtype == BD_F32)
        ((float *)(void *)base)[i] = (float)value;
    else if (net->dtype == BD_F64)
        ((double *)(void *)base)[i] = value;
    else
        ((long double *)(void *)base)[i] = value;
}

void bd_net_init(bd_net *net)
{
    for (int p = 0; p < net->params; p++) {
        const bd_array *a = &net->param[p];
        const bd_size count = bd_count(&a->shape);
        const double variance = a->init == BD_INIT_HE ? 2.0 : 1.0;
        const double std = a->init >= 0 ? a->init : sqrt(variance / (double)a->fan_in);

        for (bd_size i = 0; i < count; i++) {
            const double value = a->role == BD_WEIGHT ? std * bd_rng_normal(&net->rng) : a->role == BD_SCALE ? 1 : 0;
            set_real(net, part(net, PARAMS), a->offset + i, value);
        }
    }
}

void bd_net_bind(bd_net *net, const bd_optimizer_kind *kind)
{
    net->optimizer = kind;
    net->updates = 0;
    for (int i = 0; i < bd_state_count(kind); i++)
        memset(bd_net_state(net, i), 0, (size_t)net->size * bd_dtype_size(net->dtype));
}

/* ---------------------------------------------------------------- room for a batch */

static bd_shape of_batch(const net_value *value, bd_size n)
{
    bd_shape shape = value->shape;
    shape.dim[0] = n;
    return shape;
}

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
            if (attempt) {
                step->keep_at = keep_at;
                step->keep_index_at = keep_index_at;
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

/* Takes the pool for a run of so much arithmetic. True if it did: the caller gives it back. */
static bool take_threads(bd_net *net, double operations)
{
    const int parts = bd_parts_for(operations, BD_TO_WAKE);

    if (net->team.ticket)
        return false;
    net->team = bd_team_begin(parts < net->parts ? parts : net->parts);
    return net->team.ticket;
}

static void give_threads(bd_net *net, bool taken)
{
    if (taken)
        bd_net_give_threads(net);
}

void bd_net_take_threads(bd_net *net, bd_size n)
{
    (void)take_threads(net, OF_A_STEP * net->operations * (double)n);
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

static void in_parts(bd_net *net, void (*work)(void *context, bd_range range), void *context, bd_size count,
                     bd_size unit, double operations)
{
    bd_team_run(net->team, parts_for(net, operations * (double)count), run_range,
                &(range_job){work, context, count, unit});
}

/* ---------------------------------------------------------------- running it */

static void *value_at(const bd_net *net, const net_run *run, int value)
{
    if (value == scores_value(net) && run->scores)
        return run->scores;
    return net->activations + net->value[value].at;
}

static const void *input_at(const bd_net *net, const net_run *run, int value)
{
    return value == 0 ? run->x : value_at(net, run, value);
}

/* A step with all its pointers: what forward and backward share. The shapes live in `shape`: inputs, then output. */
static bd_io io_of(bd_net *net, const net_run *run, const net_step *step, bd_shape shape[BD_MAX_INPUT + 1],
                   const void *param[BD_MAX_PARAM], void *dparam[BD_MAX_PARAM], void *buffer[BD_MAX_BUFFER])
{
    const size_t size = bd_dtype_size(net->dtype);
    const int out = run->fuse ? written_by(step, net->step) : step->out;
    bd_io io = {.shape = shape,
                .out_shape = &shape[BD_MAX_INPUT],
                .out = value_at(net, run, out),
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
        in_parts(net, draw_range, &job, step->form.draws * run->n, BD_LINE, OPERATIONS);
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

static void run_forward(bd_net *net, const net_run *run, int first)
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
    in_parts(net, add_range, &(add_job){net, sum, more}, count, BD_LINE, OPERATIONS);
}

static bool gradient_wanted(const bd_net *net, const net_run *run, int value)
{
    return net->value[value].trains || run->dx;
}

static char *grad_at(const bd_net *net, const net_run *run, int value)
{
    return value == 0 ? run->dx : net->activations + net->value[value].grad_at;
}

static void run_backward(bd_net *net, const net_run *run)
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

static double loss_value(const bd_net *net)
{
    const void *loss = net->activations + net->value[loss_step(net)->out].at;

    return net->dtype == BD_F32 ? *(const float *)loss
         : net->dtype == BD_F64 ? *(const double *)loss
                                : (double)*(const long double *)loss;
}

static double real_at(const bd_net *net, const void *base, bd_size i)
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
        if (real_at(net, base, from + j) > real_at(net, base, from + best))
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
            right =
                right && (real_at(net, scores, i * c + j) > 0) == (real_at(net, run->target->rows, i * c + j) > 0.5);
        hits += right;
    }
    return hits;
}

static bd_size count_hits(const bd_net *net, const net_run *run)
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
    run_forward(net, run, 0);
    if (net->stopped) {
        if (run->training)
            bd_net_undo(net);
        return BD_STOPPED;
    }
    *loss = loss_value(net);
    if (hits)
        *hits = count_hits(net, run);
    return BD_OK;
}

bd_status bd_net_forward(bd_net *net, void *scores, const void *x, bd_size n, bool training, bool fuse_steps)
{
    const bool taken = take_threads(net, net->operations * (double)n);

    run_forward(net, &(net_run){.x = x, .scores = scores, .n = n, .training = training, .fuse = fuse_steps}, 0);
    give_threads(net, taken);
    return net->stopped ? BD_STOPPED : BD_OK;
}

bd_status bd_net_loss(bd_net *net, double *loss, bd_size *hits, const void *x, const bd_target *t, bd_size n,
                      bool training, bd_detail *detail)
{
    const net_run run = {.x = x, .target = t, .n = n, .training = training, .fuse = true};
    const bool taken = take_threads(net, net->operations * (double)n);
    const bd_status status = loss_and_hits(net, loss, hits, &run, detail);

    give_threads(net, taken);
    return status;
}

double bd_net_loss_from(bd_net *net, int first, const void *x, const bd_target *t, bd_size n, bool training)
{
    run_forward(net, &(net_run){.x = x, .target = t, .n = n, .training = training, .fuse = true, .replay = true},
                first);
    return net->stopped ? (double)NAN : loss_value(net);
}

double bd_net_largest_score(const bd_net *net, bd_size n)
{
    const net_value *scores = &net->value[scores_value(net)];
    const bd_shape shape = of_batch(scores, n);
    double largest = 0;

    for (bd_size i = 0; i < bd_count(&shape); i++)
        largest = fmax(largest, fabs(real_at(net, net->activations + scores->at, i)));
    return largest;
}

bd_status bd_net_gradient(bd_net *net, double *loss, bd_size *hits, void *dx, const void *x, const bd_target *t,
                          bd_size n, bool fuse_steps, bd_detail *detail)
{
    const net_run run = {.x = x, .target = t, .dx = dx, .n = n, .training = true, .fuse = fuse_steps};
    const bool taken = take_threads(net, OF_A_STEP * net->operations * (double)n);
    bd_status status = loss_and_hits(net, loss, hits, &run, detail);

    if (!status)
        run_backward(net, &run);
    give_threads(net, taken);
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
    in_parts(net, pick_range, &of_x, n, 1, (double)features);
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
        if (bd_first_not_finite(value_at(net, run, value), bd_count(&shape), net->dtype) >= 0)
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

    in_parts(net, look_at_range, &job, net->size, BD_LINE, OPERATIONS);
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
    const bool taken = take_threads(net, OF_A_STEP * net->operations * (double)n);
    const bd_status status = begin_step(net, loss, hits, x, t, rows, n, total, optimizer, detail);

    give_threads(net, taken);
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
    in_parts(net, update_range, &(update_job){net, optimizer}, net->size, BD_LINE, OPERATIONS);
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
