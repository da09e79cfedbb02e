/* Random numbers: the published generator, and the distributions made from it. */
#include "support.h"
#include "test.h"

/* Philox4x32-10 once more, with all four words of the counter, as the paper writes it. */
static void philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};

    for (int round = 0; round < 10; round++) {
        if (round) {
            k[0] += 0x9E3779B9u; /* the golden ratio */
            k[1] += 0xBB67AE85u; /* sqrt 3 - 1 */
        }
        const uint64_t left = 0xD2511F53u * (uint64_t)c[0], right = 0xCD9E8D57u * (uint64_t)c[2];
        const uint32_t next[4] = {(uint32_t)(right >> 32) ^ c[1] ^ k[0], (uint32_t)right,
                                  (uint32_t)(left >> 32) ^ c[3] ^ k[1], (uint32_t)left};
        memcpy(c, next, sizeof c);
    }
    memcpy(out, c, sizeof c);
}

/* Known answers of Random123, the library of the paper's authors (its file kat_vectors). */
static void the_reference_gives_the_published_numbers(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        philox(out, known[i].counter, known[i].key);
        CHECK_BYTES(out, known[i].out, sizeof out);
    }
}

static void the_first_numbers_are_the_published_ones(void)
{
    bd_rng rng = {0, 0};

    CHECK(bd_rng_next(&rng) == 0xe169c58d6627e8d5u);
    CHECK(bd_rng_next(&rng) == 0x9b00dbd8bc57ac4cu);
    CHECK_INT(rng.position, 2);
}

static void any_seed_and_position_agree_with_the_reference(void)
{
    uint64_t state = 3;

    for (int i = 0; i < 2000; i++) {
        bd_rng rng = {random_bits(&state), random_bits(&state)};
        const uint64_t block = rng.position / 2;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
        const uint32_t key[2] = {(uint32_t)rng.seed, (uint32_t)(rng.seed >> 32)};
        const bool second = rng.position % 2;
        uint32_t out[4];
        philox(out, counter, key);
        CHECK(bd_rng_next(&rng) == ((uint64_t)out[second ? 3 : 1] << 32 | out[second ? 2 : 0]));
    }
}

static void a_position_can_be_reached_directly(void)
{
    bd_rng rng = {42, 0};

    for (uint64_t position = 0; position < 100; position++) {
        bd_rng jumped = {42, position};
        CHECK_INT(rng.position, position);
        CHECK(bd_rng_next(&rng) == bd_rng_next(&jumped));
    }
    bd_rng saved = rng;
    const double expected = bd_rng_normal(&rng);
    CHECK_NEAR(bd_rng_normal(&saved), expected, 0);
    CHECK_INT(saved.position, rng.position);
}

static void seeds_give_different_numbers(void)
{
    for (uint64_t seed = 1; seed < 100; seed++) {
        bd_rng a = {seed, 0}, b = {seed - 1, 0}, c = {seed << 32, 0};
        const uint64_t number = bd_rng_next(&a);
        CHECK(number != bd_rng_next(&b));
        CHECK(number != bd_rng_next(&c));
    }
}

static void uniform_numbers_fill_the_unit_interval(void)
{
    enum { COUNT = 200000, BINS = 64 };
    bd_rng rng = {7, 0};
    double sum = 0, least = 1, most = 0, chi = 0;
    int bin[BINS] = {0};

    for (int i = 0; i < COUNT; i++) {
        const double u = bd_rng_uniform(&rng);
        CHECK_SAY(u >= 0 && u < 1, "%.17g", u);
        CHECK(u * 0x1p53 == floor(u * 0x1p53));
        sum += u;
        least = u < least ? u : least;
        most = u > most ? u : most;
        bin[(int)(u * BINS)]++;
    }
    for (int i = 0; i < BINS; i++)
        chi += (bin[i] - COUNT / (double)BINS) * (bin[i] - COUNT / (double)BINS) / (COUNT / (double)BINS);
    CHECK_NEAR(sum / COUNT, 0.5, 5 * sqrt(1. / 12 / COUNT));
    CHECK_SAY(chi < 63 + 5 * sqrt(2. * 63), "chi squared %g", chi);
    CHECK_SAY(chi > 63 - 5 * sqrt(2. * 63), "chi squared %g", chi); /* too even is not random either */
    CHECK(least < 1e-4 && most > 1 - 1e-4);
}

/* The bounds are five standard deviations of each moment's own estimate. */
static void normal_numbers_have_the_moments_of_the_normal(void)
{
    enum { COUNT = 400000 };
    bd_rng rng = {11, 0};
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, product = 0, before = 0;
    int within = 0;

    for (int i = 0; i < COUNT; i++) {
        const double x = bd_rng_normal(&rng);
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        product += x * before;
        before = x;
        within += fabs(x) < 1;
    }
    CHECK_NEAR(m1 / COUNT, 0, 5 * sqrt(1. / COUNT));
    CHECK_NEAR(m2 / COUNT, 1, 5 * sqrt(2. / COUNT));
    CHECK_NEAR(m3 / COUNT, 0, 5 * sqrt(15. / COUNT));
    CHECK_NEAR(m4 / COUNT, 3, 5 * sqrt(96. / COUNT));
    CHECK_NEAR(product / COUNT, 0, 5 * sqrt(1. / COUNT));
    CHECK_NEAR(within / (double)COUNT, 0.682689492137, 5 * sqrt(0.6827 * 0.3173 / COUNT));
}

/* Its logarithm is the generator's own, so the same numbers come out wherever libm differs. */
static void normal_numbers_follow_the_polar_method(void)
{
    bd_rng rng = {5, 0};

    for (int i = 0; i < 20000; i++) {
        bd_rng again = rng;
        const double got = bd_rng_normal(&rng);
        long double u, s;
        do {
            u = 2 * (long double)bd_rng_uniform(&again) - 1;
            const long double v = 2 * (long double)bd_rng_uniform(&again) - 1;
            s = u * u + v * v;
        } while (s >= 1 || s == 0);
        const long double expected = u * sqrtl(-2 * logl(s) / s);
        /* s rounds to a double: near 1 its logarithm loses digits for that reason alone */
        CHECK_NEAR(got, expected, 8 * 0x1p-53L * fabsl(expected) + 0x1p-52L * fabsl(expected / logl(s)));
        CHECK_INT(again.position, rng.position);
    }
}

static void a_shuffle_is_a_permutation(void)
{
    enum { MOST = 200 };
    bd_rng rng = {1, 0};

    for (int n = 0; n <= MOST; n++) {
        int64_t index[MOST + 1];
        bool seen[MOST + 1] = {false};
        for (int i = 0; i <= n; i++)
            index[i] = i;
        bd_rng_shuffle(&rng, index, n);
        CHECK_INT(index[n], n); /* the one behind the last is not touched */
        for (int i = 0; i < n; i++) {
            CHECK(index[i] >= 0 && index[i] < n && !seen[index[i]]);
            seen[index[i]] = true;
        }
    }
}

static int rank_of(const int64_t p[4])
{
    static const int weight[4] = {6, 2, 1, 0};
    int rank = 0;

    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++)
            rank += weight[i] * (p[j] < p[i]);
    return rank;
}

static void all_orders_of_four_are_equally_likely(void)
{
    enum { COUNT = 240000, ORDERS = 24 };
    bd_rng rng = {2, 0};
    int times[ORDERS] = {0};
    double chi = 0;

    for (int i = 0; i < COUNT; i++) {
        int64_t p[4] = {0, 1, 2, 3};
        bd_rng_shuffle(&rng, p, 4);
        times[rank_of(p)]++;
    }
    for (int i = 0; i < ORDERS; i++)
        chi += (times[i] - COUNT / ORDERS) * (double)(times[i] - COUNT / ORDERS) / (COUNT / ORDERS);
    CHECK_SAY(chi < 49.7, "chi squared %g", chi); /* 23 degrees of freedom: once in a thousand */
}

const test_group rng_tests = {
    .name = "rng",
    .cases =
        (const test_case[]){
            {"the reference gives the published numbers", the_reference_gives_the_published_numbers},
            {"the first numbers are the published ones", the_first_numbers_are_the_published_ones},
            {"any seed and position agree with the reference", any_seed_and_position_agree_with_the_reference},
            {"a position can be reached directly", a_position_can_be_reached_directly},
            {"seeds give different numbers", seeds_give_different_numbers},
            {"uniform numbers fill the unit interval", uniform_numbers_fill_the_unit_interval},
            {"normal numbers have the moments of the normal", normal_numbers_have_the_moments_of_the_normal},
            {"normal numbers follow the polar method", normal_numbers_follow_the_polar_method},
            {"a shuffle is a permutation", a_shuffle_is_a_permutation},
            {"all orders of four are equally likely", all_orders_of_four_are_equally_likely},
            {0},
        },
};
