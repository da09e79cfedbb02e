/* Kernels over elements and rows: accuracy, special values, places and counts. One body for all float types. */
#ifdef real

/* ---------------------------------------------------------------- one argument: exp, log, relu, sigmoid, tanh */

typedef void (*REAL(map))(real *out, const real *x, bd_size n);

static REAL(map) REAL(map_of)(map_name name)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const REAL(map) map[MAPS] = {k->exp, k->log, k->relu, k->sigmoid, k->tanh};
    return map[name];
}

static real REAL(apply)(map_name name, real x)
{
    real out;
    REAL(map_of)(name)(&out, &x, 1);
    return out;
}

/* Numbers of all kinds, among them those that are not finite. */
static void REAL(fill_mixed)(real *x, bd_size n, uint64_t seed)
{
    const real special[] = {0,
                            -(real)0,
                            (real)NAN,
                            (real)INFINITY,
                            -(real)INFINITY,
                            (real)dtype_smallest(DTYPE(real)),
                            -(real)dtype_smallest(DTYPE(real)),
                            (real)dtype_normal(DTYPE(real)) / 3,
                            (real)dtype_largest(DTYPE(real)),
                            -(real)dtype_largest(DTYPE(real))};
    uint64_t state = seed;

    for (bd_size i = 0; i < n; i++)
        x[i] = i % 4 == 1 ? special[(bd_size)seed % 3 + i / 4 % 8] : (real)random_between(&state, -20, 20);
}

/* |got - expected| in units of the last place of expected; an infinity counts as the power of 2 after the largest. */
static double REAL(ulps)(real got, long double expected)
{
    const int digits = sizeof(real) == sizeof(float)  ? FLT_MANT_DIG
                     : sizeof(real) == sizeof(double) ? DBL_MANT_DIG
                                                      : LDBL_MANT_DIG;
    const int least = sizeof(real) == sizeof(float) ? FLT_MIN_EXP : DBL_MIN_EXP;
    const long double most = ldexpl(1, sizeof(real) == sizeof(float) ? FLT_MAX_EXP : DBL_MAX_EXP);
    long double g = got;
    int exponent;

    if (isnan(g) || isnan(expected))
        return isnan(g) && isnan(expected) ? 0 : HUGE_VAL;
    if (isinf(g))
        g = copysignl(most, g);
    if (fabsl(expected) > most)
        expected = copysignl(most, expected);
    if (expected == 0 || frexpl(expected, &exponent) == 0 || exponent < least)
        exponent = least;
    return (double)(fabsl(g - expected) / ldexpl(1, exponent - digits));
}

static double REAL(largest_error)(map_name name, long double (*f)(long double), const real *x, bd_size n)
{
    real out[CHUNK];
    double worst = 0;

    REAL(map_of)(name)(out, x, n);
    for (bd_size i = 0; i < n; i++) {
        const double error = REAL(ulps)(out[i], f((long double)x[i]));
        if (error > worst)
            worst = error;
        if (error > map_bound[name])
            test_fail(__FILE__, __LINE__, "%s(%.17Lg) is %.17Lg, off by %.3g ULP", map_text[name], (long double)x[i],
                      (long double)out[i], error);
    }
    return worst;
}

/* A positive number with a random pattern of bits: any exponent, denormal or not. */
static real REAL(random_pattern)(uint64_t *state)
{
    const int digits = sizeof(real) == sizeof(float) ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int least = sizeof(real) == sizeof(float) ? FLT_MIN_EXP : DBL_MIN_EXP;
    const int most = sizeof(real) == sizeof(float) ? FLT_MAX_EXP : DBL_MAX_EXP;
    const double fraction = random_between(state, 0.5, 1);
    const int exponent = (int)random_between(state, least - digits, most + 1);
    return (real)ldexp(fraction, exponent);
}

static real REAL(sample)(map_name name, int kind, uint64_t *state)
{
    const double most = sizeof(real) == sizeof(float) ? 90 : 712, least = sizeof(real) == sizeof(float) ? -105 : -747;

    switch (kind) {
    case 0: return (name == LOG ? 1 : random_bits(state) & 1 ? 1 : -1) * REAL(random_pattern)(state);
    case 1: return (real)(name == LOG ? random_between(state, 0.5, 2) : random_between(state, least, most));
    case 2: return (real)(name == LOG ? exp(random_between(state, -20, 20)) : random_between(state, -2, 2));
    default: return (real)(name == LOG ? 1 + random_between(state, -1e-3, 1e-3) : random_between(state, -20, 20));
    }
}

/* The extended functions are libm's: nothing to measure. */
__attribute__((unused)) static void REAL(check_accuracy)(map_name name, long double (*f)(long double))
{
    enum { CHUNKS = 100 };
    uint64_t state = 1;
    double worst = 0;

    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        real x[CHUNK];
        for (int i = 0; i < CHUNK; i++)
            x[i] = REAL(sample)(name, i % 4, &state);
        worst = fmax(worst, REAL(largest_error)(name, f, x, CHUNK));
    }
    CHECK(worst > 0.4); /* or nothing was measured */
    test_note("%s of %s, %s: %.3f ULP at most of %d", map_text[name], sizeof(real) == 4 ? "float" : "double", bd_isa(),
              worst, CHUNKS * CHUNK);
}

static void REAL(check_map_specials)(void)
{
    const real inf = (real)INFINITY, nan = (real)NAN, tiny = (real)dtype_smallest(DTYPE(real)),
               most = (real)dtype_largest(DTYPE(real));
    const real nearly = (real)dtype_normal(DTYPE(real)) / 4;
    const struct {
        map_name map;
        real x, out;
    } known[] = {
        {EXP, 0, 1},
        {EXP, -(real)0, 1},
        {EXP, inf, inf},
        {EXP, -inf, 0},
        {EXP, nan, nan},
        {EXP, most, inf},
        {EXP, -most, 0},
        {EXP, tiny, 1},
        {EXP, -tiny, 1},
        {LOG, 1, 0},
        {LOG, 0, -inf},
        {LOG, -(real)0, -inf},
        {LOG, inf, inf},
        {LOG, -inf, nan},
        {LOG, nan, nan},
        {LOG, -1, nan},
        {LOG, -tiny, nan},
        {LOG, -most, nan},
        {RELU, 0, 0},
        {RELU, -(real)0, 0},
        {RELU, inf, inf},
        {RELU, -inf, 0},
        {RELU, nan, nan},
        {RELU, tiny, tiny},
        {RELU, -tiny, 0},
        {RELU, most, most},
        {RELU, -most, 0},
        {RELU, 2.5, 2.5},
        {SIGMOID, 0, 0.5},
        {SIGMOID, -(real)0, 0.5},
        {SIGMOID, inf, 1},
        {SIGMOID, -inf, 0},
        {SIGMOID, nan, nan},
        {SIGMOID, most, 1},
        {SIGMOID, -most, 0},
        {SIGMOID, tiny, 0.5},
        {TANH, 0, 0},
        {TANH, -(real)0, -(real)0},
        {TANH, inf, 1},
        {TANH, -inf, -1},
        {TANH, nan, nan},
        {TANH, most, 1},
        {TANH, -most, -1},
        {TANH, tiny, tiny},
        {TANH, -tiny, -tiny},
        {TANH, nearly, nearly},
        {TANH, -nearly, -nearly},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const real got = REAL(apply)(known[i].map, known[i].x);
        CHECK_SAY(same_number(got, known[i].out), "%s(%Lg) is %Lg, expected %Lg", map_text[known[i].map],
                  (long double)known[i].x, (long double)got, (long double)known[i].out);
    }
}

/* The last finite result and the first infinite one; the last that is not zero and the first that is. */
static void REAL(check_exp_ends)(void)
{
    const long double most = logl((long double)(real)dtype_largest(DTYPE(real))),
                      least = logl((long double)(real)dtype_smallest(DTYPE(real)));

    CHECK(isfinite(REAL(apply)(EXP, (real)(most * (1 - 1e-6L)))));
    CHECK(isinf(REAL(apply)(EXP, (real)(most * (1 + 1e-6L)))));
    CHECK(REAL(apply)(EXP, (real)(least * (1 - 1e-6L))) > 0);
    CHECK(REAL(apply)(EXP, (real)(least * 1.02L)) == 0);
    const long double tiny_log = logl((long double)(real)dtype_smallest(DTYPE(real)));
    CHECK_NEAR(REAL(apply)(LOG, (real)dtype_smallest(DTYPE(real))), tiny_log,
               fabsl(tiny_log) * (long double)dtype_eps(DTYPE(real)));
}

static void REAL(check_symmetry)(void)
{
    uint64_t state = 4;

    for (int i = 0; i < 2000; i++) {
        const real x = (real)ldexp(random_between(&state, -1, 1), (int)random_between(&state, -40, 6));
        CHECK(same_number(REAL(apply)(TANH, x), -REAL(apply)(TANH, -x)));
        const long double sum = (long double)REAL(apply)(SIGMOID, x) + (long double)REAL(apply)(SIGMOID, -x);
        CHECK_NEAR(sum, 1, 4 * (long double)dtype_eps(DTYPE(real)));
    }
}

/* Each element's result is that of the element alone, wherever it stands, and in place as well. */
static void REAL(check_map_places)(void)
{
    enum { MOST = 70 };
    real mixed[MOST], alone[MOST];

    for (map_name name = EXP; name < MAPS; name++)
        for (bd_size n = 0; n <= MOST; n++)
            for (size_t tail = 0; tail < 2 * sizeof(real); tail += sizeof(real)) {
                real *x = place_array(0, (size_t)n * sizeof(real), tail);
                real *out = place_array(1, (size_t)n * sizeof(real), sizeof(real) - tail);
                REAL(fill_mixed)(mixed, n, (uint64_t)n);
                for (bd_size i = 0; i < n; i++) {
                    x[i] = mixed[i];
                    alone[i] = REAL(apply)(name, x[i]);
                }
                REAL(map_of)(name)(out, x, n);
                for (bd_size i = 0; i < n; i++)
                    CHECK_SAY(same_number(out[i], alone[i]) && same_number(x[i], mixed[i]),
                              "%s, element %lld of %lld: %Lg, alone %Lg", map_text[name], (long long)i, (long long)n,
                              (long double)out[i], (long double)alone[i]);
                REAL(map_of)(name)(x, x, n);
                for (bd_size i = 0; i < n; i++)
                    CHECK(same_number(x[i], alone[i]));
                CHECK(place_intact(0) && place_intact(1));
            }
}

/* ---------------------------------------------------------------- two arguments: add and the slopes */

typedef void (*REAL(map2))(real *out, const real *a, const real *b, bd_size n);

static real REAL(formula)(int which, real a, real b)
{
    switch (which) {
    case 0: return a + b;
    case 1: return b <= 0 ? 0 : a; /* a is dout, b is out */
    case 2: return a * b * (1 - b);
    default: return a * (1 - b * b);
    }
}

static void REAL(check_slopes)(void)
{
    enum { MOST = 70 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const REAL(map2) map[] = {k->add, k->relu_backward, k->sigmoid_backward, k->tanh_backward};

    for (int which = 0; which < 4; which++)
        for (bd_size n = 0; n <= MOST; n++)
            for (size_t tail = 0; tail < 2 * sizeof(real); tail += sizeof(real)) {
                real expected[MOST];
                real *a = place_array(0, (size_t)n * sizeof(real), tail);
                real *b = place_array(1, (size_t)n * sizeof(real), sizeof(real) - tail);
                real *out = place_array(2, (size_t)n * sizeof(real), tail);
                REAL(fill_mixed)(a, n, 1 + (uint64_t)n);
                REAL(fill_mixed)(b, n, 7 + (uint64_t)n / 2);
                for (bd_size i = 0; i < n; i++)
                    expected[i] = REAL(formula)(which, a[i], b[i]);
                map[which](out, a, b, n);
                for (bd_size i = 0; i < n; i++)
                    CHECK_SAY(same_number(out[i], expected[i]), "map %d of %Lg %Lg is %Lg, expected %Lg", which,
                              (long double)a[i], (long double)b[i], (long double)out[i], (long double)expected[i]);
                map[which](a, a, b, n); /* in place: what add and the slopes allow */
                for (bd_size i = 0; i < n; i++)
                    CHECK(same_number(a[i], expected[i]));
                CHECK(place_intact(0) && place_intact(1) && place_intact(2));
            }
}

static void REAL(check_relu_slope)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const real dout[] = {3, 3, 3, 3, 3, (real)NAN, (real)NAN, 3};
    const real out[] = {1, 0, -(real)0, (real)dtype_smallest(DTYPE(real)), (real)NAN, 1, 0, (real)INFINITY};
    const real expected[] = {3, 0, 0, 3, 3, (real)NAN, 0, 3};
    real dx[8];

    k->relu_backward(dx, dout, out, 8);
    for (int i = 0; i < 8; i++)
        CHECK_SAY(same_number(dx[i], expected[i]), "element %d is %Lg", i, (long double)dx[i]);
    int8_t sign[9] = {[8] = 7};
    real plain[8];
    k->relu(plain, out, 8);
    k->relu_signs(dx, sign, out, 8);
    CHECK_INT(sign[8], 7);
    for (int i = 0; i < 8; i++)
        CHECK_SAY(same_number(dx[i], plain[i]), "relu_signs of element %d is %Lg", i, (long double)dx[i]);
    k->relu_backward_signs(dx, dout, sign, 8);
    for (int i = 0; i < 8; i++)
        CHECK_SAY(same_number(dx[i], expected[i]), "element %d by its sign is %Lg", i, (long double)dx[i]);
}

/* Of any length, and out may be x: what relu and relu_backward say. */
static void REAL(check_relu_signs)(void)
{
    enum { MOST = 600 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    real x[MOST], dout[MOST], plain[MOST], plain_dx[MOST];
    uint64_t state = 5;

    for (int i = 0; i < MOST; i++) {
        const real special[] = {0, -(real)0, (real)NAN, (real)INFINITY, -(real)INFINITY};
        const uint64_t draw = random_bits(&state) % 10;
        x[i] = draw < 5 ? special[draw] : (real)random_between(&state, -1, 1);
        dout[i] = (real)random_between(&state, -1, 1);
    }
    k->relu(plain, x, MOST);
    k->relu_backward(plain_dx, dout, plain, MOST);
    for (bd_size n = 0; n <= MOST; n += n < 70 ? 1 : 53) {
        real *out = place_array(0, (size_t)n * sizeof(real), 0), *dx = place_array(1, (size_t)n * sizeof(real), 0);
        int8_t *sign = place_array(2, (size_t)n, 0);
        memcpy(out, x, (size_t)n * sizeof(real));
        memcpy(dx, dout, (size_t)n * sizeof(real));
        k->relu_signs(out, sign, out, n);
        k->relu_backward_signs(dx, dx, sign, n);
        for (bd_size i = 0; i < n; i++)
            CHECK_SAY(same_number(out[i], plain[i]) && dx[i] == plain_dx[i], "element %lld of %lld", (long long)i,
                      (long long)n);
    }
}

/* ---------------------------------------------------------------- transpose */

/* Every number in its place; what lies between the rows of out as it was. */
static void REAL(check_turned)(bd_size m, bd_size n, bd_size more)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_size x_row = n + more, out_row = m + more;
    const size_t x_count = m && n ? (size_t)((m - 1) * x_row + n) : 0;
    const size_t out_count = m && n ? (size_t)((n - 1) * out_row + m) : 0;
    real *x = place_array(0, x_count * sizeof *x, 0), *out = place_array(1, out_count * sizeof *out, 0);
    bool right = true;

    for (size_t i = 0; i < x_count; i++)
        x[i] = (real)(i + 1);
    k->transpose(out, out_row, x, x_row, m, n);
    for (bd_size at = 0; at < (bd_size)out_count; at++) {
        const bd_size row = at / out_row, column = at % out_row;
        right = right && (column < m ? out[at] == x[column * x_row + row] : isnan((long double)out[at]));
    }
    CHECK_SAY(right && place_intact(1), "%lld by %lld, rows %lld further apart", (long long)m, (long long)n,
              (long long)more);
}

static void REAL(check_transpose)(void)
{
    for (bd_size m = 0; m <= 50; m++)
        for (bd_size n = 0; n <= 50; n++)
            for (bd_size more = 0; more <= 3; more += 3)
                REAL(check_turned)(m, n, more);
}

/* ---------------------------------------------------------------- softmax */

static void REAL(check_softmax_row)(const real *x, const real *y, bd_size c)
{
    const long double eps = (long double)dtype_eps(DTYPE(real));
    long double most = x[0], total = 0, sum = 0;

    for (bd_size i = 0; i < c; i++)
        most = x[i] > most ? x[i] : most;
    for (bd_size i = 0; i < c; i++) {
        total += expl((long double)x[i] - most);
        sum += y[i];
    }
    /* a difference d = x - max is rounded before exp: a relative error of eps d / 2, beside exp, sum and division */
    for (bd_size i = 0; i < c; i++) {
        const long double expected = expl((long double)x[i] - most) / total;
        CHECK_NEAR(y[i], expected, expected * eps * (8 + (long double)c / 4 + fabsl((long double)x[i] - most)));
    }
    CHECK_NEAR(sum, 1, eps * (long double)(c + 4));
}

static void REAL(check_softmax)(void)
{
    enum { ROWS = 27 }; /* short ones are done together */
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    uint64_t state = 6;
    real most[ROWS], total[ROWS], alone_most, alone_total;

    for (bd_size c = 1; c <= 100; c += c < 70 ? 1 : 15)
        for (size_t tail = 0; tail < 2 * sizeof(real); tail += sizeof(real)) {
            const size_t bytes = (size_t)(ROWS * c) * sizeof(real);
            real *x = place_array(0, bytes, tail), *y = place_array(1, bytes, tail), *alone = place_array(2, bytes, 0);
            for (bd_size i = 0; i < ROWS * c; i++)
                x[i] = (real)random_between(&state, -6, 6);
            k->softmax_rows(y, most, total, x, ROWS, c);
            CHECK(place_intact(0) && place_intact(1));
            for (bd_size row = 0; row < ROWS; row++) {
                REAL(check_softmax_row)(x + row * c, y + row * c, c);
                k->softmax_rows(alone, &alone_most, &alone_total, x + row * c, 1, c);
                CHECK(same_number(alone_most, most[row]) && same_number(alone_total, total[row]));
                long double sum = 0;
                for (bd_size i = 0; i < c; i++) {
                    CHECK(same_number(alone[i], y[row * c + i]));
                    CHECK(x[row * c + i] <= most[row]);
                    sum += expl((long double)x[row * c + i] - most[row]);
                }
                CHECK_NEAR(total[row], sum, sum * (long double)(dtype_eps(DTYPE(real)) * (double)(c + 4)));
            }
        }
    k->softmax_rows(NULL, NULL, NULL, NULL, 0, 5);
}

/* All rows are x: the first is looked at, the others must be like it. */
static void REAL(softmax_of_equal_rows)(real *y, const real *x, bd_size rows, bd_size c)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    real *all = place_array(0, (size_t)(rows * c) * sizeof(real), 0),
         *out = place_array(1, (size_t)(rows * c) * sizeof(real), 0);

    for (bd_size i = 0; i < rows * c; i++)
        all[i] = x[i % c];
    k->softmax_rows(out, NULL, NULL, all, rows, c);
    memcpy(y, out, (size_t)c * sizeof *y);
    for (bd_size i = 0; i < rows * c; i++)
        CHECK(same_number(out[i], y[i % c]));
}

static void REAL(check_softmax_extremes)(void)
{
    enum { MOST = 21 };
    const real most = (real)dtype_largest(DTYPE(real));
    const real wide[] = {(real)1e30, (real)-1e30, (real)3e38, -most, most, 1000, -1000};
    real x[MOST], y[MOST];

    for (bd_size rows = 1; rows <= 20; rows += 19)
        for (int c = 5; c <= MOST; c += 8) {
            for (size_t w = 0; w < sizeof wide / sizeof *wide; w++) { /* all alike, however large */
                for (int i = 0; i < c; i++)
                    x[i] = wide[w];
                REAL(softmax_of_equal_rows)(y, x, rows, c);
                for (int i = 0; i < c; i++)
                    CHECK_NEAR(y[i], 1.L / c, 2 * (long double)dtype_eps(DTYPE(real)));
            }
            for (int at = 0; at < c; at++) { /* one far above the others */
                for (int i = 0; i < c; i++)
                    x[i] = i == at ? most : i % 3 ? -most : i % 2 ? -(real)INFINITY : 0;
                REAL(softmax_of_equal_rows)(y, x, rows, c);
                for (int i = 0; i < c; i++)
                    CHECK_SAY(same_number(y[i], i == at), "element %d is %Lg", i, (long double)y[i]);
            }
            for (int at = 0; at < c; at++) { /* -inf takes no part */
                for (int i = 0; i < c; i++)
                    x[i] = i == at ? -(real)INFINITY : 2;
                REAL(softmax_of_equal_rows)(y, x, rows, c);
                for (int i = 0; i < c; i++)
                    CHECK_NEAR(y[i], i == at ? 0 : 1.L / (c - 1), 2 * (long double)dtype_eps(DTYPE(real)));
            }
        }
}

/* NaN, infinity and a row of -inf spoil their row, visibly, and no other. */
static void REAL(check_softmax_not_finite)(void)
{
    enum { ROWS = 20, MOST = 19, SPOILT = 6 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    real x[ROWS * MOST], y[ROWS * MOST];

    for (int c = 6; c <= MOST; c += MOST - 6)
        for (int kind = 0; kind < 3; kind++)
            for (int at = 0; at < c; at++) {
                for (int i = 0; i < ROWS * c; i++)
                    x[i] = (real)(i % 5);
                for (int i = 0; i < c; i++)
                    if (kind == 2 || i == at)
                        x[SPOILT * c + i] = kind == 0 ? (real)NAN : kind == 1 ? (real)INFINITY : -(real)INFINITY;
                k->softmax_rows(y, NULL, NULL, x, ROWS, c);
                for (int i = 0; i < ROWS * c; i++)
                    CHECK(i / c == SPOILT ? isnan(y[i]) : isfinite(y[i]));
            }
}

/* ---------------------------------------------------------------- all_below */

static void REAL(check_all_below)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const real bad[] = {(real)NAN, (real)INFINITY, -(real)INFINITY}, good[] = {(real)dtype_largest(DTYPE(real)),
                                                                               -(real)dtype_largest(DTYPE(real)),
                                                                               (real)dtype_smallest(DTYPE(real)),
                                                                               0,
                                                                               -(real)0,
                                                                               1};
    for (bd_size n = 0; n <= 70; n++)
        for (size_t tail = 0; tail < 2 * sizeof(real); tail += sizeof(real)) {
            real *x = place_array(0, (size_t)n * sizeof(real), tail); /* NaN around it */
            for (bd_size i = 0; i < n; i++)
                x[i] = good[i % 6];
            CHECK(k->all_below(x, n, (real)INFINITY));
            for (bd_size i = 0; i < n; i++)
                for (int kind = 0; kind < 3; kind++) {
                    const real kept = x[i];
                    x[i] = bad[kind];
                    CHECK_SAY(!k->all_below(x, n, (real)INFINITY), "%lld of %lld", (long long)i, (long long)n);
                    x[i] = kept;
                }
            for (bd_size i = 0; i < n; i++)
                x[i] = i % 2 ? -2 : 2;
            CHECK(k->all_below(x, n, (real)2.5));
            CHECK_INT(k->all_below(x, n, 2), n == 0); /* the limit itself is not below it */
        }
}

#else

#include <float.h>
#include <stdlib.h>

#include "support.h"
#include "test.h"

enum { CHUNK = 1000 };

typedef enum { EXP, LOG, RELU, SIGMOID, TANH, MAPS } map_name;
static const char *const map_text[MAPS] = {"exp", "log", "relu", "sigmoid", "tanh"};
/* ULP: of exp and log the contract, of the others what was measured, rounded up */
static const double map_bound[MAPS] = {2, 2, 0, 3, 3};

#define BD_BODY "../../tests/c/test_kernels.c"
#include "../../csrc/core/each_real.h"

static long double sigmoid_l(long double x)
{
    return x >= 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x));
}

static void check_exp(void)
{
    check_accuracy_f32(EXP, expl);
    check_accuracy_f64(EXP, expl);
}

static void check_log(void)
{
    check_accuracy_f32(LOG, logl);
    check_accuracy_f64(LOG, logl);
}

static void check_sigmoid(void)
{
    check_accuracy_f32(SIGMOID, sigmoid_l);
    check_accuracy_f64(SIGMOID, sigmoid_l);
}

static void check_tanh(void)
{
    check_accuracy_f32(TANH, tanhl);
    check_accuracy_f64(TANH, tanhl);
}

static void check_extended(void)
{
    uint64_t state = 1;

    for (int i = 0; i < 1000; i++) {
        const long double x = random_between(&state, -20, 20);
        CHECK_NEAR(apply_ext(EXP, x), expl(x), 0);
        CHECK_NEAR(apply_ext(LOG, fabsl(x)), logl(fabsl(x)), 0);
        CHECK_NEAR(apply_ext(TANH, x), tanhl(x), 0);
        CHECK_NEAR(apply_ext(SIGMOID, x), sigmoid_l(x), 2 * LDBL_EPSILON * sigmoid_l(x));
    }
}

FOR_EACH_TYPE(check_map_specials)
FOR_EACH_TYPE(check_exp_ends)
FOR_EACH_TYPE(check_symmetry)
FOR_EACH_TYPE(check_map_places)
FOR_EACH_TYPE(check_slopes)
FOR_EACH_TYPE(check_relu_slope)
FOR_EACH_TYPE(check_relu_signs)
FOR_EACH_TYPE(check_transpose)
FOR_EACH_TYPE(check_softmax)
FOR_EACH_TYPE(check_softmax_extremes)
FOR_EACH_TYPE(check_softmax_not_finite)
FOR_EACH_TYPE(check_all_below)

const test_group kernel_tests = {
    .name = "kernels",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"exp is within 2 ULP", check_exp},
            {"log is within 2 ULP", check_log},
            {"sigmoid is within its bound", check_sigmoid},
            {"tanh is within its bound", check_tanh},
            {"extended functions are those of libm", check_extended},
            {"functions of 0, infinity, NaN and the smallest numbers", check_map_specials},
            {"exp overflows and vanishes where it should", check_exp_ends},
            {"tanh is odd, sigmoid symmetric", check_symmetry},
            {"an element's result depends on the element alone", check_map_places},
            {"add and slopes are their formulas, bit for bit", check_slopes},
            {"the slope of relu is 0 at 0, and a NaN passes", check_relu_slope},
            {"the signs that a relu leaves tell its slope", check_relu_signs},
            {"transpose puts every number in its place, and writes no other", check_transpose},
            {"softmax rows are right and sum to 1", check_softmax},
            {"softmax bears huge scores and -infinity", check_softmax_extremes},
            {"softmax of what is not finite spoils its row alone", check_softmax_not_finite},
            {"one element that is too large or not finite is seen anywhere", check_all_below},
            {0},
        },
};

#endif
