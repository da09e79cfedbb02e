/* How many floating-point operations a second can this processor do? fma_peak THREADS: prints GFLOP/s in float32.
 *
 * Each thread multiplies and adds in vectors of the longest kind, in more chains than it takes to keep the units busy,
 * for half a second. Compile with -O2 -march=native -ffp-contract=fast -pthread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined __AVX512F__
enum { BYTES = 64, CHAINS = 24 };
#elif defined __AVX__
enum { BYTES = 32, CHAINS = 12 };
#else
enum { BYTES = 16, CHAINS = 12 };
#endif
enum { MOST_THREADS = 256, STEPS = 100000 };

typedef float vec __attribute__((vector_size(BYTES)));

static const double seconds = 0.5;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* GFLOP/s of one thread, to *result. */
static void *work(void *result)
{
    const vec factor = (vec){0} + 0.999999f, term = (vec){0} + 1e-6f;
    vec chain[CHAINS];
    double operations = 0, elapsed;

    for (int c = 0; c < CHAINS; c++)
        chain[c] = (vec){0} + (float)c;
    const double start = now();
    do {
        for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 24
            for (int c = 0; c < CHAINS; c++)
                chain[c] = chain[c] * factor + term;
        }
        operations += 2.0 * STEPS * CHAINS * (BYTES / (int)sizeof(float));
        elapsed = now() - start;
    } while (elapsed < seconds);
    float sum = 0;
    for (int c = 0; c < CHAINS; c++)
        sum += chain[c][0];
    *(double *)result = sum == 0.5f ? 0 : operations / elapsed / 1e9; /* so that the chains are needed */
    return NULL;
}

int main(int count, char **argument)
{
    const int threads = count > 1 ? atoi(argument[1]) : 1;
    pthread_t thread[MOST_THREADS];
    double rate[MOST_THREADS], sum = 0;

    if (threads < 1 || threads > MOST_THREADS)
        return 2;
    for (int i = 1; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, &rate[i]))
            return 1;
    work(&rate[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < threads; i++)
        sum += rate[i];
    printf("%.2f\n", sum);
    return 0;
}
