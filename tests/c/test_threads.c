/* Threads: whoever has the pool, and however many parts there are, the numbers are the same to the bit. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nets.h"
#include "support.h"
#include "test.h"

/* ---------------------------------------------------------------- the pool */

enum { MOST = 7, ROUNDS = 300 };

typedef struct {
    int parts; /* that are asked for; there may be one alone, while the pool rests */
    int wrote[MOST], sum[MOST];
    atomic_int calls, wrong;
} meeting;

/* Writes, meets, reads what the others wrote. */
static void meet_and_sum(void *context, int part, int parts)
{
    meeting *m = context;
    const bd_io io = {.part = part, .parts = parts};

    atomic_fetch_add(&m->wrong, parts != m->parts && parts != 1);
    atomic_fetch_add(&m->calls, 1);
    for (int round = 0; round < 3; round++) {
        m->wrote[part] = round * 100 + part;
        bd_meet(&io);
        m->sum[part] = 0;
        for (int i = 0; i < parts; i++)
            m->sum[part] += m->wrote[i];
        bd_meet(&io);
    }
}

static void all_parts_run_and_meet(void)
{
    int together = 0;

    for (int parts = 2; parts <= MOST; parts += 1 + parts / 3) {
        bd_set_threads(parts);
        const bd_team team = bd_team_begin(parts);
        CHECK(team.ticket != 0);
        for (int round = 0; round < ROUNDS; round++) {
            meeting m = {.parts = 2 + round % (parts - 1)};
            bd_team_run(team, m.parts, meet_and_sum, &m);
            const int now = m.calls;
            CHECK_INT(m.wrong, 0);
            CHECK(now == m.parts || now == 1);
            together += now > 1;
            for (int i = 0; i < now; i++)
                CHECK_INT(m.sum[i], now * 200 + now * (now - 1) / 2);
        }
        bd_team_end(team);
    }
    CHECK(together > 0);
}

static void the_pool_has_one_holder_at_a_time(void)
{
    bd_set_threads(3);
    const bd_team first = bd_team_begin(3), second = bd_team_begin(3);
    CHECK(first.ticket != 0);
    CHECK(second.ticket == 0);
    meeting m = {.parts = 1};
    bd_team_run(second, 3, meet_and_sum, &m);
    CHECK_INT(m.wrong, 0);
    CHECK_INT(m.calls, 1);
    bd_team_end(second); /* does nothing to the first */
    CHECK(bd_team_begin(3).ticket == 0);
    bd_team_end(first);
    const bd_team third = bd_team_begin(3);
    CHECK(third.ticket != 0);
    bd_team_end(first); /* nor does the first, once it has ended */
    CHECK(bd_team_begin(3).ticket == 0);
    bd_team_end(third);
}

static void one_part_needs_no_pool(void)
{
    bd_set_threads(3);
    CHECK(bd_team_begin(1).ticket == 0);
    bd_set_threads(1);
    CHECK(bd_team_begin(5).ticket == 0);
}

static void *take_turns(void *unused)
{
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        const bd_team team = bd_team_begin(3);
        meeting m = {.parts = team.ticket ? 3 : 1};
        bd_team_run(team, 3, meet_and_sum, &m);
        bd_team_end(team);
        CHECK_INT(m.wrong, 0);
        CHECK(m.calls == m.parts || m.calls == 1);
    }
    return NULL;
}

static void callers_take_turns(void)
{
    pthread_t thread[3];

    bd_set_threads(3);
    for (int i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, take_turns, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

/* ---------------------------------------------------------------- a part that is late */

static int64_t microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_for(int milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

typedef struct {
    int milliseconds, late_part; /* who is late, and by how much */
    bool meets;                  /* before the end too */
    atomic_int calls;
} lateness;

static void be_late(void *context, int part, int parts)
{
    lateness *l = context;

    atomic_fetch_add(&l->calls, 1);
    if (part == l->late_part)
        sleep_for(l->milliseconds);
    if (l->meets)
        bd_meet(&(bd_io){.part = part, .parts = parts});
}

/* Of another process, as it seems, that has the processor. */
static void while_others_are_late_part_0_works_alone(void)
{
    if (bd_processors() < 2) /* then every part is late, and they were asked for all the same */
        return;
    bd_set_threads(2);
    const bd_team team = bd_team_begin(2);
    CHECK(team.ticket != 0);
    for (int meets = 0; meets <= 1; meets++) {
        lateness late = {.milliseconds = 20, .late_part = 1, .meets = meets}, next = {.late_part = -1};
        for (int i = 0; i < 200 && late.calls < 2; i++) { /* the pool may be at rest already */
            sleep_for(20);
            late.calls = 0;
            bd_team_run(team, 2, be_late, &late);
        }
        const int64_t began = microseconds();
        CHECK_INT(late.calls, 2);
        bd_team_run(team, 2, be_late, &next);
        CHECK(next.calls == 1 || microseconds() - began > 100000);
        for (int i = 0; i < 200 && next.calls < 2; i++) {
            sleep_for(20);
            next.calls = 0;
            bd_team_run(team, 2, be_late, &next);
        }
        CHECK_INT(next.calls, 2); /* but tries them again */
    }
    bd_team_end(team);
}

static void part_0_may_be_late_itself(void)
{
    if (bd_processors() < 2)
        return;
    bd_set_threads(2);
    const bd_team team = bd_team_begin(2);
    bool together = false;
    for (int i = 0; i < 200 && !together; i++) { /* the pool may be at rest already */
        lateness late = {.milliseconds = 2, .late_part = 0, .meets = true}, next = {.late_part = -1};
        sleep_for(20);
        bd_team_run(team, 2, be_late, &late);
        bd_team_run(team, 2, be_late, &next);
        together = late.calls == 2 && next.calls == 2;
    }
    CHECK(together);
    bd_team_end(team);
}

/* ---------------------------------------------------------------- nets */

#define CONVOLUTION(filters, size)                                                                                     \
    {                                                                                                                  \
        .layer = {&bd_convolution, {{.i = (filters)}, {.i = (size)}, {.i = (size)}, {.i = 1}, {.i = 1}, {.i = 1}}}     \
    }
#define POOLING                                                                                                        \
    {                                                                                                                  \
        .layer = {&bd_pooling, {{.i = 2}, {.i = 2}, {.i = 2}}}                                                         \
    }
#define NORMALIZATION                                                                                                  \
    {                                                                                                                  \
        .layer = {&bd_batch_normalization, {{.f = 0.9}, {.f = 1e-6}, {.i = 1}}}                                        \
    }
#define DROPOUT                                                                                                        \
    {                                                                                                                  \
        .layer = {&bd_dropout, {{.f = 0.3}}}                                                                           \
    }

static const bd_node branch[] = {AFFINE(70), LAYER(sigmoid)};
static const bd_node flat[] = {AFFINE(70),  LAYER(leaky_relu), RESIDUAL(branch), NORMALIZATION,
                               LAYER(tanh), AFFINE(64),        LAYER(softmax),   AFFINE(50),
                               LAYER(relu), DROPOUT,           LAYER(flatten),   AFFINE(4)};
static const bd_node images[] = {CONVOLUTION(7, 3), LAYER(relu),       CONVOLUTION(9, 3), LAYER(relu), POOLING,
                                 NORMALIZATION,     CONVOLUTION(8, 3), POOLING,           DROPOUT,     AFFINE(10)};

enum { SAMPLES = 60, STEPS = 3 };

static const architecture large[] = {
    {.name = "flat", .layers = flat, .count = COUNT(flat), .input = {2, {1, 50}}, .target = LABELS},
    {.name = "images", .layers = images, .count = COUNT(images), .input = {4, {1, 2, 12, 12}}, .target = LABELS},
};

/* A few steps of Adam and the scores after them: all numbers that can be seen, in one array of `count`. */
static void *train(const architecture *of, bd_dtype dtype, bd_size *count)
{
    const bd_optimizer adam = {.kind = &bd_adam, .hyper = {{.f = 0.01}, {.f = 0.9}, {.f = 0.999}, {.f = 1e-7}}};
    problem p = make_problem(of, dtype, LABELS, SAMPLES);
    const bd_size size = bd_net_size(p.net), scores = SAMPLES * p.width;
    const size_t bytes = bd_dtype_size(dtype);
    char *seen = calloc((size_t)(2 * size + scores), bytes);
    int64_t rows[SAMPLES];
    bd_detail detail;
    double loss;

    bd_net_bind(p.net, &bd_adam);
    for (int i = 0; i < SAMPLES; i++)
        rows[i] = (i * 7) % SAMPLES;
    for (int i = 0; i < STEPS; i++)
        CHECK_STATUS(bd_net_train(p.net, &loss, NULL, p.x, &p.target, rows, SAMPLES - i, SAMPLES, &adam, &detail),
                     BD_OK);
    memcpy(seen, bd_net_params(p.net), (size_t)size * bytes);
    memcpy(seen + (size_t)size * bytes, bd_net_grads(p.net), (size_t)size * bytes);
    bd_net_forward(p.net, seen + (size_t)(2 * size) * bytes, p.x, SAMPLES, false, true);
    free_problem(&p);
    *count = 2 * size + scores;
    return seen;
}

static void nets_do_not_depend_on_threads(void)
{
    for (int a = 0; a < COUNT(large); a++)
        for (int type = 0; type < BD_DTYPES; type++) {
            const problem p = {.dtype = (bd_dtype)type};
            bd_size count, other_count;
            bd_set_threads(1);
            void *alone = train(&large[a], (bd_dtype)type, &count);
            for (int threads = 2; threads <= 5; threads++) {
                bd_set_threads(threads);
                void *together = train(&large[a], (bd_dtype)type, &other_count);
                CHECK_INT(other_count, count);
                check_same(&p, together, alone, count, large[a].name);
                free(together);
            }
            free(alone);
        }
}

static void *train_flat(void *seen)
{
    bd_size count;
    *(void **)seen = train(&large[0], BD_F32, &count);
    return NULL;
}

static void nets_in_two_threads_are_those_alone(void)
{
    const problem p = {.dtype = BD_F32};
    pthread_t thread[2];
    void *seen[2];
    bd_size count;

    bd_set_threads(3);
    void *alone = train(&large[0], BD_F32, &count);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, train_flat, &seen[i]);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        check_same(&p, seen[i], alone, count, "in threads");
        free(seen[i]);
    }
    free(alone);
}

static void a_forked_child_has_a_pool_of_its_own(void)
{
    bd_size count;
    int status = -1;

    bd_set_threads(3);
    void *expected = train(&large[0], BD_F32, &count);
    const bd_team held = bd_team_begin(3); /* as by another thread that is not in the child */
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        meeting m = {.parts = 1};
        bd_team_run(held, 3, meet_and_sum, &m); /* nobody is here to help */
        void *seen = train(&large[0], BD_F32, &count);
        const bd_team team = bd_team_begin(3);
        _exit(m.calls == 1 && team.ticket && !memcmp(seen, expected, (size_t)count * sizeof(float)) ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    bd_team_end(held);
    free(expected);
}

/* ---------------------------------------------------------------- how many */

static void write_file(const char *root, const char *path, const char *text)
{
    char whole[400];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    fputs(text, file);
    fclose(file);
}

static void as_many_threads_as_suit(void)
{
    static const char sibling[] = "/sys/devices/system/cpu/cpu1/topology/thread_siblings_list";
    char root[] = "/tmp/badak-XXXXXX", command[60];
    const int processors = bd_processors();

    unsetenv("OMP_NUM_THREADS");
    CHECK(processors >= 1);
    CHECK(mkdtemp(root) != NULL);
    CHECK_INT(bd_suitable_threads(root), processors);
#ifdef __linux__
    if (processors > 1) {
        write_file(root, sibling, "0-1\n");
        CHECK_INT(bd_suitable_threads(root), processors - 1);
        write_file(root, sibling, "1,65\n");
        CHECK_INT(bd_suitable_threads(root), processors);
        write_file(root, "/proc/self/cgroup", "1:cpu:/old\n0::/a/b\n");
        write_file(root, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
        CHECK_INT(bd_suitable_threads(root), processors);
        write_file(root, "/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
        CHECK_INT(bd_suitable_threads(root), 1);
        write_file(root, "/sys/fs/cgroup/a/cpu.max", "100001 100000\n");
        CHECK_INT(bd_suitable_threads(root), 2);
        write_file(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
        write_file(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        CHECK_INT(bd_suitable_threads(root), 2);
        write_file(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "99999\n");
        CHECK_INT(bd_suitable_threads(root), 1);
    }
#else
    (void)sibling;
#endif
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK_INT(system(command), 0);
    setenv("OMP_NUM_THREADS", "1,4", true);
    CHECK_INT(bd_suitable_threads(""), 1);
    setenv("OMP_NUM_THREADS", "many", true);
    CHECK(bd_suitable_threads("") >= 1);
    unsetenv("OMP_NUM_THREADS");
    bd_set_threads(BD_MOST_THREADS + 9);
    CHECK_INT(bd_threads(), BD_MOST_THREADS);
    bd_set_threads(1);
}

const test_group thread_tests = {
    .name = "threads",
    .cases =
        (const test_case[]){
            {"all parts run and meet", all_parts_run_and_meet},
            {"the pool has one holder at a time", the_pool_has_one_holder_at_a_time},
            {"one part needs no pool", one_part_needs_no_pool},
            {"callers take turns", callers_take_turns},
            {"while others are late part 0 works alone", while_others_are_late_part_0_works_alone},
            {"part 0 may be late itself", part_0_may_be_late_itself},
            {"nets do not depend on threads", nets_do_not_depend_on_threads},
            {"nets in two threads are those alone", nets_in_two_threads_are_those_alone},
            {"a forked child has a pool of its own", a_forked_child_has_a_pool_of_its_own},
            {"as many threads as suit", as_many_threads_as_suit},
            {0},
        },
};
