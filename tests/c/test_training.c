/* Training: the updates, rows picked from a larger array, no allocation; and that what fails changes nothing. */
#include <stdlib.h>

#include "nets.h"
#include "support.h"
#include "test.h"

static const bd_optimizer sgd = {.kind = &bd_sgd, .hyper = {{.f = 0.1}}};
static const bd_optimizer adam = {.kind = &bd_adam, .hyper = {{.f = 0.01}, {.f = 0.9}, {.f = 0.999}, {.f = 1e-7}}};

static bd_status train(problem *p, const bd_optimizer *optimizer, const int64_t *rows, bd_size n, double *loss)
{
    bd_detail detail = {0};
    return bd_net_train(p->net, loss, NULL, p->x, &p->target, rows, n, p->total, optimizer, &detail);
}

static void check_training(problem *p)
{
    const bd_optimizer *const optimizers[] = {&sgd, &adam};

    if (bd_net_param_count(p->net) == 0)
        return;
    for (int i = 0; i < COUNT(optimizers); i++) {
        double first, loss, last;
        bd_detail detail;
        randomise(p->net, 3);
        bd_net_bind(p->net, optimizers[i]->kind);
        CHECK_STATUS(train(p, optimizers[i], NULL, N, &first), BD_OK);
        for (int step = 1; step < 40; step++)
            CHECK_STATUS(train(p, optimizers[i], NULL, N, &loss), BD_OK);
        CHECK_STATUS(bd_net_loss(p->net, &last, NULL, p->x, &p->target, N, false, &detail), BD_OK);
        CHECK_SAY(last < 0.98 * first, "net \"%s\", %s: from %g to %g", p->of->name, optimizers[i]->kind->name, first,
                  last);
        CHECK_INT(bd_net_updates(p->net), 40);
    }
}

static void training_lowers_the_loss(void)
{
    for_each_problem(check_training);
}

/* The update is that of the papers, step by step. */
static void check_updates(problem *p)
{
    const bd_size size = bd_net_size(p->net);
    const long double eps = (long double)dtype_eps(p->dtype);
    long double *m = calloc((size_t)size + 1, sizeof *m), *v = calloc((size_t)size + 1, sizeof *v);
    double loss;

    bd_net_bind(p->net, &bd_adam);
    CHECK(bd_net_optimizer(p->net) == &bd_adam && bd_net_updates(p->net) == 0);
    for (int t = 1; t <= 4; t++) {
        void *before = copy_of(bd_net_params(p->net), param_bytes(p->net));
        CHECK_STATUS(train(p, &adam, NULL, N, &loss), BD_OK);
        for (bd_size i = 0; i < size; i++) {
            const long double g = real_at(p->dtype, bd_net_grads(p->net), i), b1 = 0.9, b2 = 0.999;
            m[i] = b1 * m[i] + (1 - b1) * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            const long double rate = 0.01 * sqrtl(1 - powl(b2, t)) / (1 - powl(b1, t));
            const long double expected = real_at(p->dtype, before, i) - rate * m[i] / (sqrtl(v[i]) + 1e-7);
            CHECK_NEAR(real_at(p->dtype, bd_net_params(p->net), i), expected, 20 * eps + 1e-16);
        }
        free(before);
    }
    bd_net_bind(p->net, &bd_adam);
    for (bd_size i = 0; i < size; i++)
        CHECK(real_at(p->dtype, bd_net_state(p->net, 0), i) == 0 && real_at(p->dtype, bd_net_state(p->net, 1), i) == 0);
    free(m);
    free(v);
}

static void adam_follows_its_paper(void)
{
    for_each_problem(check_updates);
}

static void check_sgd(problem *p)
{
    void *before = copy_of(bd_net_params(p->net), param_bytes(p->net));
    double loss;

    bd_net_bind(p->net, &bd_sgd);
    CHECK_STATUS(train(p, &sgd, NULL, N, &loss), BD_OK);
    for (bd_size i = 0; i < bd_net_size(p->net); i++) {
        const long double expected =
            real_at(p->dtype, before, i) - (long double)0.1 * real_at(p->dtype, bd_net_grads(p->net), i);
        CHECK_NEAR(real_at(p->dtype, bd_net_params(p->net), i), expected, 2 * dtype_eps(p->dtype) + 1e-17);
    }
    free(before);
}

static void sgd_follows_the_gradient(void)
{
    for_each_problem(check_sgd);
}

/* Some rows, in any order and twice, are the same as a batch made of them. */
static void check_rows(problem *p)
{
    enum { PICKED = 7 };
    const int64_t rows[PICKED] = {3, 0, 4, 4, 1, 3, 2};
    problem q = make_problem(p->of, p->dtype, p->kind, PICKED);
    double one, other;

    for (int i = 0; i < PICKED; i++) {
        memcpy((char *)q.x + bytes_of(p, i * p->features), (char *)p->x + bytes_of(p, rows[i] * p->features),
               bytes_of(p, p->features));
        memcpy((char *)q.rows + bytes_of(p, i * p->width), (char *)p->rows + bytes_of(p, rows[i] * p->width),
               bytes_of(p, p->width));
        q.index[i] = p->index[rows[i]];
    }
    CHECK_STATUS(bd_net_reserve(p->net, PICKED), BD_OK);
    bd_net_bind(p->net, &bd_adam);
    bd_net_bind(q.net, &bd_adam);
    for (int n = PICKED; n > PICKED - 2; n--) { /* odd and even counts: what is copied must stay aligned */
        CHECK_STATUS(train(p, &adam, rows, n, &one), BD_OK);
        CHECK_STATUS(train(&q, &adam, NULL, n, &other), BD_OK);
        CHECK_NEAR(one, other, 0);
        check_same(p, bd_net_params(p->net), bd_net_params(q.net), bd_net_size(p->net), "parameters");
        check_same(p, bd_net_state(p->net, 1), bd_net_state(q.net, 1), bd_net_size(p->net), "state");
    }
    free_problem(&q);
}

static void training_on_rows_is_training_on_a_copy_of_them(void)
{
    for_each_problem(check_rows);
}

static void check_no_allocation(problem *p)
{
    const int64_t rows[N] = {2, 1, 0, 4, 3};
    void *scores = malloc(bytes_of(p, N * p->width)), *dx = malloc(bytes_of(p, N * p->features));
    bd_size hits;
    bd_detail detail;
    double loss;

    bd_net_bind(p->net, &bd_adam);
    const long before = allocation_count();
    CHECK_STATUS(train(p, &adam, rows, N, &loss), BD_OK);
    CHECK_STATUS(train(p, &adam, NULL, N, &loss), BD_OK);
    CHECK_STATUS(bd_net_gradient(p->net, &loss, &hits, dx, p->x, &p->target, N, false, &detail), BD_OK);
    CHECK_STATUS(bd_net_loss(p->net, &loss, &hits, p->x, &p->target, N, false, &detail), BD_OK);
    bd_net_loss_from(p->net, 0, p->x, &p->target, N, false);
    bd_net_forward(p->net, scores, p->x, N, false, true);
    bd_net_bind(p->net, &bd_sgd);
    bd_net_init(p->net);
    CHECK_STATUS(bd_net_reserve(p->net, N), BD_OK);
    CHECK_INT(allocation_count() - before, 0);
    CHECK_STATUS(bd_net_reserve(p->net, N + 1), BD_OK);
    CHECK(allocation_count() > before); /* or nothing was counted */
    free(scores);
    free(dx);
}

static void nothing_is_allocated_once_there_is_room(void)
{
    for_each_problem(check_no_allocation);
}

static void check_inputs_unchanged(problem *p)
{
    const int64_t rows[N] = {2, 1, 0, 4, 3};
    void *x = copy_of(p->x, bytes_of(p, N * p->features)), *t = copy_of(p->rows, bytes_of(p, N * p->width));
    double loss;

    bd_net_bind(p->net, &bd_sgd);
    CHECK_STATUS(train(p, &sgd, rows, N, &loss), BD_OK);
    CHECK_STATUS(train(p, &sgd, NULL, N, &loss), BD_OK);
    CHECK_BYTES(p->x, x, bytes_of(p, N * p->features));
    CHECK_BYTES(p->rows, t, bytes_of(p, N * p->width));
    free(x);
    free(t);
}

static void data_is_not_written_to(void)
{
    for_each_problem(check_inputs_unchanged);
}

/* ---------------------------------------------------------------- what fails changes nothing */

/* Parameters, state and count of updates, to be compared later. */
typedef struct {
    void *params, *state[BD_MAX_STATE];
    int64_t updates;
} snapshot;

static snapshot take_snapshot(const problem *p)
{
    return (snapshot){
        copy_of(bd_net_params(p->net), param_bytes(p->net)),
        {copy_of(bd_net_state(p->net, 0), param_bytes(p->net)), copy_of(bd_net_state(p->net, 1), param_bytes(p->net))},
        bd_net_updates(p->net)};
}

static void check_snapshot(const problem *p, const snapshot *s)
{
    CHECK_BYTES(bd_net_params(p->net), s->params, param_bytes(p->net));
    for (int i = 0; i < BD_MAX_STATE; i++)
        CHECK_BYTES(bd_net_state(p->net, i), s->state[i], param_bytes(p->net));
    CHECK_INT(bd_net_updates(p->net), s->updates);
}

static void free_snapshot(snapshot *s)
{
    free(s->params);
    free(s->state[0]);
    free(s->state[1]);
}

/* Trains once for some state, then with arguments that must be refused. */
static void check_refused(problem *p, const bd_target *target, const int64_t *rows, bd_size n, bd_status expected,
                          bd_detail *detail)
{
    double loss;

    bd_net_bind(p->net, &bd_adam);
    CHECK_STATUS(train(p, &adam, NULL, 2, &loss), BD_OK);
    snapshot before = take_snapshot(p);
    CHECK_STATUS(bd_net_train(p->net, &loss, NULL, p->x, target, rows, n, p->total, &adam, detail), expected);
    check_snapshot(p, &before);
    free_snapshot(&before);
}

static void check_bad_rows(problem *p)
{
    const int64_t bad[] = {N, -1, INT64_MAX, INT64_MIN};
    bd_detail detail;

    for (int i = 0; i < COUNT(bad); i++) {
        check_refused(p, &p->target, (int64_t[]){0, 1, bad[i]}, 3, BD_BAD_ROW, &detail);
        CHECK_INT(detail.got, bad[i]);
        CHECK_INT(detail.expected, N - 1);
    }
    check_refused(p, &p->target, (int64_t[]){0}, 0, BD_EMPTY_BATCH, &detail);
    check_refused(p, &p->target, NULL, 0, BD_EMPTY_BATCH, &detail);
}

static void rows_that_do_not_exist_are_refused(void)
{
    for_each_problem(check_bad_rows);
}

static void check_bad_labels(problem *p)
{
    const int64_t bad[] = {-1, p->width, INT64_MAX, INT64_MIN};
    bd_detail detail;

    if (p->kind != LABELS)
        return;
    for (int i = 0; i < COUNT(bad); i++) {
        int64_t label[N] = {0};
        label[3] = bad[i];
        check_refused(p, &(bd_target){.index = label}, NULL, N, BD_BAD_LABEL, &detail);
        CHECK_INT(detail.got, bad[i]);
        CHECK_INT(detail.where, 3);
        CHECK_INT(detail.expected, p->width - 1);
        check_refused(p, &(bd_target){.index = label}, (int64_t[]){1, 2, 3}, 3, BD_BAD_LABEL, &detail);
    }
}

static void labels_that_are_no_classes_are_refused(void)
{
    for_each_problem(check_bad_labels);
}

static void check_bad_soft_labels(problem *p)
{
    const long double bad[] = {-0.1L, (long double)NAN, (long double)INFINITY};
    bd_detail detail;

    if (p->kind != SOFT_LABELS)
        return;
    for (int i = 0; i < COUNT(bad); i++) {
        const long double kept = real_at(p->dtype, p->rows, 4 * p->width + 1);
        set_real(p->dtype, p->rows, 4 * p->width + 1, bad[i]);
        check_refused(p, &p->target, NULL, N, BD_BAD_SOFT_LABEL, &detail);
        CHECK_INT(detail.where, 4);
        check_refused(p, &p->target, (int64_t[]){4}, 1, BD_BAD_SOFT_LABEL, &detail);
        set_real(p->dtype, p->rows, 4 * p->width + 1, kept);
    }
}

static void soft_labels_that_are_no_weights_are_refused(void)
{
    for_each_problem(check_bad_soft_labels);
}

/* Targets of the wrong width, of the wrong sort, and none at all; with picked rows, which are read first, as well. */
static void check_bad_targets(problem *p)
{
    const int64_t some[] = {1, 0, 2};
    const bool numbers = p->kind == NUMBERS;
    const bd_target narrow = {.rows = p->rows, .width = p->width - 1}, none = {0}, wide_none = {.width = p->width};
    const bd_target labels = {.index = p->index};
    bd_detail detail;

    for (int pick = 0; pick < 2; pick++) {
        const int64_t *rows = pick ? some : NULL;
        check_refused(p, &narrow, rows, 3, BD_BAD_TARGET_WIDTH, &detail);
        CHECK_INT(detail.got, p->width - 1);
        CHECK_INT(detail.expected, p->width);
        check_refused(p, &none, rows, 3, numbers ? BD_NEEDS_TARGET_ROWS : BD_NEEDS_CLASS_LABELS, &detail);
        check_refused(p, &wide_none, rows, 3, numbers ? BD_NEEDS_TARGET_ROWS : BD_NEEDS_CLASS_LABELS, &detail);
        if (numbers)
            check_refused(p, &labels, rows, 3, BD_NEEDS_TARGET_ROWS, &detail);
    }
}

static void targets_that_do_not_fit_are_refused(void)
{
    for_each_problem(check_bad_targets);
}

/* One number of x is not finite. A bounded layer can make an infinity harmless for the loss, not for the gradient. */
static void check_loss_not_finite(problem *p)
{
    const long double bad[] = {(long double)NAN, (long double)INFINITY};

    for (int i = 0; i < COUNT(bad); i++) {
        bd_detail detail = {0};
        double loss;
        bd_net_bind(p->net, &bd_adam);
        CHECK_STATUS(train(p, &adam, NULL, 2, &loss), BD_OK);
        snapshot before = take_snapshot(p);
        set_real(p->dtype, p->x, 2 * p->features, bad[i]);
        const bd_status status = bd_net_train(p->net, &loss, NULL, p->x, &p->target, NULL, N, N, &adam, &detail);
        if (isfinite(loss)) {
            CHECK(isinf(bad[i]));
            CHECK_STATUS(status, bd_net_param_count(p->net) ? BD_GRADIENT_NOT_FINITE : BD_OK);
        } else {
            CHECK_STATUS(status, BD_LOSS_NOT_FINITE);
            CHECK(!isfinite(detail.value));
        }
        if (status)
            check_snapshot(p, &before);
        set_real(p->dtype, p->x, 2 * p->features, 1);
        free_snapshot(&before);
    }
}

static void a_loss_that_is_not_finite_changes_nothing(void)
{
    for_each_problem(check_loss_not_finite);
}

/* Scores so far apart that a float cannot hold their difference. */
static void a_loss_that_overflows_changes_nothing(void)
{
    problem p = make_problem(&architectures[3], BD_F32, NUMBERS, N);
    bd_detail detail;
    double loss;

    bd_net_bind(p.net, &bd_sgd);
    for (bd_size i = 0; i < bd_net_size(p.net); i++)
        set_real(BD_F32, bd_net_params(p.net), i, 1e18L);
    snapshot before = take_snapshot(&p);
    CHECK_STATUS(bd_net_train(p.net, &loss, NULL, p.x, &p.target, NULL, N, N, &sgd, &detail), BD_LOSS_NOT_FINITE);
    CHECK(isinf(loss));
    check_snapshot(&p, &before);
    free_snapshot(&before);
    free_problem(&p);
}

/* A step along an infinite gradient would lose the parameters, though the loss is still a number. */
static void a_gradient_that_overflows_changes_nothing(void)
{
    architecture linear = architectures[0];
    linear.target = NUMBERS;
    problem p = make_problem(&linear, BD_F32, NUMBERS, 2);
    const bd_array *bias = bd_net_param(p.net, 1);
    bd_detail detail;
    double loss;

    bd_net_bind(p.net, &bd_adam);
    memset(bd_net_params(p.net), 0, param_bytes(p.net));
    for (bd_size i = 0; i < p.width; i++)
        set_real(BD_F32, bd_net_params(p.net), bias->offset + i, 1e10L);
    for (bd_size i = 0; i < 2 * p.features; i++)
        set_real(BD_F32, p.x, i, 1e30L); /* dW is of the order of 1e30 1e10 */
    snapshot before = take_snapshot(&p);
    CHECK_STATUS(bd_net_train(p.net, &loss, NULL, p.x, &p.target, NULL, 2, 2, &adam, &detail), BD_GRADIENT_NOT_FINITE);
    CHECK(isfinite(loss));
    check_snapshot(&p, &before);
    free_snapshot(&before);
    free_problem(&p);
}

/* A net that goes on where another stopped gets its parameters, state and count. */
static void training_can_be_continued(void)
{
    problem a = make_problem(&architectures[1], BD_F32, LABELS, N);
    problem b = make_problem(&architectures[1], BD_F32, LABELS, N);
    double loss;

    bd_net_bind(a.net, &bd_adam);
    bd_net_bind(b.net, &bd_adam);
    for (int step = 0; step < 3; step++)
        CHECK_STATUS(train(&a, &adam, NULL, N, &loss), BD_OK);
    memcpy(bd_net_params(b.net), bd_net_params(a.net), param_bytes(a.net));
    for (int i = 0; i < BD_MAX_STATE; i++)
        memcpy(bd_net_state(b.net, i), bd_net_state(a.net, i), param_bytes(a.net));
    bd_net_set_updates(b.net, bd_net_updates(a.net));
    CHECK_STATUS(train(&a, &adam, NULL, N, &loss), BD_OK);
    CHECK_STATUS(train(&b, &adam, NULL, N, &loss), BD_OK);
    CHECK_BYTES(bd_net_params(b.net), bd_net_params(a.net), param_bytes(a.net));
    CHECK_INT(bd_net_updates(b.net), 4);
    free_problem(&a);
    free_problem(&b);
}

/* loss + lambda / 2 sum W^2 and dW + lambda W: the same step as with the penalty worked out by hand. */
static void check_weight_decay(problem *p)
{
    const double decay = 0.25, rate = 0.1;
    const bd_optimizer with = {.kind = &bd_sgd, .hyper = {{.f = rate}}, .weight_decay = decay};
    const bd_optimizer without = {.kind = &bd_sgd, .hyper = {{.f = rate}}};
    double plain, decayed;
    bd_detail detail;

    bd_net_bind(p->net, &bd_sgd);
    snapshot before = take_snapshot(p);
    const double penalty = bd_net_penalty(p->net, decay);
    CHECK_STATUS(bd_net_begin_step(p->net, &plain, NULL, p->x, &p->target, NULL, N, N, &without, &detail), BD_OK);
    void *gradient = copy_of(bd_net_grads(p->net), param_bytes(p->net));
    bd_net_undo(p->net);
    check_snapshot(p, &before);
    CHECK_STATUS(bd_net_begin_step(p->net, &decayed, NULL, p->x, &p->target, NULL, N, N, &with, &detail), BD_OK);
    CHECK(fabs(decayed - plain - penalty) <= 1e-6 * fabs(decayed));
    for (int i = 0; i < bd_net_param_count(p->net); i++) {
        const bd_array *a = bd_net_param(p->net, i);
        for (bd_size j = 0; j < bd_count(&a->shape); j++) {
            const long double w = real_at(p->dtype, bd_net_params(p->net), a->offset + j);
            const long double g = real_at(p->dtype, gradient, a->offset + j);
            const long double found = real_at(p->dtype, bd_net_grads(p->net), a->offset + j);
            const long double expected = g + (a->role == BD_WEIGHT ? (long double)decay * w : 0);
            CHECK(fabsl(found - expected) <= 1e-6L * (fabsl(g) + fabsl(w)));
        }
    }
    CHECK_STATUS(bd_net_end_step(p->net, &with, &detail), BD_OK);
    CHECK_INT(bd_net_updates(p->net), 1);
    free(gradient);
    free_snapshot(&before);
}

static void weight_decay_is_a_penalty_on_weights(void)
{
    for_each_problem(check_weight_decay);
}

/* Finite loss, finite gradient, but p - lr g beyond all floats. */
static void an_update_that_overflows_changes_nothing(void)
{
    const bd_optimizer_kind *const *kind;

    for (kind = bd_optimizer_kinds; *kind; kind++) {
        architecture linear = architectures[0];
        linear.target = NUMBERS;
        problem p = make_problem(&linear, BD_F32, NUMBERS, 2);
        bd_optimizer optimizer = {.kind = *kind};
        bd_detail detail;
        bd_status status = BD_OK;
        double loss;

        for (int i = 0; i < bd_hyper_count((*kind)->hyper); i++)
            optimizer.hyper[i].f = (*kind)->hyper[i].fallback;
        optimizer.hyper[0].f = 1e30;
        bd_net_bind(p.net, *kind);
        for (bd_size i = 0; i < 2 * p.features; i++)
            set_real(BD_F32, p.x, i, 1e10L);
        for (int step = 0; step < 3 && !status; step++) {
            snapshot before = take_snapshot(&p);
            status = bd_net_train(p.net, &loss, NULL, p.x, &p.target, NULL, 2, 2, &optimizer, &detail);
            CHECK(bd_first_not_finite(bd_net_params(p.net), bd_net_size(p.net), BD_F32) < 0);
            if (status)
                check_snapshot(&p, &before);
            free_snapshot(&before);
        }
        CHECK(status == BD_UPDATE_NOT_FINITE || status == BD_GRADIENT_NOT_FINITE || status == BD_LOSS_NOT_FINITE);
        if (*kind == &bd_sgd)
            CHECK_STATUS(status, BD_UPDATE_NOT_FINITE);
        free_problem(&p);
    }
}

const test_group training_tests = {
    .name = "training",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"training lowers the loss", training_lowers_the_loss},
            {"Adam follows its paper", adam_follows_its_paper},
            {"SGD follows the gradient", sgd_follows_the_gradient},
            {"training on rows is training on a copy of them", training_on_rows_is_training_on_a_copy_of_them},
            {"nothing is allocated once there is room", nothing_is_allocated_once_there_is_room},
            {"data is not written to", data_is_not_written_to},
            {"rows that do not exist are refused", rows_that_do_not_exist_are_refused},
            {"labels that are no classes are refused", labels_that_are_no_classes_are_refused},
            {"soft labels that are no weights are refused", soft_labels_that_are_no_weights_are_refused},
            {"targets that do not fit are refused", targets_that_do_not_fit_are_refused},
            {"a loss that is not finite changes nothing", a_loss_that_is_not_finite_changes_nothing},
            {"a loss that overflows changes nothing", a_loss_that_overflows_changes_nothing},
            {"a gradient that overflows changes nothing", a_gradient_that_overflows_changes_nothing},
            {"training can be continued", training_can_be_continued},
            {"weight decay is a penalty on weights", weight_decay_is_a_penalty_on_weights},
            {"an update that overflows changes nothing", an_update_that_overflows_changes_nothing},
            {0},
        },
};
