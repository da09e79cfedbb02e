/* Runs the tests: badak_tests [part of a name]. BADAK_ISA restricts it to one instruction set. The last line of the
 * output is "N passed, N failed"; the exit code is 0 if none failed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static const test_group *const groups[] = {
    &text_tests, &shape_tests,  &rng_tests,    &function_tests, &gradcheck_tests,
    &gemm_tests, &kernel_tests, &square_tests, &sparse_tests,   &optimizer_tests,
    &isa_tests,  &plan_tests,   &net_tests,    &training_tests, &thread_tests,
};

enum { GROUPS = (int)(sizeof groups / sizeof *groups), SHOWN = 5 };

static struct {
    const test_group *group;
    const test_case *now;
    const char *only; /* part of a name, or NULL */
    bool first_isa;
    int failures; /* of the running test */
    int passed, failed;
} run = {.first_isa = true};

static void say(const char *format, va_list values)
{
    vprintf(format, values);
    putchar('\n');
    fflush(stdout); /* a sanitizer may end the program at any time */
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list values;

    if (++run.failures > SHOWN)
        return;
    printf("%s: %s%s%s\n    %s:%d: ", run.group->name, run.now->name, run.group->each_isa ? ", " : "",
           run.group->each_isa ? bd_isa() : "", file, line);
    va_start(values, format);
    say(format, values);
    va_end(values);
}

void test_note(const char *format, ...)
{
    va_list values;

    printf("%s: ", run.group->name);
    va_start(values, format);
    say(format, values);
    va_end(values);
}

bool test_first_isa(void)
{
    return run.first_isa;
}

static bool wanted(const test_group *group, const test_case *now)
{
    return !run.only || strstr(group->name, run.only) || strstr(now->name, run.only);
}

static void run_group(const test_group *group)
{
    run.group = group;
    for (const test_case *now = group->cases; now->name; now++) {
        if (!wanted(group, now))
            continue;
        run.now = now;
        run.failures = 0;
        now->run();
        if (run.failures > SHOWN)
            printf("    ... and %d more\n", run.failures - SHOWN);
        if (run.failures)
            run.failed++;
        else
            run.passed++;
    }
}

static void run_groups(bool each_isa)
{
    for (int i = 0; i < GROUPS; i++)
        if (groups[i]->each_isa == each_isa)
            run_group(groups[i]);
}

int main(int count, char **argument)
{
    const char *forced = getenv("BADAK_ISA");

    if (forced && !*forced)
        forced = NULL;
    run.only = count > 1 ? argument[1] : NULL;
    if (forced && !bd_choose_isa(forced)) {
        printf("this processor has no kernels for %s\n", forced);
        return 2;
    }
    run_groups(false);
    for (const char *const *name = bd_isa_names(); *name; name++) {
        if (forced && strcmp(*name, forced))
            continue;
        bd_choose_isa(*name);
        run_groups(true);
        run.first_isa = false;
    }
    printf("%d passed, %d failed\n", run.passed, run.failed);
    return run.failed || !run.passed;
}
