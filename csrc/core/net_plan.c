/* The net: a list of layers becomes a plan, a list of steps over values; forward runs it in order, backward in
 * reverse. A value is an array that a step makes (value 0 is the input), with its gradient beside it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net.h"

enum { MAX_DEPTH = 64, ALIGN_ELEMENTS = 16 };

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
            step->relu_out = step->relu_out || net->step[at].relu_out; /* before the pool or after it: the same */
        }
    }
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

/* ---------------------------------------------------------------- parameters at first */

void bd_net_set_poll(bd_net *net, bool (*poll)(void *), void *context)
{
    net->poll = poll;
    net->poll_context = context;
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

/* ---------------------------------------------------------------- looking at it */

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
