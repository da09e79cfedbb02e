#include "nets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "test.h"

/* ---------------------------------------------------------------- architectures */

static const bd_node linear[] = {AFFINE(4)};
static const bd_node book[] = {AFFINE(7), LAYER(relu), AFFINE(4)};
static const bd_node deep[] = {AFFINE(6), LAYER(sigmoid), AFFINE(5), LAYER(tanh), AFFINE(3)};
static const bd_node relu_first[] = {LAYER(relu), AFFINE(5), LAYER(relu), AFFINE(3)};
static const bd_node relu_last[] = {AFFINE(9), LAYER(relu), AFFINE(4), LAYER(relu)};
static const bd_node two_relus[] = {AFFINE(6), LAYER(relu), LAYER(relu), AFFINE(4)};
static const bd_node mixed[] = {AFFINE(6), LAYER(relu), LAYER(sigmoid), AFFINE(6), LAYER(tanh), LAYER(relu), AFFINE(4)};

static const bd_node block[] = {AFFINE(8), LAYER(relu), AFFINE(6)};
static const bd_node residual[] = {AFFINE(6), RESIDUAL(block), LAYER(relu), AFFINE(4)};
static const bd_node block_of_inputs[] = {LAYER(relu), AFFINE(5)}; /* the ReLU's slope meets the skip's */
static const bd_node residual_first[] = {RESIDUAL(block_of_inputs), RESIDUAL(block_of_inputs), AFFINE(3)};
static const bd_node inner[] = {LAYER(tanh), AFFINE(6)};
static const bd_node outer[] = {RESIDUAL(inner), LAYER(relu), AFFINE(6), LAYER(sigmoid)};
static const bd_node nested[] = {AFFINE(6), LAYER(relu), RESIDUAL(outer), AFFINE(4)};
static const bd_node doubling[] = {AFFINE(5), {.layer = {.kind = &bd_residual}}, LAYER(relu), AFFINE(3)};
static const bd_node no_parameters[] = {LAYER(tanh), {.layer = {.kind = &bd_residual}}};
static const bd_node relu_branch[] = {LAYER(relu)};
static const bd_node branch_alone[] = {AFFINE(6), RESIDUAL(relu_branch), AFFINE(4), RESIDUAL(linear)};

#define ARCHITECTURE(nodes, ...) {.name = #nodes, .layers = (nodes), .count = COUNT(nodes), __VA_ARGS__}
#define FLAT(features) .input = {.ndim = 2, .dim = {1, (features)}}
#define IMAGE .input = {.ndim = 4, .dim = {1, 2, 3, 2}}

const architecture architectures[] = {
    ARCHITECTURE(linear, FLAT(5), .target = LABELS),
    ARCHITECTURE(book, FLAT(6), .target = LABELS),
    ARCHITECTURE(book, IMAGE, .target = LABELS),
    ARCHITECTURE(book, FLAT(6), .target = NUMBERS),
    ARCHITECTURE(deep, FLAT(5), .target = NUMBERS),
    ARCHITECTURE(relu_first, FLAT(6), .target = LABELS),
    ARCHITECTURE(relu_last, FLAT(6), .target = NUMBERS),
    ARCHITECTURE(two_relus, FLAT(5), .target = LABELS),
    ARCHITECTURE(mixed, FLAT(5), .target = LABELS),
    ARCHITECTURE(residual, FLAT(5), .target = LABELS),
    ARCHITECTURE(residual_first, FLAT(5), .target = LABELS),
    ARCHITECTURE(nested, FLAT(5), .target = LABELS),
    ARCHITECTURE(doubling, FLAT(5), .target = LABELS),
    ARCHITECTURE(branch_alone, FLAT(5), .target = NUMBERS),
    ARCHITECTURE(no_parameters, FLAT(4), .target = LABELS),
    ARCHITECTURE(no_parameters, IMAGE, .target = NUMBERS),
};
const int architecture_count = COUNT(architectures);

/* ---------------------------------------------------------------- problems */

bd_status create_net(bd_net **net, const architecture *of, bd_dtype dtype, bd_detail *detail)
{
    const bd_layer loss = {.kind = of->target == NUMBERS ? &bd_identity_with_loss : &bd_softmax_with_loss,
                           .hyper = {{.f = of->eps}}};
    return bd_net_create(net, dtype, of->layers, of->count, &loss, &of->input, 5, detail);
}

size_t param_bytes(const bd_net *net)
{
    return (size_t)bd_net_size(net) * bd_dtype_size(bd_net_dtype(net));
}

void randomise(bd_net *net, uint64_t seed)
{
    for (int i = 0; i < bd_net_param_count(net); i++) {
        const bd_array *array = bd_net_param(net, i);
        for (bd_size j = 0; j < bd_count(&array->shape); j++)
            set_real(bd_net_dtype(net), bd_net_params(net), array->offset + j, random_between(&seed, -0.7, 0.7));
    }
}

static void *random_reals(bd_dtype dtype, bd_size count, double low, double high, uint64_t *state)
{
    void *array = malloc((size_t)count * bd_dtype_size(dtype));

    for (bd_size i = 0; i < count; i++)
        set_real(dtype, array, i, random_between(state, low, high));
    return array;
}

problem make_problem(const architecture *of, bd_dtype dtype, target_kind target, bd_size total)
{
    problem p = {.of = of, .dtype = dtype, .kind = target, .total = total};
    uint64_t state = 77;
    bd_detail detail;

    if (create_net(&p.net, of, dtype, &detail) || bd_net_reserve(p.net, total)) {
        printf("the net \"%s\" cannot be made\n", of->name);
        exit(2);
    }
    const bd_shape output = bd_net_output(p.net);
    p.features = bd_features(&of->input);
    p.width = bd_features(&output);
    randomise(p.net, 3);
    p.x = random_reals(dtype, total * p.features, -1.5, 1.5, &state);
    p.rows = random_reals(dtype, total * p.width, 0, 1, &state);
    p.index = malloc((size_t)total * sizeof *p.index);
    for (bd_size i = 0; i < total; i++)
        p.index[i] = (int64_t)(random_bits(&state) % (uint64_t)p.width);
    if (target == LABELS)
        p.target.index = p.index;
    else
        p.target = (bd_target){.rows = p.rows, .width = p.width};
    return p;
}

void free_problem(problem *p)
{
    bd_net_free(p->net);
    free(p->x);
    free(p->rows);
    free(p->index);
}

void for_each_problem(void (*check)(problem *p))
{
    for (int a = 0; a < architecture_count; a++)
        for (int type = 0; type < BD_DTYPES; type++)
            for (int target = LABELS; target <= NUMBERS; target++) {
                if ((target == NUMBERS) != (architectures[a].target == NUMBERS))
                    continue;
                problem p = make_problem(&architectures[a], (bd_dtype)type, (target_kind)target, N);
                check(&p);
                free_problem(&p);
            }
}

size_t bytes_of(const problem *p, bd_size count)
{
    return (size_t)count * bd_dtype_size(p->dtype);
}

void check_same(const problem *p, const void *a, const void *b, bd_size count, const char *what)
{
    for (bd_size i = 0; i < count; i++)
        if (!same_number(real_at(p->dtype, a, i), real_at(p->dtype, b, i))) {
            test_fail(__FILE__, __LINE__, "%s of net \"%s\", type %d: element %lld is %.17Lg, expected %.17Lg", what,
                      p->of->name, p->dtype, (long long)i, real_at(p->dtype, a, i), real_at(p->dtype, b, i));
            return;
        }
}

void *copy_of(const void *memory, size_t bytes)
{
    void *copy = malloc(bytes + !bytes);

    if (bytes)
        memcpy(copy, memory, bytes);
    return copy;
}

/* ---------------------------------------------------------------- what they compute */

/* One sample on its way through the layers. */
typedef struct {
    const bd_net *net;
    int param; /* the next one */
    bd_size features;
    long double value[MOST_FEATURES];
} passage;

static long double param_at(const passage *p, int param, bd_size i)
{
    return real_at(bd_net_dtype(p->net), bd_net_params(p->net), bd_net_param(p->net, param)->offset + i);
}

static void through_affine(passage *p, bd_size units)
{
    long double out[MOST_FEATURES];

    for (bd_size j = 0; j < units; j++) {
        out[j] = param_at(p, p->param + 1, j);
        for (bd_size i = 0; i < p->features; i++)
            out[j] += p->value[i] * param_at(p, p->param, i * units + j);
    }
    p->param += 2;
    p->features = units;
    memcpy(p->value, out, sizeof out);
}

static long double through_element(const bd_layer_kind *kind, long double x)
{
    if (kind == &bd_relu)
        return x > 0 ? x : 0;
    return kind == &bd_tanh ? tanhl(x) : 1 / (1 + expl(-x));
}

static void through_layers(passage *p, const bd_node *node, int count)
{
    for (int i = 0; i < count; i++) {
        const bd_layer *layer = &node[i].layer;
        if (layer->kind == &bd_affine) {
            through_affine(p, layer->hyper[0].i);
        } else if (layer->kind == &bd_residual) {
            long double kept[MOST_FEATURES];
            memcpy(kept, p->value, sizeof kept);
            through_layers(p, node[i].children, node[i].child_count);
            for (bd_size j = 0; j < p->features; j++)
                p->value[j] += kept[j];
        } else {
            for (bd_size j = 0; j < p->features; j++)
                p->value[j] = through_element(layer->kind, p->value[j]);
        }
    }
}

void expected_scores(const problem *p, bd_size sample, long double *scores)
{
    passage now = {.net = p->net, .features = p->features};

    for (bd_size i = 0; i < p->features; i++)
        now.value[i] = real_at(p->dtype, p->x, sample * p->features + i);
    through_layers(&now, p->of->layers, p->of->count);
    memcpy(scores, now.value, (size_t)p->width * sizeof *scores);
}

static long double sample_loss(const problem *p, bd_size sample)
{
    long double score[MOST_FEATURES], total = 0, loss = 0;

    expected_scores(p, sample, score);
    for (bd_size j = 0; j < p->width; j++)
        total += expl(score[j]);
    for (bd_size j = 0; j < p->width; j++) {
        const long double t =
            p->target.index ? p->target.index[sample] == j : real_at(p->dtype, p->rows, sample * p->width + j);
        loss += p->of->target == NUMBERS ? (score[j] - t) * (score[j] - t) / 2
                                         : -t * logl(expl(score[j]) / total + (long double)p->of->eps);
    }
    return loss;
}

long double expected_loss(const problem *p, bd_size n)
{
    long double sum = 0;

    for (bd_size i = 0; i < n; i++)
        sum += sample_loss(p, i);
    return sum / (long double)n;
}
