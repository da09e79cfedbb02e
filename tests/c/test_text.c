/* The messages of status codes. */
#include <stdlib.h>

#include "test.h"

static const bd_detail full = {.what = "Affine", .got = -7, .expected = 4711, .where = 12, .value = 0.5};

static void every_status_has_a_message_without_placeholders(void)
{
    for (int status = 0; status < BD_STATUSES; status++) {
        char text[300];
        memset(text, '#', sizeof text);
        bd_explain((bd_status)status, &full, text, sizeof text);
        CHECK_SAY(memchr(text, '\0', sizeof text) && strlen(text) > 5, "status %d", status);
        CHECK_SAY(!strchr(text, '{') && !strchr(text, '}'), "status %d: %s", status, text);
        CHECK_SAY(!strchr(text, '?'), "status %d: %s", status, text); /* what an unknown name would become */
    }
}

static void no_two_statuses_have_the_same_message(void)
{
    char text[BD_STATUSES][300];

    for (int i = 0; i < BD_STATUSES; i++) {
        bd_explain((bd_status)i, &full, text[i], sizeof text[i]);
        for (int j = 0; j < i; j++)
            CHECK_SAY(strcmp(text[i], text[j]), "%d and %d: %s", i, j, text[i]);
    }
}

static void numbers_of_the_detail_are_in_the_message(void)
{
    char text[300];

    bd_explain(BD_BAD_LABEL, &full, text, sizeof text);
    CHECK_SAY(!strcmp(text, "label -7 of sample 12 is not a class: expected 0 to 4711"), "%s", text);
    bd_explain(BD_BAD_HYPER, &full, text, sizeof text);
    CHECK_SAY(!strcmp(text, "Affine = 0.5 is out of range"), "%s", text);
}

static void a_missing_name_is_replaced(void)
{
    char text[300];

    bd_explain(BD_NOT_FINITE, &(bd_detail){0}, text, sizeof text);
    CHECK_SAY(!strncmp(text, "the argument ", 13), "%s", text);
}

static void braces_in_a_name_are_kept_as_they_are(void)
{
    char text[300];

    bd_explain(BD_NOT_A_LOSS, &(bd_detail){.what = "{got}"}, text, sizeof text);
    CHECK_SAY(!strncmp(text, "{got} is", 8), "%s", text);
}

static void an_unknown_status_has_a_message(void)
{
    char text[40];

    bd_explain(BD_STATUSES, &full, text, sizeof text);
    CHECK_SAY(!strcmp(text, "unknown status"), "%s", text);
}

/* The sanitizer sees what is written beyond a block of the heap. */
static void a_small_buffer_holds_the_beginning(void)
{
    char whole[300];

    for (int status = 0; status < BD_STATUSES; status++) {
        bd_explain((bd_status)status, &full, whole, sizeof whole);
        for (size_t size = 1; size <= strlen(whole) + 2; size++) {
            char *text = malloc(size);
            bd_explain((bd_status)status, &full, text, size);
            const size_t expected = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
            CHECK_INT(strlen(text), expected);
            CHECK_SAY(!strncmp(text, whole, expected), "%zu bytes of status %d: %s", size, status, text);
            free(text);
        }
    }
}

static void a_buffer_without_room_is_not_touched(void)
{
    char text[4] = "abc";

    bd_explain(BD_NO_MEMORY, &full, text, 0);
    CHECK_BYTES(text, "abc", 4);
}

const test_group text_tests = {
    .name = "text",
    .cases =
        (const test_case[]){
            {"every status has a message without placeholders", every_status_has_a_message_without_placeholders},
            {"no two statuses have the same message", no_two_statuses_have_the_same_message},
            {"numbers of the detail are in the message", numbers_of_the_detail_are_in_the_message},
            {"a missing name is replaced", a_missing_name_is_replaced},
            {"braces in a name are kept as they are", braces_in_a_name_are_kept_as_they_are},
            {"an unknown status has a message", an_unknown_status_has_a_message},
            {"a small buffer holds the beginning", a_small_buffer_holds_the_beginning},
            {"a buffer without room is not touched", a_buffer_without_room_is_not_touched},
            {0},
        },
};
