/* The book's functions: cross entropy, squared distance, the search for NaN. */
#include "support.h"
#include "test.h"

enum { ROWS = 7, CLASSES = 5 };

static void fill_probabilities(double y[ROWS * CLASSES], double rows[ROWS * CLASSES], int64_t index[ROWS])
{
    uint64_t state = 1;

    for (int i = 0; i < ROWS * CLASSES; i++) {
        y[i] = random_between(&state, 0.01, 1);
        rows[i] = i % 3 ? random_between(&state, 0, 1) : 0;
    }
    for (int i = 0; i < ROWS; i++)
        index[i] = i * 3 % CLASSES;
}

static void cross_entropy_is_the_books(void)
{
    double y[ROWS * CLASSES], rows[ROWS * CLASSES];
    float y_f[ROWS * CLASSES], rows_f[ROWS * CLASSES];
    int64_t index[ROWS];
    long double labels = 0, soft = 0, soft_f = 0, labels_f = 0;
    const double eps = 1e-7;

    fill_probabilities(y, rows, index);
    for (int i = 0; i < ROWS * CLASSES; i++) {
        y_f[i] = (float)y[i];
        rows_f[i] = (float)rows[i];
        soft -= rows[i] * logl((long double)y[i] + eps) / ROWS;
        soft_f -= rows_f[i] * logl((long double)y_f[i] + eps) / ROWS;
    }
    for (int i = 0; i < ROWS; i++) {
        labels -= logl((long double)y[i * CLASSES + index[i]] + eps) / ROWS;
        labels_f -= logl((long double)y_f[i * CLASSES + index[i]] + eps) / ROWS;
    }
    const bd_target t = {.rows = rows, .width = CLASSES}, t_f = {.rows = rows_f, .width = CLASSES};
    const bd_target classes = {.index = index};
    CHECK_NEAR(bd_cross_entropy_f64(y, &t, ROWS, CLASSES, eps), soft, 1e-15);
    CHECK_NEAR(bd_cross_entropy_f64(y, &classes, ROWS, CLASSES, eps), labels, 1e-15);
    CHECK_NEAR(bd_cross_entropy_f32(y_f, &t_f, ROWS, CLASSES, eps), soft_f, 1e-15);
    CHECK_NEAR(bd_cross_entropy_f32(y_f, &classes, ROWS, CLASSES, eps), labels_f, 1e-15);
}

static void cross_entropy_of_a_certain_answer_is_finite(void)
{
    const double y[2] = {1, 0}, rows[2] = {1, 0};

    CHECK_NEAR(bd_cross_entropy_f64(y, &(bd_target){.rows = rows, .width = 2}, 1, 2, 0), 0, 0);
    CHECK_NEAR(bd_cross_entropy_f64(y, &(bd_target){.index = (int64_t[]){1}}, 1, 2, 1e-7), -logl(1e-7), 1e-14);
}

static void squared_distance_sums_squares(void)
{
    const float a[3] = {1, 2, 3}, b[3] = {1, 0, -1};
    const double c[3] = {1e8, 1, 0}, d[3] = {0, 0, 1};

    CHECK_NEAR(bd_squared_distance_f32(a, b, 3), 20, 0);
    CHECK_NEAR(bd_squared_distance_f64(c, d, 3), 1e16 + 2, 0); /* a sum of doubles would lose the 2 ones */
    CHECK_NEAR(bd_squared_distance_f64(c, d, 0), 0, 0);
}

static void the_first_not_finite_element_is_found(void)
{
    enum { COUNT = 50 };
    const long double bad[] = {(long double)NAN, (long double)INFINITY, -(long double)INFINITY};
    union {
        float f[COUNT];
        double d[COUNT];
        long double l[COUNT];
    } x;

    for (int type = 0; type < BD_DTYPES; type++) {
        for (int i = 0; i < COUNT; i++)
            set_real((bd_dtype)type, &x, i, i % 2 ? 1e-30L : -3e38L);
        CHECK_INT(bd_first_not_finite(&x, COUNT, (bd_dtype)type), -1);
        for (int i = COUNT - 1; i >= 0; i--) { /* those behind it stay bad */
            set_real((bd_dtype)type, &x, i, bad[i % 3]);
            CHECK_INT(bd_first_not_finite(&x, COUNT, (bd_dtype)type), i);
            CHECK_INT(bd_first_not_finite(&x, i, (bd_dtype)type), -1);
        }
    }
}

const test_group function_tests = {
    .name = "functions",
    .cases =
        (const test_case[]){
            {"cross entropy is the book's", cross_entropy_is_the_books},
            {"cross entropy of a certain answer is finite", cross_entropy_of_a_certain_answer_is_finite},
            {"squared distance sums squares", squared_distance_sums_squares},
            {"the first element that is not finite is found", the_first_not_finite_element_is_found},
            {0},
        },
};
