/* What a net computes: scores, losses, gradients. */
#include <float.h>
#include <stdlib.h>

#include "nets.h"
#include "support.h"
#include "test.h"

/* ---------------------------------------------------------------- forward */

static void check_scores(problem *p)
{
    const long double eps = (long double)dtype_eps(p->dtype);
    long double expected[MOST_FEATURES];
    void *scores = malloc(bytes_of(p, N * p->width));

    memset(scores, 0xff, bytes_of(p, N * p->width));
    bd_net_forward(p->net, scores, p->x, N, false, true);
    for (bd_size i = 0; i < N; i++) {
        expected_scores(p, i, expected);
        for (bd_size j = 0; j < p->width; j++)
            CHECK_SAY(fabsl(real_at(p->dtype, scores, i * p->width + j) - expected[j]) <= 100 * eps,
                      "net \"%s\", type %d, sample %lld: %.17Lg, expected %.17Lg", p->of->name, p->dtype, (long long)i,
                      real_at(p->dtype, scores, i * p->width + j), expected[j]);
    }
    free(scores);
}

static void scores_are_right(void)
{
    for_each_problem(check_scores);
}

static void check_loss(problem *p)
{
    const long double expected = expected_loss(p, N);
    /* the loss of an extended net is given as a double */
    const long double eps = p->dtype == BD_F32 ? FLT_EPSILON : DBL_EPSILON;
    bd_detail detail;
    double loss;

    CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, false, &detail), BD_OK);
    CHECK_SAY(fabsl(loss - expected) <= 100 * eps * (1 + fabsl(expected)),
              "net \"%s\", type %d: %.17g, expected %.17Lg", p->of->name, p->dtype, loss, expected);
}

static void losses_are_right(void)
{
    for_each_problem(check_loss);
}

static void the_eps_of_softmax_is_in_the_loss(void)
{
    architecture with_eps = architectures[1];

    with_eps.eps = 0.05;
    for (int target = LABELS; target <= SOFT_LABELS; target++) {
        problem p = make_problem(&with_eps, BD_F64, (target_kind)target, N);
        check_loss(&p);
        free_problem(&p);
    }
}

/* Without eps the logarithm of a probability that vanishes is still exact; with it, it is that of eps. */
static void a_hopeless_sample_has_its_exact_loss(void)
{
    const double eps[] = {0, 1e-7};
    const long double expected[] = {1000, -logl(1e-7L)};

    for (int type = 0; type < BD_DTYPES; type++)
        for (int e = 0; e < COUNT(eps); e++) {
            architecture linear = architectures[0];
            linear.eps = eps[e];
            problem p = make_problem(&linear, (bd_dtype)type, LABELS, 1);
            bd_detail detail;
            double loss;
            memset(bd_net_params(p.net), 0, param_bytes(p.net));
            set_real(p.dtype, bd_net_params(p.net), bd_net_param(p.net, 1)->offset + 1, 1000); /* b of class 1 */
            p.index[0] = 0;
            CHECK_STATUS(bd_net_loss(p.net, &loss, NULL, p.x, &p.target, 1, false, &detail), BD_OK);
            CHECK_NEAR(loss, expected[e], 1e-5);
            free_problem(&p);
        }
}

static void check_hits(problem *p)
{
    long double score[MOST_FEATURES];
    bd_size expected = 0, hits = -1;
    bd_detail detail;
    double loss;

    for (bd_size i = 0; i < N; i++) {
        bd_size best = 0, label = 0;
        expected_scores(p, i, score);
        for (bd_size j = 1; j < p->width; j++) {
            best = score[j] > score[best] ? j : best;
            label = real_at(p->dtype, p->rows, i * p->width + j) > real_at(p->dtype, p->rows, i * p->width + label)
                      ? j
                      : label;
        }
        expected += best == (p->target.index ? p->target.index[i] : label);
    }
    CHECK_STATUS(bd_net_loss(p->net, &loss, &hits, p->x, &p->target, N, false, &detail), BD_OK);
    CHECK_SAY(hits == expected, "net \"%s\", type %d: %lld, expected %lld", p->of->name, p->dtype, (long long)hits,
              (long long)expected);
}

static void hits_are_counted(void)
{
    for_each_problem(check_hits);
}

static void check_largest_score(problem *p)
{
    long double score[MOST_FEATURES], expected = 0;
    bd_detail detail;
    double loss;

    CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, false, &detail), BD_OK);
    for (bd_size i = 0; i < N; i++) {
        expected_scores(p, i, score);
        for (bd_size j = 0; j < p->width; j++)
            expected = fmaxl(expected, fabsl(score[j]));
    }
    const double got = bd_net_largest_score(p->net, N);
    CHECK_SAY(fabsl(got - expected) <= 100 * dtype_eps(p->dtype) + 1e-15, "net \"%s\", type %d: %g, expected %Lg",
              p->of->name, p->dtype, got, expected);
}

static void the_largest_score_is_found(void)
{
    for_each_problem(check_largest_score);
}

/* Samples do not know of each other, nor of the room for more. */
static void check_samples_alone(problem *p)
{
    void *all = malloc(bytes_of(p, N * p->width)), *one = malloc(bytes_of(p, p->width));

    bd_net_forward(p->net, all, p->x, N, false, true);
    CHECK_STATUS(bd_net_reserve(p->net, 60), BD_OK);
    for (bd_size i = 0; i < N; i++) {
        bd_net_forward(p->net, one, (const char *)p->x + bytes_of(p, i * p->features), 1, false, true);
        check_same(p, one, (const char *)all + bytes_of(p, i * p->width), p->width, "a sample's scores");
    }
    free(all);
    free(one);
}

static void samples_are_computed_alike_alone_and_together(void)
{
    for_each_problem(check_samples_alone);
}

/* ---------------------------------------------------------------- gradients */

/* Loss, gradients and dx of one call. */
typedef struct {
    double loss;
    bd_size hits;
    void *grads, *dx;
} gradient;

static gradient gradient_of(problem *p, bool fuse)
{
    gradient g = {.dx = malloc(bytes_of(p, N * p->features))};
    bd_detail detail;

    memset(bd_net_grads(p->net), 0, param_bytes(p->net));
    CHECK_STATUS(bd_net_gradient(p->net, &g.loss, &g.hits, g.dx, p->x, &p->target, N, fuse, &detail), BD_OK);
    g.grads = copy_of(bd_net_grads(p->net), param_bytes(p->net));
    return g;
}

static void free_gradient(gradient *g)
{
    free(g->grads);
    free(g->dx);
}

static void check_gradients_same(const problem *p, const gradient *a, const gradient *b, const char *what)
{
    CHECK_NEAR(a->loss, b->loss, 0);
    CHECK_INT(a->hits, b->hits);
    check_same(p, a->grads, b->grads, bd_net_size(p->net), what);
    check_same(p, a->dx, b->dx, N * p->features, what);
}

static void check_fusion(problem *p)
{
    void *fused = malloc(bytes_of(p, N * p->width)), *plain = malloc(bytes_of(p, N * p->width));
    gradient a = gradient_of(p, true), b = gradient_of(p, false);

    bd_net_forward(p->net, fused, p->x, N, true, true);
    bd_net_forward(p->net, plain, p->x, N, true, false);
    check_same(p, fused, plain, N * p->width, "fused scores");
    check_gradients_same(p, &a, &b, "fused gradients");
    free_gradient(&a);
    free_gradient(&b);
    free(fused);
    free(plain);
}

static void the_fused_plan_gives_the_same_bits(void)
{
    for_each_problem(check_fusion);
}

static void check_dx_is_optional(problem *p)
{
    gradient with = gradient_of(p, true);
    bd_detail detail;
    double loss;

    memset(bd_net_grads(p->net), 0, param_bytes(p->net));
    CHECK_STATUS(bd_net_gradient(p->net, &loss, NULL, NULL, p->x, &p->target, N, true, &detail), BD_OK);
    check_same(p, bd_net_grads(p->net), with.grads, bd_net_size(p->net), "gradients without dx");
    free_gradient(&with);
}

static void gradients_are_the_same_without_dx(void)
{
    for_each_problem(check_dx_is_optional);
}

static void check_growth(problem *p)
{
    gradient before = gradient_of(p, true);

    CHECK_STATUS(bd_net_reserve(p->net, 100), BD_OK);
    gradient after = gradient_of(p, true);
    check_gradients_same(p, &after, &before, "results with more room");
    free_gradient(&before);
    free_gradient(&after);
}

static void results_do_not_depend_on_the_room(void)
{
    for_each_problem(check_growth);
}

/* One number of the net, to be changed a little. */
typedef struct {
    problem *p;
    void *base;
    bd_size element;
    int first; /* the step to begin from */
    long double start;
} slope_probe;

static bool probe_loss(void *context, double h, bd_sample *sample)
{
    const slope_probe *probe = context;
    problem *p = probe->p;

    set_real(p->dtype, probe->base, probe->element, probe->start + h);
    sample->moved = (double)(real_at(p->dtype, probe->base, probe->element) - probe->start);
    sample->value = bd_net_loss_from(p->net, probe->first, p->x, &p->target, N, true);
    sample->noise = DBL_EPSILON * (bd_net_largest_score(p->net, N) + fabs((double)sample->value));
    return true;
}

static void check_slope(problem *p, void *base, bd_size element, int first, long double analytic, const char *what)
{
    slope_probe probe = {p, base, element, first, real_at(p->dtype, base, element)};
    bd_derivative_result r;
    bd_detail detail;
    double loss;

    /* the values before `first` are those of the last probe otherwise */
    CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, true, &detail), BD_OK);
    CHECK(bd_derivative(&r, probe_loss, &probe, (double)fabsl(probe.start), 0, 0));
    set_real(p->dtype, base, element, probe.start);
    CHECK_SAY(r.uncertainty < 1e-7, "net \"%s\", %s: bound %g", p->of->name, what, r.uncertainty);
    CHECK_SAY(fabsl(analytic - r.value) <= r.uncertainty + 1e-14L,
              "net \"%s\", type %d, target %d, %s, element %lld: %.12Lg, expected %.12g within %.1e", p->of->name,
              p->dtype, !p->target.index, what, (long long)element, analytic, r.value, r.uncertainty);
}

/* Every seventh element, and the last, of each array. */
static void check_slopes(problem *p)
{
    enum { EACH = 7 };

    if (p->dtype == BD_F32 || (p->dtype == BD_EXT && !test_first_isa()))
        return;
    gradient g = gradient_of(p, true);
    for (int i = 0; i < bd_net_param_count(p->net); i++) {
        const bd_array *array = bd_net_param(p->net, i);
        const bd_size count = bd_count(&array->shape);
        for (bd_size j = count - 1; j >= 0; j -= EACH)
            check_slope(p, bd_net_params(p->net), array->offset + j, array->step,
                        real_at(p->dtype, g.grads, array->offset + j), array->name);
    }
    for (bd_size j = N * p->features - 1; j >= 0; j -= EACH)
        check_slope(p, p->x, j, 0, real_at(p->dtype, g.dx, j), "x");
    free_gradient(&g);
}

static void gradients_are_the_slopes_of_the_loss(void)
{
    for_each_problem(check_slopes);
}

/* The gradient of a float net is that of the double net with the same numbers, to float precision. */
static void check_float_gradient(problem *p)
{
    if (p->dtype != BD_F32)
        return;
    problem q = make_problem(p->of, BD_F64, p->kind, N);
    for (bd_size i = 0; i < bd_net_size(p->net); i++)
        set_real(BD_F64, bd_net_params(q.net), i, real_at(BD_F32, bd_net_params(p->net), i));
    for (bd_size i = 0; i < N * p->features; i++)
        set_real(BD_F64, q.x, i, real_at(BD_F32, p->x, i));
    for (bd_size i = 0; i < N * p->width; i++)
        set_real(BD_F64, q.rows, i, real_at(BD_F32, p->rows, i));
    gradient a = gradient_of(p, true), b = gradient_of(&q, true);
    for (bd_size i = 0; i < bd_net_size(p->net); i++)
        CHECK_NEAR(real_at(BD_F32, a.grads, i), real_at(BD_F64, b.grads, i), 200 * FLT_EPSILON);
    for (bd_size i = 0; i < N * p->features; i++)
        CHECK_NEAR(real_at(BD_F32, a.dx, i), real_at(BD_F64, b.dx, i), 200 * FLT_EPSILON);
    free_gradient(&a);
    free_gradient(&b);
    free_problem(&q);
}

static void float_gradients_agree_with_double(void)
{
    for_each_problem(check_float_gradient);
}

static void check_loss_from(problem *p)
{
    bd_detail detail;
    double loss;

    CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, true, &detail), BD_OK);
    for (int i = bd_net_param_count(p->net) - 1; i >= 0; i--) { /* each change stays, those before it are recomputed */
        const bd_array *array = bd_net_param(p->net, i);
        set_real(p->dtype, bd_net_params(p->net), array->offset, 0.3L);
        const double part = bd_net_loss_from(p->net, array->step, p->x, &p->target, N, true);
        CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, true, &detail), BD_OK);
        CHECK_NEAR(part, loss, 0);
    }
}

static void the_loss_from_a_step_is_the_whole_loss(void)
{
    for_each_problem(check_loss_from);
}

/* What comes before the step is not run again: a change there is not seen. */
static void check_loss_from_skips(problem *p)
{
    const int last = bd_net_param_count(p->net) - 1;
    bd_detail detail;
    double loss;

    if (last < 2)
        return;
    CHECK_STATUS(bd_net_loss(p->net, &loss, NULL, p->x, &p->target, N, true, &detail), BD_OK);
    set_real(p->dtype, bd_net_params(p->net), bd_net_param(p->net, 1)->offset, 50);
    CHECK_NEAR(bd_net_loss_from(p->net, bd_net_param(p->net, last)->step, p->x, &p->target, N, true), loss, 0);
}

static void the_loss_from_a_step_runs_that_part_only(void)
{
    for_each_problem(check_loss_from_skips);
}

static void no_samples_have_scores_but_no_loss(void)
{
    problem p = make_problem(&architectures[1], BD_F64, LABELS, 1);
    bd_detail detail;
    bd_net *net;
    double loss, dx = 5;

    CHECK_STATUS(create_net(&net, &architectures[1], BD_F64, &detail), BD_OK); /* without room */
    CHECK_STATUS(bd_net_reserve(net, 0), BD_OK);
    bd_net_forward(net, &dx, p.x, 0, false, true);
    CHECK_STATUS(bd_net_loss(net, &loss, NULL, p.x, &p.target, 0, false, &detail), BD_EMPTY_BATCH);
    CHECK_STATUS(bd_net_gradient(net, &loss, NULL, &dx, p.x, &p.target, 0, true, &detail), BD_EMPTY_BATCH);
    CHECK_NEAR(dx, 5, 0);
    bd_net_free(net);
    free_problem(&p);
}

const test_group net_tests = {
    .name = "net",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"scores are right", scores_are_right},
            {"losses are right", losses_are_right},
            {"the eps of softmax is in the loss", the_eps_of_softmax_is_in_the_loss},
            {"a hopeless sample has its exact loss", a_hopeless_sample_has_its_exact_loss},
            {"hits are counted", hits_are_counted},
            {"the largest score is found", the_largest_score_is_found},
            {"samples are computed alike alone and together", samples_are_computed_alike_alone_and_together},
            {"the fused plan gives the same bits", the_fused_plan_gives_the_same_bits},
            {"gradients are the same without dx", gradients_are_the_same_without_dx},
            {"results do not depend on the room", results_do_not_depend_on_the_room},
            {"gradients are the slopes of the loss", gradients_are_the_slopes_of_the_loss},
            {"float gradients agree with double", float_gradients_agree_with_double},
            {"the loss from a step is the whole loss", the_loss_from_a_step_is_the_whole_loss},
            {"the loss from a step runs that part only", the_loss_from_a_step_runs_that_part_only},
            {"no samples have scores but no loss", no_samples_have_scores_but_no_loss},
            {0},
        },
};
