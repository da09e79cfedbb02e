/* Shapes and their checked arithmetic; descriptors of layers and optimisers; the checks of targets. */
#include "test.h"

#define SHAPE(...)                                                                                                     \
    &(const bd_shape){.ndim = (int)(sizeof((bd_size[]){__VA_ARGS__}) / sizeof(bd_size)), .dim = {__VA_ARGS__}}

static void a_count_is_the_product(void)
{
    CHECK_INT(bd_count(SHAPE(7)), 7);
    CHECK_INT(bd_count(SHAPE(2, 3, 4, 5)), 120);
    CHECK_INT(bd_count(SHAPE(1, 1, 1, 1, 1, 1, 1, 9)), 9);
    CHECK_INT(bd_count(&(bd_shape){.ndim = 0}), 1);
    CHECK_INT(bd_count(SHAPE(3, 0, 4)), 0);
    CHECK_INT(bd_count(SHAPE(0)), 0);
}

static void a_count_refuses_what_is_too_large(void)
{
    const bd_size most = BD_MAX_ELEMENTS;

    CHECK_INT(bd_count(SHAPE(most)), most);
    CHECK_INT(bd_count(SHAPE(1 << 24, 1 << 24)), most);
    CHECK_INT(bd_count(SHAPE(most + 1)), -1);
    CHECK_INT(bd_count(SHAPE(1 << 24, (1 << 24) + 1)), -1);
    CHECK_INT(bd_count(SHAPE((bd_size)1 << 40, (bd_size)1 << 40)), -1);
    CHECK_INT(bd_count(SHAPE((bd_size)1 << 62, 4)), -1); /* 2^64, which is 0 if it wraps */
    CHECK_INT(bd_count(SHAPE((bd_size)1 << 32, (bd_size)1 << 32)), -1);
    CHECK_INT(bd_count(SHAPE(INT64_MAX, INT64_MAX, INT64_MAX)), -1);
}

static void a_count_refuses_negative_sizes(void)
{
    CHECK_INT(bd_count(SHAPE(-1)), -1);
    CHECK_INT(bd_count(SHAPE(-3, -4)), -1); /* the product would be fine */
    CHECK_INT(bd_count(SHAPE(INT64_MIN, 2)), -1);
    CHECK_INT(bd_count(SHAPE(0, -1)), -1);
    CHECK_INT(bd_count(SHAPE(0, (bd_size)1 << 40, (bd_size)1 << 40)), -1);
}

static void features_are_the_product_of_all_but_the_first(void)
{
    CHECK_INT(bd_features(SHAPE(9, 3, 4)), 12);
    CHECK_INT(bd_features(SHAPE(-1, 5)), 5);
    CHECK_INT(bd_features(SHAPE(9)), 1);
    CHECK_INT(bd_features(SHAPE(9, 0)), 0);
    CHECK_INT(bd_features(SHAPE(9, (bd_size)1 << 40, 1 << 20)), -1);
}

static void shapes_are_the_same_if_all_dimensions_are(void)
{
    CHECK(bd_same_shape(SHAPE(2, 3), SHAPE(2, 3)));
    CHECK(!bd_same_shape(SHAPE(2, 3), SHAPE(2, 4)));
    CHECK(!bd_same_shape(SHAPE(2, 3), SHAPE(2, 3, 1)));
    const bd_shape pair = bd_shape2(2, 3), single = bd_shape1(5);
    CHECK(bd_same_shape(&pair, SHAPE(2, 3)));
    CHECK(bd_same_shape(&single, SHAPE(5)));
}

static void every_kind_is_found_by_its_name(void)
{
    for (const bd_layer_kind *const *kind = bd_layer_kinds; *kind; kind++) {
        CHECK_SAY(bd_find_layer((*kind)->name) == *kind, "%s", (*kind)->name);
        for (int type = 0; type < BD_DTYPES; type++)
            CHECK_SAY((*kind)->forward[type] && (*kind)->backward[type] && (*kind)->shape, "%s", (*kind)->name);
    }
    for (const bd_optimizer_kind *const *kind = bd_optimizer_kinds; *kind; kind++)
        CHECK_SAY(bd_find_optimizer((*kind)->name) == *kind, "%s", (*kind)->name);
    CHECK(!bd_find_layer("Afine") && !bd_find_layer("") && !bd_find_optimizer("sgd"));
    CHECK_INT(bd_state_count(&bd_sgd), 0);
    CHECK_INT(bd_state_count(&bd_adam), 2);
}

static void hyper_parameters_are_found_by_name(void)
{
    CHECK_INT(bd_hyper_count(bd_affine.hyper), 2);
    CHECK_INT(bd_find_hyper(bd_affine.hyper, "units"), 0);
    CHECK_INT(bd_find_hyper(bd_affine.hyper, "init"), 1);
    CHECK_INT(bd_find_hyper(bd_affine.hyper, "W"), -1);
    CHECK_INT(bd_hyper_count(bd_relu.hyper), 0);
    CHECK_INT(bd_array_count(bd_affine.param, BD_MAX_PARAM), 2);
    CHECK_INT(bd_array_count(bd_relu.param, BD_MAX_PARAM), 0);
}

static bd_status affine_hyper(int64_t units, double init)
{
    bd_detail detail = {0};
    return bd_check_hyper(bd_affine.hyper, (bd_value[BD_MAX_HYPER]){{.i = units}, {.f = init}}, &detail);
}

static bd_status adam_hyper(double lr, double beta1, double eps)
{
    bd_detail detail = {0};
    const bd_value value[BD_MAX_HYPER] = {{.f = lr}, {.f = beta1}, {.f = 0.999}, {.f = eps}};
    return bd_check_hyper(bd_adam.hyper, value, &detail);
}

static void hyper_parameters_stay_in_their_range(void)
{
    CHECK_STATUS(affine_hyper(1, 0), BD_OK);
    CHECK_STATUS(affine_hyper(5, BD_INIT_HE), BD_OK);
    CHECK_STATUS(affine_hyper(5, BD_INIT_XAVIER), BD_OK);
    CHECK_STATUS(affine_hyper(0, 1), BD_BAD_HYPER);
    CHECK_STATUS(affine_hyper(-1, 1), BD_BAD_HYPER);
    CHECK_STATUS(affine_hyper((int64_t)1 << 50, 1), BD_BAD_HYPER);
    CHECK_STATUS(affine_hyper(5, -0.5), BD_BAD_HYPER);
    CHECK_STATUS(affine_hyper(5, (double)NAN), BD_BAD_HYPER);
    CHECK_STATUS(affine_hyper(5, (double)INFINITY), BD_BAD_HYPER);
    CHECK_STATUS(adam_hyper(0.1, 0, 1e-8), BD_OK);
    CHECK_STATUS(adam_hyper(0, 0.9, 1e-8), BD_BAD_HYPER);
    CHECK_STATUS(adam_hyper((double)NAN, 0.9, 1e-8), BD_BAD_HYPER);
    CHECK_STATUS(adam_hyper(0.1, 1, 1e-8), BD_BAD_HYPER);
    CHECK_STATUS(adam_hyper(0.1, -0.1, 1e-8), BD_BAD_HYPER);
    CHECK_STATUS(adam_hyper(0.1, 0.9, 0), BD_BAD_HYPER);
}

static void a_bad_hyper_parameter_is_named(void)
{
    bd_detail detail = {0};

    CHECK_STATUS(bd_check_hyper(bd_affine.hyper, (bd_value[BD_MAX_HYPER]){{.i = 3}, {.f = -9}}, &detail), BD_BAD_HYPER);
    CHECK(!strcmp(detail.what, "init"));
    CHECK_NEAR(detail.value, -9, 0);
    CHECK_INT(detail.where, 1);
}

static bd_status affine_form(bd_size units, const bd_shape *x, bd_form *form)
{
    const bd_layer layer = {&bd_affine, {{.i = units}, {.f = 1}}};
    bd_detail detail = {0};
    return bd_layer_form(&layer, x, form, &detail);
}

static void a_layer_says_its_shapes(void)
{
    bd_form form;

    CHECK_STATUS(affine_form(5, SHAPE(8, 2, 3), &form), BD_OK);
    CHECK(bd_same_shape(&form.out, SHAPE(8, 5)));
    CHECK(bd_same_shape(&form.param[0], SHAPE(6, 5)));
    CHECK(bd_same_shape(&form.param[1], SHAPE(5)));
    CHECK_INT(form.fan_in, 6);
    CHECK_INT(form.macs, 30);
}

static void a_layer_refuses_sizes_that_no_memory_holds(void)
{
    bd_form form;

    CHECK_STATUS(affine_form(5, SHAPE(8, 0), &form), BD_EMPTY_FEATURES);
    CHECK_STATUS(affine_form(5, SHAPE((bd_size)1 << 40, 1 << 20), &form), BD_TOO_LARGE);
    CHECK_STATUS(affine_form((bd_size)1 << 40, SHAPE(1, (bd_size)1 << 40), &form), BD_TOO_LARGE);
    CHECK_STATUS(affine_form((bd_size)1 << 40, SHAPE(1 << 20, 2), &form), BD_TOO_LARGE);
    CHECK_STATUS(affine_form(-5, SHAPE(1, 2), &form), BD_TOO_LARGE);
    CHECK_STATUS(affine_form(5, SHAPE(0, 7), &form), BD_OK); /* no samples are fine */
}

/* ---------------------------------------------------------------- targets */

static bd_status check_target(const bd_layer_kind *loss, const bd_target *target, bd_size n, bd_detail *detail)
{
    return bd_check_target(&(bd_layer){.kind = loss}, target, n, 3, BD_F64, detail);
}

static void labels_must_be_classes(void)
{
    bd_detail detail;

    CHECK_STATUS(check_target(&bd_softmax_with_loss, &(bd_target){.index = (int64_t[]){0, 2, 1}}, 3, &detail), BD_OK);
    CHECK_STATUS(check_target(&bd_softmax_with_loss, &(bd_target){.index = (int64_t[]){0, 2, 3}}, 3, &detail),
                 BD_BAD_LABEL);
    CHECK_INT(detail.got, 3);
    CHECK_INT(detail.where, 2);
    CHECK_INT(detail.expected, 2);
    CHECK_STATUS(check_target(&bd_softmax_with_loss, &(bd_target){.index = (int64_t[]){0, -1, 0}}, 3, &detail),
                 BD_BAD_LABEL);
    CHECK_INT(detail.got, -1);
    CHECK_INT(detail.where, 1);
}

static void soft_labels_must_be_finite_and_not_negative(void)
{
    const double bad[] = {-1e-9, (double)NAN, (double)INFINITY, -(double)INFINITY};
    double rows[6] = {0.5, 0, 0.5, 1, 0, -0.0};
    bd_detail detail;

    CHECK_STATUS(check_target(&bd_softmax_with_loss, &(bd_target){.rows = rows, .width = 3}, 2, &detail), BD_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rows[4] = bad[i];
        CHECK_STATUS(check_target(&bd_softmax_with_loss, &(bd_target){.rows = rows, .width = 3}, 2, &detail),
                     BD_BAD_SOFT_LABEL);
        CHECK_INT(detail.where, 1);
    }
}

static void a_target_must_fit_the_loss(void)
{
    const double rows[8] = {0};
    const bd_target narrow = {.rows = rows, .width = 2}, wide = {.rows = rows, .width = 4}, none = {0};
    const bd_target labels = {.index = (int64_t[]){0, 1}};
    bd_detail detail;

    CHECK_STATUS(check_target(&bd_softmax_with_loss, &narrow, 2, &detail), BD_BAD_TARGET_WIDTH);
    CHECK_STATUS(check_target(&bd_softmax_with_loss, &wide, 2, &detail), BD_BAD_TARGET_WIDTH);
    CHECK_STATUS(check_target(&bd_identity_with_loss, &wide, 2, &detail), BD_BAD_TARGET_WIDTH);
    CHECK_INT(detail.got, 4);
    CHECK_INT(detail.expected, 3);
    CHECK_STATUS(check_target(&bd_softmax_with_loss, &none, 2, &detail), BD_NEEDS_CLASS_LABELS);
    CHECK_STATUS(check_target(&bd_identity_with_loss, &none, 2, &detail), BD_NEEDS_TARGET_ROWS);
    CHECK_STATUS(check_target(&bd_identity_with_loss, &labels, 2, &detail), BD_NEEDS_TARGET_ROWS);
}

const test_group shape_tests = {
    .name = "shape",
    .cases =
        (const test_case[]){
            {"a count is the product", a_count_is_the_product},
            {"a count refuses what is too large", a_count_refuses_what_is_too_large},
            {"a count refuses negative sizes", a_count_refuses_negative_sizes},
            {"features are the product of all but the first", features_are_the_product_of_all_but_the_first},
            {"shapes are the same if all dimensions are", shapes_are_the_same_if_all_dimensions_are},
            {"every kind is found by its name", every_kind_is_found_by_its_name},
            {"hyper-parameters are found by name", hyper_parameters_are_found_by_name},
            {"hyper-parameters stay in their range", hyper_parameters_stay_in_their_range},
            {"a bad hyper-parameter is named", a_bad_hyper_parameter_is_named},
            {"a layer says its shapes", a_layer_says_its_shapes},
            {"a layer refuses sizes that no memory holds", a_layer_refuses_sizes_that_no_memory_holds},
            {"labels must be classes", labels_must_be_classes},
            {"soft labels must be finite and not negative", soft_labels_must_be_finite_and_not_negative},
            {"a target must fit the loss", a_target_must_fit_the_loss},
            {0},
        },
};
