/* How a net is made of layers: names, shapes, memory, what is refused. */
#include <stdlib.h>

#include "nets.h"
#include "support.h"
#include "test.h"

static const bd_layer softmax = {.kind = &bd_softmax_with_loss}, identity = {.kind = &bd_identity_with_loss};

static bd_status create(bd_net **net, const bd_node *layers, int count, bd_size features, bd_detail *detail)
{
    return bd_net_create(net, BD_F64, layers, count, &identity, &(bd_shape){.ndim = 2, .dim = {1, features}}, 1,
                         detail);
}

static const bd_node block[] = {AFFINE(5), LAYER(relu), AFFINE(4)};
static const bd_node layers[] = {AFFINE(4), LAYER(relu), RESIDUAL(block), LAYER(sigmoid), AFFINE(3)};

/* ---------------------------------------------------------------- parameters */

static void parameters_are_named_in_the_order_of_the_layers(void)
{
    static const char *const name[] = {"W1", "b1", "W2", "b2", "W3", "b3", "W4", "b4"};
    static const bd_size rows[] = {6, 4, 4, 5, 5, 4, 4, 3}, columns[] = {4, 0, 5, 0, 4, 0, 3, 0};
    bd_detail detail;
    bd_net *net;

    CHECK_STATUS(create(&net, layers, COUNT(layers), 6, &detail), BD_OK);
    CHECK_INT(bd_net_param_count(net), COUNT(name));
    for (int i = 0; i < COUNT(name); i++) {
        const bd_array *array = bd_net_param(net, i);
        const bd_shape shape = columns[i] ? bd_shape2(rows[i], columns[i]) : bd_shape1(rows[i]);
        CHECK_SAY(!strcmp(array->name, name[i]), "%s, expected %s", array->name, name[i]);
        CHECK_SAY(bd_same_shape(&array->shape, &shape), "%s", name[i]);
        CHECK_INT(array->role, columns[i] ? BD_WEIGHT : BD_BIAS);
        CHECK_INT(array->offset % 16, 0);
        CHECK(array->offset + bd_count(&shape) <=
              (i + 1 < COUNT(name) ? bd_net_param(net, i + 1)->offset : bd_net_size(net)));
    }
    CHECK_INT(bd_net_buffer_count(net), 0);
    bd_net_free(net);
}

static void steps_tell_of_their_layers(void)
{
    /* Affine Relu [Affine Relu Affine] Residual Sigmoid Affine */
    static const bd_layer_kind *const kind[] = {&bd_affine, &bd_relu,     &bd_affine,  &bd_relu,
                                                &bd_affine, &bd_residual, &bd_sigmoid, &bd_affine};
    static const int depth[] = {0, 0, 1, 1, 1, 0, 0, 0}, fused[] = {0, 1, 0, 1, 0, 0, 0, 0};
    bd_detail detail;
    bd_net *net;
    int param = 0;

    CHECK_STATUS(create(&net, layers, COUNT(layers), 6, &detail), BD_OK);
    CHECK_INT(bd_net_step_count(net), COUNT(kind));
    for (int i = 0; i < COUNT(kind); i++) {
        bd_step_info info;
        bd_net_step_info(net, i, &info);
        CHECK_SAY(info.layer.kind == kind[i], "step %d is %s", i, info.layer.kind->name);
        CHECK_INT(info.depth, depth[i]);
        CHECK_INT(info.fused, fused[i]);
        CHECK_INT(info.param_count, kind[i] == &bd_affine ? 2 : 0);
        if (info.param_count) {
            CHECK_INT(info.first_param, param);
            CHECK_INT(bd_net_param(net, param)->step, i);
        }
        param += info.param_count;
    }
    const bd_shape output = bd_net_output(net);
    CHECK(bd_same_shape(&output, &(bd_shape){.ndim = 2, .dim = {1, 3}}));
    CHECK(bd_net_loss_layer(net)->kind == &bd_identity_with_loss);
    CHECK(!bd_net_mixes_samples(net));
    bd_net_free(net);
}

/* A ReLU whose input is used twice cannot be applied where it is stored. */
static void a_relu_after_a_shared_value_is_not_fused(void)
{
    static const bd_node after[] = {LAYER(relu), AFFINE(4)}, shared[] = {AFFINE(4), RESIDUAL(after)};
    bd_detail detail;
    bd_step_info info;
    bd_net *net;

    CHECK_STATUS(create(&net, shared, COUNT(shared), 6, &detail), BD_OK);
    bd_net_step_info(net, 1, &info);
    CHECK(info.layer.kind == &bd_relu && !info.fused);
    bd_net_free(net);
}

static double deviation(const bd_net *net, int param)
{
    const bd_array *array = bd_net_param(net, param);
    const bd_size count = bd_count(&array->shape);
    long double sum = 0;

    for (bd_size i = 0; i < count; i++) {
        const long double w = real_at(bd_net_dtype(net), bd_net_params(net), array->offset + i);
        sum += w * w;
    }
    return (double)sqrtl(sum / (long double)count);
}

static void weights_are_drawn_as_their_rule_says(void)
{
    static const bd_node wide[] = {{.layer = {&bd_affine, {{.i = 100}, {.f = BD_INIT_HE}}}},
                                   {.layer = {&bd_affine, {{.i = 100}, {.f = BD_INIT_XAVIER}}}},
                                   {.layer = {&bd_affine, {{.i = 100}, {.f = 0.01}}}},
                                   {.layer = {&bd_affine, {{.i = 100}, {.f = 0}}}}};
    const double expected[] = {sqrt(2. / 50), sqrt(1. / 100), 0.01, 0};

    for (int type = 0; type < BD_DTYPES; type++) {
        bd_detail detail;
        bd_net *net;
        CHECK_STATUS(bd_net_create(&net, (bd_dtype)type, wide, COUNT(wide), &identity,
                                   &(bd_shape){.ndim = 2, .dim = {1, 50}}, 1, &detail),
                     BD_OK);
        for (int i = 0; i < COUNT(wide); i++) {
            CHECK_NEAR(deviation(net, 2 * i), expected[i], expected[i] * 0.05); /* 5 of its own deviations */
            CHECK_NEAR(deviation(net, 2 * i + 1), 0, 0);
        }
        bd_net_free(net);
    }
}

static void a_seed_gives_the_same_net_and_init_another(void)
{
    bd_net *a, *b;
    bd_detail detail;

    CHECK_STATUS(create(&a, layers, COUNT(layers), 6, &detail), BD_OK);
    CHECK_STATUS(create(&b, layers, COUNT(layers), 6, &detail), BD_OK);
    CHECK_BYTES(bd_net_params(a), bd_net_params(b), param_bytes(a));
    bd_net_init(a);
    CHECK(memcmp(bd_net_params(a), bd_net_params(b), param_bytes(a)) != 0);
    bd_net_init(b);
    CHECK_BYTES(bd_net_params(a), bd_net_params(b), param_bytes(a));
    bd_net_free(a);
    bd_net_free(b);
}

/* ---------------------------------------------------------------- memory */

static void parameters_never_move(void)
{
    problem p = make_problem(&architectures[1], BD_F32, LABELS, 8);
    const void *params = bd_net_params(p.net), *grads = bd_net_grads(p.net);
    bd_optimizer sgd = {.kind = &bd_sgd, .hyper = {{.f = 0.1}}};
    bd_detail detail;
    double loss;

    CHECK_INT((uintptr_t)params % 64, 0);
    bd_net_bind(p.net, &bd_adam);
    const void *state[] = {bd_net_state(p.net, 0), bd_net_state(p.net, 1)};
    CHECK_STATUS(bd_net_reserve(p.net, 500), BD_OK);
    bd_net_init(p.net);
    bd_net_bind(p.net, &bd_sgd);
    CHECK_STATUS(bd_net_train(p.net, &loss, NULL, p.x, &p.target, NULL, 8, 8, &sgd, &detail), BD_OK);
    CHECK(bd_net_params(p.net) == params && bd_net_grads(p.net) == grads);
    CHECK(bd_net_state(p.net, 0) == state[0] && bd_net_state(p.net, 1) == state[1]);
    free_problem(&p);
}

static void an_arena_that_was_taken_outlives_its_net(void)
{
    problem p = make_problem(&architectures[1], BD_F64, LABELS, 3);
    const bd_array *last = bd_net_param(p.net, bd_net_param_count(p.net) - 1);
    const double *params = bd_net_params(p.net);
    const bd_size at = last->offset;
    const double expected = params[at];
    void *arena = bd_net_take_arena(p.net);

    free_problem(&p);
    CHECK_NEAR(params[at], expected, 0); /* the sanitizer would see it freed */
    bd_free(arena);
}

static void room_grows_only(void)
{
    problem p = make_problem(&architectures[1], BD_F64, LABELS, 10);
    const size_t before = bd_net_activation_bytes(p.net);

    CHECK(before > 0);
    CHECK_STATUS(bd_net_reserve(p.net, 3), BD_OK);
    CHECK_INT(bd_net_activation_bytes(p.net), before);
    CHECK_STATUS(bd_net_reserve(p.net, 40), BD_OK);
    CHECK(bd_net_activation_bytes(p.net) > before);
    free_problem(&p);
}

static void room_that_cannot_be_had_leaves_the_net_as_it_was(void)
{
    const bd_size absurd[] = {(bd_size)1 << 36, (bd_size)1 << 48, (bd_size)1 << 60, INT64_MAX};

    for (int a = 0; a < architecture_count; a++) {
        const target_kind target = architectures[a].target;
        problem p = make_problem(&architectures[a], BD_F64, target, 6);
        double before, after;
        bd_detail detail;
        CHECK_STATUS(bd_net_loss(p.net, &before, NULL, p.x, &p.target, 6, false, &detail), BD_OK);
        const size_t bytes = bd_net_activation_bytes(p.net);
        for (int i = 0; i < COUNT(absurd); i++)
            CHECK_STATUS(bd_net_reserve(p.net, absurd[i]), BD_NO_MEMORY);
        CHECK_INT(bd_net_activation_bytes(p.net), bytes);
        CHECK_STATUS(bd_net_loss(p.net, &after, NULL, p.x, &p.target, 6, false, &detail), BD_OK);
        CHECK_NEAR(after, before, 0);
        free_problem(&p);
    }
}

/* Each allocation of a net fails once; the leak checker sees what is then left behind. */
static void a_net_without_memory_is_not_made(void)
{
    bd_status status = BD_NO_MEMORY;
    bd_net *net = NULL;
    long allowed = 0;

    for (; status && allowed < 100; allowed++) {
        bd_detail detail;
        net = (bd_net *)&status;
        fail_allocation_after(allowed);
        status = create(&net, layers, COUNT(layers), 6, &detail);
        fail_allocation_after(-1);
        if (status) {
            CHECK_STATUS(status, BD_NO_MEMORY);
            CHECK(net == NULL);
        }
    }
    CHECK_STATUS(status, BD_OK);
    CHECK_SAY(allowed > 3, "%ld", allowed);
    fail_allocation_after(0);
    CHECK_STATUS(bd_net_reserve(net, 10), BD_NO_MEMORY);
    fail_allocation_after(-1);
    CHECK_INT(bd_net_activation_bytes(net), 0);
    CHECK_STATUS(bd_net_reserve(net, 10), BD_OK);
    bd_net_free(net);
}

static void nothing_is_freed_for_no_net(void)
{
    bd_net_free(NULL);
    bd_free(NULL);
    CHECK(bd_alloc(SIZE_MAX) == NULL && bd_alloc(SIZE_MAX / 2) == NULL);
    char *memory = bd_alloc(100);
    CHECK((uintptr_t)memory % 64 == 0);
    for (int i = 0; i < 100; i++)
        CHECK(memory[i] == 0);
    bd_free(memory);
}

/* ---------------------------------------------------------------- what is refused */

static void check_refused(const bd_node *node, int count, bd_size features, bd_status expected, int where)
{
    bd_detail detail;
    bd_net *net = (bd_net *)&detail;

    CHECK_STATUS(create(&net, node, count, features, &detail), expected);
    CHECK(net == NULL);
    CHECK_INT(detail.where, where);
    bd_net_free(net);
}

static void a_branch_must_keep_the_shape(void)
{
    static const bd_node wrong[] = {AFFINE(3)}, chain[] = {AFFINE(5), LAYER(relu), RESIDUAL(wrong), AFFINE(2)};
    bd_detail detail;
    bd_net *net;

    check_refused(chain, COUNT(chain), 4, BD_BAD_FEATURES, 3); /* after Affine, Relu and the branch's Affine */
    CHECK_STATUS(create(&net, chain, COUNT(chain), 4, &detail), BD_BAD_FEATURES);
    CHECK_INT(detail.got, 3);
    CHECK_INT(detail.expected, 5);
}

static void absurd_sizes_are_refused(void)
{
    static const bd_node huge[] = {LAYER(relu), AFFINE((bd_size)1 << 40), AFFINE((bd_size)1 << 40)};
    static const bd_node large[] = {AFFINE((bd_size)1 << 46)};
    static const bd_node none[] = {AFFINE(3), AFFINE(0), AFFINE(3)}, negative[] = {AFFINE(3), AFFINE(-5)};

    check_refused(huge, COUNT(huge), 3, BD_TOO_LARGE, 2);
    check_refused(huge, 2, (bd_size)1 << 40, BD_TOO_LARGE, 1);
    check_refused(none, COUNT(none), 3, BD_EMPTY_FEATURES, 2);
    check_refused(none, COUNT(none), 0, BD_EMPTY_FEATURES, 0);
    check_refused(negative, COUNT(negative), 3, BD_TOO_LARGE, 1);
    bd_detail detail;
    bd_net *net;
    CHECK_STATUS(create(&net, large, 1, 1, &detail), BD_NO_MEMORY); /* 2^47 elements can be counted, not had */
    CHECK_STATUS(create(&net, large, 1, -1, &detail), BD_TOO_LARGE);
}

/* Each layer fits, all together overflow the count of elements, then of bytes. */
static void many_large_layers_are_refused(void)
{
    enum { MOST = 1 << 17 };
    const int counts[] = {2, 1 << 13, MOST};
    bd_node *many = malloc(MOST * sizeof *many);

    for (int i = 0; i < MOST; i++)
        many[i] = (bd_node)AFFINE((1 << 24) - 1);
    for (int i = 0; i < COUNT(counts); i++) {
        bd_detail detail;
        bd_net *net;
        CHECK_STATUS(create(&net, many, counts[i], (1 << 24) - 1, &detail), BD_TOO_LARGE);
        CHECK(net == NULL);
    }
    free(many);
}

static void losses_and_layers_are_not_exchanged(void)
{
    static const bd_node inside[] = {AFFINE(3), LAYER(softmax_with_loss), AFFINE(2)};
    static const bd_node branch[] = {AFFINE(3), LAYER(identity_with_loss)}, outside[] = {AFFINE(3), RESIDUAL(branch)};
    const bd_layer affine = {&bd_affine, {{.i = 3}, {.f = 1}}};
    bd_detail detail;
    bd_net *net = (bd_net *)&detail;

    check_refused(inside, COUNT(inside), 4, BD_LOSS_INSIDE, 1);
    check_refused(outside, COUNT(outside), 4, BD_LOSS_INSIDE, 2);
    CHECK_STATUS(bd_net_create(&net, BD_F64, inside, 1, &affine, &(bd_shape){.ndim = 2, .dim = {1, 4}}, 1, &detail),
                 BD_NOT_A_LOSS);
    CHECK(net == NULL && !strcmp(detail.what, "Affine"));
}

static void softmax_needs_rows_of_scores(void)
{
    static const bd_node relu[] = {LAYER(relu)};
    bd_detail detail;
    bd_net *net;

    CHECK_STATUS(bd_net_create(&net, BD_F64, relu, 1, &softmax, &(bd_shape){.ndim = 3, .dim = {1, 4, 2}}, 1, &detail),
                 BD_BAD_NDIM);
    CHECK_INT(detail.got, 3);
    CHECK_INT(detail.where, 1);
}

/* Nodes nested `depth` deep, the innermost a Relu. */
static bd_node *nest(int depth)
{
    bd_node *node = calloc((size_t)depth + 1, sizeof *node);

    for (int i = 0; i < depth; i++)
        node[i] = (bd_node){.layer = {.kind = &bd_residual}, .children = &node[i + 1], .child_count = 1};
    node[depth].layer.kind = &bd_relu;
    return node;
}

static void nesting_has_a_limit(void)
{
    const int depth[] = {1, 10, 64, 65, 66, 100000};

    for (int i = 0; i < COUNT(depth); i++) {
        bd_node *node = nest(depth[i]);
        bd_detail detail;
        bd_net *net;
        CHECK_STATUS(create(&net, node, 1, 3, &detail), depth[i] <= 64 ? BD_OK : BD_TOO_DEEP);
        if (depth[i] > 64)
            CHECK_INT(detail.expected, 64);
        bd_net_free(net);
        free(node);
    }
}

const test_group plan_tests = {
    .name = "plan",
    .cases =
        (const test_case[]){
            {"parameters are named in the order of the layers", parameters_are_named_in_the_order_of_the_layers},
            {"steps tell of their layers", steps_tell_of_their_layers},
            {"a relu after a shared value is not fused", a_relu_after_a_shared_value_is_not_fused},
            {"weights are drawn as their rule says", weights_are_drawn_as_their_rule_says},
            {"a seed gives the same net, init another", a_seed_gives_the_same_net_and_init_another},
            {"parameters never move", parameters_never_move},
            {"an arena that was taken outlives its net", an_arena_that_was_taken_outlives_its_net},
            {"room grows only", room_grows_only},
            {"room that cannot be had leaves the net as it was", room_that_cannot_be_had_leaves_the_net_as_it_was},
            {"a net without memory is not made", a_net_without_memory_is_not_made},
            {"nothing is freed for no net", nothing_is_freed_for_no_net},
            {"a branch must keep the shape", a_branch_must_keep_the_shape},
            {"absurd sizes are refused", absurd_sizes_are_refused},
            {"many large layers are refused", many_large_layers_are_refused},
            {"losses and layers are not exchanged", losses_and_layers_are_not_exchanged},
            {"softmax needs rows of scores", softmax_needs_rows_of_scores},
            {"nesting has a limit", nesting_has_a_limit},
            {0},
        },
};
