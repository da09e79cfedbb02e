/* How many threads suit this process: not more than processors that it may use, cores that they belong to, or processor
 * time that its control group is given. Only Linux says so much; elsewhere it is the number of processors. */
#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "badak.h"

enum { MOST_PATH = 1024 };

#ifdef __linux__

/* The first line of a file, without its end; false if there is none. */
static bool first_line(char line[MOST_PATH], const char *path)
{
    FILE *file = fopen(path, "r");
    const bool read = file && fgets(line, MOST_PATH, file);

    if (file)
        fclose(file);
    if (read)
        line[strcspn(line, "\n")] = 0;
    return read;
}

/* Is there, in a list such as "0,64" or "2-3", a processor of the set that comes before this one? */
static bool one_before(const char *list, int processor, const cpu_set_t *set)
{
    while (*list) {
        char *end;
        const long from = strtol(list, &end, 10);
        const long to = *end == '-' ? strtol(end + 1, &end, 10) : from;
        for (long i = from; i <= to && i < processor; i++)
            if (i >= 0 && CPU_ISSET((size_t)i, set))
                return true;
        if (end == list)
            return false;
        list = *end ? end + 1 : end;
    }
    return false;
}

/* Processors of the set, but one for each core. */
static int cores(const char *root, const cpu_set_t *set)
{
    char path[MOST_PATH], list[MOST_PATH];
    int count = 0;

    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, set))
            continue;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, i);
        count += !first_line(list, path) || !one_before(list, i, set);
    }
    return count;
}

static int whole_processors(double quota, double period)
{
    return quota > 0 && period > 0 && quota / period < BD_MOST_THREADS ? (int)((quota + period - 1) / period)
                                                                       : BD_MOST_THREADS;
}

/* What control groups allow: version 2, where each group on the way up may set a limit; or version 1. */
static int allowed(const char *root)
{
    char path[MOST_PATH], line[MOST_PATH], group[MOST_PATH] = "";
    int least = BD_MOST_THREADS;
    double quota, period;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "0::", 3))
            snprintf(group, sizeof group, "%s", line + 3);
    if (file)
        fclose(file);
    group[strcspn(group, "\n")] = 0;
    for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
        *end = 0;
        const int length = snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, group);
        if (length < MOST_PATH && first_line(line, path) && sscanf(line, "%lf %lf", &quota, &period) == 2 &&
            whole_processors(quota, period) < least)
            least = whole_processors(quota, period);
    }
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu/cpu.cfs_quota_us", root);
    if (first_line(line, path) && sscanf(line, "%lf", &quota) == 1) {
        snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu/cpu.cfs_period_us", root);
        if (first_line(line, path) && sscanf(line, "%lf", &period) == 1 && whole_processors(quota, period) < least)
            least = whole_processors(quota, period);
    }
    return least;
}

#endif

int bd_processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set))
        return CPU_COUNT(&set);
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count < BD_MOST_THREADS ? (int)count : BD_MOST_THREADS;
}

int bd_suitable_threads(const char *root)
{
    const char *omp = getenv("OMP_NUM_THREADS");
    const long of_omp = omp ? strtol(omp, NULL, 10) : 0;
    int count = bd_processors();

    (void)root;
#ifdef __linux__
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set) && cores(root, &set) < count)
        count = cores(root, &set);
    if (allowed(root) < count)
        count = allowed(root);
#endif
    if (of_omp >= 1 && of_omp < count)
        count = (int)of_omp;
    return count < 1 ? 1 : count;
}
