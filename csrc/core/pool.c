/* The pool: threads that share the work of one call. One caller has it at a time; whoever does not get it works alone,
 * with the same result, because shares only say who computes a number and never how (badak.h, bd_io).
 *
 * Threads start with the first call that is worth it, so an import starts none. For a short time after a job they spin
 * for the next, which may come with another call: for longer if the one before came soon. Then they sleep. Signals are
 * not for them. A forked child has none of them: it forgets the pool, and starts its own when it needs one.
 *
 * When another process has a processor that a worker needs, each meeting can last as long as the system lets that
 * process run: milliseconds, for work of microseconds. So when part 0 has waited much longer than it worked, the pool
 * rests, and part 0 does all the work.
 */
#ifdef __linux__
#define _GNU_SOURCE /* for processors */
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "badak.h"

enum { SPIN_NANOSECONDS = 200000, EAGER_NANOSECONDS = 1000000, ALONE_NANOSECONDS = 5000, STACK_BYTES = 1 << 20 };

/* To wait twice as long as one works is too long. A rest is this many times as long as the wait: to find that the
 * others are still late costs three in a hundred. */
enum { WAIT_OVER_WORK = 2, REST_OVER_WAIT = 30 };

/* A number that counts up, and those who wait for it to do so. */
typedef struct {
    _Alignas(64) atomic_uint value;
    atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t counted;
} counter;

#define COUNTER {.mutex = PTHREAD_MUTEX_INITIALIZER, .counted = PTHREAD_COND_INITIALIZER}

static struct {
    atomic_uint_fast64_t holder; /* ticket of the caller who has the pool, or 0; what has no comment is the holder's */
    atomic_uint_fast64_t tickets;
    atomic_int wanted;   /* of bd_set_threads */
    atomic_bool patient; /* is there a processor for every part, so that spinning takes none from another? */
    bool registered;
    atomic_int workers;
    int processors;
    void (*work)(void *context, int part, int parts);
    void *context;
    int parts, processor;       /* where part 0 runs, or -1 */
    int64_t waited, rest_until; /* nanoseconds: of part 0 in this work; when there are parts again */
    atomic_int missing;         /* parts that have not arrived at the next meeting */
    counter meetings;
    counter jobs[BD_MOST_THREADS]; /* of each worker, counted from 1; that of part 0 is not used */
} pool = {.meetings = COUNTER};

/* ---------------------------------------------------------------- waiting */

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* At first for itself; then it offers its processor to others, one of whom may be who it waits for. */
static bool spin(counter *c, unsigned seen, int64_t most)
{
    const int64_t began = nanoseconds();

    while (atomic_load(&pool.patient)) {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&c->value, memory_order_acquire) != seen)
                return true;
            pause_a_little();
        }
        const int64_t waited = nanoseconds() - began;
        if (waited > most)
            break;
        if (waited > ALONE_NANOSECONDS)
            sched_yield();
    }
    return false;
}

static void wait_beyond(counter *c, unsigned seen, int64_t spinning)
{
    if (spin(c, seen, spinning))
        return;
    pthread_mutex_lock(&c->mutex);
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(&c->value) == seen)
        pthread_cond_wait(&c->counted, &c->mutex);
    atomic_fetch_sub(&c->sleepers, 1);
    pthread_mutex_unlock(&c->mutex);
}

/* Either the one who waits sees the new value before it sleeps, or it is seen here among the sleepers. */
static void count_up(counter *c)
{
    atomic_fetch_add(&c->value, 1);
    if (atomic_load(&c->sleepers)) {
        pthread_mutex_lock(&c->mutex);
        pthread_cond_broadcast(&c->counted);
        pthread_mutex_unlock(&c->mutex);
    }
}

static bool is_last_to_arrive(void)
{
    if (atomic_fetch_sub(&pool.missing, 1) > 1)
        return false;
    atomic_store(&pool.missing, pool.parts);
    count_up(&pool.meetings);
    return true;
}

static void meet(int part)
{
    const unsigned seen = atomic_load(&pool.meetings.value);

    if (is_last_to_arrive())
        return;
    const int64_t began = part ? 0 : nanoseconds();
    wait_beyond(&pool.meetings, seen, SPIN_NANOSECONDS);
    if (!part)
        pool.waited += nanoseconds() - began;
}

void bd_meet(const bd_io *io)
{
    if (io->parts > 1)
        meet(io->part);
}

/* ---------------------------------------------------------------- workers */

/* Two threads that spin for one another can share a processor for long while another is idle, because both look busy
 * and neither waits: the system leaves them there. So a worker that finds itself where part 0 is moves on. */
static int this_processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

static void leave_processor(int processor)
{
#ifdef __linux__
    cpu_set_t all, others;

    if (processor < 0 || processor >= CPU_SETSIZE || sched_getcpu() != processor ||
        sched_getaffinity(0, sizeof all, &all))
        return;
    others = all;
    CPU_CLR((size_t)processor, &others);
    if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others))
        (void)sched_setaffinity(0, sizeof all, &all); /* it may come back, but need not */
#else
    (void)processor;
#endif
}

static void *work_for_ever(void *part)
{
    counter *jobs = part;
    const int index = (int)(jobs - pool.jobs);

    int64_t spinning = SPIN_NANOSECONDS;

    for (unsigned seen = 0;; seen++) {
        const int64_t began = nanoseconds();
        wait_beyond(jobs, seen, spinning);
        spinning = nanoseconds() - began < EAGER_NANOSECONDS ? EAGER_NANOSECONDS : SPIN_NANOSECONDS;
        if (atomic_load(&pool.patient))
            leave_processor(pool.processor);
        pool.work(pool.context, index, pool.parts);
        (void)is_last_to_arrive();
    }
    return NULL;
}

static bool start_worker(int part)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    if (pthread_attr_init(&attributes))
        return false;
    pool.jobs[part] = (counter)COUNTER;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = !pthread_create(&thread, &attributes, work_for_ever, &pool.jobs[part]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

/* In a forked child: nobody works here any more, and a lock may have been held by a thread that is not here. */
static void forget(void)
{
    pool.workers = 0;
    pool.meetings = (counter)COUNTER;
    atomic_store(&pool.holder, 0);
}

/* ---------------------------------------------------------------- the pool as its callers see it */

void bd_set_threads(int count)
{
    atomic_store(&pool.wanted, count < BD_MOST_THREADS ? count : BD_MOST_THREADS);
}

int bd_threads(void)
{
    int wanted = atomic_load(&pool.wanted);

    if (wanted < 1) {
        wanted = bd_suitable_threads("");
        bd_set_threads(wanted);
    }
    return wanted;
}

bd_team bd_team_begin(int parts)
{
    const bd_team none = {0}, team = {atomic_fetch_add(&pool.tickets, 1) + 1};
    uint_fast64_t nobody = 0;

    if (parts > bd_threads())
        parts = bd_threads();
    if (parts < 2 || !atomic_compare_exchange_strong(&pool.holder, &nobody, team.ticket))
        return none;
    pool.processors = bd_processors();
    if (!pool.registered) /* before the first thread: what fails here leaves a child without threads, no more */
        pool.registered = !pthread_atfork(NULL, NULL, forget);
    while (pool.registered && pool.workers < parts - 1 && start_worker(pool.workers + 1))
        pool.workers++;
    if (pool.workers)
        return team;
    bd_team_end(team);
    return none;
}

void bd_team_end(bd_team team)
{
    uint_fast64_t ticket = team.ticket;

    if (ticket)
        (void)atomic_compare_exchange_strong(&pool.holder, &ticket, 0);
}

static void rest_if_others_were_late(int64_t began)
{
    const int64_t now = nanoseconds(), worked = now - began - pool.waited;

    if (pool.waited > SPIN_NANOSECONDS && pool.waited > WAIT_OVER_WORK * worked)
        pool.rest_until = now + REST_OVER_WAIT * pool.waited;
}

void bd_team_run(bd_team team, int parts, void (*work)(void *context, int part, int parts), void *context)
{
    /* in a child that was forked meanwhile the ticket is no longer the holder's */
    if (!team.ticket || atomic_load(&pool.holder) != team.ticket)
        parts = 1;
    else if (parts > pool.workers + 1)
        parts = pool.workers + 1;
    const int64_t began = parts > 1 ? nanoseconds() : 0;
    const bool patient = parts <= pool.processors;
    if (parts < 2 || (patient && began < pool.rest_until)) {
        work(context, 0, 1);
        return;
    }
    pool.work = work;
    pool.context = context;
    pool.parts = parts;
    pool.waited = 0;
    pool.processor = this_processor();
    atomic_store(&pool.patient, patient);
    atomic_store(&pool.missing, parts);
    for (int part = 1; part < parts; part++)
        count_up(&pool.jobs[part]);
    work(context, 0, parts);
    meet(0);
    if (patient) /* or else they are late because so many were asked for */
        rest_if_others_were_late(began);
}

/* ---------------------------------------------------------------- a layer in parts */

int bd_parts_for(double operations, double each)
{
    const double parts = operations / each;
    return parts < 2 ? 1 : parts < bd_threads() ? (int)parts : bd_threads();
}

int bd_parts_for_call(double operations)
{
    const int waking = bd_parts_for(operations, 2 * BD_TO_WAKE), joining = bd_parts_for(operations, BD_TO_JOIN);
    int awake = 1;

    while (awake < joining && awake <= pool.workers && !atomic_load(&pool.jobs[awake].sleepers))
        awake++;
    return waking > awake ? waking : awake;
}

typedef struct {
    const bd_layer *layer;
    void (*run)(const bd_layer *layer, const bd_io *io);
    const bd_io *io;
    size_t work_bytes;
} layer_call;

static void run_part(void *context, int part, int parts)
{
    const layer_call *call = context;
    bd_io io = *call->io;

    io.part = part;
    io.parts = parts;
    io.work = (char *)io.work + (size_t)part * call->work_bytes;
    call->run(call->layer, &io);
}

void bd_team_run_layer(bd_team team, int parts, void (*run)(const bd_layer *, const bd_io *), const bd_layer *layer,
                       const bd_io *io, size_t work_bytes)
{
    if (layer->kind->flags & BD_SHARES && parts > 1)
        bd_team_run(team, parts, run_part, &(layer_call){layer, run, io, work_bytes});
    else
        run(layer, io);
}
