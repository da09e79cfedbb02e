/* Numerical derivatives: the value, and above all whether the bound on its error can be believed. */
#include <float.h>
#include <stdlib.h>

#include "support.h"
#include "test.h"

typedef struct {
    double (*f)(double);
    double at;
    bool single;  /* the coordinate is a float: steps land on its grid, and f rounds to float ... */
    bool precise; /* ... unless this */
    double noise; /* declared, beside the rounding of the last bit */
    int calls;
    int last_call; /* the call that returns false; 0: none */
} probe_context;

static bool probe(void *context, double h, bd_sample *sample)
{
    probe_context *c = context;
    const double x = c->single ? (double)(float)(c->at + h) : c->at + h;
    const bool rounds = c->single && !c->precise;

    if (++c->calls == c->last_call)
        return false;
    sample->value = rounds ? (double)(float)c->f(x) : c->f(x);
    sample->moved = x - c->at;
    sample->noise = (rounds ? (double)FLT_EPSILON : DBL_EPSILON) * fabs((double)sample->value) + c->noise;
    return true;
}

static bd_derivative_result derivative_of(double (*f)(double), double at)
{
    probe_context c = {.f = f, .at = at};
    bd_derivative_result r;

    CHECK(bd_derivative(&r, probe, &c, fabs(at), 0, 0));
    CHECK_INT(r.evaluations, c.calls);
    return r;
}

/* ---------------------------------------------------------------- smooth functions */

#define SMOOTH(name, formula, slope)                                                                                   \
    static double name(double x)                                                                                       \
    {                                                                                                                  \
        return formula;                                                                                                \
    }                                                                                                                  \
    static long double d_##name(long double x)                                                                         \
    {                                                                                                                  \
        return slope;                                                                                                  \
    }

SMOOTH(f_sin, sin(x), cosl(x))
SMOOTH(f_exp, exp(x), expl(x))
SMOOTH(f_cubic, x * x * x - 2 * x, 3 * x * x - 2)
SMOOTH(f_log, log(x), 1 / x)
SMOOTH(f_sqrt, sqrt(x), 1 / (2 * sqrtl(x)))
SMOOTH(f_tanh, tanh(x), 1 - tanhl(x) * tanhl(x))
SMOOTH(f_sigmoid, 1 / (1 + exp(-x)), expl(-x) / ((1 + expl(-x)) * (1 + expl(-x))))
SMOOTH(f_inverse, 1 / x, -1 / (x * x))
SMOOTH(f_bell, exp(-x *x), -2 * x * expl(-x * x))
SMOOTH(f_wave, x *sin(5 * x), sinl(5 * x) + 5 * x * cosl(5 * x))
SMOOTH(f_atan, atan(x), 1 / (1 + x * x))
SMOOTH(f_softplus, log1p(exp(x)), 1 / (1 + expl(-x)))
SMOOTH(f_sinc, sin(x) / x, cosl(x) / x - sinl(x) / (x * x))
SMOOTH(f_power, pow(x, 7) - 3 * x * x, 7 * powl(x, 6) - 6 * x)
SMOOTH(f_cosh, cosh(x), sinhl(x))
SMOOTH(f_runge, 1 / (1 + 25 * x * x), -50 * x / ((1 + 25 * x * x) * (1 + 25 * x * x)))
SMOOTH(f_fast_wave, sin(20 * x), 20 * cosl(20 * x))
SMOOTH(f_steep, exp(10 * x), 10 * expl(10 * x))
SMOOTH(f_large, 1e6 * x * x, 2e6L * x)
SMOOTH(f_small, 1e-6 * cos(x), (long double)-1e-6 * sinl(x))
SMOOTH(f_raised, 1e4 + sin(x), cosl(x))
SMOOTH(f_entropy, x *log(x), logl(x) + 1)

static const struct {
    const char *name;
    double (*f)(double);
    long double (*slope)(long double);
    double low, high;
} smooth[] = {
    {"sin x", f_sin, d_f_sin, -6, 6},
    {"exp x", f_exp, d_f_exp, -5, 5},
    {"x^3 - 2x", f_cubic, d_f_cubic, -3, 3},
    {"log x", f_log, d_f_log, 0.05, 20},
    {"sqrt x", f_sqrt, d_f_sqrt, 0.05, 50},
    {"tanh x", f_tanh, d_f_tanh, -4, 4},
    {"sigmoid x", f_sigmoid, d_f_sigmoid, -6, 6},
    {"1 / x", f_inverse, d_f_inverse, 0.1, 10},
    {"exp -x^2", f_bell, d_f_bell, -2, 2},
    {"x sin 5x", f_wave, d_f_wave, -3, 3},
    {"atan x", f_atan, d_f_atan, -10, 10},
    {"log(1 + exp x)", f_softplus, d_f_softplus, -5, 5},
    {"sin x / x", f_sinc, d_f_sinc, 0.1, 10},
    {"x^7 - 3x^2", f_power, d_f_power, -2, 2},
    {"cosh x", f_cosh, d_f_cosh, -4, 4},
    {"1 / (1 + 25x^2)", f_runge, d_f_runge, -1, 1},
    {"sin 20x", f_fast_wave, d_f_fast_wave, -3, 3},
    {"exp 10x", f_steep, d_f_steep, -1, 1},
    {"1e6 x^2", f_large, d_f_large, -10, 10},
    {"1e-6 cos x", f_small, d_f_small, -3, 3},
    {"1e4 + sin x", f_raised, d_f_raised, -3, 3},
    {"x log x", f_entropy, d_f_entropy, 0.05, 10},
};

enum { FUNCTIONS = (int)(sizeof smooth / sizeof *smooth), POINTS = 10, TRIALS = FUNCTIONS * POINTS };

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How often the bound holds over all functions; the relative bounds, sorted, go to `relative`. */
static int bounds_that_hold(double relative[TRIALS], bool single, double rtol)
{
    uint64_t state = 1;
    int good = 0;

    for (int i = 0; i < TRIALS; i++) {
        const double drawn = random_between(&state, smooth[i / POINTS].low, smooth[i / POINTS].high);
        probe_context c = {.f = smooth[i / POINTS].f, .at = single ? (double)(float)drawn : drawn, .single = single};
        const long double expected = smooth[i / POINTS].slope(c.at);
        bd_derivative_result r;
        CHECK(bd_derivative(&r, probe, &c, fabs(c.at), 0, rtol));
        CHECK_SAY(r.finite && !r.one_sided, "%s at %g", smooth[i / POINTS].name, c.at);
        good += fabsl(r.value - expected) <= r.uncertainty;
        relative[i] = (double)(r.uncertainty / fabsl(expected));
    }
    qsort(relative, TRIALS, sizeof *relative, by_size);
    return good;
}

static void the_bound_holds_for_smooth_functions(void)
{
    double relative[TRIALS];
    const int good = bounds_that_hold(relative, false, 0);

    CHECK_SAY(good * 100 >= TRIALS * 99, "%d of %d", good, TRIALS);
    CHECK_SAY(relative[TRIALS / 2] < 1e-10, "median %g", relative[TRIALS / 2]);
    CHECK_SAY(relative[TRIALS * 95 / 100] < 1e-7, "95th percentile %g", relative[TRIALS * 95 / 100]);
    test_note("of %d bounds %d hold; relative size: median %.1e, 95th percentile %.1e, largest %.1e", TRIALS, good,
              relative[TRIALS / 2], relative[TRIALS * 95 / 100], relative[TRIALS - 1]);
}

static void the_bound_holds_when_fewer_steps_suffice(void)
{
    double relative[TRIALS];
    const int good = bounds_that_hold(relative, false, 1e-4);

    CHECK_SAY(good * 100 >= TRIALS * 99, "%d of %d", good, TRIALS);
    CHECK_SAY(relative[TRIALS / 2] < 1e-4 / 50, "median %g", relative[TRIALS / 2]);
}

static void the_bound_holds_on_the_grid_of_floats(void)
{
    double relative[TRIALS];
    const int good = bounds_that_hold(relative, true, 0);

    CHECK_SAY(good * 100 >= TRIALS * 99, "%d of %d", good, TRIALS);
    CHECK_SAY(relative[TRIALS / 2] < 1e-3, "median %g", relative[TRIALS / 2]);
    test_note("of %d bounds in float %d hold; relative size: median %.1e", TRIALS, good, relative[TRIALS / 2]);
}

static void a_loose_tolerance_saves_evaluations(void)
{
    probe_context all = {.f = f_sin, .at = 1}, few = {.f = f_sin, .at = 1};
    bd_derivative_result r;

    CHECK(bd_derivative(&r, probe, &all, 1, 0, 0));
    CHECK(bd_derivative(&r, probe, &few, 1, 0, 1e-3));
    CHECK_SAY(few.calls < all.calls / 2, "%d and %d", few.calls, all.calls);
    CHECK_NEAR(r.value, cosl(1), r.uncertainty);
}

/* ---------------------------------------------------------------- where f is not smooth, or not there */

static double f_constant(double x)
{
    (void)x;
    return 3.7;
}

static double f_abs(double x)
{
    return fabs(x);
}

static double f_relu(double x)
{
    return x > 0 ? x : 0;
}

static double f_step(double x)
{
    return x >= 0;
}

static double f_stairs(double x)
{
    return floor(x * 1000) / 1000;
}

static double f_edge(double x) /* its slope at 0 is 0, from the right only */
{
    return x * sqrt(x);
}

static double f_line_from_0(double x)
{
    return x < 0 ? (double)NAN : 3 * x + 1;
}

static double f_line_to_0(double x)
{
    return x > 0 ? (double)NAN : 3 * x + 1;
}

static double f_square_from_0(double x)
{
    return x < 0 ? (double)INFINITY : x * x - 2 * x;
}

static double f_nowhere(double x)
{
    return x == 0 ? 1 : (double)NAN;
}

static double f_nan(double x)
{
    return x * (double)NAN;
}

/* Its bound is the slope that rounding could hide. */
static void a_constant_has_exactly_no_slope(void)
{
    const bd_derivative_result r = derivative_of(f_constant, 2.5);

    CHECK(r.finite && !r.one_sided && r.value == 0 && r.left == 0 && r.right == 0);
    CHECK_SAY(r.uncertainty >= 0 && r.uncertainty < 4 * DBL_EPSILON * 3.7 / 0.125, "%g", r.uncertainty);
}

static void a_straight_line_is_exact(void)
{
    const bd_derivative_result r = derivative_of(f_line_from_0, 5);

    CHECK_NEAR(r.value, 3, 1e-12);
    CHECK_NEAR(r.value, 3, r.uncertainty);
    CHECK(r.uncertainty < 1e-11);
}

static void both_sides_of_a_kink_are_reported(void)
{
    const bd_derivative_result a = derivative_of(f_abs, 0), b = derivative_of(f_relu, 0);

    CHECK_NEAR(a.left, -1, 1e-9);
    CHECK_NEAR(a.right, 1, 1e-9);
    CHECK_NEAR(b.left, 0, 1e-9);
    CHECK_NEAR(b.right, 1, 1e-9);
}

static void a_kink_near_the_point_does_not_spoil_the_slope(void)
{
    const double at[] = {1e-2, 1e-3, 1e-4, 1e-6, -1e-2, -1e-3, -1e-4, -1e-6};

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const bd_derivative_result r = derivative_of(f_abs, at[i]);
        CHECK_NEAR(r.value, at[i] > 0 ? 1 : -1, r.uncertainty);
        CHECK_SAY(r.uncertainty < 1e-6, "%g at %g", r.uncertainty, at[i]);
    }
}

static void a_jump_is_not_taken_for_a_slope(void)
{
    const bd_derivative_result at = derivative_of(f_step, 0), beside = derivative_of(f_step, 1e-3);

    CHECK_SAY(!(at.uncertainty < 1), "%g with bound %g", at.value, at.uncertainty);
    CHECK_NEAR(beside.value, 0, beside.uncertainty);
    CHECK_SAY(beside.uncertainty < 1e-6, "%g", beside.uncertainty);
}

/* Stairs look straight from afar and flat from near. Who says how high they are gets a bound that covers both. */
static void declared_stairs_are_covered_by_the_bound(void)
{
    uint64_t state = 5;

    for (int i = 0; i < 200; i++) {
        probe_context c = {.f = f_stairs, .at = random_between(&state, -3, 3), .noise = 1e-3};
        bd_derivative_result r;
        CHECK(bd_derivative(&r, probe, &c, fabs(c.at), 0, 0));
        CHECK_NEAR(r.value, 1, r.uncertainty);
        CHECK_SAY(r.uncertainty > 1e-3 && r.uncertainty < 1, "%g at %.17g", r.uncertainty, c.at);
    }
}

static void the_edge_of_a_domain_is_avoided(void)
{
    const double at[] = {0.03, 1e-2, 1e-3, 1e-5, 1e-7};

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const bd_derivative_result a = derivative_of(f_log, at[i]), b = derivative_of(f_sqrt, at[i]);
        CHECK(a.finite && !a.one_sided && b.finite && !b.one_sided);
        CHECK_NEAR(a.value, 1 / at[i], a.uncertainty);
        CHECK_NEAR(b.value, 0.5 / sqrt(at[i]), b.uncertainty);
        CHECK_SAY(a.uncertainty < 1e-4 / at[i], "%g at %g", a.uncertainty, at[i]);
    }
}

static void one_side_is_enough(void)
{
    const bd_derivative_result right = derivative_of(f_line_from_0, 0), left = derivative_of(f_line_to_0, 0);
    const bd_derivative_result curved = derivative_of(f_square_from_0, 0), flat = derivative_of(f_edge, 0);

    CHECK(right.finite && right.one_sided && left.finite && left.one_sided);
    CHECK_NEAR(right.value, 3, right.uncertainty);
    CHECK_NEAR(left.value, 3, left.uncertainty);
    CHECK_SAY(right.uncertainty < 1e-9, "%g", right.uncertainty);
    CHECK_SAY(left.uncertainty < 1e-9, "%g", left.uncertainty);
    CHECK(curved.finite && curved.one_sided);
    CHECK_NEAR(curved.value, -2, curved.uncertainty);
    CHECK_SAY(curved.uncertainty < 1e-9, "%g", curved.uncertainty);
    CHECK(flat.finite && flat.one_sided);
    CHECK_SAY(fabs(flat.value) <= flat.uncertainty + 1e-3, "%g with bound %g", flat.value, flat.uncertainty);
}

static double edge;

static double f_line_from_edge(double x)
{
    return x < edge ? (double)NAN : 3 * x + 1;
}

/* Steps of a float land beside where they were sent: the slope must be over the way that was really gone. */
static void one_side_is_enough_on_the_grid_of_floats(void)
{
    enum { COUNT = 100 };
    uint64_t state = 8;
    int good = 0;

    for (int i = 0; i < COUNT; i++) {
        edge = (double)(float)random_between(&state, 1, 2);
        probe_context c = {.f = f_line_from_edge, .at = edge, .single = true, .precise = true};
        bd_derivative_result r;
        CHECK(bd_derivative(&r, probe, &c, edge, 0, 0));
        CHECK(r.finite && r.one_sided);
        CHECK_SAY(r.uncertainty < 1e-3, "%g", r.uncertainty);
        good += fabs(r.value - 3) <= r.uncertainty;
    }
    CHECK_SAY(good >= COUNT * 95 / 100, "%d of %d bounds hold", good, COUNT);
}

static void an_infinite_slope_is_never_certain(void)
{
    const bd_derivative_result r = derivative_of(f_sqrt, 0);

    CHECK_SAY(!(r.uncertainty < 0.1 * fabs(r.value)), "%g with bound %g", r.value, r.uncertainty);
}

static void no_value_at_all_is_said(void)
{
    const bd_derivative_result alone = derivative_of(f_nowhere, 0), nothing = derivative_of(f_nan, 0);
    const bd_derivative_result pole = derivative_of(f_inverse, 0);

    CHECK(!alone.finite && !isfinite(alone.uncertainty));
    CHECK(!nothing.finite && !isfinite(nothing.uncertainty));
    CHECK_SAY(!(pole.uncertainty < 0.1 * fabs(pole.value)), "%g with bound %g", pole.value, pole.uncertainty);
}

static void a_probe_that_returns_false_stops_at_once(void)
{
    double (*const f[])(double) = {f_sin, f_line_from_0, f_nowhere};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        const int all = derivative_of(f[i], 0).evaluations;
        for (int call = 1; call <= all; call++) {
            probe_context c = {.f = f[i], .at = 0, .last_call = call};
            bd_derivative_result r;
            CHECK(!bd_derivative(&r, probe, &c, 0, 0, 0));
            CHECK_INT(c.calls, call);
        }
    }
}

/* ---------------------------------------------------------------- noise */

static double noise_size;
static uint64_t noise_seed;

/* The noise is a function of x: the same point gives the same value, as in a computation that rounds. */
static double f_noisy(double x)
{
    uint64_t state;

    memcpy(&state, &x, sizeof state);
    state ^= noise_seed * 0x9e3779b97f4a7c15u;
    return sin(x) + noise_size * random_between(&state, -1, 1);
}

enum { SEEDS = 200 };

/* How many bounds hold, of SEEDS; the noise is declared times `told`. */
static int noisy_bounds_that_hold(double told, double *worst)
{
    int good = 0;

    *worst = 0;
    for (noise_seed = 0; noise_seed < SEEDS; noise_seed++) {
        probe_context c = {.f = f_noisy, .at = 1, .noise = told * noise_size};
        bd_derivative_result r;
        CHECK(bd_derivative(&r, probe, &c, 1, 0, 0));
        const double error = fabs(r.value - cos(1));
        good += error <= r.uncertainty;
        *worst = fmax(*worst, error / r.uncertainty);
        /* no step does better than the noise over the largest step */
        CHECK_SAY(r.uncertainty > noise_size / 10, "noise %g, bound %g", noise_size, r.uncertainty);
        CHECK_SAY(error < 1000 * noise_size, "noise %g, error %g", noise_size, error);
    }
    return good;
}

static const double noise_sizes[] = {1e-3, 1e-6, 1e-9};
enum { NOISES = (int)(sizeof noise_sizes / sizeof *noise_sizes) };

static void declared_noise_is_covered_by_the_bound(void)
{
    double worst;

    for (int i = 0; i < NOISES; i++) {
        noise_size = noise_sizes[i];
        const int good = noisy_bounds_that_hold(1, &worst);
        CHECK_SAY(good >= SEEDS * 99 / 100, "noise %g: %d of %d bounds hold", noise_size, good, SEEDS);
    }
}

/* Noise that nobody told of shows in the ladder all the same: most bounds hold, and none is off by much. */
static void noise_never_gives_a_tiny_bound(void)
{
    double worst;

    for (int i = 0; i < NOISES; i++) {
        noise_size = noise_sizes[i];
        const int good = noisy_bounds_that_hold(0, &worst);
        CHECK_SAY(good >= SEEDS / 2, "noise %g: %d of %d bounds hold", noise_size, good, SEEDS);
        CHECK_SAY(worst < 100, "noise %g: an error of %g times its bound", noise_size, worst);
        test_note("undeclared noise of %g: %d of %d bounds hold, the worst error is %.1f times its bound", noise_size,
                  good, SEEDS, worst);
    }
}

const test_group gradcheck_tests = {
    .name = "gradcheck",
    .cases =
        (const test_case[]){
            {"the bound holds for smooth functions", the_bound_holds_for_smooth_functions},
            {"the bound holds when fewer steps suffice", the_bound_holds_when_fewer_steps_suffice},
            {"the bound holds on the grid of floats", the_bound_holds_on_the_grid_of_floats},
            {"a loose tolerance saves evaluations", a_loose_tolerance_saves_evaluations},
            {"a constant has exactly no slope", a_constant_has_exactly_no_slope},
            {"a straight line is exact", a_straight_line_is_exact},
            {"both sides of a kink are reported", both_sides_of_a_kink_are_reported},
            {"a kink near the point does not spoil the slope", a_kink_near_the_point_does_not_spoil_the_slope},
            {"a jump is not taken for a slope", a_jump_is_not_taken_for_a_slope},
            {"declared stairs are covered by the bound", declared_stairs_are_covered_by_the_bound},
            {"the edge of a domain is avoided", the_edge_of_a_domain_is_avoided},
            {"one side is enough", one_side_is_enough},
            {"one side is enough on the grid of floats", one_side_is_enough_on_the_grid_of_floats},
            {"an infinite slope is never certain", an_infinite_slope_is_never_certain},
            {"no value at all is said", no_value_at_all_is_said},
            {"a probe that returns false stops at once", a_probe_that_returns_false_stops_at_once},
            {"declared noise is covered by the bound", declared_noise_is_covered_by_the_bound},
            {"noise never gives a tiny bound", noise_never_gives_a_tiny_bound},
            {0},
        },
};
